//! Decoded data sets that are used again, in bounded memory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    Dataset, DecodeLimits, DecodeOptions, DecodeReport, Fit, ImageSource, LabelledImages, Result,
    load,
};

/// Decoded data sets by what they hold: the same pictures, whoever opened them, are decoded once. A picture whose file has another size or
/// time is another picture.
pub struct ImageCache {
    most: u64,
    sets: Mutex<Sets>,
}

#[derive(Default)]
struct Sets {
    /// The one that was used last comes last.
    kept: Vec<(Key, Arc<DecodedSet>)>,
    under_way: Vec<(Key, Arc<Decoding>)>,
}

/// A set that is being decoded: who waits for it has it when it is there, whether it is kept or not.
type Decoding = Mutex<Option<Arc<DecodedSet>>>;

/// What determines decoded images.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    samples: blake3::Hash,
    size: usize,
    fit: Fit,
    limits: DecodeLimits,
    strict: bool,
}

/// A data set that is decoded.
#[derive(Debug)]
pub struct DecodedSet {
    images: LabelledImages,
    report: DecodeReport,
    /// Where among the images each sample is; `None` of one that was left out.
    places: Vec<Option<usize>>,
}

impl ImageCache {
    /// Bytes of pixels that are kept by default: 2 GiB.
    pub const MOST: u64 = 2 << 30;

    /// A cache that keeps at most so many bytes of pixels; what was used longest ago goes first. A set of more is not kept: it is decoded again
    /// for everybody who asks for it later. With 0 nothing is kept.
    pub fn new(most: u64) -> Self {
        Self {
            most,
            sets: Mutex::default(),
        }
    }

    /// Decodes a data set as [`load`] does, or hands out what it decoded before. Who asks meanwhile for the same waits for it, and who asks for
    /// another does not.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(
        &self,
        dataset: &Dataset,
        size: usize,
        fit: Fit,
        options: &DecodeOptions,
    ) -> Result<Arc<DecodedSet>> {
        let key = Key {
            samples: identity(dataset),
            size,
            fit,
            limits: options.limits,
            strict: options.strict,
        };
        let decoding = {
            let mut sets = lock(&self.sets);
            if let Some(found) = sets.find(&key) {
                return Ok(found);
            }
            sets.begin(&key)
        };
        let mut slot = lock(&decoding);
        if let Some(set) = slot.as_ref() {
            return Ok(Arc::clone(set));
        }
        let decoded = load(dataset, size, fit, options);
        let decoded =
            decoded.map(|(images, report)| Arc::new(DecodedSet::of(dataset.len(), images, report)));
        let mut sets = lock(&self.sets);
        sets.under_way
            .retain(|(_, other)| !Arc::ptr_eq(other, &decoding));
        let set = decoded?;
        *slot = Some(Arc::clone(&set));
        sets.keep(key, &set, self.most);
        Ok(set)
    }

    /// How many data sets are kept.
    pub fn len(&self) -> usize {
        lock(&self.sets).kept.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Sets {
    /// A set that is kept, which is then the last used.
    fn find(&mut self, key: &Key) -> Option<Arc<DecodedSet>> {
        let place = self.kept.iter().position(|(there, _)| there == key)?;
        let found = self.kept.remove(place);
        let set = Arc::clone(&found.1);
        self.kept.push(found);
        Some(set)
    }

    /// Where a set appears that somebody decodes already, or that the caller is to decode.
    fn begin(&mut self, key: &Key) -> Arc<Decoding> {
        let there = self.under_way.iter().find(|(there, _)| there == key);
        if let Some((_, decoding)) = there {
            return Arc::clone(decoding);
        }
        let decoding = Arc::default();
        self.under_way.push((key.clone(), Arc::clone(&decoding)));
        decoding
    }

    /// Keeps a set among at most so many bytes of pixels.
    fn keep(&mut self, key: Key, set: &Arc<DecodedSet>, most: u64) {
        if set.bytes() > most {
            return;
        }
        self.kept.push((key, Arc::clone(set)));
        while self.kept.iter().map(|(_, set)| set.bytes()).sum::<u64>() > most {
            self.kept.remove(0);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for ImageCache {
    fn default() -> Self {
        Self::new(Self::MOST)
    }
}

impl fmt::Debug for ImageCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageCache")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl DecodedSet {
    fn of(samples: usize, images: LabelledImages, report: DecodeReport) -> Self {
        let mut skipped = report.skipped.iter().map(|s| s.sample).peekable();
        let mut next = 0;
        let place = |sample: usize| {
            if skipped.next_if_eq(&sample).is_some() {
                return None;
            }
            next += 1;
            Some(next - 1)
        };
        Self {
            places: (0..samples).map(place).collect(),
            images,
            report,
        }
    }

    /// All of its images.
    pub fn images(&self) -> &LabelledImages {
        &self.images
    }

    /// What came of decoding them.
    pub fn report(&self) -> &DecodeReport {
        &self.report
    }

    /// The images of these samples, in their order; those that were left out are missing.
    ///
    /// # Errors
    /// As [`DecodeReport::check_most_decoded`], of these samples alone.
    ///
    /// # Panics
    /// Where the data set has no such sample.
    pub fn of_samples(&self, samples: &[usize]) -> Result<LabelledImages> {
        let places: Vec<usize> = samples.iter().filter_map(|&s| self.places[s]).collect();
        if places.len() < samples.len() {
            let skipped = self.report.skipped.iter();
            let among = skipped.filter(|skipped| samples.contains(&skipped.sample));
            let of_these = DecodeReport {
                decoded: places.len(),
                skipped: among.cloned().collect(),
                adjusted: BTreeMap::new(),
            };
            of_these.check_most_decoded()?;
        }
        Ok(self.images.subset(&places))
    }

    fn bytes(&self) -> u64 {
        self.images.pixels.len() as u64
    }
}

/// Hash of names, labels, domains, and where each picture lies, with the size and the time of its file.
fn identity(dataset: &Dataset) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_derive_key("promptfed listed pictures v1");
    let mut text = |text: &[u8]| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    for names in [&dataset.class_names, &dataset.domain_names] {
        text(&(names.len() as u64).to_le_bytes());
        names.iter().for_each(|name| text(name.as_bytes()));
    }
    // The rows of a table lie in one file.
    let mut last: Option<(&Path, String)> = None;
    for sample in &dataset.samples {
        text(format!("{} {:?}", sample.label, sample.domain).as_bytes());
        let (file, row) = match &sample.source {
            ImageSource::File(file) => (file.as_path(), String::new()),
            ImageSource::Parquet {
                file,
                row_group,
                row,
            } => (&**file, format!("{row_group} {row}")),
        };
        if last.as_ref().is_none_or(|(there, _)| *there != file) {
            last = Some((file, state(file)));
        }
        let of_file = last.as_ref().map_or("", |(_, state)| state.as_str());
        text(file.as_os_str().as_encoded_bytes());
        text(format!("{row} {of_file}").as_bytes());
    }
    hasher.finalize()
}

/// Size and time of a file; nothing of one that is not there.
fn state(file: &Path) -> String {
    let about = fs_err::metadata(file).ok();
    about.map_or_else(String::new, |about| {
        format!("{} {:?}", about.len(), about.modified().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sample, SkipReason, Skipped};

    /// A data set of pictures, each of one grey.
    fn painted(folder: &Path, greys: &[u8]) -> Dataset {
        let sample = |(index, grey): (usize, &u8)| {
            let file = folder.join(format!("{index}.png"));
            image::RgbImage::from_pixel(8, 8, image::Rgb([*grey; 3]))
                .save(&file)
                .unwrap();
            Sample {
                label: index as u32 % 2,
                domain: None,
                caption: None,
                source: ImageSource::File(file),
            }
        };
        Dataset {
            class_names: vec!["cat".into(), "dog".into()],
            samples: greys.iter().enumerate().map(sample).collect(),
            ..Dataset::default()
        }
    }

    fn read(cache: &ImageCache, dataset: &Dataset, size: usize) -> Arc<DecodedSet> {
        let options = DecodeOptions::default();
        cache.load(dataset, size, Fit::Crop, &options).unwrap()
    }

    #[test]
    fn the_same_pictures_are_decoded_once() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = painted(folder.path(), &[10, 20, 30]);
        let cache = ImageCache::default();
        let first = read(&cache, &dataset, 4);
        assert!(Arc::ptr_eq(&first, &read(&cache, &dataset.clone(), 4)));
        assert!(!Arc::ptr_eq(&first, &read(&cache, &dataset, 8)));
        assert_eq!(cache.len(), 2);
        let some = first.of_samples(&[2, 0]).unwrap();
        assert_eq!((some.labels, some.pixels[0]), (vec![0, 0], 30));
        // Another picture under the same name.
        image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * y % 251) as u8; 3]))
            .save(folder.path().join("0.png"))
            .unwrap();
        assert!(!Arc::ptr_eq(&first, &read(&cache, &dataset, 4)));
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = painted(folder.path(), &[10, 20]);
        // Two images of 4 x 4 pixels are 96 bytes, of 2 x 2 pixels 24.
        let cache = ImageCache::new(100);
        let small = read(&cache, &dataset, 2);
        read(&cache, &dataset, 4);
        assert_eq!(cache.len(), 1);
        assert!(!Arc::ptr_eq(&small, &read(&cache, &dataset, 2)));
        assert_eq!(cache.len(), 1, "both together are more than 100 bytes");
        let nothing = ImageCache::new(0);
        read(&nothing, &dataset, 2);
        assert!(nothing.is_empty());
        // What is never kept drives nothing out, and leaves nothing behind.
        read(&cache, &dataset, 8);
        assert_eq!(cache.len(), 1);
        assert!(lock(&cache.sets).under_way.is_empty());
    }

    #[test]
    fn who_waits_for_a_set_gets_the_one_that_was_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = painted(folder.path(), &[10, 20]);
        let cache = ImageCache::new(0);
        let key = |size| Key {
            samples: identity(&dataset),
            size,
            fit: Fit::Crop,
            limits: DecodeLimits::default(),
            strict: false,
        };
        // As if another had begun with it.
        let decoding = lock(&cache.sets).begin(&key(4));
        let theirs = read(&ImageCache::default(), &dataset, 4);
        std::thread::scope(|scope| {
            let mut slot = lock(&decoding);
            let waiting = scope.spawn(|| read(&cache, &dataset, 4));
            // Another set is decoded meanwhile.
            read(&cache, &dataset, 2);
            *slot = Some(Arc::clone(&theirs));
            drop(slot);
            assert!(Arc::ptr_eq(&waiting.join().unwrap(), &theirs));
        });
    }

    #[test]
    fn what_cannot_be_decoded_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = painted(folder.path(), &[10]);
        let file = folder.path().join("0.png");
        let picture = std::fs::read(&file).unwrap();
        std::fs::write(&file, b"no picture").unwrap();
        let cache = ImageCache::default();
        let strict = DecodeOptions {
            strict: true,
            ..DecodeOptions::default()
        };
        let load = || cache.load(&dataset, 4, Fit::Crop, &strict);
        assert!(load().is_err() && lock(&cache.sets).under_way.is_empty());
        std::fs::write(&file, picture).unwrap();
        assert_eq!(load().unwrap().images().len(), 1);
    }

    #[test]
    fn samples_that_were_left_out_have_no_place() {
        let images = LabelledImages {
            size: 1,
            pixels: vec![1, 1, 1, 2, 2, 2],
            labels: vec![0, 1],
            domains: vec![0; 2],
            class_names: vec!["cat".into(), "dog".into()],
            domain_names: Vec::new(),
        };
        let skipped = |sample| Skipped {
            sample,
            source: String::new(),
            reason: SkipReason::Empty,
            detail: String::new(),
        };
        let report = DecodeReport {
            decoded: 2,
            skipped: vec![skipped(0), skipped(2)],
            ..DecodeReport::default()
        };
        let set = DecodedSet::of(4, images, report);
        assert_eq!(set.of_samples(&[3, 1]).unwrap().labels, [1, 0]);
        assert_eq!(set.of_samples(&[1, 2]).unwrap().labels, [0]);
        // More are left out than there are.
        assert!(set.of_samples(&[0, 1, 2]).is_err());
    }
}
