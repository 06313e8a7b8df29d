//! One backend's job in one round.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use promptfed_files::OwnFolder;
use serde_json::json;

use super::asking::Line;
use super::files::job_folder;
use super::{RoundsSpec, Setup};
use crate::fuse::spec::seed_of;
use crate::registry::folder_name;
use crate::{
    Error, Generator, ImageBudget, JobProgress, JobSpec, PromptSource, Result, Spread,
    SyntheticSet, run,
};

/// One backend's job in one round.
pub(super) struct Job<'a> {
    pub(super) round: u32,
    pub(super) name: &'a str,
    pub(super) lines: &'a [Line],
    /// Of the round.
    pub(super) folder: PathBuf,
}

impl Job<'_> {
    fn out(&self) -> PathBuf {
        job_folder(&self.folder, self.name)
    }

    pub(super) fn made(&self) -> Result<SyntheticSet> {
        SyntheticSet::open(&self.out(), self.name, self.round)
    }

    pub(super) fn run(
        &self,
        engine: &mut dyn Generator,
        spec: &RoundsSpec,
        setup: Setup<'_>,
        folder: &OwnFolder,
        progress: &mut dyn FnMut(JobProgress),
        cancel: &AtomicBool,
    ) -> Result<SyntheticSet> {
        let path = self
            .folder
            .join(format!("{}.prompts.jsonl", folder_name(self.name)));
        let mut text = String::new();
        for line in self.lines {
            let line = json!({
                "class": line.class, "domain": line.domain, "prompt": line.prompt,
                "negative": line.negative, "count": line.count,
            });
            text.push_str(&format!("{line}\n"));
        }
        folder.write(&path, text.as_bytes())?;
        let source = PromptSource::JsonLines {
            path,
            label_space: spec.prompts.label_space().clone(),
        };
        let job = JobSpec {
            images: ImageBudget::Total {
                images: self.lines.iter().map(|line| line.count).sum(),
                spread: Spread::ByCount,
            },
            seed: seed_of(
                spec.fuse.seed,
                &format!("round {} of {}", self.round, self.name),
            ),
            ..setup(source, engine.describe())
        };
        let mut told = |done: &JobProgress| progress(done.clone());
        let report = run(engine, &job, &self.out(), &mut told, cancel)?;
        if report.cancelled {
            return Err(Error::Cancelled);
        }
        self.made()
    }
}
