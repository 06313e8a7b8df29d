//! What is asked of one-shot generative learning.

use promptfed_client::{Captioner, ReleaseRules};
use promptfed_prompts::protocol::SynthesisPlan;
use promptfed_prompts::{Level, TemplateSet};
use std::sync::Arc;

/// Whose prompts a server makes images of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// The clients'.
    Clients,
    /// Its own: the class names alone, of all classes. No client sends anything, and what prompts add is measured against it.
    ClassNames,
}

/// How prompts are made, what the server makes of them, how it trains.
#[derive(Debug, Clone)]
pub struct FglConfig {
    /// Short name among the compared methods: `fgl:level=class`; `fused` where the synthesis fuses several engines; `zero-upload`.
    pub name: String,
    /// Whose prompts.
    pub asking: Asking,
    /// How much of each image its prompt tells.
    pub level: Level,
    /// The texts around class, domain and caption.
    pub templates: TemplateSet,
    /// What writes the captions of instance-level prompts.
    pub captioner: Arc<dyn Captioner>,
    /// Whether clients release how many images stand behind a prompt.
    pub counts: bool,
    /// What clients leave out of their prompts.
    pub release: ReleaseRules,
    /// How images are made; its seed is replaced by one of each run.
    pub synthesis: SynthesisPlan,
    /// Passes over the synthetic images.
    pub epochs: u32,
    /// What determines the images of the engines, beside what is asked of them, and the captions: models and their files.
    pub engines: String,
}
