//! Writers of prompts: what is kept, what is refused, and runs that go on.

mod chat;
mod gguf;
mod run;

use std::sync::atomic::AtomicBool;

use promptfed_prompts::{
    Caption, ClassIndex, ContentHash, Domain, LabelSpace, Level, PromptSet, TemplateSet,
};
use promptfed_synth::writers::{Ask, Topic, Writer, WriterInfo};
use promptfed_synth::{PromptSource, Reproducible, Result};

static NEVER: AtomicBool = AtomicBool::new(false);

/// What a scripted writer says as candidate of a number for a topic.
type Script = fn(&Ask<'_>, u64) -> Option<String>;

/// A writer that says what a script tells it, and remembers what it was asked.
struct Scripted {
    info: WriterInfo,
    script: Script,
    asked: Vec<(u32, u64, usize)>,
}

impl Scripted {
    fn new(script: Script) -> Self {
        let info = WriterInfo {
            name: "scripted".into(),
            version: "1".into(),
            reproducible: Reproducible::Exact,
            hash: Some(ContentHash::of(b"script")),
            settings: Default::default(),
        };
        Self {
            info,
            script,
            asked: Vec::new(),
        }
    }
}

impl Writer for Scripted {
    fn describe(&self) -> &WriterInfo {
        &self.info
    }

    fn write(&mut self, ask: &Ask<'_>) -> Result<Vec<String>> {
        self.asked
            .push((ask.topic.class.get(), ask.first, ask.wanted));
        let numbers = ask.first..ask.first + ask.wanted as u64;
        Ok(numbers
            .filter_map(|number| (self.script)(ask, number))
            .collect())
    }
}

/// Prompts of dogs and horses as sketches and photos, with captions and counts.
fn pets() -> PromptSource {
    let label_space = LabelSpace::from_names("pets", ["dog", "horse", "guitar"]).unwrap();
    let templates = TemplateSet::builtin("pocket").unwrap();
    let mut builder = PromptSet::builder(&label_space, Level::Instance, &templates);
    builder.counts(true);
    for (class, domain, caption, images) in [
        (0, "photo", "sleeping below the green kitchen table", 5),
        (0, "photo", "at home", 2),
        (0, "sketch", "barking", 4),
        (1, "photo", "in its stable", 3),
    ] {
        for _ in 0..images {
            let domain = Some(Domain::try_from(domain).unwrap());
            let caption = Some(Caption::try_from(caption).unwrap());
            builder
                .add(ClassIndex::new(class), domain, caption)
                .unwrap();
        }
    }
    PromptSource::Set {
        prompts: builder.build().unwrap(),
        label_space,
    }
}

fn dogs() -> Topic {
    Topic {
        class: ClassIndex::new(0),
        domain: None,
        opening: "a photo of a dog".into(),
        negative: String::new(),
    }
}

fn ask(topic: &Topic, first: u64, wanted: usize) -> Ask<'_> {
    Ask {
        topic,
        class: "dog",
        others: &[],
        good: &[],
        bad: &[],
        longest: 240,
        first,
        wanted,
        seed: 7,
        cancel: &NEVER,
    }
}
