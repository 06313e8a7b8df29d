//! `promptfed doctor`: whether this machine, and a server, can do their work.

mod assets;
mod data_folder;
mod disk;
mod finding;
mod graphics_card;
mod program;
mod server;
mod settings;

use self::finding::{Finding, State};
use super::idle;
use super::trust::{TRUST_FLAGS, TrustArgs};
use crate::Context;
use crate::exit::{BadInput, for_terminal};
use anyhow::{Result, bail};
use clap::{ArgMatches, Args as ClapArgs, ValueEnum};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The data folder that is looked at where it is there and none is named.
const DEFAULT_DATA: &str = "promptfed-server";

/// Say whether this machine, and a server, can do their work; of what cannot, what to do.
///
/// Nothing is changed, and no token is sent. Warnings leave the exit code 0, faults make it 1.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// A server to ask: whether it answers, its certificates, its clock
    #[arg(long, env = "PROMPTFED_SERVER", value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    trust: TrustArgs,
    /// A server's data folder to look into [default: promptfed-server, where it is there]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Look at this alone; may be given several times
    #[arg(long, value_enum, value_name = "CHECK")]
    only: Vec<Check>,
}

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// Version, instructions, number format
    Program,
    /// Whether an NVIDIA card can be used
    GraphicsCard,
    /// The bundled weights and drawings, by their hashes
    Assets,
    /// Configuration file and environment
    Settings,
    /// Free space, and whether folders can be written to
    Disk,
    /// The server of --server
    Server,
    /// The data folder of a server
    DataFolder,
}

/// Refuses flags that would have no effect.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    match matches.contains_id("server") {
        true => Ok(()),
        false => idle::refuse(matches, &TRUST_FLAGS, "without --server"),
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<()> {
    if args.only.contains(&Check::Server) && args.server.is_none() {
        let text = "--only server needs the server's address: give --server URL";
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    let found = findings(args);
    let count = |state: State| found.iter().filter(|one| one.state == state).count();
    let (warnings, faults) = (count(State::Warning), count(State::Fault));
    if context.json {
        let told = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "findings": found,
            "warnings": warnings,
            "faults": faults,
        });
        println!("{told}");
    } else {
        for one in &found {
            println!("{}", for_terminal(&one.lines()));
        }
    }
    match faults {
        0 => Ok(()),
        1 => bail!("one fault was found"),
        n => bail!("{n} faults were found"),
    }
}

fn findings(args: &Args) -> Vec<Finding> {
    let asked = |check: Check| args.only.is_empty() || args.only.contains(&check);
    let mut found = Vec::new();
    if asked(Check::Program) {
        found.extend(program::check());
    }
    if asked(Check::GraphicsCard) {
        found.push(graphics_card::check());
    }
    if asked(Check::Assets) {
        found.extend(assets::check());
    }
    if asked(Check::Settings) {
        found.extend(settings::check());
    }
    let data = args.data_dir.as_deref();
    let folder = data.unwrap_or(Path::new(DEFAULT_DATA));
    if asked(Check::Disk) {
        found.push(disk::check_current());
        if data.is_some() || folder.is_dir() {
            found.push(disk::check("the data folder", folder));
        }
    }
    if asked(Check::DataFolder) {
        found.extend(data_folder::check(folder, data.is_some()));
    }
    if let Some(url) = args.server.as_deref().filter(|_| asked(Check::Server)) {
        found.extend(server::check(url, &args.trust.trust()));
    }
    found
}
