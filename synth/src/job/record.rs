//! `job.json`: what the job of a folder is.

use std::path::Path;

use promptfed_files::OwnFolder;
use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clip_filter::FilterRule;
use super::manifest::MANIFEST_FILE;
use super::plan::Survey;
use super::spec::{Guidance, ImageBudget, JobSpec, OutputFormat};
use crate::{EngineInfo, Error, Result, Sampler};

/// Name of the job file in a job's folder.
pub const JOB_FILE: &str = "job.json";

/// Version of the output folder's form.
const FORMAT: u32 = 1;

/// Everything that determines a job's images. When it is resumed, prompts and images may be added, and all else must be the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with the settings of a job"
)]
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
    /// The draw that every image begins with.
    #[serde(default, skip_serializing_if = "is_first")]
    pub first_draw: u32,
    /// Which images pass, where there is a filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<FilterRule>,
    /// Form of the output.
    pub output: OutputFormat,
}

/// Records of jobs that draw their images for the first time do not say so.
fn is_first(draw: &u32) -> bool {
    *draw == 0
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
            first_draw: spec.first_draw,
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

    /// What the folder's job is beside this one.
    ///
    /// # Errors
    /// A job that differs in more than its prompts and the number of images, or images without a job file.
    pub(super) fn compare(&self, out_dir: &Path) -> Result<Standing> {
        let file = out_dir.join(JOB_FILE);
        if !file.exists() {
            if out_dir.join(MANIFEST_FILE).exists() {
                return Err(Error::Output {
                    file,
                    reason: format!(
                        "missing beside {MANIFEST_FILE}, so that nobody knows with which settings these images were made; bring it back, or \
                         choose another folder"
                    ),
                });
            }
            return Ok(Standing::New);
        }
        let mut there = Self::read(out_dir)?;
        // What else an engine could have been asked does not change its images.
        there.engine.samplers.clone_from(&self.engine.samplers);
        if there == *self {
            return Ok(Standing::Same);
        }
        let grown = Self {
            prompts_hash: self.prompts_hash,
            prompts: self.prompts,
            planned: self.planned,
            images: self.images,
            ..there.clone()
        };
        match difference(&grown, self) {
            None => Ok(Standing::Changed(Box::new(there))),
            Some((field, found, wanted)) => Err(Error::DifferentJob {
                file,
                field,
                found,
                wanted,
            }),
        }
    }

    /// Writes the job file.
    pub(super) fn write(&self, folder: &OwnFolder) -> Result<()> {
        let file = folder.root().join(JOB_FILE);
        let mut text = serde_json::to_string_pretty(self).map_err(|e| Error::Output {
            file: file.clone(),
            reason: e.to_string(),
        })?;
        text.push('\n');
        Ok(folder.write(&file, text.as_bytes())?)
    }

    /// The error of a plan that asks for fewer images of some prompts than the folder's job `there` has made.
    pub(super) fn shrinks(&self, there: &Self, out_dir: &Path, surplus: u64) -> Error {
        let (field, found, wanted) = difference(there, self).unwrap_or_default();
        Error::DifferentJob {
            file: out_dir.join(JOB_FILE),
            field: format!("{field}, and {surplus} of its images are not in the new plan"),
            found,
            wanted,
        }
    }
}

/// How the job of a folder stands to the one that is asked for.
pub(super) enum Standing {
    /// The folder has none.
    New,
    /// It is the same.
    Same,
    /// It has other prompts or another number of images, and everything else is the same.
    Changed(Box<JobRecord>),
}

/// The path of the first value in which two records differ, with both values.
fn difference(there: &JobRecord, here: &JobRecord) -> Option<(String, String, String)> {
    let value = |record| serde_json::to_value(record).unwrap_or_default();
    differing(&value(there), &value(here))
}

pub(crate) fn differing(there: &Value, here: &Value) -> Option<(String, String, String)> {
    if let (Value::Object(there), Value::Object(here)) = (there, here) {
        let mut keys = there.keys().chain(here.keys());
        let key = keys.find(|key| there.get(*key) != here.get(*key))?;
        let value = |of: &serde_json::Map<_, _>| of.get(key).cloned().unwrap_or_default();
        let (path, found, wanted) = differing(&value(there), &value(here))?;
        let dot = if path.is_empty() { "" } else { "." };
        return Some((format!("{key}{dot}{path}"), found, wanted));
    }
    let short = |value: &Value| {
        let text = match value {
            Value::Null => "none".to_owned(),
            other => other.to_string(),
        };
        if text.chars().count() > 120 {
            format!("{}..", text.chars().take(120).collect::<String>())
        } else {
            text
        }
    };
    (there != here).then(|| (String::new(), short(there), short(here)))
}
