//! How many images of each class a model names rightly.

/// The images of each class, in label order, and those of them that a model names rightly: two numbers for each class, which
/// is all that a client tells of its validation images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// `(right, all)` of each class.
    classes: Vec<(u64, u64)>,
}

impl Tally {
    /// The images of each of `classes` classes, before a model has named any. Labels of `classes` or more are left out.
    pub fn of_labels(labels: &[u32], classes: usize) -> Self {
        let mut tally = Self {
            classes: vec![(0, 0); classes],
        };
        for &label in labels {
            if let Some((_, all)) = tally.classes.get_mut(label as usize) {
                *all += 1;
            }
        }
        tally
    }

    /// The images by `labels` and those whose class in `predicted` is their label, in the same order.
    pub fn of_predictions(labels: &[u32], predicted: &[usize], classes: usize) -> Self {
        let mut tally = Self::of_labels(labels, classes);
        for (&label, &predicted) in labels.iter().zip(predicted) {
            if let Some((right, _)) = tally.classes.get_mut(label as usize)
                && label as usize == predicted
            {
                *right += 1;
            }
        }
        tally
    }

    /// The same from counts by `[label][predicted class]`.
    pub fn of_confusion(confusion: &[Vec<u64>]) -> Self {
        let rows = confusion.iter().enumerate();
        let class = |(class, row): (usize, &Vec<u64>)| {
            (row.get(class).copied().unwrap_or(0), row.iter().sum())
        };
        Self {
            classes: rows.map(class).collect(),
        }
    }

    /// From the images of each class named rightly, and all of each class.
    pub fn of_counts(right: &[u32], all: &[u32]) -> Self {
        let pairs = right.iter().zip(all);
        Self {
            classes: pairs.map(|(r, a)| (u64::from(*r), u64::from(*a))).collect(),
        }
    }

    /// Adds the images of `other`, which has the same classes.
    pub fn add(&mut self, other: &Self) {
        let classes = self.classes.len().max(other.classes.len());
        self.classes.resize(classes, (0, 0));
        for ((right, all), (more_right, more)) in self.classes.iter_mut().zip(&other.classes) {
            *right += more_right;
            *all += more;
        }
    }

    /// All images.
    pub fn images(&self) -> u64 {
        self.classes.iter().map(|(_, all)| all).sum()
    }

    /// The images of each class, in label order.
    pub fn per_class(&self) -> impl Iterator<Item = u64> + '_ {
        self.classes.iter().map(|(_, all)| *all)
    }

    /// The images of each class that are named rightly, in label order.
    pub fn right(&self) -> impl Iterator<Item = u64> + '_ {
        self.classes.iter().map(|(right, _)| *right)
    }

    /// The share of images that are named rightly, in 0 to 1; 0 without images.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = self.classes.iter().map(|(right, _)| right).sum();
        right as f64 / self.images().max(1) as f64
    }

    /// The mean over the classes that occur of the share of their images that are named rightly, in 0 to 1 (scikit-learn's
    /// `balanced_accuracy_score`): one class for every image scores 1 / classes, however common it is. 0 without images.
    pub fn balanced_accuracy(&self) -> f64 {
        let occurring = self.classes.iter().filter(|(_, all)| *all > 0);
        let shares: Vec<f64> = occurring
            .map(|(right, all)| *right as f64 / *all as f64)
            .collect();
        shares.iter().sum::<f64>() / shares.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_class_wins_accuracy_and_not_balanced_accuracy() {
        let labels = [0, 0, 0, 0, 0, 0, 0, 0, 1, 2];
        let always = Tally::of_predictions(&labels, &[0; 10], 4);
        assert!((always.accuracy() - 0.8).abs() < 1e-12);
        assert!((always.balanced_accuracy() - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn tallies_of_parts_add_up_to_that_of_the_whole() {
        let (labels, predicted) = ([0, 1, 1, 2, 0], [0, 1, 0, 2, 1]);
        let whole = Tally::of_predictions(&labels, &predicted, 3);
        let mut sum = Tally::of_predictions(&labels[..2], &predicted[..2], 3);
        sum.add(&Tally::of_predictions(&labels[2..], &predicted[2..], 3));
        assert_eq!(sum, whole);
        assert_eq!(whole.per_class().collect::<Vec<_>>(), [2, 2, 1]);
        assert!((whole.balanced_accuracy() - (0.5 + 0.5 + 1.0) / 3.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_scores_nothing() {
        assert_eq!(Tally::default().accuracy(), 0.0);
        assert_eq!(Tally::of_labels(&[], 3).balanced_accuracy(), 0.0);
    }
}
