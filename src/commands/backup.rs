//! `promptfed backup` and `restore`: copies of a server's data folder.

use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_eval::report::bytes;
use promptfed_server::BackupReport;
use serde_json::json;
use std::path::PathBuf;

/// Copy a server's data folder while the server works: database, images, models, tokens.
///
/// The database is copied as it is at one moment. Every file stands in backup.txt with its size and hash.
#[derive(ClapArgs)]
pub(crate) struct BackupArgs {
    /// The folder for the copy; empty, or not there yet
    to: PathBuf,
    /// The server's data folder
    #[arg(long, value_name = "DIR", default_value = "promptfed-server")]
    data_dir: PathBuf,
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
    let report = promptfed_server::backup(&args.data_dir, &args.to)?;
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
            json!({ "files": report.files, "bytes": report.bytes })
        );
    } else {
        println!("{} files, {} {told}", report.files, bytes(report.bytes));
    }
}
