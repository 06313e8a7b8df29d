//! Captioners: what to say about one image, in words.

mod attributes;
mod blip;
mod joined;
mod metadata;
mod none;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use promptfed_data::{DecodedImage, Sample};
use promptfed_prompts::{Caption, TextProblem};

pub use attributes::AttributeCaptioner;
pub use blip::BlipCaptioner;
pub use joined::JoinedCaptioner;
pub use metadata::{MAX_SIDE_CAR_BYTES, MetadataCaptioner};
pub use none::NoCaptioner;

use crate::{Error, Result};

/// Names that [`captioner`] knows; others join these in another order. `blip` needs a model: [`captioner_with`].
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
    /// The captioner's model failed.
    #[error("the caption model cannot describe it: {reason}")]
    Model {
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
/// [`Error::UnknownCaptioner`], or [`Error::CaptionerModel`] for `blip`.
pub fn captioner(name: &str) -> Result<Arc<dyn Captioner>> {
    captioner_with(name, None)
}

/// [`captioner`] that also knows `blip`, which looks with the model in the folder `model`.
///
/// # Errors
/// [`Error::UnknownCaptioner`]; [`Error::CaptionerModel`] for a captioner without the model that it needs, or a model without a
/// captioner that uses it; a model that cannot be loaded.
pub fn captioner_with(name: &str, model: Option<&Path>) -> Result<Arc<dyn Captioner>> {
    let parts: Vec<&str> = name.split('+').collect();
    let is_repeated = |i: usize| parts[..i].contains(&parts[i]);
    let unknown = || Error::UnknownCaptioner {
        found: name.chars().take(80).collect(),
    };
    if (0..parts.len()).any(is_repeated) {
        return Err(unknown());
    }
    if parts.contains(&BlipCaptioner::NAME) != model.is_some() {
        return Err(Error::CaptionerModel {
            captioner: name.chars().take(80).collect(),
        });
    }
    if name == NoCaptioner::NAME {
        return Ok(Arc::new(NoCaptioner));
    }
    let single = |part: &str| -> Result<Box<dyn Captioner>> {
        match (part, model) {
            ("metadata", _) => Ok(Box::new(MetadataCaptioner)),
            ("attributes", _) => Ok(Box::new(AttributeCaptioner)),
            (BlipCaptioner::NAME, Some(folder)) => Ok(Box::new(BlipCaptioner::load(folder)?)),
            _ => Err(unknown()),
        }
    };
    let mut parts = parts.into_iter().map(single).collect::<Result<Vec<_>>>()?;
    Ok(match parts.len() {
        1 => Arc::from(parts.remove(0)),
        _ => Arc::new(JoinedCaptioner::new(parts)),
    })
}
