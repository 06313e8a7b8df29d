//! Collecting prompts into a set.

use std::collections::BTreeMap;

use crate::{
    Caption, ClassIndex, Domain, Error, LabelSpace, Level, MAX_PROMPTS, Place, Prompt, PromptSet,
    Result, TemplateSet,
};

/// Collects prompts; equal ones become one.
#[derive(Clone, Debug)]
pub struct PromptSetBuilder {
    label_space: LabelSpace,
    level: Level,
    templates: TemplateSet,
    added: usize,
    merged: Merged,
}

impl PromptSetBuilder {
    pub(crate) fn new(label_space: &LabelSpace, level: Level, templates: &TemplateSet) -> Self {
        Self {
            label_space: label_space.clone(),
            level,
            templates: templates.clone(),
            added: 0,
            merged: Merged::new(false),
        }
    }

    /// Whether the set will say how many images stand behind each prompt. The default is no.
    pub fn counts(&mut self, release: bool) -> &mut Self {
        self.merged.counts = release;
        self
    }

    /// Adds what one image tells. Class level drops domain and caption, domain level the caption.
    ///
    /// # Errors
    /// [`Error::ClassOutOfRange`], [`Error::MissingCaption`] at instance level,
    /// [`Error::NoTemplate`] for a domain without a template, [`Error::TooManyPrompts`]. The image is
    /// then left out and the builder stays usable.
    pub fn add(
        &mut self,
        class: ClassIndex,
        domain: Option<Domain>,
        caption: Option<Caption>,
    ) -> Result<&mut Self> {
        let added = self.added;
        let place = || Place::entry("prompts", added);
        let prompt = Prompt {
            class,
            domain: domain.filter(|_| self.level.has_domain()),
            caption: caption.filter(|_| self.level.has_caption()),
            count: Some(1),
        };
        check_class(&self.label_space, class, place)?;
        if self.level.has_caption() && prompt.caption.is_none() {
            return Err(Error::MissingCaption { place: place() });
        }
        self.templates
            .for_prompt(self.level, prompt.domain.as_ref())?;
        self.merged.add(prompt, place)?;
        self.added += 1;
        Ok(self)
    }

    /// The set of what was added.
    ///
    /// # Errors
    /// [`Error::NoPrompts`] if nothing was, [`Error::DecodedTooLarge`] beyond the size limit.
    pub fn build(self) -> Result<PromptSet> {
        let mut templates = BTreeMap::new();
        for (_, domain, _) in self.merged.prompts.keys() {
            if !templates.contains_key(domain) {
                let template = self.templates.for_prompt(self.level, domain.as_ref())?;
                templates.insert(domain.clone(), template.clone());
            }
        }
        PromptSet::assemble(self.level, self.label_space.hash(), templates, self.merged)
            .map(|(set, _)| set)
    }
}

/// Refuses a class that the label space does not have.
pub(crate) fn check_class(
    label_space: &LabelSpace,
    class: ClassIndex,
    place: impl FnOnce() -> Place,
) -> Result<()> {
    if label_space.class_name(class).is_some() {
        return Ok(());
    }
    Err(Error::ClassOutOfRange {
        place: place().field("class"),
        class: class.get(),
        label_space: label_space.name().to_owned(),
        classes: label_space.len(),
    })
}

/// Distinct prompts in order, with how often each came.
#[derive(Clone, Debug)]
pub(crate) struct Merged {
    counts: bool,
    prompts: BTreeMap<(ClassIndex, Option<Domain>, Option<Caption>), u32>,
}

impl Merged {
    pub(crate) fn new(counts: bool) -> Self {
        Self {
            counts,
            prompts: BTreeMap::new(),
        }
    }

    /// Adds a prompt of another set as often as its count says (once without); a count that is full stays so.
    pub(crate) fn pool(&mut self, prompt: Prompt, place: impl FnOnce() -> Place) -> Result<()> {
        self.put(prompt, place, true)
    }

    /// Adds a prompt as often as its count says (once without).
    pub(crate) fn add(&mut self, prompt: Prompt, place: impl FnOnce() -> Place) -> Result<()> {
        // Without released counts the sum is never seen, so that it must not refuse a set either.
        self.put(prompt, place, !self.counts)
    }

    fn put(
        &mut self,
        prompt: Prompt,
        place: impl FnOnce() -> Place,
        saturates: bool,
    ) -> Result<()> {
        let Prompt {
            class,
            domain,
            caption,
            count,
        } = prompt;
        let more = count.unwrap_or(1);
        let full = self.prompts.len() >= MAX_PROMPTS;
        match self.prompts.entry((class, domain, caption)) {
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let sum = entry
                    .get()
                    .checked_add(more)
                    .or(saturates.then_some(u32::MAX));
                *entry.get_mut() = sum.ok_or_else(|| Error::CountOverflow { place: place() })?;
            }
            std::collections::btree_map::Entry::Vacant(_) if full => {
                return Err(Error::TooManyPrompts { max: MAX_PROMPTS });
            }
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(more);
            }
        }
        Ok(())
    }

    pub(crate) fn into_prompts(self) -> Vec<Prompt> {
        let counts = self.counts;
        self.prompts
            .into_iter()
            .map(|((class, domain, caption), count)| Prompt {
                class,
                domain,
                caption,
                count: counts.then_some(count),
            })
            .collect()
    }
}
