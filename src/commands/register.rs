//! `promptfed register`: a client's token.

use super::idle;
use super::submit::ServerArgs;
use crate::Context;
use anyhow::Result;
use clap::{ArgMatches, Args as ClapArgs};
use promptfed_client::AdminClient;
use promptfed_prompts::protocol::RegistrationRequest;
use std::path::PathBuf;

/// Give a client its token.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The client's name
    name: String,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    admin: AdminArgs,
    /// Give a known client a new token; its old one stops working
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

impl AdminArgs {
    /// A session as the administrator.
    pub(crate) fn connect(&self, server: &ServerArgs) -> Result<AdminClient> {
        const DEFAULT_FILE: &str = "promptfed-server/admin.token";
        let token = match (&self.admin_token_file, &self.admin_token) {
            (Some(file), _) => fs_err::read_to_string(file)?,
            (None, Some(token)) => token.clone(),
            (None, None) => fs_err::read_to_string(DEFAULT_FILE)?,
        };
        Ok(AdminClient::new(&server.server, token.trim())?)
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
            &["admin_token"],
            "beside --admin-token-file; give one of them",
        )?;
    }
    Ok(())
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let registration = args
        .admin
        .connect(&args.server)?
        .register(&RegistrationRequest {
            name: args.name,
            replace_token: args.replace_token,
        })?;
    if context.json {
        println!("{}", serde_json::to_string(&registration)?);
    } else {
        println!("client {} is {}", registration.client_id, registration.name);
        println!("token, shown only now: {}", registration.token);
    }
    Ok(())
}
