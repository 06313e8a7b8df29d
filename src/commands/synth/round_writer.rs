//! What writes prompts for rounds of generation.

use crate::commands::idle;
use anyhow::Result;
use clap::{ArgMatches, Args};
use promptfed_synth::Generator;
use promptfed_synth::fuse::{RoundWriting, RoundWritingSpec};
use promptfed_synth::service::ApiKey;
use promptfed_synth::writers::check::Limits;
use promptfed_synth::writers::{Writer, WriterName, WriterOptions};
use std::sync::atomic::AtomicBool;

/// Candidates to ask for, for every prompt wanted.
const CANDIDATES: u32 = 8;

#[derive(Args)]
#[command(next_help_heading = "Fusion")]
pub(super) struct RoundWriterArgs {
    /// With --rounds 2 or more, write new prompts for each round, as `promptfed write` does: grammar, grammar:FILE, gguf:FILE, chat:URL[#MODEL]. A
    /// language model is shown its own texts whose images were most and least useful in the last round, and no client's caption
    #[arg(long, value_name = "NAME[:ARG]")]
    writer: Option<WriterName>,
    /// Prompts that --writer writes for each prompt in each round
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    per_prompt: u32,
    /// The environment variable that holds the key of --writer chat:URL
    #[arg(long, value_name = "VARIABLE")]
    writer_key_env: Option<String>,
}

/// Refuses flags that the writer has no use for.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    let rounds = matches.get_one::<u32>("rounds");
    if rounds.is_none_or(|rounds| *rounds < 2) {
        let flags = ["writer", "per_prompt", "writer_key_env"];
        return idle::refuse(matches, &flags, "without --rounds 2 or more");
    }
    match matches.get_one("writer") {
        None => idle::refuse(
            matches,
            &["per_prompt", "writer_key_env"],
            "without --writer",
        ),
        Some(WriterName::Chat { .. }) => Ok(()),
        Some(_) => idle::refuse(
            matches,
            &["writer_key_env"],
            "with a writer on this machine; give --writer chat:URL",
        ),
    }
}

impl RoundWriterArgs {
    /// Opens the writer, for prompts that `readers` will read.
    pub(super) fn open(
        &self,
        readers: &[&dyn Generator],
        cancel: &AtomicBool,
    ) -> Result<Option<Box<dyn Writer>>> {
        let Some(name) = &self.writer else {
            return Ok(None);
        };
        let key = self.writer_key_env.as_deref().map(ApiKey::from_env);
        let options = WriterOptions {
            key: key.transpose()?,
            ..WriterOptions::default()
        };
        Ok(Some(name.open(&options, readers, cancel)?))
    }

    /// What an opened writer does in the rounds.
    pub(super) fn writing<'w>(&self, writer: &'w mut dyn Writer) -> RoundWriting<'w> {
        RoundWriting {
            writer,
            settings: RoundWritingSpec {
                per_prompt: self.per_prompt,
                candidates: CANDIDATES,
                limits: Limits::default(),
            },
            is_slow: self.writer.as_ref().is_some_and(WriterName::is_slow),
        }
    }
}
