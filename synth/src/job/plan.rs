//! How many images every prompt gets, worked out in one pass over the prompts and constant memory.

use std::collections::BTreeMap;

use promptfed_prompts::ClassIndex;

use super::made::Made;
use super::prompts::{JobPrompt, PromptSource};
use super::spec::{ImageBudget, Spread};
use super::weighted::Weighted;
use crate::{Error, ImageSeed, Result};

/// What a first pass over the prompts finds; grows with the classes, not with the prompts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Survey {
    /// Prompts.
    pub(super) prompts: u64,
    /// Prompts with a count.
    pub(super) counted: u64,
    /// Prompts with a negative prompt.
    pub(super) negatives: u64,
    /// Prompts in which words have weights.
    pub(super) weighted: Weighted,
    /// Private images behind them, a prompt without a count counting as one.
    images: u64,
    /// Prompts of every class that has any.
    per_class: BTreeMap<u32, u64>,
}

impl Survey {
    /// Reads all prompts once, and calls `on_first` with the first.
    pub(super) fn of(
        source: &PromptSource,
        on_first: impl FnOnce(&JobPrompt) -> Result<()>,
    ) -> Result<Self> {
        let mut survey = Self::default();
        let mut on_first = Some(on_first);
        for prompt in source.read()? {
            let prompt = prompt?;
            if let Some(on_first) = on_first.take() {
                on_first(&prompt)?;
            }
            survey.add(prompt.class, prompt.count);
            survey.negatives += u64::from(!prompt.text.negative.trim().is_empty());
            survey.weighted.add(&prompt.text);
        }
        Ok(survey)
    }

    fn add(&mut self, class: ClassIndex, count: Option<u32>) {
        self.prompts += 1;
        self.counted += u64::from(count.is_some());
        self.images += u64::from(count.unwrap_or(1));
        *self.per_class.entry(class.get()).or_default() += 1;
    }

    /// Refuses a total of which nothing is left for a class that has prompts: a model would never see it. Reads all prompts once.
    pub(super) fn check_shares(&self, source: &PromptSource, budget: ImageBudget) -> Result<()> {
        let ImageBudget::Total { images, .. } = budget else {
            return Ok(());
        };
        let mut allocation = Allocation::new(budget, self);
        let mut shares = BTreeMap::<u32, u64>::new();
        for prompt in source.read()? {
            let prompt = prompt?;
            let share = allocation.next(prompt.class, prompt.count);
            *shares.entry(prompt.class.get()).or_default() += share;
        }
        let classes = source.label_space().classes();
        let empty = shares.iter().filter(|(_, share)| **share == 0);
        let names = empty.filter_map(|(class, _)| classes.get(*class as usize));
        let names: Vec<String> = names.map(|class| format!("{:?}", class.name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(Error::Spec(format!(
            "{images} images in all leave none for {}; ask for more, or leave out the prompts of these classes",
            names.join(", ")
        )))
    }

    /// Images the whole plan asks for.
    pub(super) fn planned(&self, budget: ImageBudget) -> Result<u64> {
        if self.prompts == 0 {
            return Err(Error::Spec(
                "there are no prompts; hand over at least one".into(),
            ));
        }
        match budget {
            ImageBudget::PerPrompt(n) => Ok(self.prompts.saturating_mul(u64::from(n))),
            ImageBudget::Total {
                spread: Spread::ByCount,
                ..
            } if self.counted == 0 => Err(Error::Spec(
                "no prompt has a count to share the images out by; use the class-balanced spread or images per prompt"
                    .into(),
            )),
            ImageBudget::Total {
                spread: Spread::ByCount,
                ..
            } if self.images == 0 => Err(Error::Spec(
                "every prompt has count 0; use the class-balanced spread or images per prompt"
                    .into(),
            )),
            ImageBudget::Total { images, .. } => Ok(images),
        }
    }
}

/// Shares a budget out among prompts that come in order.
///
/// Shares of a total are differences of rounded-down running totals: they add up to the total exactly, and each is
/// within one of its exact value.
#[derive(Debug)]
pub(super) struct Allocation<'a> {
    budget: ImageBudget,
    survey: &'a Survey,
    /// Private images behind the prompts so far.
    images: u64,
    /// Prompts so far of every class.
    seen: BTreeMap<u32, u64>,
}

impl<'a> Allocation<'a> {
    pub(super) fn new(budget: ImageBudget, survey: &'a Survey) -> Self {
        Self {
            budget,
            survey,
            images: 0,
            seen: BTreeMap::new(),
        }
    }

    /// Images of the next prompt.
    pub(super) fn next(&mut self, class: ClassIndex, count: Option<u32>) -> u64 {
        match self.budget {
            ImageBudget::PerPrompt(n) => u64::from(n),
            ImageBudget::Total {
                images,
                spread: Spread::ByCount,
            } => {
                let before = self.images;
                self.images += u64::from(count.unwrap_or(1));
                share(images, before, self.images, self.survey.images)
            }
            ImageBudget::Total {
                images,
                spread: Spread::ClassBalanced,
            } => {
                let classes = self.survey.per_class.len() as u64;
                let rank = self.survey.per_class.range(..class.get()).count() as u64;
                let quota = images / classes + u64::from(rank < images % classes);
                let prompts = self
                    .survey
                    .per_class
                    .get(&class.get())
                    .copied()
                    .unwrap_or(1);
                let seen = self.seen.entry(class.get()).or_default();
                *seen += 1;
                share(quota, *seen - 1, *seen, prompts)
            }
        }
    }
}

/// floor(total after / whole) - floor(total before / whole)
fn share(total: u64, before: u64, after: u64, whole: u64) -> u64 {
    let up_to = |part: u64| u128::from(total) * u128::from(part) / u128::from(whole.max(1));
    (up_to(after) - up_to(before)) as u64
}

/// One image of the plan.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PlannedImage {
    /// Position in the manifest.
    pub(super) index: u64,
    pub(super) prompt: JobPrompt,
}

impl PlannedImage {
    pub(super) fn new(index: u64, prompt: JobPrompt) -> Self {
        Self { index, prompt }
    }

    /// The seed of its first draw.
    pub(super) fn seed(&self, job_seed: u64) -> ImageSeed {
        ImageSeed::derive(job_seed, self.prompt.class, &self.prompt.text, self.index)
    }
}

/// The images of a job that are still to be made, in order, worked out one by one.
pub(super) struct Plan<'a> {
    prompts: Box<dyn Iterator<Item = Result<JobPrompt>> + 'a>,
    allocation: Allocation<'a>,
    made: Made,
    /// The prompt in work.
    prompt: Option<JobPrompt>,
    /// Images of it that are still to be made.
    left: u64,
    /// Index of the next image.
    next: u64,
}

impl<'a> Plan<'a> {
    /// What is left of the plan where the images `made` are there, in a manifest of `rows` rows.
    pub(super) fn new(
        source: &'a PromptSource,
        budget: ImageBudget,
        survey: &'a Survey,
        made: Made,
        rows: u64,
    ) -> Result<Self> {
        Ok(Self {
            prompts: source.read()?,
            allocation: Allocation::new(budget, survey),
            made,
            prompt: None,
            left: 0,
            next: rows,
        })
    }

    /// Walks to the end and tells how many of the images that were made the plan does not ask for.
    pub(super) fn surplus(mut self) -> Result<u64> {
        while let Some(planned) = self.next_prompt() {
            planned?;
        }
        self.made.left()
    }

    /// Goes on to the next prompt.
    fn next_prompt(&mut self) -> Option<Result<()>> {
        let prompt = match self.prompts.next()? {
            Ok(prompt) => prompt,
            Err(error) => return Some(Err(error)),
        };
        let asked = self.allocation.next(prompt.class, prompt.count);
        match self.made.take(&prompt, asked) {
            Ok(there) => self.left = asked - there,
            Err(error) => return Some(Err(error)),
        }
        self.prompt = Some(prompt);
        Some(Ok(()))
    }
}

impl Iterator for Plan<'_> {
    type Item = Result<PlannedImage>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left == 0 {
            if let Err(error) = self.next_prompt()? {
                return Some(Err(error));
            }
        }
        let prompt = self.prompt.clone()?;
        let index = self.next;
        self.left -= 1;
        self.next += 1;
        Some(Ok(PlannedImage::new(index, prompt)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(prompts: &[(u32, Option<u32>)], budget: ImageBudget) -> Vec<u64> {
        let mut survey = Survey::default();
        for (class, count) in prompts {
            survey.add(ClassIndex::new(*class), *count);
        }
        let mut allocation = Allocation::new(budget, &survey);
        prompts
            .iter()
            .map(|(class, count)| allocation.next(ClassIndex::new(*class), *count))
            .collect()
    }

    fn total(images: u64, spread: Spread) -> ImageBudget {
        ImageBudget::Total { images, spread }
    }

    #[test]
    fn counts_weigh_and_missing_counts_are_one() {
        let prompts = [(0, Some(30)), (0, Some(10)), (1, None), (1, Some(9))];
        assert_eq!(
            shares(&prompts, total(100, Spread::ByCount)),
            [60, 20, 2, 18]
        );
        assert_eq!(shares(&prompts, ImageBudget::PerPrompt(3)), [3, 3, 3, 3]);
    }

    #[test]
    fn classes_are_balanced_whatever_their_prompts() {
        let prompts = [(4, None), (4, None), (4, Some(1000)), (7, None), (9, None)];
        assert_eq!(
            shares(&prompts, total(100, Spread::ClassBalanced)),
            [11, 11, 12, 33, 33]
        );
    }

    #[test]
    fn all_counts_zero_is_an_error() {
        let mut survey = Survey::default();
        assert!(survey.planned(ImageBudget::PerPrompt(1)).is_err());
        survey.add(ClassIndex::new(0), None);
        let told = survey.planned(total(10, Spread::ByCount)).unwrap_err();
        assert!(told.to_string().contains("no prompt has a count"), "{told}");
        survey = Survey::default();
        survey.add(ClassIndex::new(0), Some(0));
        assert!(survey.planned(total(10, Spread::ByCount)).is_err());
        assert_eq!(
            survey.planned(total(10, Spread::ClassBalanced)).unwrap(),
            10
        );
    }

    proptest! {
        #[test]
        fn shares_add_up_and_are_fair(
            prompts in prop::collection::vec((0u32..6, prop::option::of(0u32..1000)), 1..60),
            images in 0u64..100_000,
        ) {
            let weight: u64 = prompts.iter().map(|(_, c)| u64::from(c.unwrap_or(1))).sum();
            if weight > 0 {
                let by_count = shares(&prompts, total(images, Spread::ByCount));
                prop_assert_eq!(by_count.iter().sum::<u64>(), images);
                for ((_, count), share) in prompts.iter().zip(&by_count) {
                    let exact = images as f64 * f64::from(count.unwrap_or(1)) / weight as f64;
                    prop_assert!((*share as f64 - exact).abs() < 1.0 + 1e-6);
                }
            }
            let balanced = shares(&prompts, total(images, Spread::ClassBalanced));
            prop_assert_eq!(balanced.iter().sum::<u64>(), images);
            let mut per_class = BTreeMap::<u32, u64>::new();
            for ((class, _), share) in prompts.iter().zip(&balanced) {
                *per_class.entry(*class).or_default() += share;
            }
            let (least, most) = (per_class.values().min().unwrap(), per_class.values().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }
}
