//! Which writer, and how it writes.

use crate::commands::idle;
use anyhow::Result;
use clap::{ArgMatches, Args};
use promptfed_synth::Generator;
use promptfed_synth::service::{ApiKey, Limits};
use promptfed_synth::writers::gguf::Sampling;
use promptfed_synth::writers::{Writer, WriterName, WriterOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Most bytes of a language model's answer, which is a few lines.
const MAX_ANSWER: u64 = 4 << 20;

/// The writer's flags.
#[derive(Args)]
pub(super) struct WriterArgs {
    /// Who writes: grammar (no model), grammar:FILE (your own), gguf:FILE (a language model on this machine),
    /// chat:URL[#MODEL] (one behind an address that speaks OpenAI's chat/completions: llama.cpp, vLLM, Ollama, hosted
    /// ones)
    #[arg(long, value_name = "NAME[:ARG]", default_value = "grammar")]
    writer: WriterName,
    /// For language models: texts whose images were useful, and others, as JSON lines {"class", "prompt", "good":
    /// true|false}, best and worst first
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
    /// For chat: environment variable that holds the service's key
    #[arg(long, value_name = "VARIABLE", conflicts_with = "key_file")]
    key_env: Option<String>,
    /// For chat: file that holds the service's key
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// For chat: most requests in a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_minute: Option<u32>,
    /// For chat: longest time of one request in seconds [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

/// Refuses flags that the writer has no use for.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    let of_models = ["examples", "temperature", "top_p", "max_tokens"];
    let of_services = ["key_env", "key_file", "per_minute", "timeout"];
    match matches.get_one("writer") {
        Some(WriterName::Grammar(_)) => idle::refuse(
            matches,
            &[of_models, of_services].concat(),
            "with a grammar; give --writer gguf:FILE or chat:URL",
        ),
        Some(WriterName::Gguf(_)) => idle::refuse(
            matches,
            &of_services,
            "with a model on this machine; give --writer chat:URL",
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

    /// Opens the writer, for prompts that `readers` will read.
    pub(super) fn open(
        &self,
        seed: u64,
        readers: &[&dyn Generator],
        cancel: &AtomicBool,
    ) -> Result<Box<dyn Writer>> {
        let own = Sampling::default();
        let key = match (&self.key_env, &self.key_file) {
            (Some(variable), _) => Some(ApiKey::from_env(variable)?),
            (None, Some(file)) => Some(ApiKey::from_file(file)?),
            (None, None) => None,
        };
        let limits = Limits::default();
        let whole = self.timeout.map_or(limits.whole, Duration::from_secs);
        let options = WriterOptions {
            sampling: Sampling {
                temperature: self.temperature.unwrap_or(own.temperature),
                top_p: self.top_p.unwrap_or(own.top_p),
                max_tokens: self.max_tokens.unwrap_or(own.max_tokens),
            },
            key,
            limits: Limits {
                whole,
                silence: whole,
                per_minute: self.per_minute,
                answer_bytes: MAX_ANSWER,
                seed,
                ..limits
            },
        };
        Ok(self.writer.open(&options, readers, cancel)?)
    }
}
