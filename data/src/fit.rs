//! How a picture that is not square becomes square.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::DataError;

/// What of a picture that is not square is kept in a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The largest centred square; what lies beyond it at both ends is lost. This is the default.
    #[default]
    Crop,
    /// The whole picture in its own shape, centred between bars of [`PADDING`](Self::PADDING).
    Pad,
    /// The whole picture, stretched to a square.
    Squash,
}

impl Fit {
    /// All of them, in the order in which messages list them.
    pub const ALL: [Fit; 3] = [Fit::Crop, Fit::Pad, Fit::Squash];

    /// Red, green and blue of the bars beside a padded picture: the middle of 0..=255, which standardising brings near the
    /// zeros that convolutions pad with, so that the bars themselves excite filters least.
    pub const PADDING: [u8; 3] = [128; 3];

    /// Share of a `width` x `height` picture's area that is lost, in 0..1.
    pub fn lost_share(self, width: u32, height: u32) -> f64 {
        match self {
            Fit::Crop if width.max(height) > 0 => {
                1.0 - f64::from(width.min(height)) / f64::from(width.max(height))
            }
            Fit::Crop | Fit::Pad | Fit::Squash => 0.0,
        }
    }

    /// As written on the command line and in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Fit::Crop => "crop",
            Fit::Pad => "pad",
            Fit::Squash => "squash",
        }
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Fit {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|fit| fit.as_str() == text)
            .ok_or_else(|| DataError::BadFit {
                text: text.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for fit in Fit::ALL {
            assert_eq!(fit.to_string().parse::<Fit>().unwrap(), fit);
            let json = serde_json::to_string(&fit).unwrap();
            assert_eq!(json, format!("\"{fit}\""));
            assert_eq!(serde_json::from_str::<Fit>(&json).unwrap(), fit);
        }
        let error = "stretch".parse::<Fit>().unwrap_err().to_string();
        assert!(
            error.contains("`stretch`") && error.contains("squash"),
            "{error}"
        );
    }

    #[test]
    fn only_cropping_loses() {
        assert!((Fit::Crop.lost_share(120, 32) - 88.0 / 120.0).abs() < 1e-12);
        assert_eq!(Fit::Crop.lost_share(32, 120), Fit::Crop.lost_share(120, 32));
        assert_eq!(Fit::Crop.lost_share(7, 7), 0.0);
        assert_eq!(Fit::Pad.lost_share(120, 32), 0.0);
        assert_eq!(Fit::Squash.lost_share(120, 32), 0.0);
    }
}
