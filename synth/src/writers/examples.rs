//! Texts whose images were useful, and texts whose images were not.

use std::collections::BTreeMap;
use std::path::Path;

use promptfed_prompts::{ClassIndex, ContentHash, LabelSpace};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Most bytes of a file of examples that are read.
const MAX_BYTES: u64 = 16 << 20;

/// Good and bad examples by class, best and worst first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Examples(BTreeMap<ClassIndex, OfClass>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct OfClass {
    good: Vec<String>,
    bad: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    class: String,
    prompt: String,
    good: bool,
}

impl Examples {
    /// Adds a text of a class, behind those that were added before.
    pub fn add(&mut self, class: ClassIndex, text: impl Into<String>, is_good: bool) {
        let of_class = self.0.entry(class).or_default();
        if is_good {
            of_class.good.push(text.into());
        } else {
            of_class.bad.push(text.into());
        }
    }

    /// Reads a file of examples: one JSON object per line, `{"class": .., "prompt": .., "good": true|false}`.
    ///
    /// # Errors
    /// A file that cannot be read, or [`Error::PromptLine`] for a line that is no example.
    pub fn read(path: &Path, label_space: &LabelSpace) -> Result<Self> {
        let text = promptfed_files::read_text(path, MAX_BYTES)?;
        let mut examples = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let fault = |reason: String| Error::PromptLine {
                file: path.to_owned(),
                line: number,
                reason,
            };
            let line: Line = serde_json::from_str(line).map_err(|e| {
                fault(format!(
                    "{e}; a line is {{\"class\", \"prompt\", \"good\": true|false}}"
                ))
            })?;
            let class = label_space.index_of(&line.class).ok_or_else(|| {
                fault(format!(
                    "class {:?} is not in label space {:?}; use one of its names or aliases",
                    line.class,
                    label_space.name()
                ))
            })?;
            examples.add(class, line.prompt, line.good);
        }
        Ok(examples)
    }

    /// The good ones of a class, best first.
    pub fn good(&self, class: ClassIndex) -> &[String] {
        self.0.get(&class).map_or(&[], |of_class| &of_class.good)
    }

    /// The bad ones of a class, worst first.
    pub fn bad(&self, class: ClassIndex) -> &[String] {
        self.0.get(&class).map_or(&[], |of_class| &of_class.bad)
    }

    /// Hash of all of them; none where there are none.
    pub(super) fn hash(&self) -> Option<ContentHash> {
        let json = serde_json::to_vec(self).unwrap_or_default();
        (!self.0.is_empty()).then(|| ContentHash::of(&json))
    }
}
