//! `promptfed receipt`: what a client keeps of a submission.

use super::identity::{CLIENT_FLAGS, ClientArgs};
use super::round_view::time;
use super::{idle, trust};
use crate::Context;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::{ArgMatches, Args as ClapArgs};
use promptfed_client::ReceiptFile;
use promptfed_eval::report::bytes;
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{RoundId, SubmissionReceipt, shown};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Show the receipt of a submission; with --check, ask the server whether it holds exactly that still.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The receipt that `promptfed submit` wrote
    #[arg(value_name = "FILE")]
    receipt: PathBuf,
    /// Ask the server whether it still holds exactly this submission; another one, or none, is an error
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// Largest receipt that is read, in bytes.
const LONGEST: u64 = 64 << 10;

/// Refuses flags about a server that nobody asks.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    if matches.get_flag("check") {
        return Ok(());
    }
    idle::refuse(
        matches,
        &[&CLIENT_FLAGS[..], &trust::TRUST_FLAGS].concat(),
        "without --check; no server is asked here",
    )
}

/// Where a submission's receipt goes: where it is wanted, else beside the prompts.
pub(super) fn place(wanted: Option<&Path>, prompts: &Path, round: RoundId) -> PathBuf {
    let beside = || prompts.with_extension(format!("round-{round}.receipt.json"));
    wanted.map_or_else(beside, Path::to_owned)
}

/// Refuses to put a receipt in the place of what is none, or of another server's or round's.
pub(super) fn refuse_other(file: &Path, server: &str, round: RoundId) -> Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let there = promptfed_files::read_text(file, LONGEST).ok();
    let there = there.and_then(|text| ReceiptFile::from_json(&text).ok());
    if there.is_some_and(|there| there.server == server && there.receipt.round_id == round) {
        return Ok(());
    }
    let text = format!(
        "{} is there and is no receipt of round {round} of {server}; give another name with --receipt",
        file.display()
    );
    Err(anyhow::Error::new(BadInput).context(text))
}

/// Writes the receipt of what was sent.
pub(super) fn write(
    file: &Path,
    server: &str,
    content: ContentHash,
    receipt: &SubmissionReceipt,
) -> Result<()> {
    let kept = ReceiptFile::new(server, content, receipt.clone());
    promptfed_files::write_whole(file, kept.to_json().as_bytes())?;
    Ok(())
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let text = promptfed_files::read_text(&args.receipt, LONGEST)?;
    let kept = ReceiptFile::from_json(&text).with_context(|| args.receipt.display().to_string())?;
    if args.check {
        let client = args.client.connect()?.session;
        kept.check(&client.receipt(kept.receipt.round_id)?)?;
    }
    let held = args.check.then_some(true);
    if context.json {
        println!("{}", json!({ "receipt": kept, "held": held }));
        return Ok(());
    }
    let receipt = &kept.receipt;
    println!(
        "round {} of {}, client {}: {} prompts in {}, received {}",
        receipt.round_id,
        shown(&kept.server),
        receipt.client_id,
        receipt.prompts,
        bytes(receipt.bytes),
        time(receipt.received_at)
    );
    println!("prompts {}, receipt for {}", kept.content, receipt.hash);
    if held.is_some() {
        println!("the server holds exactly this submission");
    }
    Ok(())
}
