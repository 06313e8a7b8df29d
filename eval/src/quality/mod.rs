//! How good a synthetic set is beside real images, in the feature space of a frozen network: measured on sets of feature vectors,
//! whatever made them.
//!
//! - [`Manifolds`]: precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).
//! - [`vendi_score`]: how many different images a set holds (Friedman and Dieng 2023).
//! - [`near_copies`]: the share of images that lie nearer to those that a generator was trained on than real images do.
//! - [`measure`]: all of it for every class and the whole set.

mod copies;
mod error;
mod features;
mod manifolds;
mod neighbours;
mod report;
mod vendi;

pub use copies::{COPY_QUANTILE, near_copies};
pub use error::QualityError;
pub use features::{FeatureSet, Labelled, extract_features};
pub use manifolds::Manifolds;
pub use report::{ClassQuality, Quality, QualityReport, measure};
pub use vendi::vendi_score;
