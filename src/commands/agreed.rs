//! What a round has agreed on, from its server or from a file.

use super::engines::templates_of;
use super::extract::WordingArgs;
use super::identity::{self, CLIENT_FLAGS, ClientArgs};
use super::idle;
use super::trust::TRUST_FLAGS;
use crate::Context;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::{ArgMatches, Args};
use promptfed_prompts::LabelSpace;
use promptfed_prompts::protocol::{MAX_MESSAGE_BYTES, PromptPlan, RoundId, RoundSpec};
use promptfed_synth::registry::EngineRef;
use std::path::Path;

/// The round that prompts are made for.
#[derive(Args)]
pub(crate) struct AgreedArgs {
    /// The round that the prompts are for: its number on --server, or the file that `promptfed round spec` saved. Classes,
    /// level and templates are the round's
    #[arg(long, value_name = "ROUND|FILE", conflicts_with_all = ["label_space", "level", "templates"])]
    round: Option<String>,
    #[command(flatten)]
    client: ClientArgs,
}

/// Refuses flags about a server that nobody asks.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    let reason = match matches.get_one::<String>("round") {
        Some(round) if round.parse::<RoundId>().is_ok() => return identity::refuse_idle(matches),
        Some(_) => "where --round is a file",
        None => "without --round; nothing is sent here",
    };
    idle::refuse(matches, &[&CLIENT_FLAGS[..], &TRUST_FLAGS].concat(), reason)
}

/// What all clients of a round do alike.
pub(crate) struct Agreed {
    /// Level and templates.
    pub(crate) plan: PromptPlan,
    /// The classes, where a round names them.
    pub(crate) label_space: Option<LabelSpace>,
    /// The engines that will read the prompts, where a round names them.
    pub(crate) engines: Option<Vec<String>>,
}

impl AgreedArgs {
    /// The file that says what the round has agreed on, where it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        let round = self.round.as_deref()?;
        round.parse::<RoundId>().is_err().then(|| Path::new(round))
    }

    /// The round's classes, level and templates; without a round, the level and templates of `wording`.
    pub(crate) fn agreed(&self, wording: &WordingArgs, context: &Context) -> Result<Agreed> {
        let Some(round) = &self.round else {
            return Ok(Agreed {
                plan: wording.plan(EngineRef::default().templates())?,
                label_space: None,
                engines: None,
            });
        };
        let spec = self.spec(round)?;
        let plan = match spec.prompts {
            Some(plan) => plan,
            None => {
                let engine = spec.synthesis.sources.first();
                let of_engine = templates_of(engine.map(|s| s.engine.as_str()), context);
                eprintln!(
                    "warning: round {round} names no level and no templates; {} and {} are used, and the first client to submit decides for all",
                    wording.level,
                    wording.templates(of_engine)
                );
                wording.plan(of_engine)?
            }
        };
        Ok(Agreed {
            plan,
            label_space: Some(spec.label_space),
            engines: Some(
                spec.synthesis
                    .sources
                    .into_iter()
                    .map(|s| s.engine)
                    .collect(),
            ),
        })
    }

    fn spec(&self, round: &str) -> Result<RoundSpec> {
        let Ok(number) = round.parse::<RoundId>() else {
            return read(round.as_ref());
        };
        let client = self.client.connect().with_context(|| {
            format!("round {number} is read from its server, and --round FILE of `promptfed round spec` without one")
        })?;
        Ok(client.session.round(number)?)
    }
}

/// Reads what `promptfed round spec` saved.
fn read(file: &Path) -> Result<RoundSpec> {
    let text = promptfed_files::read_text(file, MAX_MESSAGE_BYTES as u64)
        .context("--round takes a round's number or a file")?;
    let spec: RoundSpec = serde_json::from_str(&text).map_err(|error| {
        anyhow::Error::msg(format!(
            "{} is not what `promptfed round spec` saves: {error}",
            file.display()
        ))
        .context(BadInput)
    })?;
    spec.validate().map_err(|error| {
        anyhow::Error::msg(format!("{}: {error}", file.display())).context(BadInput)
    })?;
    Ok(spec)
}
