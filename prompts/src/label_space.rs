//! The classes that prompts speak of.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{LabelSpaceProblem, toml_error};
use crate::same_name::{composed, folded};
use crate::text::{MAX_CLASS_NAME_BYTES, check_clean, clean, excerpt};
use crate::{ContentHash, Error, Place, Result, builtin};

/// Most classes of one label space.
pub const MAX_CLASSES: usize = 65_536;

/// Position of a class in its [`LabelSpace`], from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassIndex(u32);

impl ClassIndex {
    /// The class at position `index`.
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The position.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ClassIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(
    deny_unknown_fields,
    expecting = "a class: a table `[[classes]]` with a `name`"
)]
pub struct ClassEntry {
    /// The class's name, as people write it.
    pub name: String,
    /// The text prompts use instead of the name, where the name alone has several meanings
    /// (`kite, bird of prey`; `fruit: orange`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_name: Option<String>,
    /// Other names under which data sets file the class: folder names, WordNet ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// An ordered list of classes with distinct names.
///
/// Names and aliases are compared by [`folded`]: without case, and with `_` equal to a space. Names that differ in this
/// alone (`US`, `us`) may stand in one list, and are then told apart letter by letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct LabelSpace {
    name: String,
    classes: Vec<ClassEntry>,
    known: Known,
    hash: ContentHash,
}

/// Which class a text means.
#[derive(Clone, Debug, Default)]
struct Known {
    exact: HashMap<String, u32>,
    /// By [`folded`].
    folded: HashMap<String, Folded>,
}

#[derive(Clone, Copy, Debug)]
struct Folded {
    /// The class, the first where there are several.
    class: u32,
    /// Whether the names of several classes differ only in what folding takes away.
    is_shared: bool,
    /// Whether only names of classes fold to this, and no alias or prompt name.
    is_name: bool,
}

impl Known {
    /// Notes that `text` means `class`.
    ///
    /// # Errors
    /// The other class that the text means already. Only names of classes may differ in what folding takes away.
    fn add(&mut self, text: &str, class: u32, is_name: bool) -> Result<(), u32> {
        let other = *self.exact.entry(text.to_owned()).or_insert(class);
        if other != class {
            return Err(other);
        }
        let first = Folded {
            class,
            is_shared: false,
            is_name,
        };
        let folded = self.folded.entry(folded(text)).or_insert(first);
        if folded.class == class && !folded.is_shared {
            folded.is_name &= is_name;
        } else if folded.is_name && is_name {
            folded.is_shared = true;
        } else {
            return Err(folded.class);
        }
        Ok(())
    }

    fn find(&self, text: &str) -> Option<u32> {
        let exact = self.exact.get(&composed(text)).copied();
        exact.or_else(|| {
            let folded = self.folded.get(&folded(text))?;
            (!folded.is_shared).then_some(folded.class)
        })
    }
}

/// What a written file says at its top.
const FILE_COMMENT: &str = r#"# The classes of a federation, in the order that all its members use.
#
#   name         what the class is called
#   prompt_name  optional: what prompts say in place of the name, where the name alone has several meanings or is no word,
#                as in  prompt_name = "fruit: orange"
#   aliases      optional: other names of its folders or labels, as in  aliases = ["n07747607", "Orange"]
#
# Names, prompt names and order decide the label space's hash, which clients and server must share; aliases do not.

"#;

/// The label space as files and messages have it.
#[derive(Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a label space: a `name` and `classes`"
)]
struct Document {
    name: String,
    classes: Vec<ClassEntry>,
}

impl LabelSpace {
    /// A label space of these classes, in this order.
    ///
    /// Texts are cleaned (NFC, white space single and trimmed).
    ///
    /// # Errors
    /// [`Error::LabelSpace`] for no or too many classes, for texts that break the rules, and for a
    /// name, prompt name or alias that belongs to two classes.
    pub fn new(name: impl Into<String>, classes: Vec<ClassEntry>) -> Result<Self> {
        let name = name.into();
        let refuse = |place: Place, problem| Error::LabelSpace {
            name: excerpt(&name).into(),
            place,
            problem,
        };
        check_clean(&name, MAX_CLASS_NAME_BYTES)
            .map_err(|problem| refuse(Place::single("name"), LabelSpaceProblem::Text(problem)))?;
        if classes.is_empty() || classes.len() > MAX_CLASSES {
            let problem = LabelSpaceProblem::Size {
                count: classes.len(),
                max: MAX_CLASSES,
            };
            return Err(refuse(Place::single("classes"), problem));
        }
        let mut known = Known::default();
        let mut cleaned = Vec::with_capacity(classes.len());
        for (index, entry) in classes.into_iter().enumerate() {
            let mut accept = |text: String, field| {
                let place = Place::entry("classes", index).field(field);
                let text = clean(&text, MAX_CLASS_NAME_BYTES)
                    .map_err(|problem| refuse(place.clone(), LabelSpaceProblem::Text(problem)))?;
                match known.add(&text, index as u32, field == "name") {
                    Ok(()) => Ok(text),
                    Err(other) => Err(refuse(
                        place,
                        LabelSpaceProblem::Duplicate {
                            name: text,
                            class: other as usize,
                        },
                    )),
                }
            };
            cleaned.push(ClassEntry {
                name: accept(entry.name, "name")?,
                prompt_name: entry
                    .prompt_name
                    .map(|text| accept(text, "prompt_name"))
                    .transpose()?,
                aliases: entry
                    .aliases
                    .into_iter()
                    .map(|text| accept(text, "aliases"))
                    .collect::<Result<_>>()?,
            });
        }
        let hash = hash(&cleaned);
        Ok(Self {
            name,
            classes: cleaned,
            known,
            hash,
        })
    }

    /// A label space of classes that have only a name.
    ///
    /// # Errors
    /// As [`LabelSpace::new`].
    pub fn from_names<I>(name: impl Into<String>, names: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let entry = |name: I::Item| ClassEntry {
            name: name.into(),
            prompt_name: None,
            aliases: Vec::new(),
        };
        Self::new(name, names.into_iter().map(entry).collect())
    }

    /// Reads a label space file: `name`, then `[[classes]]` with `name`, `prompt_name`, `aliases`.
    ///
    /// # Errors
    /// [`Error::Toml`], or as [`LabelSpace::new`].
    pub fn from_toml(text: &str) -> Result<Self> {
        let document: Document =
            toml::from_str(text).map_err(|e| toml_error("label space", text, &e))?;
        Self::try_from(document)
    }

    /// The label space as a file that [`LabelSpace::from_toml`] reads, with comments that explain what can be changed.
    pub fn to_toml(&self) -> String {
        let text = |value: &str| toml::Value::from(value).to_string();
        let mut file = format!("{FILE_COMMENT}name = {}\n", text(&self.name));
        for class in &self.classes {
            file.push_str(&format!("\n[[classes]]\nname = {}\n", text(&class.name)));
            if let Some(prompt_name) = &class.prompt_name {
                file.push_str(&format!("prompt_name = {}\n", text(prompt_name)));
            }
            if !class.aliases.is_empty() {
                let aliases: Vec<String> = class.aliases.iter().map(|alias| text(alias)).collect();
                file.push_str(&format!("aliases = [{}]\n", aliases.join(", ")));
            }
        }
        file
    }

    /// A label space that comes with this crate; [`LabelSpace::builtin_names`] lists them.
    ///
    /// # Errors
    /// [`Error::UnknownBuiltin`].
    pub fn builtin(name: &str) -> Result<Self> {
        Self::from_toml(builtin::find("label space", builtin::LABEL_SPACES, name)?)
    }

    /// Names of the built-in label spaces.
    pub fn builtin_names() -> Vec<&'static str> {
        builtin::names(builtin::LABEL_SPACES)
    }

    /// The label space's own name; not part of its hash.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of classes, at least 1.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// The classes in order.
    pub fn classes(&self) -> &[ClassEntry] {
        &self.classes
    }

    /// Name of a class, if there is one at this position.
    pub fn class_name(&self, class: ClassIndex) -> Option<&str> {
        self.entry(class).map(|entry| entry.name.as_str())
    }

    /// The text that prompts use for a class: its prompt name, else its name.
    pub fn prompt_name(&self, class: ClassIndex) -> Option<&str> {
        self.entry(class)
            .map(|entry| entry.prompt_name.as_deref().unwrap_or(&entry.name))
    }

    /// The class with this name, prompt name or alias: letter by letter, else the only one that is the same when both
    /// are [`folded`].
    pub fn index_of(&self, name: &str) -> Option<ClassIndex> {
        self.known.find(name).map(ClassIndex)
    }

    /// Hash of names and prompt names in order. Aliases and the label space's own name are left out:
    /// they change how data is found, not what a prompt means.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    fn entry(&self, class: ClassIndex) -> Option<&ClassEntry> {
        self.classes.get(class.get() as usize)
    }
}

impl PartialEq for LabelSpace {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.classes == other.classes
    }
}

impl Eq for LabelSpace {}

impl TryFrom<Document> for LabelSpace {
    type Error = Error;

    fn try_from(document: Document) -> Result<Self> {
        Self::new(document.name, document.classes)
    }
}

impl From<LabelSpace> for Document {
    fn from(space: LabelSpace) -> Self {
        Self {
            name: space.name,
            classes: space.classes,
        }
    }
}

/// Every text goes in with its length first, so that no two lists share their bytes.
fn hash(classes: &[ClassEntry]) -> ContentHash {
    let mut bytes = b"promptfed label space v1".to_vec();
    for entry in classes {
        for text in [
            entry.name.as_str(),
            entry.prompt_name.as_deref().unwrap_or(""),
        ] {
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    ContentHash::of(&bytes)
}
