//! The images that a fusion chooses from, across sets. Pictures and features stay on disk; what is held of each is a row's place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use promptfed_data::{
    Dataset, DecodeOptions, Fit, ImageSource, LabelledImages, Meaning, Part, Sample,
};
use promptfed_prompts::ContentHash;

use super::signals::Signals;
use crate::job::ManifestRow;
use crate::load::{domain_index, name_domains};
use crate::{Error, Result, SyntheticSet};

/// One accepted image of one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Place of its set in [`Candidates::sets`].
    pub set: u32,
    /// Its row in the job's manifest.
    pub row: u64,
    /// Its class, in label order.
    pub class: u32,
    /// Its domain, in [`Candidates::domain_names`]; 0 where there are none.
    pub domain: u32,
}

/// All accepted images of several sets, in an order that does not depend on the order in which the sets are given.
pub struct Candidates {
    sets: Vec<SyntheticSet>,
    /// Names of the backends, sorted.
    backends: Vec<String>,
    /// Of every set, in `backends`.
    backend_of: Vec<u32>,
    /// Of every set: what its images are drawn by.
    jobs: Vec<ContentHash>,
    images: Vec<Candidate>,
    class_names: Vec<String>,
    domain_names: Vec<String>,
    /// What is known of the images, as far as it was worked out.
    pub signals: Signals,
}

impl Candidates {
    /// Gathers the images of sets, which must have the same classes. Sets without an image are left out.
    ///
    /// # Errors
    /// No set, no image, a set given twice, one backend's name for different engines, or different classes.
    pub fn gather(mut sets: Vec<SyntheticSet>) -> Result<Self> {
        sets.sort_by_key(|set| (set.job(), set.manifest()));
        check(&sets)?;
        let mut filled = Vec::with_capacity(sets.len());
        for set in sets {
            let first = set.images()?.next().transpose()?;
            filled.extend(first.map(|_| set));
        }
        let sets = filled;
        let backends: BTreeSet<String> = sets.iter().map(|s| s.backend().to_owned()).collect();
        let backends: Vec<String> = backends.into_iter().collect();
        let mut domains = BTreeSet::new();
        for set in &sets {
            for image in set.images()? {
                domains.insert(image?.0.domain);
            }
        }
        let domain_names = name_domains(domains);
        let mut images = Vec::new();
        for (index, set) in (0..).zip(&sets) {
            for image in set.images()? {
                let (row, _) = image?;
                images.push(Candidate {
                    set: index,
                    row: row.index,
                    class: row.class,
                    domain: domain_index(row.domain.as_deref(), &domain_names).unwrap_or(0),
                });
            }
        }
        if images.is_empty() {
            return Err(Error::Fusion(
                "the sets hold no image; let their jobs make some first".into(),
            ));
        }
        let class_names = sets.first().map(|set| set.record().class_names.clone());
        Ok(Self {
            backend_of: sets
                .iter()
                .map(|set| place(&backends, set.backend()))
                .collect(),
            jobs: sets.iter().map(SyntheticSet::job).collect(),
            sets,
            backends,
            images,
            class_names: class_names.unwrap_or_default(),
            domain_names,
            signals: Signals::default(),
        })
    }

    /// Candidates of sets that do not exist, one for each backend, for the tests of selection.
    #[cfg(test)]
    pub(crate) fn of(backends: &[&str], images: Vec<Candidate>, classes: usize) -> Self {
        Self {
            sets: Vec::new(),
            jobs: backends
                .iter()
                .map(|b| ContentHash::of(b.as_bytes()))
                .collect(),
            backend_of: (0..backends.len() as u32).collect(),
            backends: backends.iter().map(|&b| b.to_owned()).collect(),
            images,
            class_names: (0..classes).map(|class| class.to_string()).collect(),
            domain_names: Vec::new(),
            signals: Signals::default(),
        }
    }

    /// The sets, in the order of their hashes.
    pub fn sets(&self) -> &[SyntheticSet] {
        &self.sets
    }

    /// Names of the backends, sorted.
    pub fn backends(&self) -> &[String] {
        &self.backends
    }

    /// Class names in label order.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Domain names in index order; empty where no image has one.
    pub fn domain_names(&self) -> &[String] {
        &self.domain_names
    }

    /// All images.
    pub fn images(&self) -> &[Candidate] {
        &self.images
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The backend of an image, in [`Candidates::backends`].
    pub fn backend(&self, image: usize) -> usize {
        self.backend_of[self.images[image].set as usize] as usize
    }

    /// The images that each backend made.
    pub fn by_backend(&self) -> Vec<Vec<usize>> {
        let mut by_backend = vec![Vec::new(); self.backends.len()];
        for image in 0..self.len() {
            by_backend[self.backend(image)].push(image);
        }
        by_backend
    }

    /// A number that an image is drawn by: the same for the same seed, purpose, job and row, whatever other sets are there.
    pub fn draw(&self, seed: u64, purpose: &str, image: usize) -> u64 {
        let candidate = &self.images[image];
        let mut hasher = blake3::Hasher::new_derive_key("promptfed synth 2026 candidate v1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(self.jobs[candidate.set as usize].as_bytes());
        hasher.update(&candidate.row.to_le_bytes());
        hasher.update(purpose.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        u64::from_le_bytes(first)
    }

    /// `images` in the order in which they are drawn, which is random and depends on nothing else.
    pub fn drawn(&self, seed: u64, purpose: &str, images: &[usize]) -> Vec<usize> {
        let mut keyed: Vec<(u64, usize)> = images
            .iter()
            .map(|&image| (self.draw(seed, purpose, image), image))
            .collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, image)| image).collect()
    }

    /// `images` by `score`, lowest first; equals in the order in which they are drawn.
    pub fn ranked(&self, seed: u64, images: &[usize], score: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut keyed: Vec<(f64, u64, usize)> = images
            .iter()
            .map(|&image| (score(image), self.draw(seed, "rank", image), image))
            .collect();
        keyed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        keyed.into_iter().map(|(_, _, image)| image).collect()
    }

    /// Those of `images`, which ascend, as a data set to be decoded.
    ///
    /// # Errors
    /// A manifest that cannot be read.
    pub fn dataset(&self, images: &[usize]) -> Result<Dataset> {
        let mut wanted = images.iter().copied().peekable();
        let mut samples = Vec::with_capacity(images.len());
        self.each_row(|image, _, source| {
            if wanted.next_if_eq(&image).is_some() {
                samples.push(self.sample(image, source));
            }
            Ok(())
        })?;
        Ok(self.labelled(samples))
    }

    /// Those of `images`, which ascend, decoded and made square.
    ///
    /// # Errors
    /// An image that cannot be read.
    pub fn load(&self, images: &[usize], size: usize) -> Result<LabelledImages> {
        decode(&self.dataset(images)?, size)
    }

    /// Hands all images from `first` on to `on_chunk`, at most `chunk` at a time, in order.
    ///
    /// # Errors
    /// A manifest that cannot be read, and what `on_chunk` says.
    pub fn each_chunk(
        &self,
        first: usize,
        chunk: usize,
        mut on_chunk: impl FnMut(Range<usize>, &Dataset) -> Result<()>,
    ) -> Result<()> {
        let mut samples = Vec::with_capacity(chunk);
        let last = self.len().saturating_sub(1);
        self.each_row(|image, _, source| {
            if image < first {
                return Ok(());
            }
            samples.push(self.sample(image, source));
            if samples.len() == chunk || image == last {
                let range = image + 1 - samples.len()..image + 1;
                on_chunk(range, &self.labelled(std::mem::take(&mut samples)))?;
            }
            Ok(())
        })
    }

    /// Hands every image to `on_row` with its row and its place, in order.
    ///
    /// # Errors
    /// A manifest that cannot be read or changed, and what `on_row` says.
    pub fn each_row(
        &self,
        mut on_row: impl FnMut(usize, ManifestRow, ImageSource) -> Result<()>,
    ) -> Result<()> {
        let mut index = 0;
        for set in &self.sets {
            for image in set.images()? {
                let (row, source) = image?;
                if self.images.get(index).is_none_or(|c| c.row != row.index) {
                    return Err(Error::Fusion(format!(
                        "{} changed while it was read; wait for its job and run this again",
                        set.folder().display()
                    )));
                }
                on_row(index, row, source)?;
                index += 1;
            }
        }
        Ok(())
    }

    fn sample(&self, image: usize, source: ImageSource) -> Sample {
        let candidate = &self.images[image];
        Sample {
            label: candidate.class,
            domain: (!self.domain_names.is_empty()).then_some(candidate.domain),
            caption: None,
            source,
        }
    }

    fn labelled(&self, samples: Vec<Sample>) -> Dataset {
        let names = self.class_names.iter().map(String::as_str);
        Dataset {
            parts: vec![Part::new("classes of the jobs", Meaning::Class, names)],
            class_names: self.class_names.clone(),
            domain_names: self.domain_names.clone(),
            samples,
            ..Dataset::default()
        }
    }
}

/// Decodes every sample, and fails where one cannot be.
pub(super) fn decode(dataset: &Dataset, size: usize) -> Result<LabelledImages> {
    let strict = DecodeOptions {
        strict: true,
        ..DecodeOptions::default()
    };
    Ok(promptfed_data::load(dataset, size, Fit::Crop, &strict)?.0)
}

fn place(names: &[String], name: &str) -> u32 {
    names.iter().position(|n| n == name).unwrap_or(0) as u32
}

fn check(sets: &[SyntheticSet]) -> Result<()> {
    let Some(first) = sets.first() else {
        return Err(Error::Fusion("give at least one set to fuse".into()));
    };
    for pair in sets.windows(2) {
        if (pair[0].job(), pair[0].manifest()) == (pair[1].job(), pair[1].manifest()) {
            return Err(Error::Fusion(format!(
                "{} and {} are the same job; give each once",
                pair[0].folder().display(),
                pair[1].folder().display()
            )));
        }
    }
    let mut engines = BTreeMap::new();
    for set in sets {
        if set.record().class_names != first.record().class_names {
            return Err(Error::Fusion(format!(
                "{} and {} have different classes; fuse sets that were made with one label space",
                first.folder().display(),
                set.folder().display()
            )));
        }
        let engine = &set.record().engine;
        let identity = (&engine.name, engine.weights_hash, &engine.settings);
        let known = engines.entry(set.backend()).or_insert((identity, set));
        if known.0 != identity {
            return Err(Error::Fusion(format!(
                "{} and {} are of different engines and both called {:?}; name them apart with NAME=FOLDER",
                known.1.folder().display(),
                set.folder().display(),
                set.backend()
            )));
        }
    }
    Ok(())
}
