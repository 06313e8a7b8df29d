//! Pictures that stand in two data sets, looked for once for all comparisons that have both.

use anyhow::Result;
use promptfed_data::{Dataset, DecodeOptions, same_pictures};
use promptfed_prompts::ContentHash;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Pairs of samples with the same pixels.
type Pairs = Rc<Vec<(usize, usize)>>;

/// What was found, by hashes of what the two data sets list.
#[derive(Default)]
pub(super) struct Overlaps(RefCell<BTreeMap<[[u8; 32]; 2], Pairs>>);

impl Overlaps {
    /// As [`same_pictures`], which decodes every picture at its full size.
    pub(super) fn find(
        &self,
        one: &Dataset,
        other: &Dataset,
        options: &DecodeOptions,
    ) -> Result<Pairs> {
        let key = [one, other].map(|dataset| listed(dataset, options));
        if let Some(found) = self.0.borrow().get(&key) {
            return Ok(Rc::clone(found));
        }
        let found = Rc::new(same_pictures(one, other, options)?);
        self.0.borrow_mut().insert(key, Rc::clone(&found));
        Ok(found)
    }
}

/// Hash of where each picture lies, and of how it is read.
fn listed(dataset: &Dataset, options: &DecodeOptions) -> [u8; 32] {
    let mut text = format!("{options:?}");
    for sample in &dataset.samples {
        text.push('\0');
        text.push_str(&sample.source.to_string());
    }
    *ContentHash::of(text.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use promptfed_data::{ImageSource, Sample};
    use std::path::Path;

    fn painted(folder: &Path, greys: &[u8]) -> Dataset {
        let sample = |grey: &u8| {
            let file = folder.join(format!("{grey}.png"));
            let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([*grey; 3]));
            picture.save(&file).unwrap();
            Sample {
                label: 0,
                domain: None,
                caption: None,
                source: ImageSource::File(file),
            }
        };
        Dataset {
            class_names: vec!["cat".into()],
            samples: greys.iter().map(sample).collect(),
            ..Dataset::default()
        }
    }

    #[test]
    fn the_same_two_data_sets_are_looked_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (
            painted(folder.path(), &[10, 20, 30]),
            painted(folder.path(), &[30, 40]),
        );
        let overlaps = Overlaps::default();
        let options = DecodeOptions::default();
        let first = overlaps.find(&one, &other, &options).unwrap();
        assert_eq!(*first, [(2, 0)]);
        let again = overlaps.find(&one.clone(), &other, &options).unwrap();
        assert!(Rc::ptr_eq(&first, &again));
        // The other way round, and with other pictures, it is another question.
        assert_eq!(*overlaps.find(&other, &one, &options).unwrap(), [(0, 2)]);
        let fewer = one.subset(&[0, 1]);
        assert!(overlaps.find(&fewer, &other, &options).unwrap().is_empty());
    }
}
