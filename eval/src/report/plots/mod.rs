//! Figures as inline SVG. Colours come from the style sheet by series class, text from the reader's fonts.

mod axis;
mod cost;
mod curves;
mod frame;
mod marks;

pub(super) use cost::accuracy_by_bytes;
pub(super) use curves::learning_curves;
pub(super) use marks::{series, swatch};
