//! `promptfed withdraw`: a submission taken back.

use super::identity::ClientArgs;
use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_eval::report::bytes;
use promptfed_prompts::protocol::RoundId;

/// Take back what this client has submitted to a round that is open.
///
/// The server deletes the prompts; others can be submitted afterwards. Of a round that is closed nothing can be taken back:
/// its prompts are in its images and its model, or are about to be.
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    client: ClientArgs,
    /// The round's number
    #[arg(long)]
    round: RoundId,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let client = args.client.connect()?.session;
    let withdrawal = client.withdraw(args.round)?;
    if context.json {
        println!("{}", serde_json::to_string(&withdrawal)?);
        return Ok(());
    }
    match withdrawal.receipt {
        Some(receipt) => println!(
            "{} prompts in {}, receipt for {}, are withdrawn from round {}",
            receipt.prompts,
            bytes(receipt.bytes),
            receipt.hash,
            args.round
        ),
        None => println!("round {} has nothing of this client", args.round),
    }
    Ok(())
}
