//! `promptfed serve`: the server.

use super::engines::{EngineArgs, engines};
use super::filter::ClipArgs;
use crate::Context;
use crate::output::notice;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_server::{ServerConfig, run_blocking};
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Run a server: it accepts prompts, synthesises, trains, and hands out the model.
///
/// Everything it keeps lies in one data folder. It can be killed at any moment: what it acknowledged is kept, and jobs
/// go on at the next start. It speaks plain HTTP; put a TLS proxy in front of it on an open network.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7878")]
    addr: SocketAddr,
    /// Folder for everything the server keeps
    #[arg(long, value_name = "DIR", default_value = "promptfed-server")]
    data_dir: PathBuf,
    #[command(flatten)]
    engines: EngineArgs,
    #[command(flatten)]
    clip: ClipArgs,
    /// The administrator's token [default: made at the first start, kept in DATA_DIR/admin.token]
    #[arg(long, env = "PROMPTFED_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let given = args.admin_token.is_some();
    let data_dir = args.data_dir.clone();
    let config = ServerConfig {
        addr: args.addr,
        data_dir: args.data_dir,
        engines: args.clip.add_to(engines(args.engines.prepare(0, context)?)),
        admin_token: args.admin_token,
    };
    run_blocking(config, |server| {
        if context.json {
            let ready = json!({ "url": server.url(), "data_dir": data_dir.display().to_string() });
            notice(format_args!("{ready}"));
            return;
        }
        notice(format_args!("listening on {}", server.url()));
        if !given {
            let file = data_dir.join("admin.token");
            notice(format_args!("administrator's token: {}", file.display()));
        }
        let url = server.url();
        notice(format_args!("API: {url}/openapi.json; ctrl-c ends"));
    })?;
    Ok(())
}
