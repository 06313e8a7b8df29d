//! Every kernel under every instruction set that this processor has, against f64 references.
//!
//! `PROMPTFED_INSTRUCTION_SET=NAME` restricts the run to one set, which must be there.

#![allow(clippy::unwrap_used)]

mod attention;
mod batch_norm;
mod convolution;
mod depthwise;
mod instruction_set;
mod norms;
mod product;
mod support;
