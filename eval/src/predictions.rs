//! What the models of a comparison say of every test image.

use crate::TestSet;
use promptfed_learn::predictions;

/// What one model says of every test image.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelPredictions {
    /// Whose model it is, where each client has one.
    pub client: Option<String>,
    /// The most probable class of each image, an index into the classes.
    pub classes: Vec<u16>,
    /// Its probability, in [0, 1]; none of a model that names classes without saying how sure it is.
    pub confidences: Option<Vec<f32>>,
}

/// What the models of a run say, one for all clients or one for each.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPredictions {
    /// The method.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// By model, at least one.
    pub models: Vec<ModelPredictions>,
}

/// A test image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestImage {
    /// Where it came from, below the folder that all test images have in common.
    pub source: String,
    /// Its class.
    pub label: u32,
}

/// The test images and what every run says of them. Runs that were measured before this was kept have nothing here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TestPredictions {
    /// The images, in the order of the predictions.
    pub images: Vec<TestImage>,
    /// By run.
    pub runs: Vec<RunPredictions>,
}

impl ModelPredictions {
    /// From `probabilities [n, classes]`.
    ///
    /// # Panics
    /// Where `classes` is 0.
    pub(crate) fn of(client: Option<String>, probabilities: &[f32], classes: usize) -> Self {
        let named = predictions(probabilities, classes);
        let rows = probabilities.chunks_exact(classes);
        let says_how_sure = probabilities.iter().any(|p| *p != 0.0 && *p != 1.0);
        let confidences = rows.zip(&named).map(|(row, class)| row[*class]);
        Self {
            client,
            confidences: says_how_sure.then(|| confidences.collect()),
            // A label space has no more classes than this holds.
            classes: named.into_iter().map(|class| class as u16).collect(),
        }
    }

    /// Whether it says something of each of so many images.
    fn is_of(&self, images: usize) -> bool {
        let confidences = self.confidences.as_ref().map_or(images, Vec::len);
        self.classes.len() == images && confidences == images
    }
}

impl RunPredictions {
    /// The share of the run's models that have each image right, in [0, 1].
    pub fn right(&self, images: &[TestImage]) -> Vec<f64> {
        let share = |(index, image): (usize, &TestImage)| {
            let is_right = |model: &&ModelPredictions| {
                let named = model.classes.get(index);
                named.is_some_and(|class| u32::from(*class) == image.label)
            };
            self.models.iter().filter(is_right).count() as f64 / self.models.len() as f64
        };
        images.iter().enumerate().map(share).collect()
    }
}

impl TestPredictions {
    /// Whether something is known that a method says.
    pub fn has(&self, method: &str) -> bool {
        self.runs.iter().any(|run| run.method == method)
    }

    /// The images of a test set, and what runs say of all of them; what says something of other images is left out.
    pub(crate) fn of(test: &TestSet, mut runs: Vec<RunPredictions>) -> Self {
        let images = test.images.labels.iter().zip(&test.sources);
        let images: Vec<TestImage> = images
            .map(|(label, source)| TestImage {
                source: source.clone(),
                label: *label,
            })
            .collect();
        runs.retain(|run| {
            !run.models.is_empty() && run.models.iter().all(|model| model.is_of(images.len()))
        });
        Self { images, runs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_probable_class_is_kept_with_its_probability() {
        let sure = ModelPredictions::of(None, &[0.2, 0.8, 0.6, 0.4], 2);
        assert_eq!(sure.classes, [1, 0]);
        assert_eq!(sure.confidences, Some(vec![0.8, 0.6]));
        let mute = ModelPredictions::of(Some("a".into()), &[0.0, 1.0, 1.0, 0.0], 2);
        assert_eq!((mute.classes, mute.confidences), (vec![1, 0], None));
    }

    #[test]
    fn of_several_models_the_share_that_is_right() {
        let model = |classes: [u16; 2]| ModelPredictions {
            client: None,
            classes: classes.into(),
            confidences: None,
        };
        let run = RunPredictions {
            method: "local".into(),
            seed: 1,
            models: vec![model([0, 1]), model([0, 0])],
        };
        let image = |label| TestImage {
            source: String::new(),
            label,
        };
        assert_eq!(run.right(&[image(0), image(1)]), [1.0, 0.5]);
    }
}
