//! `promptfed register`: clients' tokens.

use super::idle;
use super::submit::ServerArgs;
use crate::Context;
use anyhow::Result;
use clap::{ArgMatches, Args as ClapArgs};
use promptfed_client::AdminClient;
use promptfed_files::read_text_or_pipe;
use promptfed_prompts::protocol::{Registration, RegistrationRequest, RegistrationsRequest, shown};
use promptfed_prompts::same_name::composed;
use std::path::{Path, PathBuf};

/// Give clients their tokens, to all that are named or to none.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The clients' names
    #[arg(value_name = "NAME", required_unless_present = "from")]
    names: Vec<String>,
    /// File with the clients' names, one a line
    #[arg(long, value_name = "FILE", conflicts_with = "names")]
    from: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    admin: AdminArgs,
    /// Give known clients new tokens; their old ones stop working
    #[arg(long)]
    replace_token: bool,
}

/// The administrator's token.
#[derive(ClapArgs, Clone)]
pub(crate) struct AdminArgs {
    /// File with the administrator's token; goes before PROMPTFED_ADMIN_TOKEN
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
    /// The administrator's token [default: the content of promptfed-server/admin.token]
    #[arg(long, env = "PROMPTFED_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
}

/// Largest file of a token in bytes.
const LONGEST_TOKEN: u64 = 4096;

impl AdminArgs {
    /// The token of this file.
    pub(super) fn of_file(file: Option<PathBuf>) -> Self {
        Self {
            admin_token_file: file,
            admin_token: None,
        }
    }

    /// A session as the administrator.
    pub(crate) fn connect(&self, server: &ServerArgs) -> Result<AdminClient> {
        const DEFAULT_FILE: &str = "promptfed-server/admin.token";
        let token = match (&self.admin_token_file, &self.admin_token) {
            // It may be a pipe, as `<(pass show promptfed)`.
            (Some(file), _) => read_text_or_pipe(file, LONGEST_TOKEN)?,
            (None, Some(token)) => token.clone(),
            (None, None) => read_text_or_pipe(Path::new(DEFAULT_FILE), LONGEST_TOKEN)?,
        };
        server.admin(token.trim())
    }
}

/// Refuses one of two tokens.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    let has_file = matches
        .try_get_one::<PathBuf>("admin_token_file")
        .is_ok_and(|file| file.is_some());
    if has_file {
        idle::refuse(
            matches,
            &["admin_token", "token"],
            "beside --admin-token-file; give one of them",
        )?;
    }
    Ok(())
}

/// Largest file of names in bytes.
const LONGEST: u64 = 8 << 20;

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let names: Vec<String> = match &args.from {
        Some(file) => promptfed_files::read_text(file, LONGEST)?
            .lines()
            .map(composed)
            .filter(|name| !name.is_empty())
            .collect(),
        None => args.names.iter().map(|name| composed(name)).collect(),
    };
    let admin = args.admin.connect(&args.server)?;
    let replace_tokens = args.replace_token;
    let one = |name| RegistrationRequest {
        name,
        replace_token: replace_tokens,
    };
    match <[String; 1]>::try_from(names) {
        Ok([name]) => show_registration(&admin.register(&one(name))?, context),
        Err(names) => {
            let registrations = admin.register_all(&RegistrationsRequest {
                names,
                replace_tokens,
            })?;
            if context.json {
                println!("{}", serde_json::to_string(&registrations)?);
                return Ok(());
            }
            eprintln!("note: tokens are shown only now");
            for Registration {
                client_id,
                name,
                token,
            } in &registrations
            {
                println!("{client_id}\t{}\t{token}", shown(name));
            }
            Ok(())
        }
    }
}

/// Shows a client's token, for the only time.
pub(super) fn show_registration(registration: &Registration, context: &Context) -> Result<()> {
    if context.json {
        println!("{}", serde_json::to_string(registration)?);
    } else {
        let name = shown(&registration.name);
        println!("client {} is {name}", registration.client_id);
        println!("token, shown only now: {}", registration.token);
    }
    Ok(())
}
