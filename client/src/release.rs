//! What a client leaves out of its prompts, though its images would allow it.

use std::num::{NonZeroU32, NonZeroUsize};

use promptfed_data::Dataset;
use promptfed_prompts::same_name::folded;
use promptfed_prompts::{ClassIndex, LabelSpace, Prompt, PromptSet};
use serde::Serialize;

use crate::extraction::PreviewPrompt;
use crate::{ClassImages, Error, Result};

/// What is left out of the prompts. The default leaves nothing out. Classes go first, then small groups, then what is beyond the
/// number of prompts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseRules {
    /// Classes by any of their names; their images are not even looked at.
    pub exclude_classes: Vec<String>,
    /// Prompts with fewer images behind them are left out.
    pub min_group: Option<NonZeroU32>,
    /// Most prompts. Those with the most images behind them are kept; among equals, the first in the set's order.
    pub max_prompts: Option<NonZeroUsize>,
}

/// What the [`ReleaseRules`] left out; stays here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Withheld {
    /// Excluded classes that the data has, with their images.
    pub excluded_classes: Vec<ClassImages>,
    /// Prompts with too few images behind them.
    pub small_groups: Vec<PreviewPrompt>,
    /// Prompts beyond the number of prompts.
    pub beyond_max: Vec<PreviewPrompt>,
    /// Classes with usable images and no prompt left.
    pub vanished_classes: Vec<String>,
}

impl Withheld {
    /// Images behind the prompts that were left out, and of the excluded classes.
    pub fn images(&self) -> u64 {
        let excluded = self.excluded_classes.iter().map(|class| class.images);
        let prompts = self.small_groups.iter().chain(&self.beyond_max);
        excluded.sum::<u64>() + prompts.map(|prompt| u64::from(prompt.images)).sum::<u64>()
    }
}

impl ReleaseRules {
    /// The indices of the samples that are not of an excluded class, and the excluded classes with their images.
    ///
    /// # Errors
    /// [`Error::UnknownClass`] for a name that neither the data nor the label space knows.
    pub fn included(
        &self,
        dataset: &Dataset,
        label_space: &LabelSpace,
    ) -> Result<(Vec<usize>, Vec<ClassImages>)> {
        let mut excluded = vec![false; dataset.class_names.len()];
        for name in &self.exclude_classes {
            let listed = label_space.index_of(name);
            let mut found = listed.is_some();
            for (class, excluded) in dataset.class_names.iter().zip(&mut excluded) {
                let same = match (listed, label_space.index_of(class)) {
                    (Some(listed), Some(class)) => listed == class,
                    (None, None) => folded(class) == folded(name),
                    _ => false,
                };
                *excluded |= same;
                found |= same;
            }
            if !found {
                return Err(Error::UnknownClass {
                    class: name.clone(),
                    known: dataset.class_names.join(", "),
                });
            }
        }
        let is_excluded = |label: u32| excluded.get(label as usize).copied().unwrap_or(false);
        let samples = dataset.samples.iter().enumerate();
        let kept = samples
            .filter(|(_, sample)| !is_excluded(sample.label))
            .map(|(index, _)| index)
            .collect();
        let classes = dataset.class_names.iter().enumerate();
        let classes = classes
            .filter(|(label, _)| excluded[*label])
            .map(|(label, class)| {
                let of_class = |s: &&promptfed_data::Sample| s.label as usize == label;
                ClassImages {
                    class: class.clone(),
                    images: dataset.samples.iter().filter(of_class).count() as u64,
                }
            })
            .filter(|class| class.images > 0)
            .collect();
        Ok((kept, classes))
    }

    /// The prompts that are released of `counted`, which has counts; what is left out goes into `withheld`.
    ///
    /// # Errors
    /// [`Error::AllWithheld`] where no prompt is left.
    pub(crate) fn apply(
        &self,
        counted: PromptSet,
        label_space: &LabelSpace,
        withheld: &mut Withheld,
    ) -> Result<PromptSet> {
        let images = |prompt: &Prompt| prompt.count.unwrap_or(1);
        let least = self.min_group.map_or(1, NonZeroU32::get);
        let is_large = |prompt: &Prompt| images(prompt) >= least;

        let prompts = counted.prompts();
        let mut large: Vec<usize> = (0..prompts.len())
            .filter(|&index| is_large(&prompts[index]))
            .collect();
        // Stable: equals stay in the set's order.
        large.sort_by_key(|&index| std::cmp::Reverse(images(&prompts[index])));
        let most = self.max_prompts.map_or(usize::MAX, NonZeroUsize::get);
        large.truncate(most);
        let mut kept = vec![false; prompts.len()];
        for index in large {
            kept[index] = true;
        }

        let mut left = vec![false; label_space.len()];
        let mut seen = left.clone();
        for (prompt, &kept) in prompts.iter().zip(&kept) {
            let class = prompt.class.get() as usize;
            seen[class] = true;
            left[class] |= kept;
            if !kept {
                let shown = PreviewPrompt::new(&counted, prompt, label_space)?;
                let list = if is_large(prompt) {
                    &mut withheld.beyond_max
                } else {
                    &mut withheld.small_groups
                };
                list.push(shown);
            }
        }
        if !kept.contains(&true) {
            let largest = prompts.iter().map(images).max().unwrap_or(0);
            return Err(Error::AllWithheld {
                why: format!(
                    "the smallest group allowed is {least} images, and the largest of the {} prompts has {largest}; \
                     ask for smaller groups, or for a level that tells less",
                    prompts.len()
                ),
            });
        }
        for class in 0..label_space.len() {
            if seen[class] && !left[class] {
                let name = label_space.class_name(ClassIndex::new(class as u32));
                withheld
                    .vanished_classes
                    .push(name.unwrap_or_default().to_owned());
            }
        }
        let mut kept = kept.into_iter();
        Ok(counted.retain(|_| kept.next().unwrap_or(false))?)
    }
}
