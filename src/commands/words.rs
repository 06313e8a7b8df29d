//! Tells of words that the bundled generator was never shown, before hours are spent on them.

use super::data;
use anyhow::Result;
use promptfed_data::{Dataset, NO_DOMAIN};
use promptfed_prompts::{LabelSpace, PromptSet};
use promptfed_synth::PromptSource;
use promptfed_synth::engines::pocket::KnownWords;
use promptfed_synth::registry::{EngineRef, PocketWeights, Prepared};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Names that are told before the rest is counted.
const TOLD: usize = 10;

/// What of some prompts `pocket` was never shown.
#[derive(Serialize, Default, Clone)]
pub(crate) struct UnknownWords {
    /// Classes with their unknown words.
    classes: BTreeMap<String, Vec<String>>,
    /// Domains with theirs.
    domains: BTreeMap<String, Vec<String>>,
    /// Unknown words of captions, or of prompts that are not made of classes.
    texts: BTreeSet<String>,
}

impl UnknownWords {
    /// The classes of whose words some are unknown.
    pub(crate) fn classes(&self) -> Vec<String> {
        self.classes.keys().cloned().collect()
    }

    fn is_empty(&self) -> bool {
        self.classes.is_empty() && self.domains.is_empty() && self.texts.is_empty()
    }
}

/// The prompts that are looked at.
pub(crate) struct Asked<'a> {
    known: Option<KnownWords>,
    /// How its generator is called in the warning.
    generator: String,
    classes: BTreeSet<&'a str>,
    found: UnknownWords,
    /// What of `found` was told.
    told: UnknownWords,
}

impl<'a> Asked<'a> {
    /// Prompts for these engines: what the first of them that says what it knows does not know.
    pub(crate) fn engines(prepared: &[Prepared]) -> Result<Self> {
        for engine in prepared {
            if let Some(known) = engine.known_words()? {
                return Ok(Self::of(Some(known), "`pocket`".to_owned()));
            }
        }
        Ok(Self::nothing())
    }

    /// Prompts for engines of a server, by the names that a round asks for: bundled weights are known here, and a `pocket` with others is
    /// taken for the bundled default.
    pub(crate) fn server<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self> {
        let weights = names
            .into_iter()
            .find_map(|name| match name.parse::<EngineRef>() {
                Ok(EngineRef::Pocket(PocketWeights::Bundled(weights))) => Some(weights),
                _ => None,
            });
        let Some(weights) = weights else {
            return Ok(Self::nothing());
        };
        let assets = match data::assets() {
            Ok(assets) => assets,
            Err(error) => {
                eprintln!(
                    "warning: whether the generator `pocket` knows the words was not looked up: {error}"
                );
                return Ok(Self::nothing());
            }
        };
        let known = KnownWords::read(&assets.join("pocket").join(weights))?;
        let generator =
            format!("`pocket` with its weights `{weights}` (those of the server may be others)");
        Ok(Self::of(known, generator))
    }

    /// Prompts for an engine that does not say what it knows.
    pub(crate) fn nothing() -> Self {
        Self::of(None, String::new())
    }

    fn of(known: Option<KnownWords>, generator: String) -> Self {
        Self {
            known,
            generator,
            classes: BTreeSet::new(),
            found: UnknownWords::default(),
            told: UnknownWords::default(),
        }
    }

    fn unknown(&self, text: &str) -> Vec<String> {
        let known = self.known.as_ref();
        known.map_or_else(Vec::new, |known| known.unknown(text))
    }

    /// Looks at a class by the text that prompts use for it.
    fn class(&mut self, name: &'a str, prompt_name: &str) {
        if self.classes.insert(name) {
            let words = self.unknown(prompt_name);
            if !words.is_empty() {
                self.found.classes.insert(name.to_owned(), words);
            }
        }
    }

    /// Looks at all classes of a label space.
    pub(crate) fn label_space(&mut self, space: &'a LabelSpace) {
        for class in space.classes() {
            let text = class.prompt_name.as_deref().unwrap_or(&class.name);
            self.class(&class.name, text);
        }
    }

    /// Looks at the classes of a data set, and at its domains where prompts tell them.
    pub(crate) fn dataset(&mut self, dataset: &Dataset, space: &'a LabelSpace, has_domains: bool) {
        let (mut labels, mut domains) = (BTreeSet::new(), BTreeSet::new());
        for sample in &dataset.samples {
            labels.insert(sample.label as usize);
            domains.extend(sample.domain.filter(|_| has_domains));
        }
        for name in labels.iter().filter_map(|l| dataset.class_names.get(*l)) {
            let class = space.index_of(name);
            let entry = class.and_then(|class| space.classes().get(class.get() as usize));
            if let Some(entry) = entry {
                self.class(
                    &entry.name,
                    entry.prompt_name.as_deref().unwrap_or(&entry.name),
                );
            }
        }
        let domains = domains
            .iter()
            .filter_map(|d| dataset.domain_names.get(*d as usize));
        for domain in domains.filter(|domain| *domain != NO_DOMAIN) {
            self.domain(domain);
        }
    }

    /// Looks at a domain.
    pub(crate) fn domain(&mut self, domain: &str) {
        if !self.found.domains.contains_key(domain) {
            let words = self.unknown(domain);
            if !words.is_empty() {
                self.found.domains.insert(domain.to_owned(), words);
            }
        }
    }

    /// Looks at a caption, or at a whole prompt that was not made of class and domain.
    fn text(&mut self, text: &str) {
        let words = self.unknown(text);
        self.found.texts.extend(words);
    }

    /// Looks at the classes, domains and captions of a prompt set.
    pub(crate) fn prompts(&mut self, prompts: &PromptSet, space: &'a LabelSpace) {
        for prompt in prompts.prompts() {
            let names = (
                space.class_name(prompt.class),
                space.prompt_name(prompt.class),
            );
            if let (Some(name), Some(text)) = names {
                self.class(name, text);
            }
            prompt.domain.iter().for_each(|d| self.domain(d.as_str()));
            prompt.caption.iter().for_each(|c| self.text(c.as_str()));
        }
    }

    /// Looks at the prompts of a job.
    pub(crate) fn job(&mut self, prompts: &'a PromptSource) -> Result<()> {
        if let PromptSource::Set {
            prompts,
            label_space,
        } = prompts
        {
            self.prompts(prompts, label_space);
        }
        Ok(prompts.each_text(|text| self.text(&text.positive))?)
    }

    /// Warns of what was found since it was last told.
    pub(crate) fn warn(&mut self) {
        let Some(known) = &self.known else {
            return;
        };
        let (found, told) = (&self.found, &self.told);
        let new = UnknownWords {
            classes: new_in(&found.classes, |class| told.classes.contains_key(class)),
            domains: new_in(&found.domains, |domain| told.domains.contains_key(domain)),
            texts: found.texts.difference(&told.texts).cloned().collect(),
        };
        if new.is_empty() {
            return;
        }
        let mut parts = Vec::new();
        if !new.classes.is_empty() {
            parts.push(format!(
                "{} of {} classes: {}",
                new.classes.len(),
                self.classes.len(),
                few(new.classes.keys())
            ));
        }
        if !new.domains.is_empty() {
            parts.push(format!("domains: {}", few(new.domains.keys())));
        }
        if !new.texts.is_empty() {
            parts.push(format!("words: {}", few(new.texts.iter())));
        }
        eprintln!(
            "warning: the generator {} was never shown {}; it knows {} words, such as {}, and its images of others will not look like \
             them: use Stable Diffusion (--engine sd:MODEL) for these",
            self.generator,
            parts.join("; "),
            known.len(),
            known.some(8).join(", ")
        );
        self.told = self.found.clone();
    }

    /// Warns of what was found and not told yet, and hands over all of it.
    pub(crate) fn tell(mut self) -> UnknownWords {
        self.warn();
        self.found
    }
}

fn new_in(
    found: &BTreeMap<String, Vec<String>>,
    is_told: impl Fn(&String) -> bool,
) -> BTreeMap<String, Vec<String>> {
    let new = found.iter().filter(|(name, _)| !is_told(name));
    new.map(|(name, words)| (name.clone(), words.clone()))
        .collect()
}

fn few<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let all = names.len();
    let mut told: Vec<&str> = names.take(TOLD).map(String::as_str).collect();
    let more = format!("{} more", all - told.len());
    if all > told.len() {
        told.push(&more);
    }
    told.join(", ")
}
