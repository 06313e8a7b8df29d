//! All measures of a set, class by class.

use serde::Serialize;

use super::copies::ToSeen;
use super::{FeatureSet, Labelled, Manifolds, QualityError, vendi_score};

/// The measures of one set beside real images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// Synthetic images.
    pub synthetic: usize,
    /// Real images.
    pub real: usize,
    /// `None` where a set has too few images for the neighbours asked for.
    pub manifolds: Option<Manifolds>,
    /// Vendi score of the synthetic images.
    pub vendi: f64,
    /// Vendi score of as many real images, evenly spread over the set, or of all where there are fewer.
    pub vendi_real: f64,
    /// Share of synthetic images that are near copies, where images are known that the generator has seen.
    pub near_copies: Option<f64>,
}

/// The measures of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassQuality {
    /// The class's name.
    pub class: String,
    /// Its images alone.
    #[serde(flatten)]
    pub quality: Quality,
}

/// The measures of a synthetic set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QualityReport {
    /// Neighbours that the measures looked at.
    pub k: usize,
    /// All images together.
    pub all: Quality,
    /// Mean over the classes with enough images of both kinds; `None` where there is none.
    pub class_mean: Option<Manifolds>,
    /// Every class in label order.
    pub classes: Vec<ClassQuality>,
}

/// Most images whose Vendi score is computed; larger sets are thinned evenly.
const VENDI_IMAGES: usize = 2000;

/// Measures `synthetic` beside `real` with `k` neighbours; `seen` are images that the generator was trained on, whatever their classes.
///
/// # Errors
/// [`QualityError::Classes`] for sets of other classes, features of different networks, or if the real or the synthetic set as a whole has not more than `k`
/// images.
pub fn measure(
    synthetic: &Labelled,
    real: &Labelled,
    seen: Option<&FeatureSet>,
    k: usize,
) -> Result<QualityReport, QualityError> {
    if synthetic.class_names != real.class_names {
        return Err(QualityError::Classes {
            synthetic: synthetic.class_names.clone(),
            real: real.class_names.clone(),
        });
    }
    for (role, set) in [("real", real), ("synthetic", synthetic)] {
        let images = set.features.len();
        if images <= k {
            return Err(QualityError::TooFew { role, images, k });
        }
    }
    // An empty set is one of which nothing is known.
    let seen = seen.filter(|seen| !seen.is_empty());
    let to_seen = seen.map(|seen| ToSeen::measure(seen, &real.features, &synthetic.features));
    let to_seen = to_seen.transpose()?;
    let all = quality(&synthetic.features, &real.features, to_seen.as_ref(), k)?;
    let classes: Vec<ClassQuality> = real
        .class_names
        .iter()
        .enumerate()
        .map(|(label, class)| {
            let at = |set: &Labelled| places(&set.labels, label as u32);
            let (of_synthetic, of_real) = (at(synthetic), at(real));
            let to_seen = to_seen.as_ref().map(|all| all.of(&of_real, &of_synthetic));
            let (synthetic, real) = (
                synthetic.features.subset(&of_synthetic),
                real.features.subset(&of_real),
            );
            Ok(ClassQuality {
                class: class.clone(),
                quality: quality(&synthetic, &real, to_seen.as_ref(), k)?,
            })
        })
        .collect::<Result<_, QualityError>>()?;
    Ok(QualityReport {
        k,
        all,
        class_mean: mean(&classes),
        classes,
    })
}

fn quality(
    synthetic: &FeatureSet,
    real: &FeatureSet,
    to_seen: Option<&ToSeen>,
    k: usize,
) -> Result<Quality, QualityError> {
    let manifolds = match Manifolds::measure(real, synthetic, k) {
        Ok(manifolds) => Some(manifolds),
        Err(QualityError::TooFew { .. }) => None,
        Err(error) => return Err(error),
    };
    let most = synthetic.len().min(VENDI_IMAGES);
    Ok(Quality {
        synthetic: synthetic.len(),
        real: real.len(),
        manifolds,
        vendi: vendi_score(&thinned(synthetic, most)),
        vendi_real: vendi_score(&thinned(real, most)),
        near_copies: to_seen.and_then(ToSeen::near_copies),
    })
}

/// `most` rows evenly spread over a set, all where there are no more.
fn thinned(set: &FeatureSet, most: usize) -> FeatureSet {
    let most = most.min(set.len());
    let places: Vec<usize> = (0..most).map(|i| i * set.len() / most).collect();
    set.subset(&places)
}

fn places(labels: &[u32], label: u32) -> Vec<usize> {
    let all = labels.iter().enumerate();
    all.filter(|(_, l)| **l == label).map(|(i, _)| i).collect()
}

fn mean(classes: &[ClassQuality]) -> Option<Manifolds> {
    let found: Vec<Manifolds> = classes.iter().filter_map(|c| c.quality.manifolds).collect();
    let mean = |of: fn(&Manifolds) -> f64| found.iter().map(of).sum::<f64>() / found.len() as f64;
    (!found.is_empty()).then(|| Manifolds {
        precision: mean(|m| m.precision),
        recall: mean(|m| m.recall),
        density: mean(|m| m.density),
        coverage: mean(|m| m.coverage),
    })
}
