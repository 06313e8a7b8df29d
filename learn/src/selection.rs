//! Which epoch of a training run, or round of federated averaging, is kept: one rule for all.

use std::fmt;

use promptfed_data::{LabelledImages, stratified_split};

use crate::{Result, Supervision, Tally};

/// Fewest validation images of each class by which an epoch is chosen.
pub const MIN_OF_A_CLASS: u64 = 5;

/// Fewest validation images in all by which an epoch is chosen: with them the standard error of an accuracy is 7 points at
/// most, and with fewer the best of 30 epochs is the luckiest one (docs/training.md has the measurement).
pub const MIN_IN_ALL: u64 = 50;

/// Which epoch is kept, and why.
///
/// Its text, for people and for records, begins with `best validation` or `last`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The one with the best [balanced accuracy](Tally::balanced_accuracy) on validation images; the latest of equals.
    BestValidation {
        /// Validation images in all.
        images: u64,
        /// Validation images of the class that has fewest.
        least: u64,
    },
    /// The last, as no validation images were asked for.
    Last,
    /// The last, as there are too few validation images of a class.
    TooFewOfAClass {
        /// The class that has fewest.
        class: String,
        /// How many it has, or would have.
        images: u64,
    },
    /// The last, as there are too few validation images in all.
    TooFew {
        /// How many there are, or would be.
        images: u64,
    },
}

impl Selection {
    /// The rule for a run that trains on the images of `training` and has those of `validation` to choose by. Both have the
    /// classes of `class_names`, in its order.
    pub fn by(training: &Tally, validation: &Tally, class_names: &[String]) -> Self {
        let images = validation.images();
        if images == 0 {
            return Self::Last;
        }
        let occurring = training.per_class().zip(validation.per_class()).enumerate();
        let occurring = occurring.filter(|(_, (trained, held))| trained + held > 0);
        let fewest = occurring.map(|(class, (_, held))| (held, class)).min();
        let (least, class) = fewest.unwrap_or((0, 0));
        if least < MIN_OF_A_CLASS {
            let name = class_names.get(class).cloned();
            let class = name.unwrap_or_else(|| format!("class {class}"));
            return Self::TooFewOfAClass {
                class,
                images: least,
            };
        }
        if images < MIN_IN_ALL {
            return Self::TooFew { images };
        }
        Self::BestValidation { images, least }
    }

    /// Whether validation images decide.
    pub fn is_by_validation(&self) -> bool {
        matches!(self, Self::BestValidation { .. })
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed =
            format_args!("a choice needs {MIN_OF_A_CLASS} of each class and {MIN_IN_ALL} in all");
        match self {
            Self::BestValidation { images, least } => write!(
                f,
                "best validation: balanced accuracy on {images} images, at least {least} of each class"
            ),
            Self::Last => f.write_str("last: no validation images"),
            Self::TooFewOfAClass { class, images } => write!(
                f,
                "last: only {images} validation image{} of {class:?}; {needed}",
                if *images == 1 { "" } else { "s" }
            ),
            Self::TooFew { images } => {
                write!(f, "last: only {images} validation images in all; {needed}")
            }
        }
    }
}

/// The choice while a run is under way.
#[derive(Debug, Clone)]
pub struct Choice {
    selection: Selection,
    best: f64,
}

impl Choice {
    /// Before the first epoch.
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            best: f64::NEG_INFINITY,
        }
    }

    /// Whether the model after one more epoch takes the place of the one kept so far. `validation` is what it names rightly; where
    /// validation images decide and there is none, it does not.
    pub fn takes(&mut self, validation: Option<&Tally>) -> bool {
        if !self.selection.is_by_validation() {
            return true;
        }
        let Some(score) = validation.map(Tally::balanced_accuracy) else {
            return false;
        };
        let takes = score >= self.best;
        if takes {
            self.best = score;
        }
        takes
    }

    /// The rule.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }
}

/// Images to learn from, and images to choose the epoch by.
#[derive(Debug, Clone)]
pub struct HeldOut {
    /// What is learned from.
    pub training: LabelledImages,
    /// What only chooses; none where they could not.
    pub validation: LabelledImages,
    /// Which epoch is to be kept.
    pub selection: Selection,
    /// What is known of the images of `training` beside their labels.
    pub supervision: Supervision,
}

impl HeldOut {
    /// Holds `fraction` of every class out, drawn with `seed` (see [`stratified_split`]); nothing where those would be too few to
    /// choose by.
    pub fn of(images: &LabelledImages, fraction: f64, seed: u64) -> Self {
        Self::split(images, &Supervision::default(), fraction, seed)
    }

    /// [`HeldOut::of`] for images of which more is known than their labels; those held out choose by their labels, whatever that is.
    ///
    /// # Errors
    /// As [`Supervision::check`].
    pub fn supervised(
        images: &LabelledImages,
        supervision: &Supervision,
        fraction: f64,
        seed: u64,
    ) -> Result<Self> {
        supervision.check(images.len(), images.class_names.len())?;
        Ok(Self::split(images, supervision, fraction, seed))
    }

    fn split(images: &LabelledImages, supervision: &Supervision, fraction: f64, seed: u64) -> Self {
        let (kept, held) = stratified_split(&images.labels, fraction, seed);
        let (training, validation) = (images.subset(&kept), images.subset(&held));
        let classes = images
            .labels
            .iter()
            .max()
            .map_or(0, |most| *most as usize + 1);
        let tally = |part: &LabelledImages| Tally::of_labels(&part.labels, classes);
        let selection = Selection::by(&tally(&training), &tally(&validation), &images.class_names);
        if selection.is_by_validation() {
            return Self {
                training,
                validation,
                selection,
                supervision: supervision.subset(&kept, images.len()),
            };
        }
        Self {
            training: images.clone(),
            validation: images.subset(&[]),
            selection,
            supervision: supervision.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(training: &[usize], validation: &[usize]) -> Selection {
        let tally = |counts: &[usize]| {
            let labels = (0u32..).zip(counts).flat_map(|(class, n)| vec![class; *n]);
            Tally::of_labels(&labels.collect::<Vec<_>>(), counts.len())
        };
        let names: Vec<String> = ["cat", "dog", "newt"].map(str::to_owned).into();
        Selection::by(&tally(training), &tally(validation), &names)
    }

    #[test]
    fn enough_of_each_class_and_in_all_choose() {
        let best = Selection::BestValidation {
            images: 50,
            least: 5,
        };
        assert_eq!(rule(&[99, 99, 0], &[45, 5, 0]), best);
        assert!(best.to_string().starts_with("best validation"), "{best}");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(rule(&[9, 9, 9], &[0, 0, 0]), Selection::Last);
        let few = rule(&[99, 99, 9], &[45, 45, 1]);
        let told = few.to_string();
        assert!(
            told.starts_with("last: only 1 validation image of \"newt\""),
            "{told}"
        );
        // A class that is trained on and never validated is the worst of all.
        let told = rule(&[99, 99, 1], &[45, 45, 0]).to_string();
        assert!(
            told.contains("only 0 validation images of \"newt\""),
            "{told}"
        );
        let told = rule(&[50, 50, 50], &[16, 16, 16]).to_string();
        assert!(
            told.starts_with("last: only 48 validation images in all"),
            "{told}"
        );
    }

    #[test]
    fn the_latest_of_equals_is_kept_and_a_majority_class_does_not_win() {
        let mut choice = Choice::new(Selection::BestValidation {
            images: 100,
            least: 10,
        });
        let labels: Vec<u32> = (0..100).map(|i| u32::from(i < 10)).collect();
        let majority = Tally::of_predictions(&labels, &[0; 100], 2);
        // Half of either class: an accuracy of 50 % beside the majority's 90 %.
        let halves: Vec<usize> = (0..100).map(|i| (i % 2) as usize).collect();
        let halves = Tally::of_predictions(&labels, &halves, 2);
        assert!(choice.takes(Some(&majority)));
        assert!(choice.takes(Some(&halves)), "the later of equals");
        let better: Vec<usize> = (0..100).map(|i| usize::from(i < 30)).collect();
        assert!(choice.takes(Some(&Tally::of_predictions(&labels, &better, 2))));
        assert!(!choice.takes(Some(&majority)));
        assert!(!choice.takes(None));
        let mut last = Choice::new(Selection::Last);
        assert!(last.takes(None) && last.takes(Some(&halves)) && last.takes(Some(&majority)));
    }

    #[test]
    fn nothing_is_held_out_that_could_not_choose() {
        let images = |n: usize| LabelledImages {
            size: 1,
            pixels: vec![0; n * 3],
            labels: (0..n).map(|i| (i % 10) as u32).collect(),
            domains: vec![0; n],
            class_names: (0..10).map(|i| i.to_string()).collect(),
            domain_names: Vec::new(),
        };
        let few = HeldOut::of(&images(120), 0.1, 0);
        assert_eq!((few.training.len(), few.validation.len()), (120, 0));
        assert!(!few.selection.is_by_validation());
        let many = HeldOut::of(&images(1000), 0.1, 0);
        assert_eq!((many.training.len(), many.validation.len()), (900, 100));
        assert!(many.selection.is_by_validation());
        assert_eq!(
            HeldOut::of(&images(1000), 0.0, 0).selection,
            Selection::Last
        );
    }
}
