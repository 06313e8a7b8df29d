//! `promptfed register`: a client's token.

use super::submit::ServerArgs;
use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
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
    /// The administrator's token
    #[arg(
        long,
        env = "PROMPTFED_ADMIN_TOKEN",
        hide_env_values = true,
        conflicts_with = "admin_token_file"
    )]
    admin_token: Option<String>,
    /// File with the administrator's token
    #[arg(
        long,
        value_name = "FILE",
        default_value = "promptfed-server/admin.token"
    )]
    admin_token_file: PathBuf,
}

impl AdminArgs {
    /// A session as the administrator.
    pub(crate) fn connect(&self, server: &ServerArgs) -> Result<AdminClient> {
        let token = match &self.admin_token {
            Some(token) => token.clone(),
            None => fs_err::read_to_string(&self.admin_token_file)?
                .trim()
                .to_owned(),
        };
        Ok(AdminClient::new(&server.server, &token)?)
    }
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
