//! The images that a training is of: those that were made, or chosen of them; classes that were drawn again in the place of what they had; without
//! what the operator has dropped.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use promptfed_data::{
    Dataset, DecodeOptions, Fit, ImageSource, LabelledImages, NO_DOMAIN, Sample, load,
};
use promptfed_learn::Supervision;
use promptfed_prompts::protocol::{RoundId, RoundSpec};
use promptfed_prompts::{ContentHash, LabelSpace};
use promptfed_synth::fuse::open_fused;
use promptfed_synth::{SyntheticSet, open_images};

use super::Worker;
use crate::store::Draws;
use crate::{Error, Result};

/// Images in memory, and what is to be told of them.
pub(super) struct Loaded {
    pub(super) images: LabelledImages,
    pub(super) supervision: Supervision,
    /// Images that there are of each class, chosen or not.
    pub(super) per_class: Vec<u64>,
    /// Images that are left out because they were dropped.
    pub(super) dropped: u64,
    /// Classes of which all images were dropped, in words.
    pub(super) notes: Vec<String>,
}

impl Worker {
    /// Reads the images of a round, with the classes of `draws` as they were drawn again.
    pub(super) fn load(&self, round: RoundId, spec: &RoundSpec, draws: &Draws) -> Result<Loaded> {
        let made = self.folder.synthetic(round);
        let mut folders = vec![made.clone()];
        let mut all = open_images(&made)?;
        let first = kept(&all, |image| !draws.contains_key(&image.label));
        if first.len() < all.len() {
            all = all.subset(&first);
        }
        for (class, draw) in draws {
            let folder = self.folder.redrawn(round, *class, *draw);
            append(&mut all, open_images(&folder)?);
            folders.push(folder);
        }
        let dropped = dropped_files(&folders, &self.store.dropped_images(round)?)?;
        let left = without(&all, &dropped);
        let classes = spec.label_space.len();
        let (before, per_class) = (count_classes(&all, classes), count_classes(&left, classes));
        let (chosen, taken) = match &spec.synthesis.fuse {
            None => (all.len(), left),
            Some(_) => {
                let chosen = open_fused(&self.folder.fused(round))?;
                (chosen.len(), without(&chosen, &dropped))
            }
        };
        if taken.is_empty() {
            return Err(Error::NoImage { round });
        }
        let options = DecodeOptions {
            strict: true,
            ..DecodeOptions::default()
        };
        let size = spec.training.image_size as usize;
        let (images, decoding) =
            load(&taken, size, Fit::Crop, &options).map_err(promptfed_synth::Error::from)?;
        Ok(Loaded {
            images,
            supervision: Supervision {
                weights: taken.weights_of_decoded(&decoding),
                targets: taken.targets_of_decoded(&decoding),
            },
            notes: emptied(&spec.label_space, &before, &per_class),
            per_class,
            dropped: (chosen - taken.len()) as u64,
        })
    }
}

fn kept(dataset: &Dataset, keep: impl Fn(&Sample) -> bool) -> Vec<usize> {
    let images = dataset.samples.iter().enumerate();
    let kept = images.filter_map(|(index, image)| keep(image).then_some(index));
    kept.collect()
}

/// The images that do not lie in these files.
fn without(dataset: &Dataset, files: &HashSet<PathBuf>) -> Dataset {
    if files.is_empty() {
        return dataset.clone();
    }
    let is_left = |image: &Sample| match &image.source {
        ImageSource::File(file) => !files.contains(&place(file)),
        ImageSource::Parquet { .. } => true,
    };
    dataset.subset(&kept(dataset, is_left))
}

/// The files of images with these hashes.
fn dropped_files(folders: &[PathBuf], dropped: &HashSet<ContentHash>) -> Result<HashSet<PathBuf>> {
    let mut files = HashSet::new();
    if dropped.is_empty() {
        return Ok(files);
    }
    for folder in folders {
        for set in SyntheticSet::all_in(folder, None)? {
            for image in set.images()? {
                let (row, source) = image?;
                if let (Some(hash), ImageSource::File(file)) = (row.pixel_hash, source)
                    && dropped.contains(&hash)
                {
                    files.insert(place(&file));
                }
            }
        }
    }
    Ok(files)
}

/// A file under its one name: what was chosen is referred to from another folder.
fn place(file: &Path) -> PathBuf {
    fs_err::canonicalize(file).unwrap_or_else(|_| file.to_owned())
}

/// Adds the images of another data set of the same classes.
fn append(all: &mut Dataset, more: Dataset) {
    for mut image in more.samples {
        let named = image.domain.and_then(|d| more.domain_names.get(d as usize));
        let named = named.map(String::as_str);
        let name = match all.domain_names.is_empty() {
            true => named,
            false => Some(named.unwrap_or(NO_DOMAIN)),
        };
        image.domain = name.map(|name| {
            let known = all.domain_names.iter().position(|known| known == name);
            let index = known.unwrap_or_else(|| {
                all.domain_names.push(name.to_owned());
                all.domain_names.len() - 1
            });
            index as u32
        });
        all.samples.push(image);
    }
}

fn count_classes(dataset: &Dataset, classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes];
    for image in &dataset.samples {
        if let Some(count) = counts.get_mut(image.label as usize) {
            *count += 1;
        }
    }
    counts
}

/// That classes have lost all their images.
fn emptied(label_space: &LabelSpace, before: &[u64], after: &[u64]) -> Vec<String> {
    let classes = label_space.classes().iter().zip(before.iter().zip(after));
    let emptied = classes.filter(|(_, (before, after))| **before > 0 && **after == 0);
    let told = emptied.map(|(class, _)| {
        format!(
            "every image of {:?} was dropped, and the model never sees it; take some back in, or draw the class again",
            class.name
        )
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(domains: &[&str], images: &[(u32, Option<u32>)]) -> Dataset {
        let samples = images.iter().map(|(label, domain)| Sample {
            label: *label,
            domain: *domain,
            caption: None,
            source: ImageSource::File(format!("{label}.png").into()),
        });
        Dataset {
            domain_names: domains.iter().map(ToString::to_string).collect(),
            samples: samples.collect(),
            ..Dataset::default()
        }
    }

    #[test]
    fn domains_keep_their_names() {
        let mut all = dataset(&["photo", "sketch"], &[(0, Some(0)), (1, Some(1))]);
        append(&mut all, dataset(&["sketch"], &[(2, Some(0))]));
        append(&mut all, dataset(&[], &[(3, None)]));
        append(&mut all, dataset(&["clip art"], &[(4, Some(0))]));
        let domains: Vec<Option<u32>> = all.samples.iter().map(|s| s.domain).collect();
        assert_eq!(domains, [Some(0), Some(1), Some(1), Some(2), Some(3)]);
        assert_eq!(all.domain_names, ["photo", "sketch", NO_DOMAIN, "clip art"]);
        let mut none = dataset(&[], &[(0, None)]);
        append(&mut none, dataset(&[], &[(1, None)]));
        assert_eq!(none.samples[1].domain, None);
    }

    #[test]
    fn what_was_dropped_is_left_out_and_told() {
        let all = dataset(&[], &[(0, None), (1, None), (1, None)]);
        let left = without(&all, &HashSet::from([PathBuf::from("1.png")]));
        let counts = |dataset: &Dataset| count_classes(dataset, 2);
        assert_eq!((counts(&all), counts(&left)), (vec![1, 2], vec![1, 0]));
        let space = LabelSpace::from_names("pets", ["cat", "dog"]).unwrap();
        let told = emptied(&space, &counts(&all), &counts(&left));
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("\"dog\""), "{told:?}");
    }
}
