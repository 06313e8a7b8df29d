//! `promptfed submit`: prompts to a server's round.

use super::data;
use super::extract::summary;
use super::identity::{ClientArgs, ClientSession};
use super::receipt;
use super::trust::TrustArgs;
use crate::Context;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use promptfed_client::{AdminClient, Credentials, FederationClient};
use promptfed_eval::report::bytes;
use promptfed_files::prove_writable;
use promptfed_prompts::PromptSet;
use promptfed_prompts::ledger::Direction;
use promptfed_prompts::protocol::{RoundId, shown};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Send extracted prompts to a server's round.
///
/// Sending the same prompts again is safe; other prompts replace the earlier ones while the round is open. A receipt is written
/// beside the prompts: `promptfed receipt` shows it again and asks the server whether it holds them still, `promptfed withdraw`
/// takes them back.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// prompts.json of `promptfed extract`
    #[arg(default_value = "prompts.json")]
    prompts: PathBuf,
    #[command(flatten)]
    client: ClientArgs,
    /// The round's number
    #[arg(long)]
    round: RoundId,
    /// This client's name in what is printed; the server knows it by its token [default: that in the credentials]
    #[arg(long)]
    name: Option<String>,
    /// Where the receipt goes [default: beside the prompts, as prompts.round-1.receipt.json]
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

/// Where a server listens by itself.
pub(crate) const DEFAULT_SERVER: &str = "http://127.0.0.1:7878";

/// Where the server is.
#[derive(ClapArgs, Clone)]
pub(crate) struct ServerArgs {
    /// The server's address [default: that of the credentials, where there are any, else http://127.0.0.1:7878]
    #[arg(long, env = "PROMPTFED_SERVER", value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    pub(super) trust: TrustArgs,
}

impl ServerArgs {
    /// The server's address as it was given.
    pub(super) fn address(&self) -> &str {
        self.server.as_deref().unwrap_or(DEFAULT_SERVER)
    }

    /// Refuses credentials of another server than was named: a token goes to its own server alone.
    pub(super) fn check_is(&self, credentials: &Credentials, file: &Path) -> Result<()> {
        let file = file.display();
        let given = self.server.as_deref();
        let other = given.filter(|given| given.trim_end_matches('/') != credentials.server);
        if let Some(other) = other {
            let text = format!(
                "{file} is for {}, and --server or PROMPTFED_SERVER says {other}: a token goes to its own server alone; leave the address out, or enrol there",
                credentials.server
            );
            return Err(anyhow::Error::msg(text).context(BadInput));
        }
        let pinned = self.trust.trust().fingerprint.zip(credentials.fingerprint);
        match pinned {
            Some((given, own)) if given != own => {
                let text = format!(
                    "{file} knows its server by the fingerprint {own}, and --server-fingerprint or PROMPTFED_SERVER_FINGERPRINT says {given}; leave it out, or enrol again"
                );
                Err(anyhow::Error::msg(text).context(BadInput))
            }
            _ => Ok(()),
        }
    }

    /// A session as a client, by its token alone.
    pub(super) fn client(&self, name: &str, token: &str) -> Result<FederationClient> {
        let trust = self.trust.trust();
        Ok(FederationClient::with_trust(
            self.address(),
            name,
            token,
            &trust,
        )?)
    }

    /// A session as the administrator.
    pub(super) fn admin(&self, token: &str) -> Result<AdminClient> {
        Ok(AdminClient::with_trust(
            self.address(),
            token,
            &self.trust.trust(),
        )?)
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let json = data::prompt_text(&args.prompts)?;
    let receipt_file = receipt::place(args.receipt.as_deref(), &args.prompts, args.round);
    let ClientSession {
        server,
        name,
        session: client,
    } = args.client.connect_as(args.name.as_deref())?;
    receipt::refuse_other(&receipt_file, &server, args.round)?;
    prove_writable(&receipt_file)?;
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
    receipt::write(&receipt_file, &server, prompts.hash(), &answer.receipt)?;
    let ledger = client.ledger();
    let (up, down) = (ledger.total(Direction::Up), ledger.total(Direction::Down));
    if context.json {
        println!(
            "{}",
            json!({
                "answer": answer, "receipt_file": receipt_file.display().to_string(),
                "bytes_up": up, "bytes_down": down, "ledger": ledger,
            })
        );
    } else {
        println!(
            "{}, {}: receipt for {} in {}; {} up and {} down crossed the socket",
            shown(&name),
            serde_json::to_value(answer.outcome)?
                .as_str()
                .unwrap_or("stored"),
            answer.receipt.hash,
            receipt_file.display(),
            bytes(up),
            bytes(down)
        );
    }
    Ok(())
}
