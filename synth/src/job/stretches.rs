//! Where in its plan a job's images are done.

/// The most stretches of a plan.
const MOST: u64 = 100;

/// Images of a plan that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Index of the first image.
    pub first: u64,
    /// Number of images, 1 or more.
    pub images: u64,
    /// Those in the output.
    pub accepted: u64,
    /// Those given up after the last attempt.
    pub rejected: u64,
}

impl Stretch {
    /// Whether an image of the plan is in it.
    pub fn holds(&self, index: u64) -> bool {
        (self.first..self.first + self.images).contains(&index)
    }

    /// Images of which it is known what became of them.
    pub fn done(&self) -> u64 {
        self.accepted + self.rejected
    }
}

/// A plan in stretches of nearly the same length: a hundred, or one for each image where there are fewer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretches(Vec<Stretch>);

impl Stretches {
    /// A plan of so many images, none of which is done.
    pub fn of(planned: u64) -> Self {
        let count = planned.min(MOST);
        let first = |i: u64| (u128::from(planned) * u128::from(i) / u128::from(count)) as u64;
        let stretch = |i| Stretch {
            first: first(i),
            images: first(i + 1) - first(i),
            accepted: 0,
            rejected: 0,
        };
        Self((0..count).map(stretch).collect())
    }

    /// In the order of the plan.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Stretch> {
        self.0.iter()
    }

    /// Takes note of an image that is done. One beyond the plan is in none.
    pub fn count(&mut self, index: u64, is_accepted: bool) {
        let after = self.0.partition_point(|stretch| stretch.first <= index);
        let stretch = after.checked_sub(1).and_then(|i| self.0.get_mut(i));
        if let Some(stretch) = stretch.filter(|stretch| stretch.holds(index)) {
            stretch.accepted += u64::from(is_accepted);
            stretch.rejected += u64::from(!is_accepted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_image_is_in_one_stretch(planned in 0u64..5000, rejected in 1u64..50) {
            let mut stretches = Stretches::of(planned);
            prop_assert_eq!(stretches.iter().len() as u64, planned.min(100));
            let mut next = 0;
            for stretch in stretches.iter() {
                prop_assert_eq!(stretch.first, next);
                prop_assert!(stretch.images >= 1 && stretch.images <= planned.div_ceil(100).max(1));
                next += stretch.images;
            }
            prop_assert_eq!(next, planned);
            for index in 0..planned {
                stretches.count(index, index % rejected != 0);
            }
            stretches.count(planned, true);
            prop_assert!(stretches.iter().all(|stretch| stretch.done() == stretch.images));
            let given_up: u64 = stretches.iter().map(|stretch| stretch.rejected).sum();
            prop_assert_eq!(given_up, planned.div_ceil(rejected));
        }
    }

    #[test]
    fn the_longest_plan_overflows_nothing() {
        let mut stretches = Stretches::of(u64::MAX);
        stretches.count(u64::MAX - 1, false);
        let last = stretches.iter().last().unwrap();
        assert_eq!((last.first + last.images, last.rejected), (u64::MAX, 1));
    }
}
