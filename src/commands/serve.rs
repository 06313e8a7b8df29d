//! `promptfed serve`: the server.

use super::engines::{EngineArgs, engines};
use super::filter::ClipArgs;
use super::identity::given_admin_token;
use super::trust::ConnectionArgs;
use crate::Context;
use crate::output::notice;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_server::{ServerConfig, run_blocking};
use serde_json::json;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// Run a server: it accepts prompts, synthesises, trains, and hands out the model.
///
/// Everything it keeps lies in one data folder. It can be killed at any moment: what it acknowledged is kept, and jobs
/// go on at the next start. Other machines reach it over TLS: --addr 0.0.0.0:7878 --tls self-signed.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Where to listen: 127.0.0.1:7878 serves this machine alone, 0.0.0.0:7878 every network that it is in; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7878", value_parser = listening)]
    addr: SocketAddr,
    /// Folder for everything the server keeps
    #[arg(long, value_name = "DIR", default_value = "promptfed-server")]
    data_dir: PathBuf,
    #[command(flatten)]
    engines: EngineArgs,
    #[command(flatten)]
    clip: ClipArgs,
    #[command(flatten)]
    connections: ConnectionArgs,
    /// File with the administrator's token; goes before PROMPTFED_ADMIN_TOKEN [default: DATA_DIR/admin.token, made at the first start]
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

/// Reads an address with its port; names are looked up.
fn listening(text: &str) -> Result<SocketAddr, String> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    let port = text.strip_prefix(':').unwrap_or(text);
    if port.parse::<u16>().is_ok() {
        return Err(format!(
            "say for whom: 127.0.0.1:{port} serves this machine alone, 0.0.0.0:{port} every network that it is in"
        ));
    }
    if text.parse::<IpAddr>().is_ok() {
        let host = if text.contains(':') {
            format!("[{text}]")
        } else {
            text.to_owned()
        };
        return Err(format!("give a port too, as {host}:7878"));
    }
    let looked_up = text.to_socket_addrs();
    let found = looked_up.ok().and_then(|found| {
        let found: Vec<SocketAddr> = found.collect();
        let v4 = found.iter().find(|addr| addr.is_ipv4());
        v4.or(found.first()).copied()
    });
    found.ok_or_else(|| "give an address and a port, as 127.0.0.1:7878".to_owned())
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let admin_token = given_admin_token(args.admin_token_file.as_deref())?;
    let given = admin_token.is_some();
    let data_dir = args.data_dir.clone();
    let config = ServerConfig {
        addr: args.addr,
        data_dir: args.data_dir,
        engines: args
            .clip
            .add_to(engines(args.engines.prepare(0, context)?))?,
        admin_token,
        limits: args.connections.limits(),
        transport: args.connections.transport(),
    };
    run_blocking(config, |server| {
        if context.json {
            let mut ready =
                json!({ "url": server.url(), "data_dir": data_dir.display().to_string() });
            if let Some(fingerprint) = server.fingerprint() {
                ready["fingerprint"] = fingerprint.into();
            }
            notice(format_args!("{ready}"));
            return;
        }
        notice(format_args!("listening on {}", server.url()));
        if let Some(fingerprint) = server.fingerprint() {
            notice(format_args!(
                "fingerprint of the certificate: {fingerprint}"
            ));
        }
        if !given {
            let file = data_dir.join("admin.token");
            notice(format_args!("administrator's token: {}", file.display()));
        }
        let url = server.url();
        notice(format_args!(
            "dashboard: {url}/dashboard; API: {url}/openapi.json; ctrl-c ends"
        ));
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::listening;

    #[test]
    fn addresses_are_read_and_halves_of_them_completed_in_words() {
        assert_eq!(listening("127.0.0.1:0").unwrap().port(), 0);
        assert_eq!(listening("[::1]:7902").unwrap().port(), 7902);
        let local = listening("localhost:7902").unwrap();
        assert!(local.ip().is_loopback() && local.port() == 7902);
        for (text, part) in [
            ("7902", "0.0.0.0:7902"),
            (":7902", "127.0.0.1:7902"),
            ("0.0.0.0", "0.0.0.0:7878"),
            ("::1", "[::1]:7878"),
            ("no such host:1", "127.0.0.1:7878"),
        ] {
            let told = listening(text).unwrap_err();
            assert!(told.contains(part), "{told}");
        }
    }
}
