//! A job's images as training data.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use promptfed_data::{
    Dataset, DatasetWarning, DecodeOptions, Fit, ImageSource, LabelledImages, Meaning, NO_DOMAIN,
    Part, Sample,
};
use promptfed_prompts::{ClassIndex, LabelSpace};

use crate::backends::{BACKENDS_FILE, BackendsRecord};
use crate::job::{JOB_FILE, JobRecord, MANIFEST_FILE, ManifestRow, OutputFormat, read_manifest};
use crate::{Error, Result};

/// Lists the accepted images of a job's output folder, in the order of their indices, or those of several engines' jobs, one after the
/// other; labels count in the label space of the jobs and domains in the sorted list of the domains that occur. Images of an unfinished
/// job are listed as far as it got.
///
/// # Errors
/// A folder without a job, with jobs of different label spaces, or with a damaged manifest.
pub fn open_images(out_dir: &Path) -> Result<Dataset> {
    let jobs = jobs_of(out_dir)?;
    let mut domains = BTreeSet::new();
    for (folder, record) in &jobs {
        for image in images(folder, record.output)? {
            domains.insert(image?.0.domain);
        }
    }
    let domain_names = name_domains(domains);
    let mut samples = Vec::new();
    for (folder, record) in &jobs {
        for image in images(folder, record.output)? {
            let (row, source) = image?;
            samples.push(sample(row, source, &domain_names));
        }
    }
    let class_names = jobs
        .into_iter()
        .next()
        .map(|(_, record)| record.class_names);
    let class_names = class_names.unwrap_or_default();
    let classes = class_names.iter().map(String::as_str);
    Ok(Dataset {
        parts: vec![Part::new("classes of the job", Meaning::Class, classes)],
        class_names,
        domain_names,
        samples,
        ..Dataset::default()
    })
}

/// Names in index order for the domains that occur; none where no image has one.
pub(crate) fn name_domains(mut domains: BTreeSet<Option<String>>) -> Vec<String> {
    let unnamed = domains.remove(&None);
    let mut named: BTreeSet<String> = domains.into_iter().flatten().collect();
    if unnamed && !named.is_empty() {
        named.insert(NO_DOMAIN.to_owned());
    }
    named.into_iter().collect()
}

/// The place of a row's domain in `domain_names`.
pub(crate) fn domain_index(domain: Option<&str>, domain_names: &[String]) -> Option<u32> {
    let domain = domain.unwrap_or(NO_DOMAIN);
    let index = domain_names.iter().position(|name| name == domain)?;
    Some(index as u32)
}

pub(crate) fn sample(row: ManifestRow, source: ImageSource, domain_names: &[String]) -> Sample {
    Sample {
        label: row.class,
        domain: domain_index(row.domain.as_deref(), domain_names),
        caption: Some(row.prompt),
        source,
    }
}

/// The accepted images of a job's folder, in the order of their indices: their rows, and where they lie.
pub(crate) fn images(
    out_dir: &Path,
    output: OutputFormat,
) -> Result<impl Iterator<Item = Result<(ManifestRow, ImageSource)>> + use<>> {
    let mut places = Places::new(out_dir, output);
    let accepted =
        read_manifest(out_dir)?.filter(|row| row.as_ref().map_or(true, |row| row.file.is_some()));
    Ok(accepted.map(move |row| {
        let row = row?;
        let source = places.source(&row);
        Ok((row, source))
    }))
}

/// The jobs of an output folder, with their folders: its own, or one of each of several engines.
fn jobs_of(out_dir: &Path) -> Result<Vec<(PathBuf, JobRecord)>> {
    if !out_dir.join(BACKENDS_FILE).is_file() {
        return Ok(vec![(out_dir.to_owned(), JobRecord::read(out_dir)?)]);
    }
    let folders = BackendsRecord::read(out_dir)?.job_folders(out_dir);
    let jobs = folders
        .into_iter()
        .filter(|folder| folder.join(MANIFEST_FILE).is_file())
        .map(|folder| {
            let record = JobRecord::read(&folder)?;
            Ok((folder, record))
        })
        .collect::<Result<Vec<_>>>()?;
    let fault = |reason: &str| Error::Output {
        file: out_dir.join(BACKENDS_FILE),
        reason: reason.to_owned(),
    };
    let Some((_, first)) = jobs.first() else {
        return Err(fault("no engine has begun its job; run it first"));
    };
    if jobs
        .iter()
        .any(|(_, job)| job.label_space_hash != first.label_space_hash)
    {
        return Err(fault(
            "the engines' jobs have different label spaces; make them in different folders",
        ));
    }
    Ok(jobs)
}

/// Whether a folder is that of a job, or of several engines' jobs.
pub fn is_job(folder: &Path) -> bool {
    folder.join(BACKENDS_FILE).is_file()
        || folder.join(JOB_FILE).is_file() && folder.join(MANIFEST_FILE).is_file()
}

/// [`open_images`] with the labels of `label_space`, in which classes are found by their names. Images of other classes are left out
/// with a warning.
///
/// # Errors
/// As [`open_images`].
pub fn open_images_as(out_dir: &Path, label_space: &LabelSpace) -> Result<Dataset> {
    Ok(relabelled(open_images(out_dir)?, label_space))
}

/// The same images with the labels of `label_space`.
pub(crate) fn relabelled(dataset: Dataset, label_space: &LabelSpace) -> Dataset {
    let label = |name: &String| label_space.index_of(name).map(ClassIndex::get);
    let labels: Vec<Option<u32>> = dataset.class_names.iter().map(label).collect();
    let mut left_out = vec![0; labels.len()];
    let mut kept = Vec::with_capacity(dataset.len());
    for (index, sample) in dataset.samples.iter().enumerate() {
        match labels.get(sample.label as usize) {
            Some(Some(_)) => kept.push(index),
            _ => {
                if let Some(count) = left_out.get_mut(sample.label as usize) {
                    *count += 1;
                }
            }
        }
    }
    let mut relabelled = dataset.subset(&kept);
    for (index, sample) in relabelled.samples.iter_mut().enumerate() {
        if let Some(targets) = &mut relabelled.targets {
            targets[index] = retargeted(&targets[index], sample.label, &labels, label_space.len());
        }
        if let Some(Some(label)) = labels.get(sample.label as usize) {
            sample.label = *label;
        }
    }
    for (class, samples) in dataset.class_names.into_iter().zip(left_out) {
        if samples > 0 {
            let warning = DatasetWarning::ClassNotListed { class, samples };
            relabelled.warnings.push(warning);
        }
    }
    let names = label_space.classes().iter().map(|class| class.name.clone());
    relabelled.class_names = names.collect();
    relabelled
}

/// The soft label of an image of class `own` with the classes that `labels` has places for among `classes`; what the others had is
/// shared out in proportion.
fn retargeted(targets: &[f32], own: u32, labels: &[Option<u32>], classes: usize) -> Vec<f32> {
    let mut kept = vec![0.0; classes];
    for (target, label) in targets.iter().zip(labels) {
        if let Some(label) = label {
            kept[*label as usize] += target;
        }
    }
    let sum: f32 = kept.iter().sum();
    if sum > 0.0 {
        kept.iter_mut().for_each(|target| *target /= sum);
    } else if let Some(Some(label)) = labels.get(own as usize) {
        kept[*label as usize] = 1.0;
    }
    kept
}

/// Reads the accepted images of a job's output folder, resized to `size` x `size`: [`open_images`] in memory.
///
/// # Errors
/// A folder without a job or without images, and an image that cannot be read.
pub fn load_images(out_dir: &Path, size: usize) -> Result<LabelledImages> {
    let dataset = open_images(out_dir)?;
    if dataset.is_empty() {
        return Err(Error::Output {
            file: out_dir.join(MANIFEST_FILE),
            reason: "no image was accepted; run the job first".into(),
        });
    }
    let options = DecodeOptions {
        strict: true,
        ..DecodeOptions::default()
    };
    let (images, _) = promptfed_data::load(&dataset, size, Fit::Crop, &options)?;
    Ok(images)
}

/// Where the images of the rows lie, as the rows come by.
struct Places {
    out_dir: PathBuf,
    output: OutputFormat,
    shard: Arc<Path>,
    row: u32,
}

impl Places {
    fn new(out_dir: &Path, output: OutputFormat) -> Self {
        Self {
            out_dir: out_dir.to_owned(),
            output,
            shard: Path::new("").into(),
            row: 0,
        }
    }

    fn source(&mut self, row: &ManifestRow) -> ImageSource {
        let file = self.out_dir.join(row.file.as_deref().unwrap_or_default());
        if self.output == OutputFormat::Folder {
            return ImageSource::File(file);
        }
        if *self.shard != *file {
            self.shard = file.into();
            self.row = 0;
        }
        let source = ImageSource::Parquet {
            file: self.shard.clone(),
            row_group: 0,
            row: self.row,
        };
        self.row += 1;
        source
    }
}
