//! `promptfed export`: a fused set or a classifier as files of other programs.

use super::model::Model;
use super::out_file::refuse_other;
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::{Args as ClapArgs, ValueEnum};
use promptfed_prompts::ContentHash;
use promptfed_synth::OutputFormat;
use promptfed_synth::fuse::{export, is_fused};
use serde_json::json;
use std::path::PathBuf;

/// Write a fused set, or a classifier, for other programs.
///
/// A fused set: its images are copied to a folder or to Parquet shards; this program opens it as it is, and others read the pictures themselves. Their
/// weights do not come along. A classifier: an ONNX model from `pixels` (uint8, n x size x size x 3, RGB) to `probabilities`, with the class names, the
/// size and the way in which pictures become square in its metadata.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Folder of `promptfed fuse`, or model file of `promptfed train` or of a round
    #[arg(value_name = "SET|MODEL")]
    from: PathBuf,
    /// Folder for the images, or file for the model
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// Form of the output [default: folder, or onnx for a model]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Replace a file of other content
    #[arg(long)]
    force: bool,
}

#[derive(ValueEnum, Clone, Copy)]
enum Format {
    /// DOMAIN/CLASS/NUMBER.png, or CLASS/NUMBER.png without domains
    Folder,
    /// Parquet shards with the hub's columns
    Parquet,
    /// ONNX, of a model
    Onnx,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let is_model = args.from.is_file();
    let format = args.format.unwrap_or(match is_model {
        true => Format::Onnx,
        false => Format::Folder,
    });
    if args.force && !is_model {
        return refuse(
            &args,
            "a fused set, whose folder is never replaced; leave out --force",
        );
    }
    let format = match format {
        Format::Onnx if is_model => return model(&args, context),
        Format::Folder if !is_model => OutputFormat::Folder,
        Format::Parquet if !is_model => OutputFormat::Parquet,
        Format::Onnx => return refuse(&args, "no model file, which alone can be ONNX"),
        _ => {
            return refuse(
                &args,
                "a file, and --format folder and parquet are for fused sets",
            );
        }
    };
    if !is_fused(&args.from) {
        return refuse(
            &args,
            "not the folder of a fused set; give one that `promptfed fuse` has finished",
        );
    }
    let exported = export(&args.from, format, &args.out)?;
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

fn refuse(args: &Args, what: &str) -> Result<()> {
    let text = format!("{} is {what}", args.from.display());
    Err(anyhow::Error::msg(text).context(BadInput))
}

fn model(args: &Args, context: &Context) -> Result<()> {
    let model = Model::read(&args.from)?;
    let file = model.classifier.to_onnx()?;
    refuse_other("--out", &args.out, ContentHash::of(&file), args.force)?;
    promptfed_files::write_whole(&args.out, &file)?;
    if context.json {
        println!(
            "{}",
            json!({
                "out": args.out.display().to_string(), "bytes": file.len(), "hash": ContentHash::of(&file), "model_hash": model.hash,
                "classes": model.classifier.class_names(), "image_size": model.classifier.config().image_size,
            })
        );
    } else {
        println!("{} bytes in {}", file.len(), args.out.display());
    }
    Ok(())
}
