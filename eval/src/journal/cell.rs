//! One method with one seed.

use super::{KeptImages, KeptPredictions};
use crate::Result;
use crate::comparison::{MethodRun, SubmittedPrompts};
use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

/// Everything that determines a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellKey {
    /// Version of the program.
    pub version: String,
    /// The method's name, with what it was told.
    pub method: String,
    /// What else determines its result: rounds, engines with their weights, templates, ...
    pub determined_by: String,
    /// The seed.
    pub seed: u64,
    /// Hash of the clients' images and captions, of the test images, of the public ones where the method looks at them, and of who holds
    /// what.
    pub data: String,
    /// The classifier and its training, without what each method sets itself.
    pub recipe: serde_json::Value,
    /// How networks keep their weights and compute products.
    pub precision: String,
}

impl CellKey {
    /// BLAKE3 of its JSON form.
    ///
    /// # Errors
    /// A value that has none.
    pub fn hash(&self) -> Result<ContentHash> {
        Ok(ContentHash::of(&serde_json::to_vec(self)?))
    }
}

/// A cell that has been run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cell {
    /// What determined it.
    pub key: CellKey,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// It was measured.
    Done(Box<Done>),
    /// The method failed.
    Failed {
        /// Why, in a sentence.
        reason: String,
    },
}

/// What a run leaves to show.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// The figures.
    pub run: MethodRun,
    /// What clients sent, where they sent prompts.
    pub prompts: Vec<SubmittedPrompts>,
    /// What each of its models says of every test image; nothing in a cell of before this was kept, which is read nonetheless.
    #[serde(default)]
    pub(crate) predictions: Vec<KeptPredictions>,
    /// A few of the synthetic images, where there are any and the report shows them.
    pub(crate) gallery: Option<KeptImages>,
    /// Name and value of further hashes and versions that the run depends on.
    pub provenance: Vec<(String, String)>,
    /// What had no effect, was not read or was left out, in words.
    pub warnings: Vec<String>,
}
