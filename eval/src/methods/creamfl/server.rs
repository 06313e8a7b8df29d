//! The server: two networks that learn from public pairs and from what clients make of these.

use super::super::LocalTask;
use super::super::local_training::train;
use super::CreamFl;
use super::aggregate::aggregate;
use super::networks::{Shown, of_captions, represent};
use super::texts::Texts;
use crate::wire::payload::Representations;
use crate::{Error, Result};
use promptfed_learn::objective::{Imitation, Pairs, Representing, unit_rows};
use promptfed_learn::{Classifier, TextTower, WeightTensor};

/// What the server trains.
pub(super) struct Server {
    pub(super) images: Classifier,
    pub(super) text: TextTower,
}

/// Images by which the mean length of an output is told.
const MEASURED: usize = 256;

/// The logit of a class that is not answered, far below all others.
const UNANSWERED: f32 = -1e9;

/// What cosines are multiplied by at most: beyond that, too, probabilities are 0 and 1.
const SHARPEST: f64 = 1e6;

impl Server {
    /// Learns which caption is which image's.
    pub(super) fn learn_pairs(
        &mut self,
        method: &CreamFl,
        task: &LocalTask<'_>,
        shown: &Shown,
        text_rate: f32,
    ) -> Result<()> {
        let mut pairs = Representing(Pairs {
            text: &mut self.text,
            captions: &shown.captions,
            temperature: method.pair_temperature,
            rate: text_rate,
        });
        let (trained, _) = train(task, &self.images, &mut pairs)?;
        self.images = trained;
        Ok(())
    }

    /// What it makes of the pairs.
    pub(super) fn represent(&self, shown: &Shown, width: usize) -> Result<Representations> {
        represent(Some(&self.images), Some(&self.text), shown, width)
    }

    /// Learns to say what the clients say together, of images and of captions; of what none of them holds, nothing. Without distillation it stays as it is.
    pub(super) fn learn_from_clients(
        &mut self,
        method: &CreamFl,
        task: &LocalTask<'_>,
        shown: &Shown,
        (global, told): (&Representations, &[Representations]),
        text_rate: f32,
    ) -> Result<()> {
        if !method.has_distillation() {
            return Ok(());
        }
        let imitation = |rows: fn(&Representations) -> &Vec<f32>, other: &[f32]| {
            let told: Vec<&[f32]> = told
                .iter()
                .map(|of_client| rows(of_client).as_slice())
                .filter(|rows| !rows.is_empty())
                .collect();
            if told.is_empty() {
                return Ok(None);
            }
            Ok::<_, Error>(Some(Imitation {
                goal: aggregate(&told, other, method.width)?,
                weight: method.distillation,
            }))
        };
        if let Some(imitation) = imitation(|told| &told.images, &global.captions)? {
            let (trained, _) = train(task, &self.images, &mut Representing(imitation))?;
            self.images = trained;
        }
        if let Some(mut imitation) = imitation(|told| &told.captions, &global.images)? {
            let training = of_captions(task, text_rate);
            self.text
                .train(&shown.captions, &mut imitation, &training)?;
        }
        Ok(())
    }

    /// The network of images as a classifier: its last map is followed by the texts of the classes.
    ///
    /// The logit of a class is the product of the network's output and the class's text, of length 1, by the temperature of pairs and the mean length
    /// of an output. Among classes that is the order of the cosines, and both maps are one: an ordinary classifier of the shape of `template`.
    pub(super) fn classifier(
        &self,
        method: &CreamFl,
        template: &Classifier,
        texts: &Texts,
        shown: &Shown,
    ) -> Result<Classifier> {
        let some: Vec<usize> = (0..shown.images.len().min(MEASURED)).collect();
        let outputs = self.images.logits(&shown.images.subset(&some))?;
        let length = mean_length(&outputs, method.width);
        let sharpness = (1.0 / f64::from(method.pair_temperature)).min(SHARPEST);
        let scale = sharpness / length.max(1e-6);
        let mut classes = Vec::with_capacity(texts.classes.len() * method.width);
        for of_class in &texts.classes {
            let units = unit_rows(&self.text.represent(of_class)?, method.width);
            let mut sum = vec![0.0f32; method.width];
            for row in units.chunks_exact(method.width) {
                sum.iter_mut().zip(row).for_each(|(s, v)| *s += v);
            }
            classes.extend(unit_rows(&sum, method.width));
        }
        folded(template, &self.images, &classes, &texts.answered, scale)
    }
}

fn mean_length(rows: &[f32], width: usize) -> f64 {
    let rows = rows.chunks_exact(width.max(1));
    let count = rows.len().max(1) as f64;
    let lengths = rows.map(|row| {
        let squares: f64 = row.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
        squares.sqrt()
    });
    lengths.sum::<f64>() / count
}

/// `network` with a last map of `scale * classes [n, width]` after its own; what is not `answered` is far below the others, whatever the image.
fn folded(
    template: &Classifier,
    network: &Classifier,
    classes: &[f32],
    answered: &[bool],
    scale: f64,
) -> Result<Classifier> {
    let mut weights = network.weights()?;
    let (Some(map), Some(bias)) = (weights.remove("head.weight"), weights.remove("head.bias"))
    else {
        return Err(Error::Payload {
            what: "a network of representations",
            reason: "it has no last map".to_owned(),
        });
    };
    let (channels, width) = (network.channels(), bias.values.len());
    let (mut rows, mut offsets) = (Vec::new(), Vec::new());
    for (class, is_answered) in classes.chunks_exact(width.max(1)).zip(answered) {
        if !*is_answered {
            rows.resize(rows.len() + channels, 0.0);
            offsets.push(UNANSWERED);
            continue;
        }
        let mut row = vec![0.0; channels];
        let mut offset = 0.0;
        let numbers = class.iter().zip(map.values.chunks_exact(channels));
        for ((share, of_number), bias) in numbers.zip(&bias.values) {
            let share = scale * f64::from(*share);
            row.iter_mut()
                .zip(of_number)
                .for_each(|(sum, v)| *sum += share * f64::from(*v));
            offset += share * f64::from(*bias);
        }
        rows.extend(row.into_iter().map(|v| v as f32));
        offsets.push(offset as f32);
    }
    let count = offsets.len();
    let map = WeightTensor {
        shape: vec![count, channels],
        values: rows,
    };
    let bias = WeightTensor {
        shape: vec![count],
        values: offsets,
    };
    weights.insert("head.weight".to_owned(), map);
    weights.insert("head.bias".to_owned(), bias);
    let mut model = template.clone();
    model.load_weights(&weights)?;
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{WIDTH, WORDS, leaning, method, rows, shown, task};
    use super::*;
    use promptfed_data::LabelledImages;
    use promptfed_learn::ClassifierConfig;

    #[test]
    fn a_folded_classifier_says_which_text_is_nearest() {
        let shape = |classes| ClassifierConfig::new(classes, 16).with_width(4);
        let network = Classifier::new(shape(6), 1).unwrap();
        let template = Classifier::new(shape(3), 2).unwrap();
        let number = |i: usize| ((i * 37 + 11) % 23) as f32 / 11.0 - 1.0;
        let classes = unit_rows(&(0..18).map(number).collect::<Vec<f32>>(), 6);
        let images = LabelledImages {
            size: 16,
            pixels: (0..5 * 16 * 16 * 3).map(|i| (i * i % 251) as u8).collect(),
            labels: vec![0; 5],
            domains: vec![0; 5],
            class_names: vec!["a".into(), "b".into(), "c".into()],
            domain_names: Vec::new(),
        };
        let model = folded(&template, &network, &classes, &[true; 3], 2.0).unwrap();
        let outputs = network.logits(&images).unwrap();
        let logits = model.logits(&images).unwrap();
        for (output, logits) in outputs.chunks(6).zip(logits.chunks(3)) {
            for (class, logit) in classes.chunks(6).zip(logits) {
                let product: f32 = class.iter().zip(output).map(|(a, b)| 2.0 * a * b).sum();
                // Networks may compute in bf16.
                assert!((product - logit).abs() < 0.03, "{product} {logit}");
            }
        }
        // Temperatures of a half and of next to nothing, at which numbers are large.
        for scale in [2.0, SHARPEST] {
            let fold = |answered: &[bool]| {
                let model = folded(&template, &network, &classes, answered, scale).unwrap();
                model.logits(&images).unwrap()
            };
            let (all, without) = (fold(&[true; 3]), fold(&[true, false, true]));
            for (all, without) in all.chunks(3).zip(without.chunks(3)) {
                assert!(without.iter().all(|logit| logit.is_finite()), "{without:?}");
                assert!(without[1] < without[0].min(without[2]), "{without:?}");
                for (a, b) in [(all[0], without[0]), (all[2], without[2])] {
                    assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{a} {b}");
                }
            }
        }
        assert!((mean_length(&[3.0, 4.0, 0.0, 1.0], 2) - 3.0).abs() < 1e-12);
    }

    /// What a server makes of the pairs after it has heard two clients with this weight of the distillation. Each says of the pairs what the other
    /// says of the other kind of pairs; by the global captions the first is right about images, by the global images the second about captions.
    fn after_hearing(distillation: f32) -> Representations {
        let (method, shown) = (method(0.0, distillation), shown());
        let mut server = Server {
            images: Classifier::new(ClassifierConfig::new(WIDTH, 16).with_width(4), 1).unwrap(),
            text: TextTower::new(WORDS, WIDTH, 2).unwrap(),
        };
        let global = Representations {
            width: WIDTH,
            images: rows(1.0, true),
            captions: rows(1.0, false),
        };
        let told = [false, true].map(|turned| Representations {
            width: WIDTH,
            images: rows(3.0, turned),
            captions: rows(3.0, turned),
        });
        let task = task(&shown.images, 60);
        let heard = (&global, &told[..]);
        let learned = server.learn_from_clients(&method, &task, &shown, heard, method.text_rate);
        learned.unwrap();
        server.represent(&shown, WIDTH).unwrap()
    }

    #[test]
    fn it_learns_from_the_client_that_is_right_by_the_other_modality() {
        let (without, with) = (after_hearing(0.0), after_hearing(0.5));
        let (before, after) = (leaning(&without.images), leaning(&with.images));
        assert!(after > before.max(0.0), "{after} {before}");
        let (before, after) = (leaning(&without.captions), leaning(&with.captions));
        assert!(after < before.min(0.0), "{after} {before}");
    }
}
