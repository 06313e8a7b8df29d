//! Pairs that are easily told apart, for tests.

use super::super::{LocalTask, Participation, RoundPlan};
use super::networks::Shown;
use super::{CreamFl, Held};
use promptfed_data::LabelledImages;
use promptfed_learn::{Augmentation, Schedule, TrainConfig};
use std::sync::atomic::AtomicBool;

/// Numbers in a representation.
pub(super) const WIDTH: usize = 6;
/// How many words there are.
pub(super) const WORDS: usize = 5;
const PAIRS: usize = 8;
static NEVER: AtomicBool = AtomicBool::new(false);

/// Dark and bright images in turn, and captions that say which.
pub(super) fn shown() -> Shown {
    let kind = |pair: usize| pair % 2;
    let pixel = |place: usize| {
        let pair = place / (16 * 16 * 3);
        (kind(pair) * 150 + (place * place + 7 * pair) % 90) as u8
    };
    Shown {
        images: LabelledImages {
            size: 16,
            pixels: (0..PAIRS * 16 * 16 * 3).map(pixel).collect(),
            labels: (0..PAIRS).map(|pair| kind(pair) as u32).collect(),
            domains: vec![0; PAIRS],
            class_names: vec!["dark".into(), "bright".into()],
            domain_names: Vec::new(),
        },
        captions: (0..PAIRS)
            .map(|pair| vec![1, 2, 3 + kind(pair) as u32])
            .collect(),
    }
}

/// A row for each pair: along one axis for a dark one and along the other for a bright one, or the other way round.
pub(super) fn rows(length: f32, turned: bool) -> Vec<f32> {
    let mut rows = vec![0.0; PAIRS * WIDTH];
    for (pair, row) in rows.chunks_exact_mut(WIDTH).enumerate() {
        row[(pair + usize::from(turned)) % 2] = length;
    }
    rows
}

/// How much nearer representations are to [`rows`] of length 1 than to those that are turned: the mean difference of the cosines.
pub(super) fn leaning(made: &[f32]) -> f64 {
    assert_eq!(made.len(), PAIRS * WIDTH);
    let (straight, turned) = (rows(1.0, false), rows(1.0, true));
    let each = made.iter().zip(straight.iter().zip(&turned));
    let sum: f64 = each.map(|(v, (s, t))| f64::from(v * (s - t))).sum();
    sum / PAIRS as f64
}

/// So many passes over all images at once.
pub(super) fn task(images: &LabelledImages, epochs: usize) -> LocalTask<'_> {
    LocalTask {
        images,
        config: TrainConfig {
            epochs,
            batch_size: PAIRS,
            learning_rate: 0.02,
            schedule: Schedule::Constant,
            augmentation: Augmentation::NONE,
            ..TrainConfig::default()
        },
        cancel: &NEVER,
    }
}

/// With these weights of the contrasts and of the distillation.
pub(super) fn method(contrast: f32, distillation: f32) -> CreamFl {
    CreamFl {
        plan: RoundPlan {
            rounds: 1,
            local_epochs: 1,
            learning_rate: None,
            participation: Participation::FULL,
        },
        held: Held::Images,
        public_images: PAIRS,
        width: WIDTH,
        temperature: 0.5,
        contrast,
        distillation,
        pair_temperature: 0.1,
        text_rate: 0.002,
    }
}
