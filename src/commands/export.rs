//! `promptfed export`: a fused set as files of its own.

use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use promptfed_synth::OutputFormat;
use promptfed_synth::fuse::{export, is_fused};
use serde_json::json;
use std::path::PathBuf;

/// Copy the images of a fused set to a folder or to Parquet shards, for other programs.
///
/// This program opens a fused set as it is; what others read are the pictures themselves. The weights do not come along.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Folder of `promptfed fuse`
    set: PathBuf,
    /// Folder for the images
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Form of the output
    #[arg(long, value_enum, default_value = "folder")]
    format: Format,
}

#[derive(ValueEnum, Clone, Copy)]
enum Format {
    /// DOMAIN/CLASS/NUMBER.png, or CLASS/NUMBER.png without domains
    Folder,
    /// Parquet shards with the hub's columns
    Parquet,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    if !is_fused(&args.set) {
        return Err(anyhow::Error::new(BadInput).context(format!(
            "{} is not the folder of a fused set; give one that `promptfed fuse` has finished",
            args.set.display()
        )));
    }
    let format = match args.format {
        Format::Folder => OutputFormat::Folder,
        Format::Parquet => OutputFormat::Parquet,
    };
    let exported = export(&args.set, format, &args.out)?;
    if exported.weighted {
        eprintln!("warning: the images weigh differently, and the exported files do not say so");
    }
    if context.json {
        println!(
            "{}",
            json!({ "out": args.out.display().to_string(), "export": exported })
        );
    } else {
        println!("{} images in {}", exported.images, args.out.display());
    }
    Ok(())
}
