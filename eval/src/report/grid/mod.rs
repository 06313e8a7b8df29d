//! The results of a grid as one page of Markdown, from the records of its comparisons, with figures beside it.
//!
//! What is said of a loss is said by rule: a method loses to another where the paired test of that comparison says so, and nothing else is
//! called a loss.

mod beside_fedavg;
mod losses;
mod markdown;
mod tables;

use super::plots::{self, Drawing};
use super::{critical_difference, shown};
use crate::Result;
use crate::comparison::Comparison;
use crate::ranking::Block;
use markdown::escaped;
use promptfed_files::write_whole;
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The longest record of a comparison that is read.
const MAX_BYTES: u64 = 1 << 30;

/// The figures of a comparison that stand on the page.
const FIGURES: [&str; 2] = ["accuracy_by_bytes", "domains"];

/// A comparison of a grid.
pub struct GridComparison {
    /// The data set.
    pub data: String,
    /// Who holds what, as a partition is written.
    pub partition: String,
    /// What was measured.
    pub comparison: Comparison,
}

#[derive(Deserialize)]
struct Record {
    comparison: Comparison,
}

impl GridComparison {
    /// Reads the record beside a comparison's report ([`write()`](super::write())).
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read(data: &str, partition: &str, record: &Path) -> Result<Self> {
        let bytes = promptfed_files::read(record, MAX_BYTES)?;
        let Record { comparison } = serde_json::from_slice(&bytes)?;
        Ok(Self {
            data: data.to_owned(),
            partition: partition.to_owned(),
            comparison,
        })
    }

    fn place(&self) -> String {
        format!("{}, {}", escaped(&self.data), escaped(&self.partition))
    }
}

/// Writes the page, and the figures in a folder of its name beside it; returns the figures.
///
/// Equal comparisons give equal pages.
///
/// # Errors
/// If a file cannot be written.
pub fn write_grid(grid: &[GridComparison], page: &Path) -> Result<Vec<PathBuf>> {
    let folder = page.with_extension("");
    let mut figures = Vec::new();
    let mut text = beginning(grid);
    if let Some(svg) = ranks(grid) {
        let file = folder.join("critical_difference.svg");
        write_whole(&file, svg.as_bytes())?;
        push_figure(
            &mut text,
            "Average ranks over data sets and partitions",
            &file,
        );
        figures.push(file);
    }
    text.push_str(&beside_fedavg::section(grid));
    text.push_str(&losses::section(grid));
    let mut data = "";
    for cell in grid {
        if cell.data != data {
            data = &cell.data;
            let _ = write!(text, "\n## {}\n", escaped(data));
        }
        text.push_str(&tables::section(cell));
        for drawing in drawings(&cell.comparison) {
            let of_cell = grid_folder(&cell.data, &cell.partition);
            let file = folder.join(format!("{of_cell}-{}", drawing.file_name()));
            let shown = format!("{}; {}", cell.place(), shown::all_seeds(&cell.comparison));
            write_whole(&file, drawing.document(&shown).as_bytes())?;
            push_figure(
                &mut text,
                &format!("{}: {}", cell.place(), drawing.title()),
                &file,
            );
            figures.push(file);
        }
    }
    write_whole(page, text.as_bytes())?;
    Ok(figures)
}

/// The name of the folder in which a grid's comparison lies.
pub fn grid_folder(data: &str, partition: &str) -> String {
    let fit = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    format!("{data}-{partition}").chars().map(fit).collect()
}

fn drawings(comparison: &Comparison) -> impl Iterator<Item = Drawing> {
    let all = plots::drawings(comparison).into_iter();
    all.filter(|drawing| {
        FIGURES
            .iter()
            .any(|stem| drawing.file_name() == format!("{stem}.svg"))
    })
}

fn ranks(grid: &[GridComparison]) -> Option<String> {
    let block = |cell: &GridComparison| -> Block {
        let rows = cell.comparison.summary();
        rows.into_iter()
            .map(|row| (row.name, row.accuracy_mean))
            .collect()
    };
    let blocks: Vec<Block> = grid.iter().map(block).collect();
    let names: Vec<String> = grid
        .iter()
        .map(|cell| format!("{}, {}", cell.data, cell.partition))
        .collect();
    critical_difference(&blocks, &names).ok()
}

fn push_figure(text: &mut String, title: &str, file: &Path) {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let folder = file.parent().and_then(Path::file_name).unwrap_or_default();
    let link = format!("{}/{name}", folder.to_string_lossy()).replace(' ', "%20");
    let _ = writeln!(text, "\n![{title}]({link})");
}

fn beginning(grid: &[GridComparison]) -> String {
    let mut versions: Vec<&str> = grid.iter().map(|c| c.comparison.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    let mut text = format!(
        "# Results\n\nWritten by `promptfed results` from the records of {} comparisons, measured by promptfed {}; no number here is written by hand. \
         [comparison.md](comparison.md) says what each method does, what is counted, and how differences are tested.\n",
        grid.len(),
        escaped(&versions.join(", "))
    );
    let failed: usize = grid.iter().map(|c| c.comparison.failures.len()).sum();
    if failed > 0 {
        let _ = writeln!(text, "\n**{failed} runs failed**; the tables name them.");
    }
    text
}
