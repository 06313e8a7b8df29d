//! `promptfed backup` and `restore`: copies of a server's data folder.

use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_eval::report::bytes;
use promptfed_prompts::protocol::RoundId;
use promptfed_server::{BackupReport, RoundKeys};
use serde_json::json;
use std::path::PathBuf;

/// Copy a server's data folder while the server works: database, images, models, tokens.
///
/// The database is copied as it is at one moment. Every file stands in backup.txt with its size and hash. The private keys that open
/// the prompts of rounds (keys/) are left out, so that the copy tells no prompt of which no image was made yet: what images are of stands
/// in their manifests. Keep the keys elsewhere, or copy them too.
#[derive(ClapArgs)]
pub(crate) struct BackupArgs {
    /// The folder for the copy; empty, or not there yet
    to: PathBuf,
    /// The server's data folder
    #[arg(long, value_name = "DIR", default_value = "promptfed-server")]
    data_dir: PathBuf,
    /// Copy the private keys of rounds too: whoever has the copy can then read every prompt in it
    #[arg(long)]
    with_keys: bool,
}

/// Put a copy of a server's data folder where a server can use it.
///
/// Every file is compared with the copy's list, and the database is checked, before a server could take the folder for its own.
#[derive(ClapArgs)]
pub(crate) struct RestoreArgs {
    /// The folder of the copy
    from: PathBuf,
    /// The data folder; empty, or not there yet
    #[arg(long, value_name = "DIR", default_value = "promptfed-server")]
    data_dir: PathBuf,
}

pub(crate) fn backup(args: BackupArgs, context: &Context) -> Result<()> {
    let keys = match args.with_keys {
        true => RoundKeys::Copied,
        false => RoundKeys::LeftOut,
    };
    let report = promptfed_server::backup(&args.data_dir, &args.to, keys)?;
    show(report, &format!("copied to {}", args.to.display()), context);
    Ok(())
}

pub(crate) fn restore(args: RestoreArgs, context: &Context) -> Result<()> {
    let report = promptfed_server::restore(&args.from, &args.data_dir)?;
    let told = format!("checked and put into {}", args.data_dir.display());
    show(report, &told, context);
    Ok(())
}

fn show(report: BackupReport, told: &str, context: &Context) {
    if context.json {
        println!(
            "{}",
            json!({ "files": report.files, "bytes": report.bytes, "rounds_without_key": report.rounds_without_key })
        );
    } else {
        println!("{} files, {} {told}", report.files, bytes(report.bytes));
        let rounds = report.rounds_without_key.iter().map(RoundId::to_string);
        let rounds: Vec<String> = rounds.collect();
        if !rounds.is_empty() {
            println!(
                "without the private keys of rounds {}: a server that gets this folder cannot open their prompts until the files of keys/ are put there",
                rounds.join(", ")
            );
        }
    }
}
