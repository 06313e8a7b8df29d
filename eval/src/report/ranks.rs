//! Average ranks of methods: over the seeds of a comparison, or over the data sets and partitions of a grid.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::format::plural;
use super::plots::{self, Drawing};
use super::{files, shown};
use crate::comparison::Comparison;
use crate::ranking::{Block, NotRanked, Ranking};
use crate::role::Role;

/// The critical-difference diagram of a grid, as an SVG document: its blocks are the mean test accuracies of all methods on each data set
/// and partition, which `names` names. Methods that learn nothing are left out, and so are those that some blocks do not have.
///
/// # Errors
/// As [`Ranking::of`].
pub fn critical_difference(blocks: &[Block], names: &[String]) -> Result<String, NotRanked> {
    let blocks: Vec<Block> = blocks.iter().map(without_floor).collect();
    let ranking = Ranking::of(&blocks)?;
    let over = format!("{} data sets and partitions", ranking.blocks);
    let drawing = plots::critical_difference(&ranking, &over);
    let mut shown = names.join("; ");
    if !ranking.left_out.is_empty() {
        shown = format!("{shown}. Left out: {}", ranking.left_out.join(", "));
    }
    Ok(drawing.document(&shown))
}

/// The diagram over the seeds of a comparison.
pub(super) fn drawing(comparison: &Comparison) -> Result<Drawing, NotRanked> {
    of_seeds(comparison).map(|ranking| drawn(&ranking))
}

pub(super) fn ranks(comparison: &Comparison) -> Markup {
    let ranking = match of_seeds(comparison) {
        Ok(ranking) => ranking,
        Err(why) => return html! { p.note { "No diagram: " (why) "." } },
    };
    html! {
        figure {
            div.scroll { (drawn(&ranking).inline()) }
            figcaption {
                "With each seed the methods are ranked by their test accuracy, 1 the best, equal ones sharing their ranks; shown is the mean over "
                (plural(ranking.blocks, "seed", "seeds")) ". A bar joins methods whose ranks are nearer to each other than the critical "
                "difference of Nemenyi's test at the level 0.05 (Dem\u{161}ar 2006). Seeds of one data set say how steady the order is "
                "here, not whether it holds for other data; a grid of data sets says that. Shown: " (shown::all_seeds(comparison)) "."
                @if !ranking.left_out.is_empty() { " Left out, having no accuracy with some seed: " (ranking.left_out.join(", ")) "." }
            }
        }
        (files::note(&["critical_difference.svg"], &["runs.csv"]))
    }
}

fn drawn(ranking: &Ranking) -> Drawing {
    plots::critical_difference(ranking, &plural(ranking.blocks, "seed", "seeds"))
}

fn of_seeds(comparison: &Comparison) -> Result<Ranking, NotRanked> {
    let mut by_seed: BTreeMap<u64, Block> = BTreeMap::new();
    for method in &comparison.methods {
        for run in &method.runs {
            let block = by_seed.entry(run.seed).or_default();
            block.insert(method.name.clone(), run.evaluation.accuracy);
        }
    }
    let blocks: Vec<Block> = by_seed.values().map(without_floor).collect();
    Ranking::of(&blocks)
}

/// What learns nothing is no rival, and more methods need larger differences.
fn without_floor(block: &Block) -> Block {
    let learning = block
        .iter()
        .filter(|(name, _)| Role::of(name) != Role::Floor);
    learning.map(|(name, a)| (name.clone(), *a)).collect()
}
