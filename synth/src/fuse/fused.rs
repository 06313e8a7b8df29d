//! A fused set as labelled images.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use promptfed_data::{Dataset, ImageSource, Meaning, Part};
use promptfed_prompts::LabelSpace;

use super::record::{FUSE_FILE, FUSED_FILE, FuseRecord, FusedRow, SetRecord, read_fused};
use crate::job::ManifestRow;
use crate::load::{name_domains, relabelled, sample};
use crate::set::is_one_job;
use crate::{Error, Result, SyntheticSet};

/// Whether a folder is that of a fused set.
pub fn is_fused(folder: &Path) -> bool {
    folder.join(FUSE_FILE).is_file() && folder.join(FUSED_FILE).is_file()
}

/// Lists the images of a fused set where they lie in their jobs' folders, with their weights where they differ and their soft labels where
/// they have some.
///
/// # Errors
/// A folder without a fused set; a job's folder that is not where it was or no longer holds the same images.
pub fn open_fused(folder: &Path) -> Result<Dataset> {
    let record = FuseRecord::read(folder)?;
    let mut domains = BTreeSet::new();
    for row in read_fused(folder)? {
        domains.insert(row?.domain);
    }
    let domain_names = name_domains(domains);
    let mut samples = Vec::new();
    let mut weights = Vec::new();
    let mut targets = Vec::new();
    each_image(folder, &record, |fused, row, source| {
        samples.push(sample(row, source, &domain_names));
        weights.push(fused.weight);
        targets.extend(fused.targets);
        Ok(())
    })?;
    let classes = record.class_names.len();
    if !targets.is_empty() && targets.len() < samples.len()
        || targets.iter().any(|of_image| of_image.len() != classes)
    {
        return Err(Error::Output {
            file: folder.join(FUSED_FILE),
            reason: format!(
                "not every image has a soft label of {classes} classes; fuse again in another folder"
            ),
        });
    }
    let differ = weights.windows(2).any(|pair| pair[0] != pair[1]);
    let names = record.class_names.iter().map(String::as_str);
    Ok(Dataset {
        parts: vec![Part::new("classes of the fused set", Meaning::Class, names)],
        class_names: record.class_names.clone(),
        domain_names,
        samples,
        weights: differ.then_some(weights),
        targets: (!targets.is_empty()).then_some(targets),
        ..Dataset::default()
    })
}

/// Hands the images of a fused set to `on_image`, in the order of its references: the reference, the row it refers to, and where the
/// image lies.
pub(super) fn each_image(
    folder: &Path,
    record: &FuseRecord,
    mut on_image: impl FnMut(FusedRow, ManifestRow, ImageSource) -> Result<()>,
) -> Result<()> {
    let mut rows = read_fused(folder)?;
    let mut next = rows.next().transpose()?;
    let mut line = 1;
    for of in &record.sets {
        let set = open_set(folder, of)?;
        for image in set.images()? {
            let (row, source) = image?;
            if let Some(fused) = next.take_if(|next| next.job == of.job && next.row == row.index) {
                on_image(fused, row, source)?;
                next = rows.next().transpose()?;
                line += 1;
            }
        }
    }
    match next {
        None => Ok(()),
        Some(left) => Err(Error::Output {
            file: folder.join(FUSED_FILE),
            reason: format!(
                "line {line} refers to row {} of job {}, which is not there; fuse again in another folder",
                left.row, left.job
            ),
        }),
    }
}

/// [`open_fused`] with the labels of `label_space`, in which classes are found by their names. Images of other classes are left out
/// with a warning.
///
/// # Errors
/// As [`open_fused`].
pub fn open_fused_as(folder: &Path, label_space: &LabelSpace) -> Result<Dataset> {
    Ok(relabelled(open_fused(folder)?, label_space))
}

/// The folder of a set that a fused set refers to.
pub fn folder_of(fused: &Path, set: &SetRecord) -> PathBuf {
    fused.join(&set.folder)
}

/// Opens a set that a fused set refers to, and proves that it is the same.
pub(super) fn open_set(fused: &Path, set: &SetRecord) -> Result<SyntheticSet> {
    let folder = folder_of(fused, set);
    let changed = |reason: &str| Error::ChangedSet {
        fused: fused.join(FUSE_FILE),
        folder: folder.clone(),
        reason: reason.to_owned(),
    };
    if !is_one_job(&folder) {
        return Err(changed(
            "is not there; bring the folder back, or fuse again with where it lies now",
        ));
    }
    let there = SyntheticSet::open(&folder, set.backend.clone(), set.round)?;
    if there.job() != set.job {
        return Err(changed(
            "is another one than was fused; bring the old folder back, or fuse again",
        ));
    }
    if there.manifest() != set.manifest {
        return Err(changed(
            "has other images than were fused: it went on, or its manifest was edited; fuse again",
        ));
    }
    Ok(there)
}
