//! What a worker is told of a shard.

use promptfed_prompts::{ClassIndex, Domain, RenderedPrompt};
use serde::{Deserialize, Serialize};

use super::plan::PlannedImage;
use super::prompts::JobPrompt;

/// The images of a shard; everything else stands in the job's file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Work {
    /// Whether each picture holds its generation record.
    records: bool,
    images: Vec<AskedImage>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedImage {
    index: u64,
    class: u32,
    domain: Option<String>,
    prompt: String,
    negative: String,
}

impl Work {
    /// What a worker is told of these images, as bytes; the same images give the same.
    pub(super) fn encode(batch: &[PlannedImage], records: bool) -> serde_json::Result<Vec<u8>> {
        let images = batch
            .iter()
            .map(|PlannedImage { index, prompt }| AskedImage {
                index: *index,
                class: prompt.class.get(),
                domain: prompt.domain.as_ref().map(|d| d.as_str().to_owned()),
                prompt: prompt.text.positive.clone(),
                negative: prompt.text.negative.clone(),
            });
        let images = images.collect();
        serde_json::to_vec(&Self { records, images })
    }

    /// The images that such bytes ask for, and whether each holds its record.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Vec<PlannedImage>, bool), String> {
        let work: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let mut images = Vec::with_capacity(work.images.len());
        for image in work.images {
            let domain = image.domain.as_deref().map(Domain::try_from).transpose();
            let prompt = JobPrompt {
                class: ClassIndex::new(image.class),
                domain: domain.map_err(|error| error.to_string())?,
                text: RenderedPrompt {
                    positive: image.prompt,
                    negative: image.negative,
                },
                count: None,
            };
            images.push(PlannedImage::new(image.index, prompt));
        }
        Ok((images, work.records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_is_drawn() {
        let image = |index, domain: Option<&str>| {
            let prompt = JobPrompt {
                class: ClassIndex::new(3),
                domain: domain.map(|domain| Domain::try_from(domain).unwrap()),
                text: RenderedPrompt {
                    positive: format!("a \"church\" {index}"),
                    negative: "ü".into(),
                },
                count: None,
            };
            PlannedImage::new(index, prompt)
        };
        let batch = [image(64, None), image(65, Some("photo"))];
        let bytes = Work::encode(&batch, true).unwrap();
        assert_eq!(Work::decode(&bytes).unwrap(), (batch.to_vec(), true));
        assert!(Work::decode(b"{}").is_err());
    }
}
