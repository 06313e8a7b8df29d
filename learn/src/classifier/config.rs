//! The shape of a classifier.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The residual blocks of a classifier, behind a 3x3 convolution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Four blocks, the first three of which halve the image: made for small images and few cores. This is
    /// the default.
    #[default]
    Small,
    /// Eight blocks in four stages, the last three of which halve the image (He et al. 2016, table 1, with a 3x3
    /// convolution in place of the first two layers, as is usual for 32-pixel images, and shortcuts
    /// without normalisation).
    Resnet18,
}

impl Architecture {
    /// The multiple of the width, and the stride, of each block of two 3x3 convolutions.
    pub fn blocks(self) -> &'static [(usize, usize)] {
        match self {
            Self::Small => &[(1, 2), (2, 2), (4, 2), (4, 1)],
            Self::Resnet18 => &[
                (1, 1),
                (1, 1),
                (2, 2),
                (2, 1),
                (4, 2),
                (4, 1),
                (8, 2),
                (8, 1),
            ],
        }
    }

    /// The name by which it is asked for and recorded.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Resnet18 => "resnet18",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The shape of a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// The number of classes, 1 to 65536.
    pub classes: usize,
    /// The side of the images in pixels, 8 to 256.
    pub image_size: usize,
    /// Channels after the stem, 1 to 512; later blocks have a multiple. 24 by default; ResNet-18 has 64.
    #[serde(default = "default_width")]
    pub width: usize,
    /// The residual blocks.
    #[serde(default, skip_serializing_if = "Architecture::is_default")]
    pub architecture: Architecture,
}

fn default_width() -> usize {
    24
}

impl ClassifierConfig {
    /// The configuration for `classes` classes and square images of `image_size` pixels, with
    /// the default width.
    pub fn new(classes: usize, image_size: usize) -> Self {
        Self {
            classes,
            image_size,
            width: default_width(),
            architecture: Architecture::default(),
        }
    }

    /// ResNet-18 for `classes` classes and square images of `image_size` pixels: 64 channels after the stem.
    pub fn resnet18(classes: usize, image_size: usize) -> Self {
        Self {
            width: 64,
            architecture: Architecture::Resnet18,
            ..Self::new(classes, image_size)
        }
    }

    /// The same with another width.
    #[must_use]
    pub fn with_width(self, width: usize) -> Self {
        Self { width, ..self }
    }

    /// Checks every field's range.
    ///
    /// # Errors
    /// [`Error::Config`] for the first field out of range.
    pub fn validate(&self) -> Result<()> {
        let checks = [
            ("classes", self.classes, 1..=65536, "1 to 65536"),
            ("image_size", self.image_size, 8..=256, "8 to 256 pixels"),
            ("width", self.width, 1..=512, "1 to 512 channels"),
        ];
        for (field, value, range, expected) in checks {
            if !range.contains(&value) {
                return Err(Error::Config {
                    field,
                    value: value.to_string(),
                    expected,
                });
            }
        }
        Ok(())
    }
}
