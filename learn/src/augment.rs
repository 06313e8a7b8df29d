//! Live augmentation.

use serde::{Deserialize, Serialize};

/// How every image is changed at random each time that training sees it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Mirror left to right with probability one half. `true` by default.
    pub flip: bool,
    /// The largest shift in each direction, as a fraction of the image's side in `0.0..=0.5`; what
    /// moves in is the reflected picture. 0.125 by default.
    pub shift: f32,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            flip: true,
            shift: 0.125,
        }
    }
}

impl Augmentation {
    /// Every image as it is.
    pub const NONE: Self = Self {
        flip: false,
        shift: 0.0,
    };
}
