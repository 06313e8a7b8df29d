//! `promptfed evaluate`: a classifier on test images.

use super::data::{self, ReadArgs};
use super::model::Model;
use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use promptfed_data::{Dataset, DatasetWarning, Fit, load};
use promptfed_learn::evaluate;
use promptfed_prompts::LabelSpace;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Test a trained classifier on labelled images: accuracy, macro F1, confusion matrix.
///
/// The classes are those that the model was trained on, by name.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Model file of `promptfed train` or of a round
    model: PathBuf,
    /// Folder, list or Parquet file of labelled images
    data: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// How pictures that are not square become so: crop (the middle), pad (bars) or squash [default: as in training]
    #[arg(long, value_name = "crop|pad|squash")]
    fit: Option<Fit>,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let file = Model::read(&args.model)?;
    let model = &file.classifier;
    let space = match &args.read.label_space {
        Some(name) => data::label_space(name)?,
        None => LabelSpace::from_names("model", model.class_names().iter().map(String::as_str))?,
    };
    let fit = file.fit(args.fit);
    let layout = args.read.layout.into();
    let dataset = data::open(&args.data, layout, args.read.split.clone(), Some(&space))?;
    args.read.refuse_dangling(&dataset)?;
    data::tell_parts(&dataset, context);
    let (images, report) = load(
        &dataset,
        model.config().image_size,
        fit,
        &args.read.decode(),
    )?;
    data::tell_decoded(&report);
    let evaluation = evaluate(model, &images)?;
    let unknown = unknown_classes(&dataset);
    if context.json {
        println!(
            "{}",
            json!({
                "model_hash": file.hash, "data_hash": images.hash().to_hex().as_str(),
                "images": images.len(), "fit": fit, "adjusted": report.adjusted, "classes": images.class_names, "evaluation": evaluation,
                "unknown_classes": unknown, "read_as": dataset.parts, "warnings": data::warnings(&dataset, &report),
            })
        );
        return Ok(());
    }
    println!(
        "accuracy {:.1} %, macro F1 {:.3} on {} images",
        100.0 * evaluation.accuracy,
        evaluation.macro_f1,
        images.len()
    );
    if !unknown.is_empty() {
        let classes: Vec<String> = unknown.iter().map(|(c, n)| format!("`{c}` {n}")).collect();
        println!(
            "{} pictures have a class that the model does not know, and are not counted: {}",
            unknown.values().sum::<usize>(),
            classes.join(", ")
        );
    }
    for (domain, accuracy) in &evaluation.per_domain {
        println!("  {domain}: {:.1} %", 100.0 * accuracy);
    }
    const WIDEST: usize = 20;
    if images.class_names.len() <= WIDEST {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED);
        let columns = (0..images.class_names.len()).map(|c| c.to_string());
        table.set_header(["true \\ predicted".to_owned()].into_iter().chain(columns));
        for (index, (name, row)) in images
            .class_names
            .iter()
            .zip(&evaluation.confusion)
            .enumerate()
        {
            table.add_row(
                [format!("{index} {name}")]
                    .into_iter()
                    .chain(row.iter().map(u64::to_string)),
            );
        }
        println!("{table}");
    }
    Ok(())
}

/// Pictures of every class of the data that the model does not know.
fn unknown_classes(dataset: &Dataset) -> BTreeMap<&str, usize> {
    dataset
        .warnings
        .iter()
        .filter_map(|warning| match warning {
            DatasetWarning::ClassNotListed { class, samples } => Some((class.as_str(), *samples)),
            _ => None,
        })
        .collect()
}
