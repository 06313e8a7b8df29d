//! A few images among text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use promptfed_data::LabelledImages;
use serde::{Deserialize, Serialize};

/// Labelled images in a form that JSON holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptImages {
    size: usize,
    /// In base64.
    pixels: String,
    labels: Vec<u32>,
    domains: Vec<u32>,
    class_names: Vec<String>,
    domain_names: Vec<String>,
}

impl KeptImages {
    pub(crate) fn of(images: &LabelledImages) -> Self {
        Self {
            size: images.size,
            pixels: STANDARD.encode(&images.pixels),
            labels: images.labels.clone(),
            domains: images.domains.clone(),
            class_names: images.class_names.clone(),
            domain_names: images.domain_names.clone(),
        }
    }

    /// The images; `None` of a damaged record.
    pub(crate) fn images(self) -> Option<LabelledImages> {
        let pixels = STANDARD.decode(&self.pixels).ok()?;
        let count = self.labels.len();
        let is_whole =
            pixels.len() == count * self.size * self.size * 3 && self.domains.len() == count;
        is_whole.then_some(LabelledImages {
            size: self.size,
            pixels,
            labels: self.labels,
            domains: self.domains,
            class_names: self.class_names,
            domain_names: self.domain_names,
        })
    }
}
