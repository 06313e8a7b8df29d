//! `promptfed synth serve`: this machine's engines for others.

use crate::Context;
use crate::commands::engines::{EngineArgs, engines};
use crate::commands::trust::CertificateArgs;
use crate::exit::BadInput;
use crate::output::notice;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_files::write_secret;
use promptfed_server::{ImageServerConfig, new_token, serve_images};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Largest token file that is read, in bytes.
const MAX_TOKEN_BYTES: u64 = 4096;

/// Offer this machine's engines to others, as models of an images API like OpenAI's.
///
/// Another machine uses them as `--engine remote:URL --key-file FILE` and gets, for the same seeds, the images that this one makes for
/// itself. Other machines reach it with a certificate; plain HTTP is for this machine alone, unless --allow-plain-http asks for more.
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    engines: EngineArgs,
    #[command(flatten)]
    certificate: CertificateArgs,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7979")]
    addr: SocketAddr,
    /// The file with the token that requests must show, at least 16 characters; made where there is none
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Most images of one request
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_images: u32,
    /// Images that may wait for each engine; requests beyond are told to come again
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_waiting: u32,
}

pub(super) fn run(args: Args, context: &Context) -> Result<()> {
    let prepared = args.engines.prepare(0, context)?;
    let token = token(&args.token_file)?;
    let names: Vec<String> = prepared
        .iter()
        .map(|engine| engine.backend().name().to_owned())
        .collect();
    let config = ImageServerConfig {
        addr: args.addr,
        default_model: names.first().cloned().unwrap_or_default(),
        engines: engines(prepared),
        token,
        max_images: args.max_images,
        max_waiting: args.max_waiting as usize,
        allow_plain_http: args.certificate.allow_plain_http,
        tls: args.certificate.files(),
        limits: promptfed_server::Limits::default(),
    };
    let file = args.token_file.display().to_string();
    serve_images(config, |server| {
        let url = server.url();
        if context.json {
            let ready = json!({ "url": url, "models": names, "token_file": file });
            notice(format_args!("{ready}"));
            return;
        }
        notice(format_args!("{} at {url}; token: {file}", names.join(", ")));
        notice(format_args!(
            "elsewhere: promptfed synth --engine remote:{url}#{} --key-file {file} ..; ctrl-c ends",
            names.first().map(String::as_str).unwrap_or_default()
        ));
    })?;
    Ok(())
}

/// The token in a file, which is made where there is none.
fn token(file: &Path) -> Result<String> {
    if !file.exists() {
        let token = new_token()?;
        write_secret(file, format!("{token}\n").as_bytes())?;
        return Ok(token);
    }
    let text = promptfed_files::read_text(file, MAX_TOKEN_BYTES)?;
    let token = text.trim();
    if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let text = format!(
            "{}: a token has at least 16 visible ASCII characters; name a file that is not there to have one made",
            file.display()
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    Ok(token.to_owned())
}
