//! Honest comparison of ways to learn from a federation: methods x seeds on one partition, every byte counted.
//!
//! An [`Experiment`] deals data to clients and runs each [`methods::Method`] once per seed on the same clients with the same
//! classifier. It alone sees the test images, keeps time and counts the bytes of the [`wire`]; the [`comparison::Comparison`] it returns is what the table, the JSON and the HTML [`report`] show.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod captions;
pub mod comparison;
pub mod csv_cells;
mod error;
mod experiment;
pub mod feature_cache;
mod federation;
mod gallery;
pub mod journal;
pub mod method_row;
pub mod methods;
pub mod mixture;
pub mod observer;
pub mod pairs;
pub mod predictions;
mod predictor;
mod probe;
pub mod quality;
pub mod ranking;
mod recorded_run;
pub mod report;
mod role;
mod seeds;
pub mod simulation;
mod statistics;
mod stopwatch;
pub mod summary;
pub mod wire;

pub use captions::Captions;
pub use error::{Error, Result};
pub use experiment::{Experiment, ExperimentData, RateScore, Resources, Setting, Tuned};
pub use federation::{FederatedClient, Federation, FederationOptions, TestSet};
pub use predictor::Predictor;
pub use statistics::Interval;
pub use stopwatch::Stopwatch;
