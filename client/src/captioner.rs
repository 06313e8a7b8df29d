//! Captioners: what to say about one image, in words.

mod attributes;
mod joined;
mod metadata;
mod none;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use promptfed_data::{DecodedImage, Sample};
use promptfed_prompts::{Caption, TextProblem};

pub use attributes::AttributeCaptioner;
pub use joined::JoinedCaptioner;
pub use metadata::{MAX_SIDE_CAR_BYTES, MetadataCaptioner};
pub use none::NoCaptioner;

use crate::{Error, Result};

/// Names that [`captioner`] knows; others join `metadata` and `attributes` in another order.
pub const CAPTIONER_NAMES: [&str; 4] = [
    NoCaptioner::NAME,
    "metadata",
    "attributes",
    "metadata+attributes",
];

/// Writes captions of images.
///
/// A captioner runs on many threads at once and gives the same caption for the same image, whatever
/// came before. It keeps to the image it is given: nothing of one image appears in another's caption.
pub trait Captioner: fmt::Debug + Send + Sync {
    /// The captioner's name, as [`captioner`] reads it.
    fn name(&self) -> String;

    /// Whether [`caption`](Captioner::caption) reads pixels.
    fn needs_pixels(&self) -> bool;

    /// The caption of an image, or none where there is nothing to say.
    ///
    /// # Errors
    /// [`CaptionProblem`] for a caption that exists but cannot be used.
    fn caption(&self, image: &CaptionInput<'_>) -> Result<Option<Caption>, CaptionProblem>;
}

/// What a captioner sees of an image.
#[derive(Clone, Copy, Debug)]
pub struct CaptionInput<'a> {
    /// The sample: where the image lies, and its caption in the data set.
    pub sample: &'a Sample,
    /// The decoded image; always present for a captioner that needs pixels.
    pub image: Option<&'a DecodedImage>,
}

/// Why a caption cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaptionProblem {
    /// There is none.
    #[error("the image has no caption; add one or choose another captioner")]
    Missing,
    /// Its text breaks the rules of what may travel.
    #[error("its caption cannot be used: {0}")]
    Text(#[from] TextProblem),
    /// The side-car file cannot be read.
    #[error("its side-car file {} cannot be read: {reason}", path.display())]
    SideCar {
        /// The side-car file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A captioner that needs pixels got none.
    #[error("the captioner `{captioner}` needs the decoded image")]
    NoPixels {
        /// The captioner.
        captioner: String,
    },
}

/// The captioner of this name: `none`, `metadata`, `attributes`, or several joined with `+`.
///
/// # Errors
/// [`Error::UnknownCaptioner`].
pub fn captioner(name: &str) -> Result<Arc<dyn Captioner>> {
    let single = |part: &str| -> Option<Box<dyn Captioner>> {
        match part {
            "metadata" => Some(Box::new(MetadataCaptioner)),
            "attributes" => Some(Box::new(AttributeCaptioner)),
            _ => None,
        }
    };
    let unknown = || Error::UnknownCaptioner {
        found: name.chars().take(80).collect(),
    };
    if name == NoCaptioner::NAME {
        return Ok(Arc::new(NoCaptioner));
    }
    let mut parts: Vec<Box<dyn Captioner>> = Vec::new();
    for part in name.split('+') {
        if parts.iter().any(|earlier| earlier.name() == part) {
            return Err(unknown());
        }
        parts.push(single(part).ok_or_else(unknown)?);
    }
    Ok(match parts.len() {
        1 => Arc::from(parts.remove(0)),
        _ => Arc::new(JoinedCaptioner::new(parts)),
    })
}
