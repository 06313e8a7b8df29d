//! Which writer, and how it writes.

use crate::commands::idle;
use anyhow::Result;
use clap::{ArgMatches, Args};
use promptfed_synth::Generator;
use promptfed_synth::writers::gguf::Sampling;
use promptfed_synth::writers::{Writer, WriterName, WriterOptions};
use std::path::{Path, PathBuf};

/// The writer's flags.
#[derive(Args)]
pub(super) struct WriterArgs {
    /// Who writes: grammar (no model), grammar:FILE (your own), gguf:FILE (a language model on this machine), chat:URL[#MODEL] (one behind an
    /// address that speaks OpenAI's chat/completions: llama.cpp, vLLM, Ollama, hosted ones)
    #[arg(long, value_name = "NAME[:ARG]", default_value = "grammar")]
    writer: WriterName,
    /// For language models: texts whose images were useful, and others, as JSON lines {"class", "prompt", "good": true|false}, best and worst
    /// first
    #[arg(long, value_name = "FILE")]
    examples: Option<PathBuf>,
    /// For language models: how freely words are drawn; 0 takes the likeliest [default: 0.8]
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// For language models: draw from the likeliest words that have this probability together [default: 0.95]
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// For language models: longest prompt in tokens [default: 48]
    #[arg(long, value_name = "N")]
    max_tokens: Option<u32>,
}

/// Refuses flags that the writer has no use for.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    match matches.get_one("writer") {
        Some(WriterName::Grammar(_)) => idle::refuse(
            matches,
            &["examples", "temperature", "top_p", "max_tokens"],
            "with a grammar; give --writer gguf:FILE or chat:URL",
        ),
        _ => Ok(()),
    }
}

impl WriterArgs {
    /// The file of examples.
    pub(super) fn examples(&self) -> Option<&Path> {
        self.examples.as_deref()
    }

    /// Whether its work must not be lost.
    pub(super) fn is_slow(&self) -> bool {
        self.writer.is_slow()
    }

    /// Opens the writer.
    pub(super) fn open(&self, _seed: u64, reader: Option<&dyn Generator>) -> Result<Box<dyn Writer>> {
        let own = Sampling::default();
        let options = WriterOptions {
            sampling: Sampling {
                temperature: self.temperature.unwrap_or(own.temperature),
                top_p: self.top_p.unwrap_or(own.top_p),
                max_tokens: self.max_tokens.unwrap_or(own.max_tokens),
            },
        };
        Ok(self.writer.open(&options, reader)?)
    }
}
