//! What training on one image more does to the loss on held-out images: influence functions (Koh and Liang 2017, equation 2) of the
//! last linear map of a network, whose Hessian under cross-entropy is closed-form.

mod fit;
mod held_out;
mod last_layer;
mod solve;
#[cfg(test)]
mod tests;

pub use held_out::{HeldOut, Solutions};
pub use last_layer::{Labelled, LastLayer};
pub use solve::Lissa;

use serde::{Deserialize, Serialize};

/// Which end of the influences is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// The smallest: images that lower the loss on held-out images (Koh and Liang's sign). This is the default.
    #[default]
    Helpful,
    /// The largest, as FuseGen's text says: with Koh and Liang's sign those raise the loss, wrong labels among them.
    Largest,
}

impl Sign {
    /// A score of which the lowest is kept.
    pub fn score(self, influence: f32) -> f64 {
        match self {
            Self::Helpful => f64::from(influence),
            Self::Largest => -f64::from(influence),
        }
    }
}
