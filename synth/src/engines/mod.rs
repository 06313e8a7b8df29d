//! The engines: one folder each, all behind [`Generator`](crate::Generator).

pub mod pocket;
mod prompt_cache;
pub mod sd;
