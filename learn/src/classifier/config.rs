//! The shape of a classifier.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The shape of a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// The number of classes, 1 to 65536.
    pub classes: usize,
    /// The side of the images in pixels, 8 to 256.
    pub image_size: usize,
    /// Channels after the stem, 1 to 512; the last stage has four times as many. 24 by default.
    #[serde(default = "default_width")]
    pub width: usize,
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
