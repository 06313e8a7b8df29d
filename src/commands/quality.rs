//! `promptfed quality`: a synthetic set beside real images.

use super::data::{self, ReadArgs};
use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_data::{Dataset, Layout};
use promptfed_eval::quality::{Labelled, Quality, QualityReport, extract_features, measure};
use promptfed_prompts::ContentHash;
use promptfed_vision::EfficientNet;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Measure a synthetic set beside real images: fidelity, variety, near copies, class by class.
///
/// Images are compared by the features of EfficientNet-lite0, which comes with the program. precision: share of synthetic images that
/// look like some real one; recall: share of real images that look like some synthetic one; density and coverage: the same, robust
/// to outliers; vendi: how many different images the set holds, beside as many real ones. Nothing leaves this machine.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The synthetic images: folder of `promptfed synth`, or any labelled images
    synthetic: PathBuf,
    /// Real images of the same classes that the generator has not seen
    real: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// Images that the generator was trained on: the share of synthetic images that nearly copy one is told too; 2 % is what copies nothing
    #[arg(long, value_name = "DATA")]
    seen: Option<PathBuf>,
    /// Neighbours that decide how far an image's likeness reaches
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    neighbours: u16,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let folder = data::assets()?.join("efficientnet-lite0");
    let network = EfficientNet::load(&folder)?;
    let (real, label_space) = args.read.open(&args.real)?;
    let open = |path: &Path| -> Result<Dataset> {
        let dataset = data::open(path, Layout::Auto, None, Some(&label_space))?;
        data::tell_parts(&dataset, context);
        Ok(dataset)
    };
    data::tell_parts(&real, context);
    let synthetic = open(&args.synthetic)?;
    let seen = args.seen.as_deref().map(open).transpose()?;
    let mut warnings = Vec::new();
    let mut features = |name: &str, dataset: &Dataset| -> Result<Labelled> {
        let bar = context.progress.bar(name, dataset.len() as u64);
        let (labelled, report) =
            extract_features(&network, dataset, &args.read.decode(), &mut |done| {
                bar.set_position(done as u64);
            })?;
        bar.finish_and_clear();
        data::tell_decoded(&report);
        warnings.extend(data::warnings(dataset, &report));
        Ok(labelled)
    };
    let synthetic = features("looking at synthetic images", &synthetic)?;
    let real = features("looking at real images", &real)?;
    let seen = seen.map(|seen| features("looking at seen images", &seen));
    let seen = seen.transpose()?.map(|seen| seen.features);
    let report = measure(&synthetic, &real, seen.as_ref(), args.neighbours.into())?;
    if context.json {
        let network = ContentHash::of(&fs_err::read(network.file())?);
        println!(
            "{}",
            json!({ "network": "efficientnet-lite0", "network_hash": network, "quality": report, "warnings": warnings })
        );
    } else {
        println!("{}", table(&report));
    }
    Ok(())
}

fn table(report: &QualityReport) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header([
        "class",
        "synthetic",
        "real",
        "precision",
        "recall",
        "density",
        "coverage",
        "vendi",
        "of real",
        "near copies",
    ]);
    for class in &report.classes {
        table.add_row(row(&class.class, &class.quality));
    }
    table.add_row(row("all", &report.all));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(name: &str, quality: &Quality) -> Vec<String> {
    const NONE: &str = "-";
    let figure = |value: Option<f64>| value.map_or(NONE.to_owned(), |v| format!("{v:.3}"));
    let manifolds = quality.manifolds;
    vec![
        name.to_owned(),
        quality.synthetic.to_string(),
        quality.real.to_string(),
        figure(manifolds.map(|m| m.precision)),
        figure(manifolds.map(|m| m.recall)),
        figure(manifolds.map(|m| m.density)),
        figure(manifolds.map(|m| m.coverage)),
        format!("{:.1}", quality.vendi),
        format!("{:.1}", quality.vendi_real),
        quality
            .near_copies
            .map_or(NONE.to_owned(), |share| format!("{:.1} %", 100.0 * share)),
    ]
}
