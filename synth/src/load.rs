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
    let accepted = |folder: &Path| -> Result<_> {
        Ok(read_manifest(folder)?.filter(|row| row.as_ref().map_or(true, |r| r.file.is_some())))
    };
    let (mut named, mut unnamed) = (BTreeSet::new(), false);
    for (folder, _) in &jobs {
        for row in accepted(folder)? {
            match row?.domain {
                Some(domain) => drop(named.insert(domain)),
                None => unnamed = true,
            }
        }
    }
    if unnamed && !named.is_empty() {
        named.insert(NO_DOMAIN.to_owned());
    }
    let domain_names: Vec<String> = named.into_iter().collect();
    let mut samples = Vec::new();
    for (folder, record) in &jobs {
        let mut places = Places::new(folder, record.output);
        for row in accepted(folder)? {
            let row = row?;
            let domain = row.domain.as_deref().unwrap_or(NO_DOMAIN);
            samples.push(Sample {
                label: row.class,
                domain: domain_names
                    .iter()
                    .position(|name| name == domain)
                    .map(|i| i as u32),
                source: places.source(&row),
                caption: Some(row.prompt),
            });
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
pub fn open_images_as(out_dir: &Path, label_space: &LabelSpace) -> Result<Dataset> {
    let mut dataset = open_images(out_dir)?;
    let label = |name: &String| label_space.index_of(name).map(ClassIndex::get);
    let labels: Vec<Option<u32>> = dataset.class_names.iter().map(label).collect();
    let mut left_out = vec![0; labels.len()];
    dataset.samples.retain_mut(|sample| {
        let class = sample.label as usize;
        match labels[class] {
            Some(label) => sample.label = label,
            None => left_out[class] += 1,
        }
        labels[class].is_some()
    });
    for (class, samples) in dataset.class_names.into_iter().zip(left_out) {
        if samples > 0 {
            let warning = DatasetWarning::ClassNotListed { class, samples };
            dataset.warnings.push(warning);
        }
    }
    let names = label_space.classes().iter().map(|class| class.name.clone());
    dataset.class_names = names.collect();
    Ok(dataset)
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
struct Places<'a> {
    out_dir: &'a Path,
    output: OutputFormat,
    shard: Arc<Path>,
    row: u32,
}

impl<'a> Places<'a> {
    fn new(out_dir: &'a Path, output: OutputFormat) -> Self {
        Self {
            out_dir,
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
