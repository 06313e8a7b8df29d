//! What crosses the wire in federated generative learning: prompts, the label space they speak of,
//! the templates that turn them into text, and the format they travel in.
//!
//! ```
//! use promptfed_prompts::{ClassIndex, LabelSpace, Level, PromptSet, TemplateSet};
//!
//! let classes = LabelSpace::builtin("imagenette")?;
//! let mut builder = PromptSet::builder(&classes, Level::Class, &TemplateSet::builtin("fgl")?);
//! for class in 0..10 {
//!     builder.add(ClassIndex::new(class), None, None)?;
//! }
//! let prompts = builder.build()?;
//! let received = PromptSet::from_wire(&prompts.to_wire(), &classes)?;
//! assert_eq!(received.hash(), prompts.hash());
//! assert_eq!(
//!     received.render(&received.prompts()[0], &classes)?.positive,
//!     "tench, real world images, high resolution "
//! );
//! # Ok::<(), promptfed_prompts::Error>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod article;
mod builtin;
mod canonical;
mod error;
mod hash;
mod identifier;
mod json_fault;
mod label_space;
pub mod ledger;
mod level;
mod numbered;
mod pieces;
mod prompt;
mod prompt_set;
mod prompt_set_builder;
pub mod protocol;
pub mod same_name;
mod template;
mod template_set;
mod text;
mod wire;

pub use error::{Error, LabelSpaceProblem, Place, Result, TemplateProblem, TextProblem};
pub use hash::ContentHash;
pub use identifier::is_identifier;
pub use label_space::{ClassEntry, ClassIndex, LabelSpace, MAX_CLASSES};
pub use level::Level;
pub use numbered::without_number;
pub use pieces::{COUNTS_KEY, POOL_COUNT_BYTES, POOL_FRAME_BYTES, Piece, PieceKind};
pub use prompt::{Prompt, RenderedPrompt};
pub use prompt_set::{MAX_PROMPTS, PromptSet};
pub use prompt_set_builder::PromptSetBuilder;
pub use template::Template;
pub use template_set::{TemplateEntry, TemplateSet};
pub use text::{
    Caption, Domain, MAX_CAPTION_BYTES, MAX_CLASS_NAME_BYTES, MAX_DOMAIN_BYTES, MAX_TEMPLATE_BYTES,
};
pub use wire::{MAX_DECODED_BYTES, MAX_WIRE_BYTES, WIRE_MAGIC, WIRE_VERSION};
