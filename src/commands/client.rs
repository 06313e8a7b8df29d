//! `promptfed client`: a server's clients.

use super::register::{AdminArgs, show_registration};
use super::round_view;
use super::submit::ServerArgs;
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use promptfed_client::AdminClient;
use promptfed_prompts::protocol::{ClientEntry, ClientId, RegistrationRequest, shown};

/// Clients of a server: list them, end or replace a token (administrator).
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List all clients
    List(ListArgs),
    /// End a client's token; what it has submitted stays
    Revoke(OneArgs),
    /// Give a client a new token; its old one stops working
    Rotate(OneArgs),
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

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    match args.command {
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
        Command::Rotate(args) => {
            let admin = args.admin.connect(&args.server)?;
            let registration = admin.register(&RegistrationRequest {
                name: find(&admin, &args.client)?.name,
                replace_token: true,
            })?;
            show_registration(&registration, context)
        }
    }
}

fn list(args: &ListArgs, context: &Context) -> Result<()> {
    let clients = args.admin.connect(&args.server)?.clients()?;
    if context.json {
        println!("{}", serde_json::to_string(&clients)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(["client", "name", "registered", "token"]);
    for client in &clients {
        table.add_row([
            client.client_id.to_string(),
            shown(&client.name),
            round_view::age(client.registered_at),
            client.revoked_at.map_or("works".to_owned(), |at| {
                format!("revoked {}", round_view::age(at))
            }),
        ]);
    }
    println!("{table}");
    Ok(())
}

/// The client of this name, or else of this number.
pub(super) fn find(admin: &AdminClient, client: &str) -> Result<ClientEntry> {
    let mut clients = admin.clients()?;
    let named = clients.iter().position(|known| known.name == client);
    let numbered = || {
        let number: ClientId = client.parse().ok()?;
        clients.iter().position(|known| known.client_id == number)
    };
    match named.or_else(numbered) {
        Some(place) => Ok(clients.swap_remove(place)),
        None => {
            let text =
                format!("the server has no client {client:?}; `promptfed client list` shows them");
            Err(anyhow::Error::msg(text).context(BadInput))
        }
    }
}
