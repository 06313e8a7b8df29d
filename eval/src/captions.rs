//! What images show, in words: captions for methods that learn from pairs of an image and a text.

use promptfed_client::Attributes;
use promptfed_data::{DecodedImage, LabelledImages, NO_DOMAIN};
use promptfed_prompts::{ContentHash, LabelSpace};
use std::collections::BTreeSet;

/// What is said where there is no domain.
const PHOTO: &str = "photo";

/// Images in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captions {
    /// One of each image, of its domain, class and colours: `sketch of guitar, black on white background, bright`.
    pub texts: Vec<String>,
    /// The classes that are named, as they are said.
    pub classes: BTreeSet<String>,
    /// The domains there are, as they are said, each once; none where images have none.
    pub domains: Vec<String>,
}

impl Captions {
    /// Of images that tell their classes and domains.
    pub(crate) fn of(images: &LabelledImages, label_space: &LabelSpace) -> Self {
        Self::told(images, images, label_space)
    }

    /// Of `images` that show what `told`, which needs no pixels, tells of as many.
    pub(crate) fn told(
        images: &LabelledImages,
        told: &LabelledImages,
        label_space: &LabelSpace,
    ) -> Self {
        let classes = told.class_names.iter();
        let classes: Vec<String> = classes.map(|name| class_words(name, label_space)).collect();
        let domains = told.domain_names.iter();
        let domains: Vec<String> = domains.map(|name| domain_words(name)).collect();
        let mut captions = Self::default();
        for domain in &domains {
            if !captions.domains.contains(domain) {
                captions.domains.push(domain.clone());
            }
        }
        for (index, (label, domain)) in told.labels.iter().zip(&told.domains).enumerate() {
            let class = classes.get(*label as usize).map_or("", String::as_str);
            let domain = domains.get(*domain as usize);
            let domain = domain.map_or(PHOTO, String::as_str);
            let side = images.size as u32;
            let colours = Attributes::of(&DecodedImage {
                width: side,
                height: side,
                pixels: images.image(index).to_vec(),
            });
            let text = format!("{}, {colours}", of_class(domain, class));
            captions.texts.push(text);
            captions.classes.insert(class.to_owned());
        }
        captions
    }

    /// Texts that tell a class alone: one for each domain, or one where there are none.
    pub(crate) fn of_class(&self, class: &str) -> Vec<String> {
        if self.domains.is_empty() {
            return vec![of_class(PHOTO, class)];
        }
        let domains = self.domains.iter();
        domains.map(|domain| of_class(domain, class)).collect()
    }

    /// Equal for equal captions.
    pub(crate) fn hash(&self) -> ContentHash {
        ContentHash::of(self.texts.join("\n").as_bytes())
    }
}

/// How a class is said: as the label space says it, whatever `name` it has there, else by its name.
pub(crate) fn class_words(name: &str, label_space: &LabelSpace) -> String {
    let index = label_space.index_of(name);
    let words = index.and_then(|index| label_space.prompt_name(index));
    spaced(words.unwrap_or(name))
}

/// How a domain is said.
fn domain_words(name: &str) -> String {
    if name == NO_DOMAIN {
        return PHOTO.to_owned();
    }
    spaced(name)
}

fn of_class(domain: &str, class: &str) -> String {
    format!("{domain} of {class}")
}

fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_class_and_colours_are_told() {
        let space = "name = \"x\"\n[[classes]]\nname = \"polar_bear\"\n[[classes]]\nname = \"n1\"\nprompt_name = \"fire engine\"\n";
        let space = LabelSpace::from_toml(space).unwrap();
        let images = LabelledImages {
            size: 8,
            pixels: [[255_u8, 255, 255], [250, 0, 0]]
                .iter()
                .flat_map(|colour| colour.repeat(64))
                .collect(),
            labels: vec![0, 1],
            domains: vec![0, 1],
            class_names: vec!["polar_bear".into(), "n1".into()],
            domain_names: vec!["photo".into(), "clip_art".into()],
        };
        let captions = Captions::of(&images, &space);
        assert_eq!(
            captions.texts,
            [
                "photo of polar bear, white on white background, bright",
                "clip art of fire engine, red on red background, dark"
            ]
        );
        assert_eq!(captions.of_class("x"), ["photo of x", "clip art of x"]);
        let plain = LabelledImages {
            domain_names: Vec::new(),
            ..images.subset(&[0])
        };
        let captions = Captions::of(&plain, &space);
        assert!(captions.texts[0].starts_with("photo of polar bear,"));
        assert!(captions.classes.contains("polar bear") && captions.classes.len() == 1);
        assert_eq!(captions.of_class("x"), ["photo of x"]);
    }

    #[test]
    fn classes_are_said_as_the_label_space_says_them_whatever_folders_are_called() {
        let space = "name = \"x\"\n[[classes]]\nname = \"polar_bear\"\naliases = [\"ice_bear\"]\n[[classes]]\nname = \"n1\"\nprompt_name = \"fire engine\"\naliases = [\"fire_truck\"]\n";
        let space = LabelSpace::from_toml(space).unwrap();
        for (name, said) in [
            ("polar_bear", "polar bear"),
            ("ice_bear", "polar bear"),
            ("POLAR_BEAR", "polar bear"),
            ("n1", "fire engine"),
            ("fire_truck", "fire engine"),
            ("N1", "fire engine"),
            ("Sea_Lion", "Sea Lion"),
        ] {
            assert_eq!(class_words(name, &space), said, "{name}");
        }
    }

    #[test]
    fn what_is_in_no_domain_is_a_photo_and_each_domain_is_said_once() {
        let space = LabelSpace::from_toml("name = \"x\"\n[[classes]]\nname = \"cat\"\n").unwrap();
        let told = LabelledImages {
            size: 8,
            pixels: Vec::new(),
            labels: vec![0, 0, 0],
            domains: vec![2, 0, 1],
            class_names: vec!["cat".into()],
            domain_names: vec!["photo".into(), "sketch".into(), NO_DOMAIN.into()],
        };
        let images = LabelledImages {
            pixels: vec![255; 3 * 8 * 8 * 3],
            ..told.clone()
        };
        let captions = Captions::told(&images, &told, &space);
        assert_eq!(captions, Captions::of(&images, &space));
        for (text, begins) in captions.texts.iter().zip(["photo", "photo", "sketch"]) {
            assert!(text.starts_with(&format!("{begins} of cat,")), "{text}");
        }
        assert_eq!(captions.texts.len(), 3);
        assert_eq!(captions.of_class("cat"), ["photo of cat", "sketch of cat"]);
    }
}
