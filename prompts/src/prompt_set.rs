//! What one client tells, or a whole round pooled.

use std::collections::{BTreeMap, BTreeSet};

use crate::prompt_set_builder::Merged;
use crate::{
    ContentHash, Domain, Error, LabelSpace, Level, MAX_DECODED_BYTES, Place, Prompt,
    PromptSetBuilder, RenderedPrompt, Result, Template, TemplateSet, canonical,
    json_fault::with_line, wire,
};

/// Most distinct prompts of one set.
pub const MAX_PROMPTS: usize = 1_000_000;

/// A set of distinct prompts with the templates that turn them into text.
///
/// It holds everything but the class names, which its receiver has in the label space; the set
/// names that space by its hash. Sets with the same content have the same canonical JSON, whatever
/// the order the prompts came in, and so the same [`hash`](PromptSet::hash).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptSet {
    level: Level,
    label_space: ContentHash,
    templates: BTreeMap<Option<Domain>, Template>,
    prompts: Vec<Prompt>,
    hash: ContentHash,
}

impl PromptSet {
    /// Collects prompts of this level, for these classes, with the templates they use.
    pub fn builder(
        label_space: &LabelSpace,
        level: Level,
        templates: &TemplateSet,
    ) -> PromptSetBuilder {
        PromptSetBuilder::new(label_space, level, templates)
    }

    /// Puts a set together and returns it with its canonical JSON.
    pub(crate) fn assemble(
        level: Level,
        label_space: ContentHash,
        mut templates: BTreeMap<Option<Domain>, Template>,
        merged: Merged,
    ) -> Result<(Self, String)> {
        let prompts = merged.into_prompts();
        if prompts.is_empty() {
            return Err(Error::NoPrompts);
        }
        let used: BTreeSet<_> = prompts.iter().map(|prompt| &prompt.domain).collect();
        templates.retain(|domain, _| used.contains(domain));
        if let Some(index) = prompts
            .iter()
            .position(|p| !templates.contains_key(&p.domain))
        {
            return Err(Error::TemplateMissing {
                place: Place::entry("prompts", index),
                domain: prompts[index].domain.clone(),
            });
        }
        let hash = ContentHash::from_bytes([0; 32]);
        let mut set = Self {
            level,
            label_space,
            templates,
            prompts,
            hash,
        };
        let json = set.to_json();
        if json.len() > MAX_DECODED_BYTES {
            return Err(Error::DecodedTooLarge {
                bytes: json.len() as u64,
                max: MAX_DECODED_BYTES,
            });
        }
        set.hash = ContentHash::of(json.as_bytes());
        Ok((set, json))
    }

    /// The prompts: distinct, ordered by class, domain, caption; at least one.
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }

    /// Number of distinct prompts, 1 to [`MAX_PROMPTS`].
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.prompts.len()
    }

    /// How much the prompts tell.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Hash of the label space that the class indices refer to.
    pub fn label_space_hash(&self) -> ContentHash {
        self.label_space
    }

    /// Whether the prompts say how many images stand behind them.
    pub fn has_counts(&self) -> bool {
        self.prompts.iter().all(|prompt| prompt.count.is_some())
    }

    /// The prompts that `keep` wants, with the templates they use.
    ///
    /// # Errors
    /// [`Error::NoPrompts`] where none is kept.
    pub fn retain(self, mut keep: impl FnMut(&Prompt) -> bool) -> Result<Self> {
        let mut merged = Merged::new(self.has_counts());
        for (index, prompt) in self.prompts.into_iter().enumerate() {
            if keep(&prompt) {
                merged.add(prompt, || Place::entry("prompts", index))?;
            }
        }
        Self::assemble(self.level, self.label_space, self.templates, merged).map(|(set, _)| set)
    }

    /// The same prompts without counts.
    #[must_use]
    pub fn without_counts(mut self) -> Self {
        for prompt in &mut self.prompts {
            prompt.count = None;
        }
        self.hash = ContentHash::of(self.to_json().as_bytes());
        self
    }

    /// The templates used, by domain; `None` is for prompts without a domain.
    pub fn templates(&self) -> impl Iterator<Item = (Option<&Domain>, &Template)> {
        self.templates
            .iter()
            .map(|(domain, template)| (domain.as_ref(), template))
    }

    /// Hash of the canonical JSON.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// The text of one prompt.
    ///
    /// # Errors
    /// [`Error::WrongLabelSpace`]; [`Error::ClassOutOfRange`] or [`Error::TemplateMissing`] for a prompt
    /// of another set.
    pub fn render(&self, prompt: &Prompt, label_space: &LabelSpace) -> Result<RenderedPrompt> {
        check_label_space(self.label_space, label_space)?;
        let label =
            label_space
                .prompt_name(prompt.class)
                .ok_or_else(|| Error::ClassOutOfRange {
                    place: Place::single("prompt").field("class"),
                    class: prompt.class.get(),
                    label_space: label_space.name().to_owned(),
                    classes: label_space.len(),
                })?;
        let template =
            self.templates
                .get(&prompt.domain)
                .ok_or_else(|| Error::TemplateMissing {
                    place: Place::single("prompt"),
                    domain: prompt.domain.clone(),
                })?;
        Ok(template.render(
            label,
            prompt.domain.as_ref().map(Domain::as_str),
            prompt.caption.as_ref().map(|caption| caption.as_str()),
        ))
    }

    /// Canonical JSON: what the file `prompts.json` holds, what is hashed, and what travels compressed.
    /// UTF-8, one prompt per line.
    pub fn to_json(&self) -> String {
        canonical::write(self.level, self.label_space, &self.templates, &self.prompts)
    }

    /// Reads a prompt file. Any JSON layout and order will do, so that a file whose prompts were
    /// removed or reworded by hand still works; templates that no prompt needs are dropped.
    ///
    /// # Errors
    /// Each names the line and the entry: wrong version or label space, class out of range, text that breaks the
    /// rules, field that the level does not carry.
    pub fn from_json(json: &str, label_space: &LabelSpace) -> Result<Self> {
        if json.len() > MAX_DECODED_BYTES {
            return Err(Error::DecodedTooLarge {
                bytes: json.len() as u64,
                max: MAX_DECODED_BYTES,
            });
        }
        canonical::read(json, label_space).map_err(|error| with_line(json, error))
    }

    /// The compressed form that travels: magic, version, canonical JSON by zstd. At most
    /// [`MAX_WIRE_BYTES`](crate::MAX_WIRE_BYTES) bytes. Same content and same zstd release, same bytes.
    pub fn to_wire(&self) -> Vec<u8> {
        wire::encode(&self.to_json())
    }

    /// Reads what [`to_wire`](PromptSet::to_wire) wrote, and nothing else: sizes are checked before and
    /// after decompression, and the content must be in canonical form; the first entry that is not ends the reading.
    ///
    /// # Errors
    /// As [`from_json`](PromptSet::from_json), and for bytes that are too many, damaged, followed by
    /// others, not UTF-8 or not canonical.
    pub fn from_wire(bytes: &[u8], label_space: &LabelSpace) -> Result<Self> {
        let json = wire::decode(bytes)?;
        canonical::read_exact(&json, label_space)
    }

    /// Pools sets of one round. Counts of equal prompts add up, to `u32::MAX` at most: one client's count must not refuse the others;
    /// the pool has counts if every set has.
    ///
    /// # Errors
    /// [`Error::MergeMismatch`] where level, label space or the template of a domain differ,
    /// [`Error::NoPrompts`] for no sets, or a pool beyond the limits.
    pub fn merge(sets: &[Self]) -> Result<Self> {
        let first = sets.first().ok_or(Error::NoPrompts)?;
        let mut templates = BTreeMap::new();
        let mut merged = Merged::new(sets.iter().all(Self::has_counts));
        for (index, set) in sets.iter().enumerate() {
            let mismatch = |what: String| Error::MergeMismatch { index, what };
            if set.level != first.level {
                return Err(mismatch("the level".to_owned()));
            }
            if set.label_space != first.label_space {
                return Err(mismatch("the label space".to_owned()));
            }
            for (domain, template) in &set.templates {
                if templates
                    .entry(domain.clone())
                    .or_insert_with(|| template.clone())
                    != template
                {
                    return Err(mismatch(match domain {
                        Some(domain) => format!("the template for domain `{domain}`"),
                        None => "the template for prompts without a domain".to_owned(),
                    }));
                }
            }
            for (at, prompt) in set.prompts.iter().enumerate() {
                merged.pool(prompt.clone(), || Place::entry("prompts", at))?;
            }
        }
        Self::assemble(first.level, first.label_space, templates, merged).map(|(set, _)| set)
    }
}

/// Refuses a set made for other classes.
pub(crate) fn check_label_space(found: ContentHash, label_space: &LabelSpace) -> Result<()> {
    if found == label_space.hash() {
        return Ok(());
    }
    Err(Error::WrongLabelSpace {
        found,
        expected: label_space.hash(),
        name: label_space.name().to_owned(),
    })
}
