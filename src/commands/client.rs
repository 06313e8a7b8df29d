//! `promptfed client`: a server's clients.

use super::identity::AdminArgs;
use super::invitations::{InvitationArgs, show};
use super::round_view;
use super::submit::ServerArgs;
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use promptfed_client::AdminClient;
use promptfed_prompts::protocol::{ClientEntry, ClientId, RegistrationsRequest, shown};
use promptfed_prompts::same_name::composed;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Clients of a server: invite and list them, end or replace a token (administrator).
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Register clients, all that are named or none, and print for each the string by which it enrols
    ///
    /// Hand each string to its client alone, over another way than the network that it protects. It works once.
    Add(AddArgs),
    /// List all clients
    List(ListArgs),
    /// End a client's token and its string; what it has submitted stays
    Revoke(OneArgs),
    /// Print new strings for clients; their tokens work until they have enrolled again, and `client revoke` ends them at once
    Rotate(RotateArgs),
}

#[derive(ClapArgs)]
struct AddArgs {
    /// The clients' names
    #[arg(value_name = "NAME", required_unless_present = "from")]
    names: Vec<String>,
    /// File with the clients' names, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "names")]
    from: Option<PathBuf>,
    #[command(flatten)]
    invitation: InvitationArgs,
}

#[derive(ClapArgs)]
struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(ClapArgs)]
struct OneArgs {
    /// The client's name or number
    client: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(ClapArgs)]
struct RotateArgs {
    /// The clients' names or numbers
    #[arg(value_name = "CLIENT", required = true)]
    clients: Vec<String>,
    #[command(flatten)]
    invitation: InvitationArgs,
}

/// Largest file of names in bytes.
const LONGEST: u64 = 8 << 20;

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    match args.command {
        Command::Add(args) => add(args, context),
        Command::List(args) => list(&args, context),
        Command::Revoke(args) => {
            let admin = args.admin.connect(&args.server)?;
            let client = find(&admin, &args.client)?.client_id;
            let revoked = admin.revoke(client)?;
            if context.json {
                println!("{}", serde_json::to_string(&revoked)?);
            } else {
                let (client, name) = (revoked.client_id, shown(&revoked.name));
                println!("the token of client {client} ({name}) works no longer");
            }
            Ok(())
        }
        Command::Rotate(args) => rotate(&args, context),
    }
}

fn add(args: AddArgs, context: &Context) -> Result<()> {
    let names: Vec<String> = match &args.from {
        Some(file) => promptfed_files::read_text(file, LONGEST)?
            .lines()
            .map(composed)
            .filter(|name| !name.is_empty())
            .collect(),
        None => args.names.iter().map(|name| composed(name)).collect(),
    };
    let request = RegistrationsRequest {
        code_seconds: args.invitation.seconds(),
        ..RegistrationsRequest::of(names)
    };
    let invitations = args.invitation.connect()?.invite_all(&request)?;
    show(&args.invitation.strings(invitations)?, context)
}

fn rotate(args: &RotateArgs, context: &Context) -> Result<()> {
    let admin = args.invitation.connect()?;
    let known = admin.clients()?;
    let named = args.clients.iter().map(|client| find_in(&known, client));
    let names = named.map(|found| found.map(|entry| entry.name.clone()));
    let request = RegistrationsRequest {
        names: names.collect::<Result<_>>()?,
        replace_tokens: true,
        code_seconds: args.invitation.seconds(),
    };
    let invitations = admin.invite_all(&request)?;
    show(&args.invitation.strings(invitations)?, context)
}

fn list(args: &ListArgs, context: &Context) -> Result<()> {
    let clients = args.admin.connect(&args.server)?.clients()?;
    if context.json {
        println!("{}", serde_json::to_string(&clients)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["client", "name", "registered", "token", "string"]);
    for client in &clients {
        table.add_row([
            client.client_id.to_string(),
            shown(&client.name),
            round_view::age(client.registered_at),
            token(client),
            string(client),
        ]);
    }
    println!("{table}");
    Ok(())
}

/// How it stands with a client's token.
fn token(client: &ClientEntry) -> String {
    match (client.revoked_at, client.enrolled_at) {
        (Some(at), _) => format!("revoked {}", round_view::age(at)),
        (None, Some(_)) => "works".to_owned(),
        (None, None) => "not enrolled yet".to_owned(),
    }
}

/// How it stands with the string that a client has not spent.
fn string(client: &ClientEntry) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_millis();
    match client.code_expires_at {
        None => String::new(),
        Some(at) if u128::from(at) <= now => "expired".to_owned(),
        Some(at) => format!("until {}", round_view::time(at)),
    }
}

/// The client of this name, or else of this number.
pub(super) fn find(admin: &AdminClient, client: &str) -> Result<ClientEntry> {
    find_in(&admin.clients()?, client).cloned()
}

fn find_in<'a>(clients: &'a [ClientEntry], client: &str) -> Result<&'a ClientEntry> {
    let named = clients.iter().find(|known| known.name == client);
    let numbered = || {
        let number: ClientId = client.parse().ok()?;
        clients.iter().find(|known| known.client_id == number)
    };
    named.or_else(numbered).ok_or_else(|| {
        let text =
            format!("the server has no client {client:?}; `promptfed client list` shows them");
        anyhow::Error::msg(text).context(BadInput)
    })
}
