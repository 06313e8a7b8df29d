//! Measures of a classifier on labelled images.

use std::collections::BTreeMap;

use promptfed_data::LabelledImages;
use promptfed_nn::cross_entropy::arg_max;
use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::images::{check_labelled, check_len};
use crate::{Classifier, Error, Result, Tally};

/// How well a classifier names images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The share of images whose most probable class is their label, in `0.0..=1.0`.
    pub accuracy: f64,
    /// The unweighted mean of the F1 scores of all classes that occur as a label or as a
    /// prediction, in `0.0..=1.0`; scikit-learn's `f1_score(average="macro", zero_division=0)`.
    pub macro_f1: f64,
    /// How far confidence and accuracy lie apart, in `0.0..=1.0`: the expected calibration error of Guo et al. 2017, equation 3, over 15
    /// bins. None of a predictor that names classes without saying how sure it is.
    #[serde(default)]
    pub expected_calibration_error: Option<f64>,
    /// The mean of `-ln p` of the labels, in nats, from 0; none where there is no calibration error.
    #[serde(default)]
    pub negative_log_likelihood: Option<f64>,
    /// Images by `[label][predicted class]`.
    #[serde(with = "crate::confusion")]
    pub confusion: Vec<Vec<u64>>,
    /// Accuracy on the images of each domain that occurs, by the domain's name; empty when the
    /// images have no domains.
    pub per_domain: BTreeMap<String, f64>,
}

/// Classifies `images` and compares with their labels.
///
/// # Errors
/// If there are no images, or if their size or their class names are not the classifier's.
pub fn evaluate(classifier: &Classifier, images: &LabelledImages) -> Result<Evaluation> {
    const ROLE: &str = "evaluation";
    check_labelled(images, classifier.config(), ROLE)?;
    check_len(images.domains.len(), images.len(), "domains", ROLE)?;
    classifier.check_classes(images)?;
    let probabilities = classifier.probabilities(images)?;
    Evaluation::of_probabilities(&probabilities, images)
}

impl Evaluation {
    /// The images of each class and those named rightly.
    pub fn tally(&self) -> Tally {
        Tally::of_confusion(&self.confusion)
    }

    /// The mean of each measure over several classifiers of the same images; their counts are added up. `None` of none. A measure that one of
    /// them has not, the mean has not.
    pub fn mean(each: &[Self]) -> Option<Self> {
        let (first, rest) = each.split_first()?;
        let mut sum = first.clone();
        for other in rest {
            sum.accuracy += other.accuracy;
            sum.macro_f1 += other.macro_f1;
            for (sum, more) in sum.calibration_mut().into_iter().zip(other.calibration()) {
                *sum = (*sum).zip(more).map(|(sum, more)| sum + more);
            }
            for (row, more) in sum.confusion.iter_mut().zip(&other.confusion) {
                row.iter_mut().zip(more).for_each(|(n, m)| *n += m);
            }
            for (domain, accuracy) in &mut sum.per_domain {
                *accuracy += other.per_domain.get(domain).copied().unwrap_or(0.0);
            }
        }
        let count = each.len() as f64;
        sum.accuracy /= count;
        sum.macro_f1 /= count;
        for measure in sum.calibration_mut().into_iter().flatten() {
            *measure /= count;
        }
        sum.per_domain
            .values_mut()
            .for_each(|accuracy| *accuracy /= count);
        Some(sum)
    }

    fn calibration(&self) -> [Option<f64>; 2] {
        [
            self.expected_calibration_error,
            self.negative_log_likelihood,
        ]
    }

    fn calibration_mut(&mut self) -> [&mut Option<f64>; 2] {
        [
            &mut self.expected_calibration_error,
            &mut self.negative_log_likelihood,
        ]
    }

    /// Compares `probabilities [n, classes]` and the classes that are the most probable by them with the labels of `images`.
    ///
    /// # Errors
    /// As [`Evaluation::of_predictions`].
    pub fn of_probabilities(probabilities: &[f32], images: &LabelledImages) -> Result<Self> {
        if images.is_empty() {
            return Err(Error::NoImages { role: "evaluation" });
        }
        let classes = probabilities.len() / images.len();
        let named = Self::of_predictions(&predictions(probabilities, classes), images, classes)?;
        let calibration = Calibration::of(probabilities, classes, &images.labels);
        Ok(Self {
            expected_calibration_error: calibration.map(|c| c.error),
            negative_log_likelihood: calibration.map(|c| c.negative_log_likelihood),
            ..named
        })
    }

    /// Compares any predictor's classes, one per image and each below `classes`, with the labels of `images`.
    ///
    /// # Errors
    /// If there are not as many predictions as images, or if a prediction or a label is out of range.
    pub fn of_predictions(
        predicted: &[usize],
        images: &LabelledImages,
        classes: usize,
    ) -> Result<Self> {
        const ROLE: &str = "evaluation";
        check_len(predicted.len(), images.len(), "predictions", ROLE)?;
        let mut confusion = vec![vec![0; classes]; classes];
        for (index, (&label, &predicted)) in images.labels.iter().zip(predicted).enumerate() {
            let count = confusion
                .get_mut(label as usize)
                .and_then(|counts| counts.get_mut(predicted))
                .ok_or(Error::Label {
                    role: ROLE,
                    index,
                    label: label.max(predicted as u32),
                    classes,
                })?;
            *count += 1;
        }
        let right = |i: &usize| images.labels[*i] as usize == predicted[*i];
        let share = |of: &[usize]| of.iter().filter(|i| right(i)).count() as f64 / of.len() as f64;
        let mut by_domain: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (i, &domain) in images.domains.iter().enumerate() {
            if let Some(name) = images.domain_names.get(domain as usize) {
                by_domain.entry(name.clone()).or_default().push(i);
            }
        }
        Ok(Self {
            accuracy: share(&(0..images.len()).collect::<Vec<_>>()),
            macro_f1: macro_f1(&confusion),
            expected_calibration_error: None,
            negative_log_likelihood: None,
            confusion,
            per_domain: by_domain
                .into_iter()
                .map(|(name, of)| (name, share(&of)))
                .collect(),
        })
    }
}

/// The most probable class per row of `probabilities [n, classes]`, the first of equals.
///
/// # Panics
/// Where `classes` is 0.
pub fn predictions(probabilities: &[f32], classes: usize) -> Vec<usize> {
    probabilities.chunks_exact(classes).map(arg_max).collect()
}

/// The mean of `2 tp / (2 tp + fp + fn)` over the classes that occur, from counts by
/// `[label][predicted class]`; 0 where nothing occurs.
pub(crate) fn macro_f1(confusion: &[Vec<u64>]) -> f64 {
    let scores: Vec<f64> = (0..confusion.len())
        .filter_map(|class| {
            let labelled: u64 = confusion[class].iter().sum();
            let predicted: u64 = confusion.iter().map(|row| row[class]).sum();
            let occurs = labelled + predicted;
            (occurs > 0).then(|| 2.0 * confusion[class][class] as f64 / occurs as f64)
        })
        .collect();
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Case {
        classes: usize,
        labels: Vec<usize>,
        predicted: Vec<usize>,
        macro_f1: f64,
        confusion: Vec<Vec<u64>>,
    }

    #[test]
    fn the_mean_of_classifiers_is_that_of_their_measures() {
        let of = |accuracy, counts: [[u64; 2]; 2]| Evaluation {
            accuracy,
            macro_f1: accuracy / 2.0,
            expected_calibration_error: Some(1.0 - accuracy),
            negative_log_likelihood: (accuracy < 1.0).then_some(2.0),
            confusion: counts.map(|row| row.to_vec()).to_vec(),
            per_domain: BTreeMap::from([("photo".to_owned(), accuracy)]),
        };
        let (one, other) = (of(1.0, [[2, 0], [0, 2]]), of(0.5, [[2, 0], [2, 0]]));
        assert_eq!(
            Evaluation::mean(std::slice::from_ref(&one)),
            Some(one.clone())
        );
        let mean = Evaluation::mean(&[one, other]).unwrap();
        assert_eq!((mean.accuracy, mean.macro_f1), (0.75, 0.375));
        assert_eq!(mean.expected_calibration_error, Some(0.25));
        assert_eq!(
            mean.negative_log_likelihood, None,
            "one of the two has none"
        );
        assert_eq!(mean.confusion, [[4, 0], [2, 2]]);
        assert_eq!(mean.per_domain["photo"], 0.75);
        assert_eq!(Evaluation::mean(&[]), None);
    }

    #[test]
    fn probabilities_are_measured_and_mere_classes_are_not() {
        let images = LabelledImages {
            size: 1,
            pixels: vec![0; 6],
            labels: vec![0, 1],
            domains: vec![0, 0],
            class_names: vec!["a".into(), "b".into()],
            domain_names: Vec::new(),
        };
        let sure = Evaluation::of_probabilities(&[0.75, 0.25, 0.25, 0.75], &images).unwrap();
        assert!((sure.expected_calibration_error.unwrap() - 0.25).abs() < 1e-12);
        assert!((sure.negative_log_likelihood.unwrap() + 0.75f64.ln()).abs() < 1e-12);
        let named = Evaluation::of_predictions(&[0, 1], &images, 2).unwrap();
        assert_eq!(named.expected_calibration_error, None);
        assert_eq!(named.accuracy, sure.accuracy);
    }

    #[test]
    fn a_record_from_before_calibration_was_measured_is_read() {
        let old = r#"{"accuracy":1.0,"macro_f1":1.0,"confusion":[[1]],"per_domain":{}}"#;
        let read: Evaluation = serde_json::from_str(old).unwrap();
        assert_eq!(read.expected_calibration_error, None);
        assert_eq!(read.negative_log_likelihood, None);
    }

    #[test]
    fn macro_f1_agrees_with_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/golden/measures.json")).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let mut confusion = vec![vec![0; case.classes]; case.classes];
            for (label, predicted) in case.labels.iter().zip(&case.predicted) {
                confusion[*label][*predicted] += 1;
            }
            assert_eq!(confusion, case.confusion);
            assert!((macro_f1(&confusion) - case.macro_f1).abs() < 1e-12);
        }
    }
}
