//! `promptfed partition`: who holds what.

use super::data::{self, ReadArgs};
use crate::Context;
use crate::exit::BadInput;
use anyhow::{Result, bail};
use clap::Args as ClapArgs;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use promptfed_data::{DecodeReport, Partition, client_names, partition};
use serde_json::json;
use std::path::PathBuf;

/// Deal a data set to clients and show who holds what.
///
/// With --json the samples of each client are listed; the same data, partition and seed give the same clients.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Folder, list or Parquet file of labelled images
    data: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// iid:CLIENTS, dirichlet:CLIENTS:ALPHA (label skew), domain (one client per domain), or
    /// domain+dirichlet:ALPHA:CLIENTS_PER_DOMAIN
    #[arg(long)]
    partition: Partition,
    /// Least number of images of a client
    #[arg(long, default_value_t = 1)]
    min_per_client: usize,
    /// Seed of the draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    if args.read.strict {
        bail!(
            anyhow::Error::msg(
                "--strict has no effect here, where no picture is decoded; leave it out"
            )
            .context(BadInput)
        );
    }
    let (dataset, _) = args.read.open(&args.data)?;
    data::tell_parts(&dataset, context);
    let labels = dataset.labels();
    let clients = partition(
        &labels,
        &dataset.domains(),
        &args.partition,
        args.min_per_client,
        args.seed,
    )?;
    let names = client_names(&dataset, &args.partition, &clients);
    if context.json {
        let samples = |part: &Vec<usize>| -> Vec<String> {
            part.iter()
                .map(|&i| dataset.samples[i].source.to_string())
                .collect()
        };
        println!(
            "{}",
            json!({
                "partition": args.partition.to_string(), "seed": args.seed, "classes": dataset.class_names,
                "names": names, "clients": clients.iter().map(samples).collect::<Vec<_>>(), "read_as": dataset.parts,
                "warnings": data::warnings(&dataset, &DecodeReport::default()),
            })
        );
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    let header = ["client", "images"].map(str::to_owned);
    table.set_header(
        header
            .into_iter()
            .chain(dataset.class_names.iter().cloned()),
    );
    for (name, part) in names.into_iter().zip(&clients) {
        let mut counts = vec![0usize; dataset.class_names.len()];
        for &sample in part {
            counts[labels[sample] as usize] += 1;
        }
        let row = [name, part.len().to_string()];
        table.add_row(row.into_iter().chain(counts.iter().map(usize::to_string)));
    }
    println!("{table}");
    Ok(())
}
