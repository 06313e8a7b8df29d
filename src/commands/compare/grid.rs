//! Data sets x partitions, from one TOML file.
//!
//! ```toml
//! [settings]                       # flags of `promptfed compare`
//! methods = ["fgl", "fedavg", "fedprox:mu=0.1"]
//! seeds = 3
//!
//! [[data]]                         # one table for each data set, with flags of its own
//! name = "pacs"
//! private = "pacs/private"
//! test = "pacs/test"
//! label-space = "pacs"
//! partitions = ["iid:5", "dirichlet:5:0.1", "domain"]
//! ```
//!
//! Every data set and partition is a comparison in a folder of its own below `--out`, with its report and its journal; the figures of all
//! of them stand in one table, and the methods' average ranks in one diagram.

use super::measured::{Asked, Measured, measure, refuse_failures};
use super::ranks::{self, Ranks};
use super::table::accuracy;
use super::{Args, EarlierArgs, Shared, idle};
use crate::commands::idle::is_given;
use crate::config::flags_of;
use crate::exit::BadInput;
use crate::interrupt::Interrupted;
use crate::{Context, interrupt};
use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgMatches, Args as _, Command, FromArgMatches};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_eval::csv_cells::text;
use promptfed_eval::method_row::{COLUMNS, cells as row_of};
use promptfed_eval::report::bytes;
use promptfed_eval::summary::MethodSummary;
use promptfed_files::write_whole;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The longest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// What may stand beside a grid on the command line: the rest stands in its file.
const BESIDE: [&str; 10] = [
    "grid",
    "out",
    "force",
    "resume",
    "retry_failed",
    "jobs",
    "config",
    "json",
    "quiet",
    "precision",
];

/// What is said of a whole grid.
const OF_ALL: [&str; 5] = ["out", "force", "resume", "retry-failed", "jobs"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grid {
    #[serde(default)]
    settings: toml::Table,
    data: Vec<DataSet>,
}

#[derive(Deserialize)]
struct DataSet {
    name: String,
    partitions: Vec<String>,
    /// Flags of its own.
    #[serde(flatten)]
    flags: toml::Table,
}

/// A comparison of a grid.
struct Cell {
    data: String,
    partition: String,
    folder: PathBuf,
    args: Args,
}

/// One method on one data set and partition.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) data: String,
    pub(super) partition: String,
    #[serde(flatten)]
    pub(super) summary: MethodSummary,
}

/// Refuses flags that stand beside a grid and belong into its file.
pub(super) fn refuse_beside(matches: &ArgMatches) -> Result<()> {
    let command = command();
    let mut arguments = command.get_arguments();
    let beside = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        !BESIDE.contains(&id) && is_given(matches, id)
    };
    if let Some(first) = arguments.find(beside) {
        let name = first.get_long().unwrap_or_default();
        let text = format!(
            "--{name} stands beside a grid, on the command line or in promptfed.toml; write it into the grid's file, under [settings] or in a [[data]] table"
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    Ok(())
}

/// What a cell's flags are read by.
fn command() -> Command {
    let mut command = Args::augment_args(Command::new("compare").no_binary_name(true));
    command.build();
    command
}

/// Runs all comparisons of a grid, and tells of all together.
pub(super) fn run(file: &Path, asked: &Args, context: &Context) -> Result<()> {
    let (out, earlier) = (asked.out.as_path(), &asked.earlier);
    let cells = cells(file, out).map_err(|error| error.context(BadInput))?;
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

const CSV: &str = "results.csv";
const JSON: &str = "results.json";

fn write(rows: &[Row], out: &Path) -> Result<()> {
    let mut record = serde_json::to_string_pretty(rows)?;
    record.push('\n');
    write_whole(&out.join(JSON), record.as_bytes())?;
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(["data", "partition"].into_iter().chain(COLUMNS))?;
    for row in rows {
        let place = [text(&row.data), text(&row.partition)];
        csv.write_record(place.into_iter().chain(row_of(&row.summary)))?;
    }
    let bytes = csv.into_inner().map_err(|error| error.into_error())?;
    Ok(write_whole(&out.join(CSV), &bytes)?)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header([
        "data",
        "partition",
        "method",
        "accuracy, %",
        "macro F1",
        "up, all",
        "down, all",
    ]);
    for Row {
        data,
        partition,
        summary,
    } in rows
    {
        table.add_row([
            data.clone(),
            partition.clone(),
            summary.name.clone(),
            accuracy(summary),
            format!("{:.3}", summary.macro_f1),
            bytes(summary.bytes_up),
            bytes(summary.bytes_down),
        ]);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The comparisons of a file, everything in it checked as far as the command line checks it.
fn cells(file: &Path, out: &Path) -> Result<Vec<Cell>> {
    let place = || file.display().to_string();
    let text = promptfed_files::read_text(file, MAX_BYTES)?;
    let grid: Grid = toml::from_str(&text).with_context(place)?;
    let mut command = command();
    let mut cells = Vec::new();
    let mut folders = BTreeSet::new();
    for DataSet {
        name,
        partitions,
        flags,
    } in &grid.data
    {
        if partitions.is_empty() {
            bail!(
                "{}: {name} has no partitions; name at least one, as \"iid:5\"",
                file.display()
            );
        }
        for partition in partitions {
            let place = || format!("{}: {name}, {partition}", file.display());
            let folder = out.join(format!("{}-{}", slug(name), slug(partition)));
            if !folders.insert(folder.clone()) {
                bail!(
                    "{}: another has the folder {} too; give each data set a name of its own, and name each partition once",
                    place(),
                    folder.display()
                );
            }
            let mut keys = grid.settings.keys().chain(flags.keys());
            if let Some(key) = keys.find(|key| OF_ALL.contains(&key.as_str())) {
                bail!(
                    "{}: `{key}` is said of the whole grid; give --{key} on the command line",
                    place()
                );
            }
            let mut line: Vec<OsString> = Vec::new();
            for (key, value) in grid
                .settings
                .iter()
                .filter(|(key, _)| !flags.contains_key(*key))
            {
                line.extend(flags_of(&command, key, value).with_context(place)?);
            }
            for (key, value) in flags {
                line.extend(flags_of(&command, key, value).with_context(place)?);
            }
            line.push(format!("--partition={partition}").into());
            let matches = command
                .try_get_matches_from_mut(line)
                .map_err(|error| anyhow::Error::msg(crate::exit::in_one_line(&error.to_string())))
                .with_context(place)?;
            idle::refuse_idle(&matches).with_context(place)?;
            let args = Args::from_arg_matches(&matches)?;
            cells.push(Cell {
                data: name.clone(),
                partition: partition.clone(),
                folder,
                args,
            });
        }
    }
    if cells.is_empty() {
        bail!(
            "{}: has no [[data]]; write a table for each data set",
            file.display()
        );
    }
    Ok(cells)
}

/// A name of a folder.
fn slug(text: &str) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    text.chars().map(fit).collect()
}
