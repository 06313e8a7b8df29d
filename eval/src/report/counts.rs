//! Counts by label and predicted class, all seeds of a method together, and what follows from them.

use crate::comparison::{Comparison, MethodResult};

/// How often the images of each class were taken for each class.
pub(super) struct Counts {
    /// By `[label][predicted class]`, `[classes, classes]`.
    matrix: Vec<Vec<u64>>,
    /// How often each class was named.
    named: Vec<f64>,
    /// How many images of each class were named.
    labelled: Vec<f64>,
}

/// Images of one class that were taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confusion {
    pub(super) label: usize,
    pub(super) predicted: usize,
    pub(super) count: u64,
}

impl Counts {
    /// The sums over a method's runs; `None` where there are none. What a run counts beyond `classes` is left out.
    pub(super) fn of(method: &MethodResult, classes: usize) -> Option<Self> {
        let mut matrix = vec![vec![0u64; classes]; classes];
        for run in &method.runs {
            for (sums, row) in matrix.iter_mut().zip(&run.evaluation.confusion) {
                for (sum, cell) in sums.iter_mut().zip(row) {
                    *sum = sum.saturating_add(*cell);
                }
            }
        }
        let counts = Self::from_matrix(matrix);
        let any = counts.labelled.iter().any(|images| *images > 0.0);
        any.then_some(counts)
    }

    /// From counts by `[label][predicted class]`, `[classes, classes]`.
    pub(super) fn from_matrix(matrix: Vec<Vec<u64>>) -> Self {
        let mut named = vec![0.0; matrix.len()];
        for row in &matrix {
            for (sum, cell) in named.iter_mut().zip(row) {
                *sum += *cell as f64;
            }
        }
        let of_row = |row: &Vec<u64>| row.iter().map(|cell| *cell as f64).sum();
        Self {
            labelled: matrix.iter().map(of_row).collect(),
            named,
            matrix,
        }
    }

    /// Those of each method that has some, with its place among all.
    pub(super) fn of_all(comparison: &Comparison) -> Vec<(usize, &MethodResult, Self)> {
        let classes = comparison.data.classes.len();
        let methods = comparison.methods.iter().enumerate();
        methods
            .filter_map(|(index, method)| Some((index, method, Self::of(method, classes)?)))
            .collect()
    }

    /// By `[label][predicted class]`.
    pub(super) fn matrix(&self) -> &[Vec<u64>] {
        &self.matrix
    }

    fn right(&self, class: usize) -> f64 {
        self.matrix[class][class] as f64
    }

    /// The share of what was taken for a class that is of it, in [0, 1]; none of a class that was never named.
    pub(super) fn precision(&self, class: usize) -> Option<f64> {
        share(self.right(class), self.named[class])
    }

    /// The share of a class's images that were recognised, in [0, 1]; none of a class without images.
    pub(super) fn recall(&self, class: usize) -> Option<f64> {
        share(self.right(class), self.labelled[class])
    }

    /// `2 tp / (2 tp + fp + fn)`, in [0, 1]; none of a class that is neither named nor shown.
    pub(super) fn f1(&self, class: usize) -> Option<f64> {
        share(
            2.0 * self.right(class),
            self.named[class] + self.labelled[class],
        )
    }

    /// How many of `test_images` are of a class. Each seed, and each model where every client has one, has named all of them.
    pub(super) fn support(&self, class: usize, test_images: usize) -> u64 {
        let answers: f64 = self.labelled.iter().sum();
        (self.labelled[class] * test_images as f64 / answers).round() as u64
    }

    /// The most frequent confusions, the most frequent first.
    pub(super) fn most_confused(&self, most: usize) -> Vec<Confusion> {
        let rows = self.matrix.iter().enumerate();
        let mut all: Vec<Confusion> = rows
            .flat_map(|(label, row)| {
                let cells = row.iter().enumerate();
                let wrong = cells.filter(move |(p, count)| *p != label && **count > 0);
                wrong.map(move |(predicted, count)| Confusion {
                    label,
                    predicted,
                    count: *count,
                })
            })
            .collect();
        all.sort_by_key(|c| (std::cmp::Reverse(c.count), c.label, c.predicted));
        all.truncate(most);
        all
    }

    /// The classes with the lowest recall and that recall, the lowest first; of equals that with the most images.
    pub(super) fn least_recognised(&self, most: usize) -> Vec<(usize, f64)> {
        let classes = 0..self.matrix.len();
        let mut all: Vec<(usize, f64)> = classes
            .filter_map(|class| Some((class, self.recall(class)?)))
            .collect();
        all.sort_by(|(a, low), (b, high)| {
            let images = self.labelled[*b].total_cmp(&self.labelled[*a]);
            low.total_cmp(high).then(images).then(a.cmp(b))
        });
        all.truncate(most);
        all
    }
}

fn share(part: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| part / of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_named_has_no_precision() {
        let three = Counts::from_matrix(vec![vec![3, 1, 0], vec![2, 2, 0], vec![0, 0, 0]]);
        assert_eq!(
            (three.precision(0), three.recall(0)),
            (Some(0.6), Some(0.75))
        );
        assert_eq!((three.precision(2), three.recall(2)), (None, None));
        assert_eq!(three.f1(0), Some(6.0 / 9.0));
        assert_eq!(three.f1(2), None);
        let two = Counts::from_matrix(vec![vec![4, 0], vec![4, 0]]);
        assert_eq!((two.precision(1), two.recall(1)), (None, Some(0.0)));
        assert_eq!(two.f1(1), Some(0.0));
    }

    #[test]
    fn support_is_that_of_the_test_images_however_often_they_were_named() {
        let named_thrice = Counts::from_matrix(vec![vec![9, 3], vec![0, 6]]);
        assert_eq!(
            [0, 1].map(|class| named_thrice.support(class, 6)),
            [4, 2],
            "of 6 images in 3 runs"
        );
    }

    #[test]
    fn the_worst_come_first() {
        let all = Counts::from_matrix(vec![vec![5, 3, 0], vec![3, 1, 1], vec![1, 0, 0]]);
        let confusion = |label, predicted, count| Confusion {
            label,
            predicted,
            count,
        };
        assert_eq!(
            all.most_confused(3),
            [confusion(0, 1, 3), confusion(1, 0, 3), confusion(1, 2, 1)]
        );
        assert_eq!(all.least_recognised(2), [(2, 0.0), (1, 0.2)]);
    }
}
