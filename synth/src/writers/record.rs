//! What was written, and the record of it.

use promptfed_prompts::{ContentHash, Domain, LabelSpace};
use serde::{Deserialize, Serialize};

use super::check::{Limits, Refusals};
use super::run::WritingSpec;
use super::{Topic, WriterInfo};
use crate::{Generator, Result};

/// One written prompt: a line of the file that `promptfed synth --prompts` reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenPrompt {
    /// The class's name.
    pub class: String,
    /// The domain, where the client's prompts had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// The checked text.
    pub prompt: String,
    /// The template's negative text; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub negative: String,
    /// This prompt's share of the private images behind its topic, where clients released their numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// Everything that decides what is written, compared where a run goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// Version of this form.
    version: u32,
    /// Version of this program.
    program: String,
    seed: u64,
    per_prompt: u32,
    candidates: u32,
    limits: Limits,
    writer: WriterInfo,
    /// The generators whose words and length the texts keep to.
    readers: Vec<Reader>,
    /// Hash of the prompts that were read.
    prompts: ContentHash,
    label_space: String,
    label_space_hash: ContentHash,
    /// Hash of the examples; none where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    examples: Option<ContentHash>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reader {
    engine: String,
    version: String,
    weights_hash: ContentHash,
}

impl Reader {
    fn of(generator: &dyn Generator) -> Self {
        let info = generator.describe();
        Self {
            engine: info.name.clone(),
            version: info.version.clone(),
            weights_hash: info.weights_hash,
        }
    }
}

impl Settings {
    pub(super) fn of(
        spec: &WritingSpec,
        writer: &WriterInfo,
        readers: &[&dyn Generator],
    ) -> Result<Self> {
        let space: &LabelSpace = spec.prompts.label_space();
        Ok(Self {
            version: 1,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            seed: spec.seed,
            per_prompt: spec.per_prompt,
            candidates: spec.candidates,
            limits: spec.limits,
            writer: writer.clone(),
            readers: readers.iter().map(|reader| Reader::of(*reader)).collect(),
            prompts: spec.prompts.hash()?,
            label_space: space.name().to_owned(),
            label_space_hash: space.hash(),
            examples: spec.examples.hash(),
        })
    }
}

/// The record of a run, as it lies beside the written prompts and stands in the report: settings, seed and hashes, and what
/// was refused.
#[derive(Clone, Debug, Serialize)]
pub struct WritingRecord {
    #[serde(flatten)]
    pub(super) settings: Settings,
    /// Hash of the written file's bytes.
    pub written_hash: ContentHash,
    /// Prompts that were asked for.
    pub wanted: u64,
    /// Prompts that were written and accepted.
    pub written: u64,
    /// Candidates that the writer was asked for.
    pub asked: u64,
    /// Captions of clients that a near copy was looked for among.
    pub captions: usize,
    /// What was refused, by reason.
    pub refused: Refusals,
    /// Topics with fewer prompts than asked for.
    pub short: Vec<Short>,
}

/// A topic with fewer prompts than asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Short {
    /// The class's name.
    pub class: String,
    /// The domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// The words in which its prompts begin.
    pub opening: String,
    /// Prompts asked for.
    pub wanted: u64,
    /// Prompts written.
    pub written: u64,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Written {
    /// The prompts, by class, domain and opening, each topic's in the order of their writing.
    pub prompts: Vec<WrittenPrompt>,
    /// The record of it.
    pub record: WritingRecord,
    /// Whether the run was stopped before its end; then nothing of this is final.
    pub cancelled: bool,
}

impl Written {
    /// The prompts as the file that `promptfed synth --prompts` reads: JSON lines, UTF-8.
    pub fn to_json_lines(&self) -> String {
        json_lines(&self.prompts)
    }

    /// Classes that have prompts to vary, and none that was written.
    pub fn empty_classes(&self) -> Vec<&str> {
        let short = self.record.short.iter().map(|short| short.class.as_str());
        let mut empty: Vec<&str> = short
            .filter(|class| self.prompts.iter().all(|prompt| prompt.class != *class))
            .collect();
        empty.dedup();
        empty
    }
}

pub(super) fn json_lines(prompts: &[WrittenPrompt]) -> String {
    let lines = prompts.iter().map(|prompt| {
        let line = serde_json::to_string(prompt).unwrap_or_default();
        format!("{line}\n")
    });
    lines.collect()
}

/// The prompts of a topic, with its images shared out among them: shares add up, and are within one of each other.
pub(super) fn prompts_of(
    topic: &Topic,
    class: &str,
    texts: Vec<String>,
    images: Option<u64>,
) -> Vec<WrittenPrompt> {
    let all = texts.len().max(1) as u64;
    let up_to = |images: u64, place: u64| u128::from(images) * u128::from(place) / u128::from(all);
    let prompts = (0..).zip(texts).map(|(place, prompt)| WrittenPrompt {
        class: class.to_owned(),
        domain: topic.domain.clone(),
        prompt,
        negative: topic.negative.clone(),
        count: images.map(|images| {
            let share = up_to(images, place + 1) - up_to(images, place);
            u32::try_from(share).unwrap_or(u32::MAX)
        }),
    });
    prompts.collect()
}
