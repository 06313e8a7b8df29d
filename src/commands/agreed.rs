//! What a round has agreed on, from its server or from a file.

use super::engines::templates_of;
use super::extract::WordingArgs;
use super::idle;
use super::submit::DEFAULT_SERVER;
use super::trust::{TRUST_FLAGS, TrustArgs};
use crate::Context;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::{ArgMatches, Args};
use promptfed_client::FederationClient;
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
    /// The server's address, for --round [default: http://127.0.0.1:7878]
    #[arg(long, env = SERVER, value_name = "URL")]
    server: Option<String>,
    /// This client's token, from `promptfed register`, for --round
    #[arg(long, env = TOKEN, hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    trust: TrustArgs,
}

const SERVER: &str = "PROMPTFED_SERVER";
const TOKEN: &str = "PROMPTFED_TOKEN";

/// Refuses flags about a server that nobody asks.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    let reason = match matches.get_one::<String>("round") {
        Some(round) if round.parse::<RoundId>().is_ok() => return Ok(()),
        Some(_) => "where --round is a file",
        None => "without --round; nothing is sent here",
    };
    idle::refuse(
        matches,
        &[&["server", "token"][..], &TRUST_FLAGS].concat(),
        reason,
    )
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
        let Some(token) = &self.token else {
            let text = format!(
                "round {number} is read with this client's token: give --token or {TOKEN}, or --round FILE of `promptfed round spec`"
            );
            return Err(anyhow::Error::msg(text).context(BadInput));
        };
        let server = self.server.as_deref().unwrap_or(DEFAULT_SERVER);
        let client = FederationClient::with_trust(server, "client", token, &self.trust.trust())?;
        Ok(client.round(number)?)
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
