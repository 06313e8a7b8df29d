//! What is known of every candidate, as far as a fusion needs it.

pub mod agreement;
pub mod influence;
pub mod outlying;
pub mod transfer;
pub mod votes;

pub use agreement::Agreement;
pub use influence::Sign;
pub use transfer::Transfer;

use super::features::FeatureFile;
use crate::{Error, Result};

/// Signals of all candidates, in their order. What was not worked out is not there.
#[derive(Default)]
pub struct Signals {
    /// What the backends' task models say of every image.
    pub agreement: Option<Agreement>,
    /// What every image does to the loss on held-out images ([`influence`]).
    pub influence: Option<Vec<f32>>,
    /// How far every image lies from the centres of the classes ([`outlying`]).
    pub outlying: Option<Vec<f32>>,
    /// Features of every image, on disk.
    pub features: Option<FeatureFile>,
}

/// Which signals a selection reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// [`Signals::agreement`].
    pub agreement: bool,
    /// [`Signals::influence`].
    pub influence: bool,
    /// [`Signals::features`] and [`Signals::outlying`].
    pub features: bool,
}

impl Needs {
    /// What either needs.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            agreement: self.agreement || other.agreement,
            influence: self.influence || other.influence,
            features: self.features || other.features,
        }
    }
}

impl Signals {
    /// The task models' views.
    ///
    /// # Errors
    /// If they were not worked out.
    pub fn agreement(&self) -> Result<&Agreement> {
        self.agreement
            .as_ref()
            .ok_or_else(|| missing("the task models' views"))
    }

    /// The influences.
    ///
    /// # Errors
    /// If they were not worked out.
    pub fn influence(&self) -> Result<&[f32]> {
        let influence = self.influence.as_deref();
        influence.ok_or_else(|| missing("influences"))
    }

    /// The distances from the classes' centres.
    ///
    /// # Errors
    /// If they were not worked out.
    pub fn outlying(&self) -> Result<&[f32]> {
        let outlying = self.outlying.as_deref();
        outlying.ok_or_else(|| missing("distances from the classes' centres"))
    }

    /// The features.
    ///
    /// # Errors
    /// If they were not worked out.
    pub fn features(&self) -> Result<&FeatureFile> {
        self.features.as_ref().ok_or_else(|| missing("features"))
    }
}

fn missing(what: &str) -> Error {
    Error::Fusion(format!("{what} of the images were not worked out"))
}
