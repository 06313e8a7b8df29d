//! What a walk through a picture's container finds.

use std::collections::BTreeSet;

use image::metadata::Orientation;

use crate::Adjustment;

/// Facts that the decoders of the `image` crate do not tell.
#[derive(Debug, Default)]
pub(super) struct Container {
    /// What decoding will change, as far as the container tells.
    pub(super) adjustments: BTreeSet<Adjustment>,
    /// How the picture is to be turned, where the decoder would not find it.
    pub(super) orientation: Option<Orientation>,
    /// Whether colours are already multiplied by their alpha.
    pub(super) premultiplied: bool,
}

impl Container {
    pub(super) fn with(adjustment: Option<Adjustment>) -> Self {
        Self {
            adjustments: adjustment.into_iter().collect(),
            ..Self::default()
        }
    }
}
