//! Generative learning beside federated averaging: points, and bytes that clients send.

use super::GridComparison;
use super::markdown::{NONE, escaped, head, points, row};
use crate::role::Role;
use crate::summary::MethodSummary;

/// A row for each comparison that has federated averaging; nothing where none has.
pub(super) fn section(grid: &[GridComparison]) -> String {
    let rows: String = grid.iter().filter_map(line).collect();
    if rows.is_empty() {
        return String::new();
    }
    let names = [
        "data, partition",
        "best of one shot",
        "points over fedavg",
        "bytes up, of fedavg's",
        "fgl-rounds over fedavg, points",
    ];
    format!(
        "\n## Beside federated averaging\n\nDifferences of means; whether one is more than chance stands with its comparison. The best of several is the one with the highest mean accuracy \
         on the test images themselves, which flatters it, the more so the more there are.\n\n{}{rows}",
        head(&names, 3)
    )
}

fn line(cell: &GridComparison) -> Option<String> {
    let summary = cell.comparison.summary();
    let fedavg = summary.iter().find(|m| m.name == "fedavg")?;
    let is_one_shot =
        |m: &&MethodSummary| Role::of(&m.name) == Role::Generative && !is_of_rounds(&m.name);
    let one_shot = best(summary.iter().filter(is_one_shot));
    let rounds = best(summary.iter().filter(|m| is_of_rounds(&m.name)));
    let over = |method: Option<&MethodSummary>| {
        method.map_or_else(
            || NONE.to_owned(),
            |m| points(m.accuracy_mean - fedavg.accuracy_mean),
        )
    };
    let sent = one_shot.filter(|m| m.bytes_up > 0 && fedavg.bytes_up > 0);
    let share = |m: &MethodSummary| match fedavg.bytes_up as f64 / m.bytes_up as f64 {
        less if less >= 1.0 => format!("1/{less:.0}"),
        more => format!("{:.1} times", 1.0 / more),
    };
    Some(row(&[
        cell.place(),
        one_shot.map_or_else(|| NONE.to_owned(), |m| escaped(&m.name)),
        over(one_shot),
        sent.map_or_else(|| NONE.to_owned(), share),
        over(rounds),
    ]))
}

/// Whether a generative method shares weights too.
pub(super) fn is_of_rounds(method: &str) -> bool {
    method.split(':').next() == Some("fgl-rounds")
}

fn best<'m>(methods: impl Iterator<Item = &'m MethodSummary>) -> Option<&'m MethodSummary> {
    methods
        .filter(|method| method.accuracy_mean.is_finite())
        .max_by(|a, b| a.accuracy_mean.total_cmp(&b.accuracy_mean))
}
