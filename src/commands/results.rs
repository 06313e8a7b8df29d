//! `promptfed results`: a grid of comparisons on one page.

use crate::Context;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use promptfed_eval::report::{GridComparison, grid_folder, write_grid};
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;

/// The longest list of a grid's results that is read.
const MAX_BYTES: u64 = 1 << 28;

/// The list that a grid keeps of what it measured, and the record of each comparison.
const RESULTS: &str = "results.json";
const RECORD: &str = "report.json";

/// Write the results of a grid as one page of Markdown, with figures as SVG beside it.
///
/// Reads what `compare GRID.toml --out DIR` has recorded so far, and measures nothing: tables of each data set and partition, the paired tests, what crossed, and
/// where generative learning loses, by the tests and not by hand. Equal records give equal pages.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The folder of a grid, finished or not
    #[arg(value_name = "DIR")]
    grid: PathBuf,
    /// The page, which is replaced; its figures lie beside it, in a folder of its name
    #[arg(long, value_name = "FILE.md")]
    out: PathBuf,
}

/// Where a row of the list belongs.
#[derive(Deserialize, PartialEq)]
struct Place {
    data: String,
    partition: String,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    if args.out.extension().is_none_or(|ending| ending != "md") {
        let text = format!(
            "{} is no page of Markdown; name a file that ends in .md",
            args.out.display()
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    let list = args.grid.join(RESULTS);
    let bytes = promptfed_files::read(&list, MAX_BYTES)?;
    let rows: Vec<Place> = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no list of a grid's results", list.display()))
        .context(BadInput)?;
    let mut grid = Vec::new();
    let mut last: Option<Place> = None;
    for place in rows {
        // Those of a comparison stand together, a row for each method.
        if last.as_ref() == Some(&place) {
            continue;
        }
        let Place { data, partition } = &place;
        let record = args.grid.join(grid_folder(data, partition)).join(RECORD);
        let comparison = GridComparison::read(data, partition, &record)
            .with_context(|| format!("{}, the record of {data}, {partition}", record.display()))?;
        grid.push(comparison);
        last = Some(place);
    }
    if grid.is_empty() {
        let text = format!(
            "{} has no comparison yet; run its grid first",
            list.display()
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    let figures = write_grid(&grid, &args.out)?;
    if context.json {
        let figures: Vec<String> = figures
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        println!(
            "{}",
            json!({ "out": args.out.display().to_string(), "figures": figures, "comparisons": grid.len() })
        );
    } else {
        println!(
            "{}: {} comparisons, {} figures",
            args.out.display(),
            grid.len(),
            figures.len()
        );
    }
    Ok(())
}
