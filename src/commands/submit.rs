//! `promptfed submit`: prompts to a server's round.

use super::data;
use super::extract::summary;
use super::trust::TrustArgs;
use crate::Context;
use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use promptfed_client::{AdminClient, FederationClient};
use promptfed_eval::report::bytes;
use promptfed_prompts::PromptSet;
use promptfed_prompts::ledger::Direction;
use promptfed_prompts::protocol::{RoundId, shown};
use serde_json::json;
use std::path::PathBuf;

/// Send extracted prompts to a server's round.
///
/// Sending the same prompts again is safe; other prompts replace the earlier ones while the round is open.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// prompts.json of `promptfed extract`
    #[arg(default_value = "prompts.json")]
    prompts: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
    /// The round's number
    #[arg(long)]
    round: RoundId,
    /// This client's token, from `promptfed register`
    #[arg(long, env = "PROMPTFED_TOKEN", hide_env_values = true)]
    token: String,
    /// This client's name in what is printed; the server knows it by its token
    #[arg(long, default_value = "client")]
    name: String,
}

/// Where a server listens by itself.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7878";

/// Where the server is.
#[derive(ClapArgs, Clone)]
pub(crate) struct ServerArgs {
    /// The server's address
    #[arg(
        long,
        env = "PROMPTFED_SERVER",
        value_name = "URL",
        default_value = DEFAULT_SERVER
    )]
    server: String,
    #[command(flatten)]
    trust: TrustArgs,
}

impl ServerArgs {
    /// A session as a client.
    pub(super) fn client(&self, name: &str, token: &str) -> Result<FederationClient> {
        let trust = self.trust.trust();
        Ok(FederationClient::with_trust(
            &self.server,
            name,
            token,
            &trust,
        )?)
    }

    /// A session as the administrator.
    pub(super) fn admin(&self, token: &str) -> Result<AdminClient> {
        Ok(AdminClient::with_trust(
            &self.server,
            token,
            &self.trust.trust(),
        )?)
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let json = data::prompt_text(&args.prompts)?;
    let client = args.server.client(&args.name, &args.token)?;
    let spec = client.round(args.round)?;
    let prompts = PromptSet::from_json(&json, &spec.label_space)
        .with_context(|| args.prompts.display().to_string())?;
    if !context.json {
        println!(
            "sending {} to round {} ({})",
            summary(&prompts),
            args.round,
            shown(&spec.name)
        );
    }
    let answer = client.submit(args.round, &prompts)?;
    let ledger = client.ledger();
    let (up, down) = (ledger.total(Direction::Up), ledger.total(Direction::Down));
    if context.json {
        println!(
            "{}",
            json!({ "answer": answer, "bytes_up": up, "bytes_down": down, "ledger": ledger })
        );
    } else {
        println!(
            "{}, {}: receipt for {}; {} up and {} down crossed the socket",
            args.name,
            serde_json::to_value(answer.outcome)?
                .as_str()
                .unwrap_or("stored"),
            answer.receipt.hash,
            bytes(up),
            bytes(down)
        );
    }
    Ok(())
}
