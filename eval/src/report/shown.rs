//! Which data and seeds a figure shows.

use std::collections::BTreeSet;

use super::format::plural;
use crate::comparison::Comparison;

/// More seeds than this are counted.
const MAX_SEEDS: usize = 8;

/// The partition and all seeds, e.g. `partition domain; seeds 1, 2, 3`.
pub(super) fn all_seeds(comparison: &Comparison) -> String {
    let seeds = seeds(comparison);
    let listed: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let told = match (seeds.first(), seeds.last()) {
        (Some(first), Some(_)) if seeds.len() == 1 => format!("seed {first}"),
        (Some(first), Some(last)) if seeds.len() > MAX_SEEDS => {
            format!(
                "{}, {first} to {last}",
                plural(seeds.len(), "seed", "seeds")
            )
        }
        (Some(_), _) => format!("seeds {}", listed.join(", ")),
        (None, _) => "no seed".to_owned(),
    };
    format!("partition {}; {told}", comparison.data.partition)
}

/// The partition and the first seed, the one that prompts and pictures are kept of.
pub(super) fn first_seed(comparison: &Comparison) -> String {
    let partition = &comparison.data.partition;
    match seeds(comparison).first() {
        Some(seed) => format!("partition {partition}; seed {seed}"),
        None => format!("partition {partition}"),
    }
}

fn seeds(comparison: &Comparison) -> BTreeSet<u64> {
    let runs = comparison.methods.iter().flat_map(|method| &method.runs);
    let failed = comparison.failures.iter().map(|failure| failure.seed);
    runs.map(|run| run.seed).chain(failed).collect()
}
