//! Prompts in, more prompts out: writers vary what clients released, before a generator reads it.
//!
//! A [`Writer`] gives candidate texts for a [`Topic`] (class, domain, and the template's text for them). Every candidate is
//! [checked](check) before it is used: its class named, no other class, the template's words and language kept, length, what the
//! generator reads and knows, no near copy of a client's caption, no repetition. [`write()`] drives a writer over all topics
//! and counts what was refused and why. Captions of clients are looked at by the checks alone: no writer is told any.

pub mod chat;
pub mod check;
mod examples;
pub mod gguf;
pub mod grammar;
mod instruction;
mod journal;
mod name;
mod record;
mod run;
mod seed;
mod topic;
mod writer;

pub use examples::Examples;
pub use journal::Journal;
pub use name::{WriterName, WriterOptions};
pub use record::{WritingRecord, Written, WrittenPrompt};
pub use run::{WritingProgress, WritingSpec, write};
pub use seed::WritingSeed;
pub use topic::Topic;
pub use writer::{Ask, Writer, WriterInfo};
