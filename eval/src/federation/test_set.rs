//! The images that results are reported on.

use super::{FederationOptions, check};
use crate::Result;
use promptfed_data::{Dataset, DecodeReport, LabelledImages};
use promptfed_prompts::LabelSpace;

/// Images that results are reported on. The runner of a comparison holds them; no method sees them, and nothing is chosen by them.
#[derive(Debug, Clone)]
pub struct TestSet {
    /// The images.
    pub images: LabelledImages,
    /// Where each came from, below the folder that all have in common.
    pub sources: Vec<String>,
    /// What came of decoding them.
    pub decoding: DecodeReport,
}

impl TestSet {
    /// Decodes the test pictures.
    ///
    /// # Errors
    /// If the label space does not fit their classes, or if decoding fails.
    pub fn read(
        test: &Dataset,
        label_space: &LabelSpace,
        options: &FederationOptions,
    ) -> Result<Self> {
        check("test", test, label_space)?;
        let all = (options.images).load(test, options.image_size, options.fit, &options.decode)?;
        Ok(Self {
            images: all.images().clone(),
            sources: sources(test, all.report()),
            decoding: all.report().clone(),
        })
    }
}

/// Where the decoded pictures of a data set lie, below the folder that all have in common.
fn sources(dataset: &Dataset, decoding: &DecodeReport) -> Vec<String> {
    let mut skipped = decoding.skipped.iter().map(|s| s.sample).peekable();
    let decoded = dataset
        .samples
        .iter()
        .enumerate()
        .filter(|(index, _)| skipped.next_if_eq(index).is_none());
    let all: Vec<String> = decoded
        .map(|(_, sample)| sample.source.to_string())
        .collect();
    let Some(first) = all.first() else {
        return all;
    };
    let shared = |other: &String| {
        let both = first.bytes().zip(other.bytes());
        both.take_while(|(a, b)| a == b).count()
    };
    let shared = all.iter().map(shared).min().unwrap_or(0);
    let folder = first.as_bytes()[..shared]
        .iter()
        .rposition(|byte| std::path::is_separator(char::from(*byte)));
    let below = folder.map_or(0, |end| end + 1);
    all.iter()
        .map(|source| source[below..].to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use promptfed_data::{ImageSource, Sample, SkipReason, Skipped};

    #[test]
    fn sources_are_those_of_decoded_pictures_below_what_all_share() {
        let sample = |path: &str| Sample {
            label: 0,
            domain: None,
            caption: None,
            source: ImageSource::File(path.into()),
        };
        let skipped = |sample| DecodeReport {
            decoded: 2,
            skipped: vec![Skipped {
                sample,
                source: String::new(),
                reason: SkipReason::Empty,
                detail: String::new(),
            }],
            ..DecodeReport::default()
        };
        let dataset = Dataset {
            samples: ["in/ä/cat/1.png", "in/ä/cats/2.png", "in/ä/dog/3.png"]
                .map(sample)
                .into(),
            ..Dataset::default()
        };
        let of = |report: &DecodeReport| sources(&dataset, report);
        assert_eq!(of(&skipped(1)), ["cat/1.png", "dog/3.png"]);
        assert_eq!(of(&skipped(2)), ["cat/1.png", "cats/2.png"]);
        assert_eq!(of(&DecodeReport::default()).len(), 3);
        assert!(sources(&Dataset::default(), &DecodeReport::default()).is_empty());
    }
}
