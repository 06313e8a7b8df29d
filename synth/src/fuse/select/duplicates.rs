use super::{Budget, Choice, Select};
use crate::Result;
use crate::fuse::candidates::Candidates;
use crate::fuse::signals::Needs;
use crate::fuse::signals::outlying::{dot, scale_to_unit};

/// At random, without near copies: an image is passed over where its features are more alike to those of one taken already.
pub struct Duplicates {
    /// The cosine similarity above which two images are copies, 0 to 1.
    pub similarity: f64,
}

impl Default for Duplicates {
    fn default() -> Self {
        Self { similarity: 0.95 }
    }
}

/// Images of a group that are compared with each other; of a larger group random parts.
pub(super) const TOGETHER: usize = 4096;

impl Select for Duplicates {
    fn needs(&self) -> Needs {
        Needs {
            features: true,
            ..Needs::default()
        }
    }

    /// Copies come last, the least alike first: as many as asked for are kept whatever is alike.
    fn choose(&self, candidates: &Candidates, budget: &Budget) -> Result<Vec<Choice>> {
        let features = candidates.signals.features()?;
        budget.each(|group| {
            let drawn = candidates.drawn(budget.seed, "keep", &group.members);
            let (mut kept, mut copies) = (Vec::new(), Vec::new());
            for part in drawn.chunks(TOGETHER) {
                let mut values = features.read(part)?;
                values
                    .chunks_exact_mut(features.width())
                    .for_each(scale_to_unit);
                let row = |at: usize| &values[at * features.width()..(at + 1) * features.width()];
                let mut taken: Vec<usize> = Vec::new();
                for (at, image) in part.iter().enumerate() {
                    let alike = taken.iter().map(|other| dot(row(*other), row(at)));
                    let alike = f64::from(alike.fold(-1.0, f32::max));
                    if alike > self.similarity {
                        copies.push((alike, *image));
                    } else {
                        taken.push(at);
                        kept.push(*image);
                    }
                }
            }
            copies.sort_by(|a, b| a.0.total_cmp(&b.0));
            let kept = kept.into_iter().map(|row| Choice::new(row, "no near copy"));
            let copies = copies.into_iter();
            let copies =
                copies.map(|(_, row)| Choice::new(row, "near copy, to make up the number"));
            Ok(kept.chain(copies).take(group.keep).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::candidates::Candidate;
    use crate::fuse::features::FeatureFile;
    use crate::fuse::select::Group;

    #[test]
    fn copies_are_passed_over_as_long_as_others_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let images = (0..6).map(|row| Candidate {
            set: 0,
            row,
            class: 0,
            domain: 0,
        });
        let mut candidates = Candidates::of(&["a"], images.collect(), 1);
        // Three pictures, each twice.
        let rows: Vec<f32> = (0..6u8)
            .flat_map(|i| {
                let angle = f32::from(i / 2) + 0.001 * f32::from(i % 2);
                [angle.cos(), angle.sin()]
            })
            .collect::<Vec<f32>>();
        let file = FeatureFile::of(&folder.path().join("f"), 2, &rows).unwrap();
        candidates.signals.features = Some(file);
        let budget = |keep| Budget {
            groups: vec![Group {
                members: (0..6).collect(),
                keep,
            }],
            seed: 3,
        };
        let mut kept: Vec<usize> = Duplicates::default()
            .choose(&candidates, &budget(3))
            .unwrap()
            .into_iter()
            .map(|choice| choice.row / 2)
            .collect();
        kept.dedup();
        assert_eq!(kept, [0, 1, 2]);
        let five = Duplicates::default()
            .choose(&candidates, &budget(5))
            .unwrap();
        let copies = five.iter().filter(|c| c.reason.starts_with("near copy"));
        assert_eq!(copies.count(), 2);
    }
}
