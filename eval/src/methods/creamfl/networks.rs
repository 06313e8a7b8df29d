//! A network of images and one of captions that represent pairs at one place.

use super::super::LocalTask;
use crate::Result;
use crate::wire::payload::Representations;
use promptfed_data::LabelledImages;
use promptfed_learn::objective::unit_rows;
use promptfed_learn::{Classifier, TextTower, TextTraining};
use std::borrow::Cow;

/// The public pairs of a round.
pub(super) struct Shown {
    /// The images.
    pub(super) images: LabelledImages,
    /// The caption of each in tokens.
    pub(super) captions: Vec<Vec<u32>>,
}

/// What networks make of pairs, of length 1; nothing of a network that is not there.
pub(super) fn represent(
    images: Option<&Classifier>,
    text: Option<&TextTower>,
    shown: &Shown,
    width: usize,
) -> Result<Representations> {
    let of_images = images.map(|network| network.logits(&shown.images));
    let of_captions = text.map(|network| network.represent(&shown.captions));
    Ok(Representations {
        width,
        images: unit_rows(&of_images.transpose()?.unwrap_or_default(), width),
        captions: unit_rows(&of_captions.transpose()?.unwrap_or_default(), width),
    })
}

/// Images for a network of `width` outputs, which has no classes: with no label that is above them.
pub(super) fn without_classes(images: &LabelledImages, width: usize) -> Cow<'_, LabelledImages> {
    if images.labels.iter().all(|label| (*label as usize) < width) {
        return Cow::Borrowed(images);
    }
    let mut images = images.clone();
    images.labels.fill(0);
    Cow::Owned(images)
}

/// The training of captions that goes with one of images.
pub(super) fn of_captions<'a>(task: &LocalTask<'a>, rate: f32) -> TextTraining<'a> {
    TextTraining {
        epochs: task.config.epochs,
        batch_size: task.config.batch_size,
        rate,
        seed: task.config.seed,
        cancel: task.cancel,
    }
}
