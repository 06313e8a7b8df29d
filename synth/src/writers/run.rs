//! Writing prompts for every topic, until each has as many as asked for or its writer has no more.

use std::sync::atomic::{AtomicBool, Ordering};

use promptfed_prompts::ContentHash;

use super::check::{Checker, Grounds, Limits, Refusals};
use super::journal::Step;
use super::record::{Settings, Short, WritingRecord, Written, json_lines, prompts_of};
use super::topic::{Order, orders};
use super::{Ask, Examples, Journal, Writer};
use crate::{Error, Generator, PromptSource, Result};

/// Most candidates asked for at once: what is lost where a run is killed.
const AT_ONCE: u64 = 8;

/// Most names of other classes that a writer is told.
const MOST_OTHERS: usize = 24;

/// Times in a row that a writer may give nothing before it counts as having no more.
const MOST_SILENCES: u32 = 3;

/// What is to be written.
#[derive(Clone, Debug)]
pub struct WritingSpec {
    /// The prompts to vary.
    pub prompts: PromptSource,
    /// Prompts to write for each of them, 1 or more.
    pub per_prompt: u32,
    /// Candidates to ask for, for every prompt wanted, before a topic is left with fewer; 1 or more.
    pub candidates: u32,
    /// Seed of the run.
    pub seed: u64,
    /// Bounds of the checks.
    pub limits: Limits,
    /// Texts whose images were useful, and others, for writers that learn from them.
    pub examples: Examples,
}

impl WritingSpec {
    /// Four prompts for each of `prompts`, up to 8 candidates for every one, seed 0, no examples.
    pub fn new(prompts: PromptSource) -> Self {
        Self {
            prompts,
            per_prompt: 4,
            candidates: 8,
            seed: 0,
            limits: Limits::default(),
            examples: Examples::default(),
        }
    }

    fn validate(&self) -> Result<()> {
        let fault = if self.per_prompt == 0 {
            "0 prompts for each prompt; ask for 1 or more"
        } else if self.candidates == 0 {
            "0 candidates for each prompt; allow 1 or more"
        } else if self.limits.longest == 0 {
            "the longest prompt has 0 characters; allow more"
        } else {
            return Ok(());
        };
        Err(Error::WriterSetting(fault.to_owned()))
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WritingProgress {
    /// Prompts that were accepted.
    pub written: u64,
    /// Prompts asked for.
    pub wanted: u64,
    /// Candidates that were refused.
    pub refused: u64,
}

/// Writes prompts for every topic of `spec`, and checks them; `readers` are the generators that will read them, as far as
/// they are known.
///
/// With a `journal`, every step is written down before the next; a run that was killed goes on there. What is written does
/// not depend on whether it was.
///
/// # Errors
/// Prompts that cannot be read, a specification or journal that cannot be followed, or a writer that cannot write.
pub fn write(
    writer: &mut dyn Writer,
    readers: &[&dyn Generator],
    spec: &WritingSpec,
    mut journal: Option<&mut Journal>,
    progress: &mut dyn FnMut(WritingProgress),
    cancel: &AtomicBool,
) -> Result<Written> {
    spec.validate()?;
    let orders = orders(&spec.prompts, spec.per_prompt)?;
    let settings = Settings::of(spec, writer.describe(), readers)?;
    let grounds = Grounds::new(&spec.prompts)?;
    let earlier = match &mut journal {
        Some(journal) => journal.begin(&settings)?,
        None => Vec::new(),
    };
    let mut run = Run {
        spec,
        checker: grounds.checker(spec.limits, readers),
        works: orders.into_iter().map(Work::new).collect(),
    };
    for step in earlier {
        run.replay(step)?;
    }
    let mut cancelled = false;
    'topics: for at in 0..run.works.len() {
        while run.works[at].goes_on(spec.candidates) {
            let step = run.step(at, writer, cancel);
            if cancel.load(Ordering::Relaxed) {
                cancelled = true;
                break 'topics;
            }
            let step = step?;
            if let Some(journal) = &mut journal {
                journal.append(&step)?;
            }
            run.works[at].take(step);
            progress(run.progress());
        }
    }
    Ok(run.finish(settings, grounds.captions(), cancelled))
}

/// What is done about one topic.
struct Work {
    order: Order,
    asked: u64,
    silences: u32,
    texts: Vec<String>,
    refused: Refusals,
}

impl Work {
    fn new(order: Order) -> Self {
        Self {
            order,
            asked: 0,
            silences: 0,
            texts: Vec::new(),
            refused: Refusals::default(),
        }
    }

    fn missing(&self) -> u64 {
        self.order.wanted.saturating_sub(self.texts.len() as u64)
    }

    fn goes_on(&self, candidates: u32) -> bool {
        let most = self.order.wanted.saturating_mul(u64::from(candidates));
        self.missing() > 0 && self.asked < most && self.silences < MOST_SILENCES
    }

    fn take(&mut self, step: Step) {
        self.asked += step.asked;
        let is_silent = step.accepted.is_empty() && step.refused.total() == 0;
        self.silences = if is_silent { self.silences + 1 } else { 0 };
        self.texts.extend(step.accepted);
        self.refused.merge(&step.refused);
    }
}

struct Run<'a> {
    spec: &'a WritingSpec,
    checker: Checker<'a>,
    works: Vec<Work>,
}

impl Run<'_> {
    /// Does again what a journal tells.
    fn replay(&mut self, step: Step) -> Result<()> {
        let work = self.works.get_mut(step.topic).ok_or_else(|| {
            Error::WriterSetting(format!(
                "the unfinished work tells of topic {}, which there is not",
                step.topic
            ))
        })?;
        for text in &step.accepted {
            self.checker.remember(&work.order.topic, text);
        }
        work.take(step);
        Ok(())
    }

    /// Asks the writer once, and checks what it gives.
    fn step(&mut self, at: usize, writer: &mut dyn Writer, cancel: &AtomicBool) -> Result<Step> {
        let work = &self.works[at];
        let topic = &work.order.topic;
        let most = work
            .order
            .wanted
            .saturating_mul(u64::from(self.spec.candidates))
            - work.asked;
        let wanted = work.missing().min(AT_ONCE).min(most);
        let others = self.checker.others(topic, MOST_OTHERS);
        let ask = Ask {
            topic,
            class: self
                .spec
                .prompts
                .label_space()
                .prompt_name(topic.class)
                .unwrap_or_default(),
            others: &others,
            good: self.spec.examples.good(topic.class),
            bad: self.spec.examples.bad(topic.class),
            longest: self.spec.limits.longest,
            first: work.asked,
            wanted: wanted as usize,
            seed: self.spec.seed,
            cancel,
        };
        let candidates = writer.write(&ask)?;
        let mut step = Step {
            topic: at,
            asked: wanted,
            accepted: Vec::new(),
            refused: Refusals::default(),
        };
        for text in candidates.iter().take(ask.wanted) {
            match self.checker.accept(topic, text) {
                Ok(text) => step.accepted.push(text),
                Err(refusal) => step.refused.add(text, &refusal),
            }
        }
        Ok(step)
    }

    fn progress(&self) -> WritingProgress {
        WritingProgress {
            written: self.works.iter().map(|work| work.texts.len() as u64).sum(),
            wanted: self.works.iter().map(|work| work.order.wanted).sum(),
            refused: self.works.iter().map(|work| work.refused.total()).sum(),
        }
    }

    fn finish(self, settings: Settings, captions: usize, cancelled: bool) -> Written {
        let progress = self.progress();
        let space = self.spec.prompts.label_space();
        let (mut prompts, mut short) = (Vec::new(), Vec::new());
        let (mut refused, mut asked) = (Refusals::default(), 0);
        for work in self.works {
            let Order {
                topic,
                wanted,
                images,
            } = work.order;
            let class = space.class_name(topic.class).unwrap_or_default();
            let written = work.texts.len() as u64;
            if written < wanted {
                short.push(Short {
                    class: class.to_owned(),
                    domain: topic.domain.clone(),
                    opening: topic.opening.clone(),
                    wanted,
                    written,
                });
            }
            refused.merge(&work.refused);
            asked += work.asked;
            prompts.extend(prompts_of(&topic, class, work.texts, images));
        }
        let record = WritingRecord {
            settings,
            written_hash: ContentHash::of(json_lines(&prompts).as_bytes()),
            wanted: progress.wanted,
            written: progress.written,
            asked,
            captions,
            refused,
            short,
        };
        Written {
            prompts,
            record,
            cancelled,
        }
    }
}
