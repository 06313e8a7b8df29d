//! What prompts are written about.

use std::collections::BTreeMap;

use promptfed_prompts::{ClassIndex, Domain};

use crate::{PromptSource, Result};

/// A class, its domain, and the words in which prompts for it begin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic {
    /// The class, an index into the label space.
    pub class: ClassIndex,
    /// The domain, where the prompts have one.
    pub domain: Option<Domain>,
    /// The template's text with class and domain, without a caption and without ends that only a caption would follow: `a
    /// sketch of a dog`. Of prompts that came rendered, the prompt itself.
    pub opening: String,
    /// The negative text that goes with it; empty for none.
    pub negative: String,
}

/// A topic and how much is to be written about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) topic: Topic,
    /// Prompts to write.
    pub(super) wanted: u64,
    /// Private images behind the topic, where all its prompts tell.
    pub(super) images: Option<u64>,
}

/// The topics of some prompts, ordered by class, domain and opening, with `per_prompt` texts to write for every prompt.
///
/// Prompts of a set that differ in their captions alone are one topic.
pub(super) fn orders(source: &PromptSource, per_prompt: u32) -> Result<Vec<Order>> {
    let mut orders: BTreeMap<Topic, (u64, Option<u64>)> = BTreeMap::new();
    let mut add = |topic: Topic, count: Option<u32>| {
        let (wanted, images) = orders.entry(topic).or_insert((0, Some(0)));
        *wanted += u64::from(per_prompt);
        *images = images.zip(count).map(|(sum, more)| sum + u64::from(more));
    };
    if let PromptSource::Set {
        prompts,
        label_space,
    } = source
    {
        for prompt in prompts.prompts() {
            let bare = promptfed_prompts::Prompt {
                caption: None,
                ..prompt.clone()
            };
            let text = prompts.render(&bare, label_space)?;
            let topic = Topic {
                class: prompt.class,
                domain: prompt.domain.clone(),
                opening: tidy(&text.positive),
                negative: text.negative,
            };
            add(topic, prompt.count);
        }
    } else {
        for prompt in source.read()? {
            let prompt = prompt?;
            let topic = Topic {
                class: prompt.class,
                domain: prompt.domain,
                opening: tidy(&prompt.text.positive),
                negative: prompt.text.negative,
            };
            add(topic, prompt.count);
        }
    }
    let order = |(topic, (wanted, images))| Order {
        topic,
        wanted,
        images,
    };
    Ok(orders.into_iter().map(order).collect())
}

/// A text without the commas and spaces that stay where a caption is left out, and without a full stop, so that more can follow.
fn tidy(text: &str) -> String {
    let parts = text.split(',').map(str::trim);
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let tidy = parts.join(", ");
    let words: Vec<&str> = tidy.split_whitespace().collect();
    words
        .join(" ")
        .trim_end_matches(['.', ',', ';', ':', ' '])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use promptfed_prompts::{Caption, LabelSpace, Level, PromptSet, TemplateSet};

    use super::*;

    #[test]
    fn a_caption_leaves_nothing_behind() {
        for (text, tidied) in [
            ("a dog, ", "a dog"),
            (
                "tench, , real world images, high resolution.",
                "tench, real world images, high resolution",
            ),
            (
                "a black and white drawing of  an axe, ",
                "a black and white drawing of an axe",
            ),
            ("kite, bird of prey", "kite, bird of prey"),
        ] {
            assert_eq!(tidy(text), tidied);
        }
    }

    #[test]
    fn captions_are_pooled_and_never_told() {
        let label_space = LabelSpace::builtin("pacs").unwrap();
        let templates = TemplateSet::builtin("pocket").unwrap();
        let mut builder = PromptSet::builder(&label_space, Level::Instance, &templates);
        builder.counts(true);
        for (class, domain, caption) in [
            (0, "sketch", "in my street"),
            (0, "sketch", "in my street"),
            (0, "sketch", "at home"),
            (0, "photo", "at home"),
            (1, "photo", "at home"),
        ] {
            let domain = Some(Domain::try_from(domain).unwrap());
            let caption = Some(Caption::try_from(caption).unwrap());
            builder
                .add(ClassIndex::new(class), domain, caption)
                .unwrap();
        }
        let source = PromptSource::Set {
            prompts: builder.build().unwrap(),
            label_space,
        };
        let orders = orders(&source, 3).unwrap();
        let told: Vec<_> = orders
            .iter()
            .map(|o| (o.topic.opening.as_str(), o.wanted, o.images))
            .collect();
        assert_eq!(
            told,
            [
                ("a photo of a dog", 3, Some(1)),
                ("a sketch of a dog", 6, Some(3)),
                ("a photo of a elephant", 3, Some(1)),
            ]
        );
    }
}
