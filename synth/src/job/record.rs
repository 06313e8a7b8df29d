//! `job.json`: what the job of a folder is.

use std::path::Path;

use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use super::clip_filter::FilterRule;
use super::plan::Survey;
use super::spec::{Guidance, ImageBudget, JobSpec, OutputFormat};
use crate::{EngineInfo, Error, Result, Sampler};

/// Name of the job file in a job's folder.
pub const JOB_FILE: &str = "job.json";

/// Version of the output folder's form.
const FORMAT: u32 = 1;

/// Everything that determines a job's images, and so everything that must be the same when it is resumed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRecord {
    /// Version of the folder's form.
    pub format: u32,
    /// The engine that makes the images.
    pub engine: EngineInfo,
    /// Name of the label space.
    pub label_space: String,
    /// Hash of the label space.
    pub label_space_hash: ContentHash,
    /// Class names in label order.
    pub class_names: Vec<String>,
    /// Hash of the prompts.
    pub prompts_hash: ContentHash,
    /// Number of prompts.
    pub prompts: u64,
    /// Images the whole plan asks for.
    pub planned: u64,
    /// How they are shared out.
    pub images: ImageBudget,
    /// Integration steps.
    pub steps: u32,
    /// Integration method.
    pub sampler: Sampler,
    /// Guidance scale.
    pub guidance: Guidance,
    /// Seed of the job.
    pub seed: u64,
    /// Draws per image before it is rejected.
    pub attempts: u32,
    /// Which images pass, where there is a filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterRule>,
    /// Form of the output.
    pub output: OutputFormat,
}

impl JobRecord {
    pub(super) fn new(spec: &JobSpec, engine: &EngineInfo, survey: &Survey) -> Result<Self> {
        let space = spec.prompts.label_space();
        Ok(Self {
            format: FORMAT,
            engine: engine.clone(),
            label_space: space.name().to_owned(),
            label_space_hash: space.hash(),
            class_names: space.classes().iter().map(|c| c.name.clone()).collect(),
            prompts_hash: spec.prompts.hash()?,
            prompts: survey.prompts,
            planned: survey.planned(spec.images)?,
            images: spec.images,
            steps: spec.steps,
            sampler: spec.sampler,
            guidance: spec.guidance,
            seed: spec.seed,
            attempts: spec.attempts,
            filter: spec.filter.as_ref().map(|filter| filter.rule().clone()),
            output: spec.output,
        })
    }

    /// Reads the job file of a folder.
    ///
    /// # Errors
    /// A folder without a job file, or with one of another version.
    pub fn read(out_dir: &Path) -> Result<Self> {
        let file = out_dir.join(JOB_FILE);
        let text = fs_err::read_to_string(&file)?;
        let reason = match serde_json::from_str::<Self>(&text) {
            Ok(record) if record.format == FORMAT => return Ok(record),
            Ok(record) => format!(
                "format {} is not {FORMAT}; use the version that made this folder",
                record.format
            ),
            Err(error) => format!("not a job file ({error}); choose another folder"),
        };
        Err(Error::Output { file, reason })
    }

    /// Makes the folder this job's, or checks that it is.
    pub(super) fn claim(&self, out_dir: &Path) -> Result<()> {
        let file = out_dir.join(JOB_FILE);
        if !file.exists() {
            let mut text = serde_json::to_string_pretty(self).map_err(|e| Error::Output {
                file: file.clone(),
                reason: e.to_string(),
            })?;
            text.push('\n');
            return super::output::write_atomically(out_dir, &file, text.as_bytes());
        }
        let there = Self::read(out_dir)?;
        match difference(&there, self) {
            None => Ok(()),
            Some((field, found, wanted)) => Err(Error::DifferentJob {
                file,
                field,
                found,
                wanted,
            }),
        }
    }
}

/// The first field in which two records differ, with both values.
fn difference(there: &JobRecord, here: &JobRecord) -> Option<(String, String, String)> {
    let fields = |record| match serde_json::to_value(record) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (there, here) = (fields(there), fields(here));
    let short = |value: Option<&serde_json::Value>| {
        let text = value.map_or_else(|| "none".into(), ToString::to_string);
        if text.chars().count() > 120 {
            format!("{}..", text.chars().take(120).collect::<String>())
        } else {
            text
        }
    };
    let mut keys = there.keys().chain(here.keys());
    let field = keys.find(|key| there.get(*key) != here.get(*key))?;
    Some((
        field.clone(),
        short(there.get(field)),
        short(here.get(field)),
    ))
}
