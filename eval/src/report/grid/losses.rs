//! Where generative learning loses, and what the records say of why.

use super::GridComparison;
use super::beside_fedavg::is_of_rounds;
use super::markdown::{escaped, interval, percent, points};
use crate::comparison::{Comparison, MethodResult};
use crate::pairs::Pair;
use crate::role::Role;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Federated methods that the best generative one is clearly worse than.
fn lost(comparison: &Comparison) -> impl Iterator<Item = &Pair> {
    comparison.pairs.iter().filter(|pair| {
        let is_rival =
            Role::of(&pair.first) == Role::Generative && Role::of(&pair.second) == Role::Federated;
        is_rival && pair.is_clear() && pair.difference < 0.0
    })
}

/// Whether a generative method was tested beside a federated one.
fn is_tested(comparison: &Comparison) -> bool {
    comparison.pairs.iter().any(|pair| {
        Role::of(&pair.first) == Role::Generative && Role::of(&pair.second) == Role::Federated
    })
}

/// All comparisons together.
pub(super) fn section(grid: &[GridComparison]) -> String {
    let mut text = "\n## Where generative learning loses\n\n".to_owned();
    let tested: Vec<&GridComparison> = grid.iter().filter(|c| is_tested(&c.comparison)).collect();
    if tested.is_empty() {
        text.push_str("No generative method was tested beside a federated one.\n");
        return text;
    }
    let losing = tested
        .iter()
        .filter(|c| lost(&c.comparison).next().is_some());
    let _ = writeln!(
        text,
        "In {} of {} comparisons the best generative method, by its mean accuracy on the test images, is worse than some federated one by more than chance.\n",
        losing.count(),
        tested.len()
    );
    let of_rounds = tested.iter().filter(|cell| {
        let best = cell.comparison.pairs.first();
        best.is_some_and(|pair| is_of_rounds(&pair.first))
    });
    let of_rounds = of_rounds.count();
    if of_rounds > 0 {
        let _ = writeln!(
            text,
            "In {of_rounds} of them that one is fgl-rounds, which shares weights too; what one shot reaches stands in the tables.\n"
        );
    }
    // Comparisons of each partition, and those that are lost.
    let mut by_partition: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for cell in &tested {
        let (lost_ones, all) = by_partition.entry(&cell.partition).or_default();
        *lost_ones += usize::from(lost(&cell.comparison).next().is_some());
        *all += 1;
    }
    for (partition, (lost_ones, all)) in by_partition {
        let _ = writeln!(text, "- {}: {lost_ones} of {all}", escaped(partition));
    }
    text.push('\n');
    for cell in tested {
        for pair in lost(&cell.comparison) {
            let _ = write!(
                text,
                "- **{}**: {} is {} points below {} (95 % interval {}).",
                cell.place(),
                escaped(&pair.first),
                points(-pair.difference).trim_start_matches('+'),
                escaped(&pair.second),
                interval(Some(pair.interval.negated())),
            );
            text.push_str(&why(&cell.comparison, pair));
            text.push('\n');
        }
    }
    text
}

/// One comparison, in a paragraph below its tables.
pub(super) fn of_comparison(comparison: &Comparison) -> String {
    if !is_tested(comparison) {
        return String::new();
    }
    let lost: Vec<&Pair> = lost(comparison).collect();
    let Some(worst) = lost
        .iter()
        .min_by(|a, b| a.difference.total_cmp(&b.difference))
    else {
        let best = comparison.pairs.first().map(|pair| escaped(&pair.first));
        return format!(
            "\nNo federated method is shown to be better than the best generative one, {}.\n",
            best.unwrap_or_default()
        );
    };
    let names: Vec<String> = lost.iter().map(|pair| escaped(&pair.second)).collect();
    format!(
        "\n**The best generative method loses** to {}.{}\n",
        names.join(", "),
        why(comparison, worst)
    )
}

/// What the records say of it: words that the generator was never shown, what prompts add to class names, and the weakest domain.
fn why(comparison: &Comparison, pair: &Pair) -> String {
    let mut told = String::new();
    if !comparison.unseen_classes.is_empty() {
        let names: Vec<String> = comparison
            .unseen_classes
            .iter()
            .map(|name| escaped(name))
            .collect();
        let _ = write!(
            told,
            " The generator was never shown the words of {} of {} classes: {}.",
            names.len(),
            comparison.data.classes.len(),
            names.join(", ")
        );
    }
    let zero = comparison
        .pairs
        .iter()
        .find(|pair| pair.second.starts_with("zero-upload"));
    if let Some(zero) = zero.filter(|zero| !zero.is_clear()) {
        let _ = write!(
            told,
            " The class names alone ({}) are not shown to be worse than {}.",
            escaped(&zero.second),
            escaped(&zero.first)
        );
    }
    if let Some((domain, ours, theirs)) = weakest(comparison, &pair.first, &pair.second) {
        let _ = write!(
            told,
            " It is furthest behind {} on {}: {} and {} %.",
            escaped(&pair.second),
            escaped(&domain),
            percent(ours),
            percent(theirs)
        );
    }
    told
}

/// The domain on which the first method is furthest behind the second, and what both reach there.
fn weakest(comparison: &Comparison, first: &str, second: &str) -> Option<(String, f64, f64)> {
    let of = |name: &str| comparison.methods.iter().find(|method| method.name == name);
    let (ours, theirs) = (by_domain(of(first)?), by_domain(of(second)?));
    let both = ours
        .into_iter()
        .filter_map(|(domain, ours)| Some((domain, ours, *theirs.get(&domain)?)));
    // One domain is all of it.
    let both: Vec<(String, f64, f64)> = both.map(|(d, a, b)| (d.to_owned(), a, b)).collect();
    let worst = both
        .iter()
        .filter(|(_, ours, theirs)| ours < theirs)
        .min_by(|a, b| (a.1 - a.2).total_cmp(&(b.1 - b.2)));
    worst.filter(|_| both.len() > 1).cloned()
}

/// The mean over seeds.
fn by_domain(method: &MethodResult) -> BTreeMap<&str, f64> {
    let mut sums: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
    for run in &method.runs {
        for (domain, accuracy) in &run.evaluation.per_domain {
            let (sum, runs) = sums.entry(domain).or_default();
            *sum += accuracy;
            *runs += 1;
        }
    }
    let means = sums.into_iter();
    means
        .map(|(domain, (sum, runs))| (domain, sum / runs as f64))
        .collect()
}
