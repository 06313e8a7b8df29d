//! The strings that an operator hands out, for `promptfed enrol`.

use super::identity::AdminArgs;
use super::round_view::time;
use super::submit::ServerArgs;
use crate::Context;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::Args;
use promptfed_client::{AdminClient, EnrolmentString};
use promptfed_prompts::protocol::{ClientId, Invitation, shown};
use serde::Serialize;

/// Where clients reach the server, and how long they have.
#[derive(Args)]
pub(super) struct InvitationArgs {
    /// The address by which the clients reach the server [default: that of --server]
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// Days that a string works
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

/// A client's string, a secret.
#[derive(Serialize)]
pub(super) struct Handed {
    client_id: ClientId,
    name: String,
    enrolment: String,
    expires_at: u64,
}

impl InvitationArgs {
    pub(super) fn connect(&self) -> Result<AdminClient> {
        self.check_address()?;
        self.admin.connect(&self.server)
    }

    pub(super) fn seconds(&self) -> u32 {
        self.days * 24 * 3600
    }

    fn address(&self) -> &str {
        self.address.as_deref().unwrap_or(self.server.address())
    }

    /// Refuses what is no address before clients are registered for it.
    fn check_address(&self) -> Result<()> {
        let address = self.address();
        let host = address
            .strip_prefix("https://")
            .or(address.strip_prefix("http://"));
        if host
            .is_some_and(|host| !host.is_empty() && address.chars().all(|c| c.is_ascii_graphic()))
        {
            return Ok(());
        }
        let text = format!("{address:?} is no server address; write it like https://server:7878");
        Err(anyhow::Error::msg(text).context(BadInput))
    }

    /// The string for each client. It has the fingerprint by which the server is known here, where it is by one.
    pub(super) fn strings(&self, invitations: Vec<Invitation>) -> Result<Vec<Handed>> {
        let address = self.address();
        let is_tls = address.starts_with("https://");
        let fingerprint = self.server.trust.trust().fingerprint.filter(|_| is_tls);
        if names_this_machine(address) {
            eprintln!(
                "note: {address} is each client's own machine; --address URL is for clients elsewhere"
            );
        } else if !is_tls {
            eprintln!(
                "note: {address} is plain http, which can be read on the way; the clients need --allow-plain-http"
            );
        }
        let handed = invitations.into_iter().map(|invitation| {
            let string = EnrolmentString::new(address, fingerprint, &invitation)
                .context("the server's code cannot be handed out")?;
            Ok(Handed {
                client_id: invitation.client_id,
                name: invitation.name,
                enrolment: string.to_string(),
                expires_at: invitation.expires_at,
            })
        });
        handed.collect()
    }
}

fn names_this_machine(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|own| host.starts_with(own))
}

/// Shows strings, for the only time: one alone, so that it can go into a file; several with their clients' numbers and names.
pub(super) fn show(handed: &[Handed], context: &Context) -> Result<()> {
    match handed {
        [one] if context.json => println!("{}", serde_json::to_string(one)?),
        several if context.json => println!("{}", serde_json::to_string(several)?),
        [one] => {
            eprintln!(
                "note: client {} is {}; its string is shown only now, and works once, until {}",
                one.client_id,
                shown(&one.name),
                time(one.expires_at)
            );
            println!("{}", one.enrolment);
        }
        several => {
            eprintln!("note: the strings are shown only now; each works once");
            for one in several {
                println!("{}\t{}\t{}", one.client_id, shown(&one.name), one.enrolment);
            }
        }
    }
    Ok(())
}
