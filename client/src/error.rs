//! What can go wrong on the client.

use promptfed_files::ErrorKind;
use promptfed_prompts::{Level, TextProblem};

use crate::captioner::{CAPTIONER_NAMES, CaptionProblem};

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Prompts, templates or label space.
    #[error(transparent)]
    Prompts(#[from] promptfed_prompts::Error),
    /// Reading the images.
    #[error(transparent)]
    Data(#[from] promptfed_data::DataError),
    /// A class of the data that the round does not know.
    #[error(
        "class `{class}` of the data is not in label space `{label_space}` ({known}); \
         rename its folder, add an alias to the label space, or open the data with the label space's classes"
    )]
    ClassNotInLabelSpace {
        /// The class as the data calls it.
        class: String,
        /// Name of the label space.
        label_space: String,
        /// Its classes.
        known: String,
    },
    /// A class whose name is a number or an id, and would be a word of the prompts.
    #[error(
        "class `{class}` would be written into prompts as `{class}`, which says nothing to a generator and may be an id: give the \
         classes names, by `--label-space` (a built-in one, or a TOML file whose classes have `{class}` and the others as `aliases`), \
         by a names file beside the class folders (`classes.tsv` with lines of folder, tab, name), or by a `prompt_name` in the label space"
    )]
    ClassWithoutWords {
        /// The class.
        class: String,
    },
    /// Classes that are counted, as `001.cat`, `002.dog`, and whose numbers would be part of the prompts.
    #[error(
        "the classes are counted (`{class}`), and their numbers would be written into prompts: `promptfed label-space from DATA` writes a \
         file with the words behind the numbers as `prompt_name`s, where no two are the same; see that each class has a right one, and give \
         it with `--label-space`"
    )]
    CountedClasses {
        /// The first of them that has no prompt name.
        class: String,
    },
    /// Two classes that prompts would say in the same words.
    #[error(
        "classes `{}` and `{}` would both be written into prompts as `{words}` (case makes no difference to a generator), so that their \
         images show the same: give one of them another `prompt_name` in the label space, make them one class, or leave one out",
        classes[0], classes[1]
    )]
    SameWords {
        /// Their names.
        classes: [String; 2],
        /// What prompts would say.
        words: String,
    },
    /// A domain whose name is a number or an id, and would be a word of the prompts.
    #[error(
        "domain `{domain}` would be written into prompts as `{domain}`, which says nothing to a generator and may be an id: \
         rename its folder or value to what the pictures are (photo, sketch, ...), or use the level `class`"
    )]
    DomainWithoutWords {
        /// The domain.
        domain: String,
    },
    /// A domain whose name cannot travel.
    #[error("domain `{domain}` of the data: {problem}")]
    Domain {
        /// The domain as the data calls it.
        domain: String,
        /// What is wrong with its name.
        problem: TextProblem,
    },
    /// A sample whose label or domain has no name in its data set.
    #[error("{image}: its {what} {index} has no name in the data set; open the data set again")]
    Unnamed {
        /// The image.
        image: String,
        /// `label` or `domain`.
        what: &'static str,
        /// The index without a name.
        index: u32,
    },
    /// Instance level without captions.
    #[error(
        "level `{}` needs captions, and the captioner is `none`; choose another of {}",
        Level::Instance,
        CAPTIONER_NAMES.join(", ")
    )]
    CaptionerNeeded,
    /// A model folder that cannot be used.
    #[error(transparent)]
    Vision(#[from] promptfed_vision::Error),
    /// A captioner without the model that it needs, or a model that no captioner uses.
    #[error(
        "captioner `{captioner}`: the captioner `blip` needs the folder of a BLIP model, and no other takes one"
    )]
    CaptionerModel {
        /// Name asked for.
        captioner: String,
    },
    /// A class to be excluded that nobody knows.
    #[error("there is no class `{class}` to exclude; the data has {known}")]
    UnknownClass {
        /// The name.
        class: String,
        /// The classes of the data.
        known: String,
    },
    /// Prompts of a level with domains from data without.
    #[error(
        "level `{level}` tells of domains, and not every image here has one; give those that have none the site's own by `--domain` (as `photo` or `pencil sketch`), or choose level `{}`",
        Level::Class
    )]
    DomainNeeded {
        /// The level.
        level: Level,
    },
    /// No prompt may leave.
    #[error("no prompt is left: {why}")]
    AllWithheld {
        /// Why, and what to do.
        why: String,
    },
    /// Nothing to choose a domain from.
    #[error("give at least two domains to choose from")]
    DomainCandidates,
    /// No captioner of this name.
    #[error("there is no captioner `{found}`; choose one of {}, blip", CAPTIONER_NAMES.join(", "))]
    UnknownCaptioner {
        /// Name asked for.
        found: String,
    },
    /// In strict mode: a caption that cannot be used.
    #[error("{image}: {problem}; or leave strict mode to skip such images")]
    Caption {
        /// The image.
        image: String,
        /// What is wrong with its caption.
        problem: CaptionProblem,
    },
    /// Every image was left out.
    #[error("none of the {images} images can be used: {why}; look at them or choose other data")]
    NothingUsable {
        /// Number of images listed.
        images: usize,
        /// Reasons with their counts, and the first images by path.
        why: String,
    },
}

impl Error {
    /// What kind of failure it is: nearly always data, classes or flags that do not fit.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Data(error) => error.kind(),
            Self::Vision(error) => error.kind(),
            _ => ErrorKind::Input,
        }
    }
}
