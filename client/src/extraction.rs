//! What extraction found, and what of it will leave the machine.

use std::collections::BTreeMap;

use promptfed_data::{DatasetWarning, DecodeReport};
use promptfed_prompts::{ContentHash, LabelSpace, Level, Prompt, PromptSet, RenderedPrompt};
use serde::Serialize;

use crate::{CaptionProblem, Result, Withheld};

/// Prompts made of images, with what their owner should see before sending them.
#[derive(Clone, Debug)]
pub struct Extraction {
    /// The prompts: all that will leave.
    pub prompt_set: PromptSet,
    /// The same, made legible, with facts that stay here.
    pub preview: Preview,
    /// What became of every image; stays here.
    pub report: ExtractReport,
}

/// What will leave, and how much it tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// How much the prompts tell.
    pub level: Level,
    /// Exactly what will leave: the canonical JSON, which travels compressed.
    pub json: String,
    /// Hash of `json`.
    pub hash: ContentHash,
    /// Bytes of the compressed form. The body of a submission is that, padded to a size class and sealed: an eighth more at most, and 566
    /// bytes at least.
    pub wire_bytes: usize,
    /// The prompts as the server's generator will read them, in the order in which they leave, each with the images behind it.
    pub prompts: Vec<PreviewPrompt>,
    /// Prompts that stand for exactly one image. Such a prompt describes that image alone; fewer is more private.
    pub single_image_prompts: usize,
    /// Smallest number of images behind a prompt: every image shares its prompt with at least this many, itself
    /// included. A hint in the manner of k-anonymity (Sweeney, 2002), not a guarantee: it says nothing about what
    /// captions reveal by themselves.
    pub smallest_group: u32,
    /// Images per class, in label-space order, zeros included. Stays here unless counts are released.
    pub images_per_class: Vec<ClassImages>,
    /// Whether the prompts carry counts.
    pub counts_released: bool,
}

/// One prompt, with what stays here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PreviewPrompt {
    /// What the generator is asked for.
    pub positive: String,
    /// What guidance leads away from; empty for nothing.
    pub negative: String,
    /// Name of the class.
    pub class: String,
    /// The domain, where the level tells it and there is one.
    pub domain: Option<String>,
    /// The caption, where the level tells it.
    pub caption: Option<String>,
    /// Images behind the prompt, at least 1. A prompt of a single image describes that image alone.
    pub images: u32,
}

impl PreviewPrompt {
    /// One prompt of `counted`.
    pub(crate) fn new(
        counted: &PromptSet,
        prompt: &Prompt,
        label_space: &LabelSpace,
    ) -> Result<Self> {
        let RenderedPrompt { positive, negative } = counted.render(prompt, label_space)?;
        let class = label_space.class_name(prompt.class).unwrap_or_default();
        Ok(Self {
            positive,
            negative,
            class: class.to_owned(),
            domain: prompt.domain.as_ref().map(|d| d.as_str().to_owned()),
            caption: prompt.caption.as_ref().map(|c| c.as_str().to_owned()),
            images: prompt.count.unwrap_or(1),
        })
    }
}

/// How many images of a class were used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassImages {
    /// Name of the class.
    pub class: String,
    /// Number of images.
    pub images: u64,
}

impl Preview {
    /// Looks at `released`, which is `counted` with or without its counts.
    pub(crate) fn new(
        released: &PromptSet,
        counted: &PromptSet,
        label_space: &LabelSpace,
    ) -> Result<Self> {
        let mut images_per_class: Vec<_> = label_space
            .classes()
            .iter()
            .map(|class| ClassImages {
                class: class.name.clone(),
                images: 0,
            })
            .collect();
        for prompt in counted.prompts() {
            images_per_class[prompt.class.get() as usize].images +=
                u64::from(prompt.count.unwrap_or(1));
        }
        let prompts = counted
            .prompts()
            .iter()
            .map(|prompt| PreviewPrompt::new(counted, prompt, label_space))
            .collect::<Result<Vec<_>>>()?;
        let groups = || prompts.iter().map(|prompt| prompt.images);
        Ok(Self {
            level: released.level(),
            json: released.to_json(),
            hash: released.hash(),
            wire_bytes: released.to_wire().len(),
            single_image_prompts: groups().filter(|&images| images == 1).count(),
            smallest_group: groups().min().unwrap_or(0),
            prompts,
            images_per_class,
            counts_released: released.has_counts(),
        })
    }
}

/// What became of the images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExtractReport {
    /// Images listed in the data set.
    pub images: usize,
    /// Images that stand behind the prompts.
    pub used: usize,
    /// What the release rules left out.
    pub withheld: Withheld,
    /// Whether images were decoded; if not, corrupt ones count as used.
    pub decoded: bool,
    /// Images that were skipped in decoding, with the reason.
    pub decode: DecodeReport,
    /// Images whose caption could not be used.
    pub without_caption: Vec<WithoutCaption>,
    /// What was left out when the data set was listed.
    pub dataset_warnings: Vec<DatasetWarning>,
}

/// An image that has no usable caption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithoutCaption {
    /// Index into [`Dataset::samples`](promptfed_data::Dataset::samples).
    pub sample: usize,
    /// Where the image lies, for people.
    pub image: String,
    /// What is wrong.
    pub problem: CaptionProblem,
}

impl ExtractReport {
    /// Every warning as a line of text: what was not listed, then each image that was left out.
    pub fn warnings(&self) -> Vec<String> {
        let listed = self.dataset_warnings.iter().map(ToString::to_string);
        let skipped = self.decode.skipped.iter().map(ToString::to_string);
        let silent = self
            .without_caption
            .iter()
            .map(|w| format!("{}: {}", w.image, w.problem));
        listed.chain(skipped).chain(silent).collect()
    }

    /// The kinds of what was left out, each with its count and the first few by path.
    pub fn warnings_by_kind(&self) -> Vec<String> {
        let mut lines = DatasetWarning::by_kind(&self.dataset_warnings);
        lines.extend(self.images_left_out_by_kind());
        lines
    }

    /// The kinds of reasons why images were left out, each with its count and the first few images by path.
    pub fn images_left_out_by_kind(&self) -> Vec<String> {
        let mut lines = self.decode.by_kind();
        let silent = self.without_caption.iter();
        let (missing, unusable): (Vec<_>, Vec<_>) =
            silent.partition(|w| w.problem == CaptionProblem::Missing);
        if !missing.is_empty() {
            let images = missing.iter().map(|w| w.image.clone());
            lines.push(counted(missing.len(), "without caption", images));
        }
        if !unusable.is_empty() {
            let images = unusable
                .iter()
                .map(|w| format!("{}: {}", w.image, w.problem));
            lines.push(counted(unusable.len(), "with an unusable caption", images));
        }
        lines
    }

    pub(crate) fn why_left_out(&self) -> String {
        match self.images_left_out_by_kind() {
            lines if lines.is_empty() => "there are none".to_owned(),
            lines => lines.join("; "),
        }
    }

    /// Number of images left out, by reason.
    pub fn left_out(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for (reason, count) in self.decode.by_reason() {
            reasons.insert(reason.to_string(), count);
        }
        for without in &self.without_caption {
            let reason = match without.problem {
                CaptionProblem::Missing => "without caption",
                _ => "unusable caption",
            };
            *reasons.entry(reason.to_owned()).or_insert(0) += 1;
        }
        let groups = |prompts: &[PreviewPrompt]| -> usize {
            prompts.iter().map(|prompt| prompt.images as usize).sum()
        };
        let excluded = &self.withheld.excluded_classes;
        for (reason, images) in [
            (
                "class excluded",
                excluded.iter().map(|class| class.images as usize).sum(),
            ),
            ("group too small", groups(&self.withheld.small_groups)),
            ("beyond the most prompts", groups(&self.withheld.beyond_max)),
        ] {
            if images > 0 {
                reasons.insert(reason.to_owned(), images);
            }
        }
        reasons
    }
}

fn counted(count: usize, kind: &str, examples: impl Iterator<Item = String>) -> String {
    const EXAMPLES: usize = 3;
    let mut examples: Vec<String> = examples.take(EXAMPLES).collect();
    if count > examples.len() {
        examples.push("..".to_owned());
    }
    format!("{count} images {kind} ({})", examples.join("; "))
}
