//! What may be said of a difference that a few seeds and some test images show.

mod bootstrap;
#[cfg(test)]
mod golden;
mod holm;
mod interval;
mod permutation;
mod student;

pub(crate) use bootstrap::{RESAMPLES, difference_interval};
pub(crate) use holm::holm;
pub use interval::Interval;
pub(crate) use permutation::{mcnemar, sign_flip};
pub(crate) use student::mean_interval;

/// The probability with which an interval holds what it is of.
pub(crate) const CONFIDENCE_LEVEL: f64 = 0.95;
