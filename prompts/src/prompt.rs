//! One prompt.

use serde::{Deserialize, Serialize};

use crate::{Caption, ClassIndex, Domain};

/// What a client tells about one or more of its images.
///
/// Prompts order by class, then domain (none first), then caption (none first).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// The class, an index into the label space.
    pub class: ClassIndex,
    /// The domain; none at class level, and where the data has no domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Domain>,
    /// The caption; present at instance level only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<Caption>,
    /// How many private images stand behind this prompt; present only when the client releases counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// The text that a generator reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RenderedPrompt {
    /// What to draw.
    pub positive: String,
    /// What to keep away from; empty for none.
    pub negative: String,
}
