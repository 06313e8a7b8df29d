//! The engines: one folder each, all behind [`Generator`](crate::Generator).

pub mod pocket;
pub mod sd;
