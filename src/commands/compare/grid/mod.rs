//! Data sets x partitions, from one TOML file.
//!
//! ```toml
//! [settings]                       # flags of `promptfed compare`
//! methods = ["fgl", "fedavg", "fedprox:mu=0.1"]
//! seeds = 3
//!
//! [[data]]                         # one table for each data set, with flags of its own
//! name = "pacs"
//! private = "pacs/private"         # below --data-root
//! test = "pacs/test"
//! label-space = "pacs"
//! partitions = ["iid:5", "dirichlet:5:0.1", "domain"]
//! ```
//!
//! Every data set and partition is a comparison in a folder of its own below `--out`, with its report and its journal; the figures of all
//! of them stand in one table, and the methods' average ranks in one diagram.

mod figures;
mod file;

pub(in crate::commands::compare) use figures::Row;
pub(in crate::commands::compare) use file::refuse_beside;

use super::measured::{Asked, Measured, measure, refuse_failures};
use super::ranks::{self, Ranks};
use super::{Args, EarlierArgs, Shared};
use crate::exit::BadInput;
use crate::interrupt::Interrupted;
use crate::{Context, interrupt};
use anyhow::Result;
use figures::{CSV, table, write};
use file::{Cell, cells};
use serde_json::json;
use std::path::Path;

/// Runs all comparisons of a grid, and tells of all together.
pub(super) fn run(file: &Path, asked: &Args, context: &Context) -> Result<()> {
    let (out, earlier) = (asked.out.as_path(), &asked.earlier);
    let root = asked.data_root.as_deref().unwrap_or(Path::new(""));
    let cells = cells(file, out, root).map_err(|error| error.context(BadInput))?;
    let beside = cells.iter().map(|cell| cell.args.setting.runs_beside());
    let shared = Shared::new(asked.jobs, beside.max().unwrap_or(1));
    let cancel = interrupt::flag();
    fs_err::create_dir_all(out)?;
    let (mut rows, mut reports) = (Vec::new(), Vec::new());
    let (mut failed, mut runs, mut first_error) = (0, 0, None);
    for (index, cell) in cells.iter().enumerate() {
        let Cell {
            data,
            partition,
            folder,
            args,
        } = cell;
        if !context.json {
            eprintln!("{} of {}: {data}, {partition}", index + 1, cells.len());
        }
        let earlier = EarlierArgs {
            // A cell that is done stands.
            resume: !earlier.force,
            ..earlier.clone()
        };
        let measured = args.experiment(&shared, context).and_then(|experiment| {
            let asked = Asked {
                experiment: &experiment,
                prompts: &args.prompts,
                setting: &args.setting,
            };
            measure(&asked, folder, &earlier, &shared, &cancel, context)
        });
        match measured {
            Err(error) if error.downcast_ref::<Interrupted>().is_some() => return Err(error),
            Err(error) => {
                // The figures of the others are kept whatever happens to one.
                eprintln!("error: {data}, {partition}: {error:#}");
                first_error = first_error.or(Some(error));
            }
            Ok(Measured {
                comparison,
                page,
                runs: all,
                ..
            }) => {
                failed += comparison.failures.len();
                runs += all;
                reports.push(json!({ "data": data, "partition": partition, "report": page.display().to_string(),
                    "pairs": comparison.pairs, "tuned": comparison.tuned, "seconds": comparison.seconds, "failures": comparison.failures }));
                rows.extend(comparison.summary().into_iter().map(|summary| Row {
                    data: data.clone(),
                    partition: partition.clone(),
                    summary,
                }));
            }
        }
        // After each, so that a stop loses nothing.
        write(&rows, out)?;
    }
    let ranks = ranks::write(&rows, out)?;
    if context.json {
        println!(
            "{}",
            json!({
                "rows": rows, "comparisons": reports, "out": out.display().to_string(),
                "critical_difference": ranks.file(), "not_ranked": ranks.missing(),
            })
        );
    } else {
        println!("{}", table(&rows));
        println!("the figures: {}", out.join(CSV).display());
        match &ranks {
            Ranks::Drawn(file) => println!("average ranks: {}", file.display()),
            Ranks::None(why) => println!("no diagram of average ranks: {why}"),
        }
    }
    match first_error {
        Some(error) => Err(error.context("not every comparison of the grid could be made")),
        None => refuse_failures(failed, runs),
    }
}
