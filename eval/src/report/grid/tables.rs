//! One comparison: its methods, what crossed, and the best one beside the others.

use super::markdown::{NONE, escaped, head, interval, percent, points, row};
use super::{GridComparison, losses};
use crate::comparison::Comparison;
use crate::pairs::Pair;
use crate::report::format::{bytes, p_value, plural, seconds};
use crate::summary::MethodSummary;
use std::fmt::Write as _;

pub(super) fn section(cell: &GridComparison) -> String {
    let comparison = &cell.comparison;
    let mut text = format!("\n### {}\n\n{}\n\n", cell.place(), size(comparison));
    text.push_str(&head(
        &[
            "method",
            "accuracy, %",
            "95 % interval",
            "balanced, %",
            "macro F1",
            "up, all",
            "down, all",
            "seconds",
        ],
        7,
    ));
    for method in comparison.summary() {
        text.push_str(&row(&figures(&method)));
    }
    let jobs = comparison.summary().iter().map(|m| m.jobs).max();
    if let Some(jobs) = jobs.filter(|jobs| *jobs > 1) {
        let _ = writeln!(
            text,
            "\nSeconds are those of {jobs} runs at a time, and not those that a method takes alone."
        );
    }
    for failure in &comparison.failures {
        let _ = writeln!(
            text,
            "\n**{} failed with seed {}**: {}",
            escaped(&failure.method),
            failure.seed,
            escaped(&failure.reason)
        );
    }
    text.push_str(&differences(&comparison.pairs));
    text.push_str(&losses::of_comparison(comparison));
    text
}

fn size(comparison: &Comparison) -> String {
    let data = &comparison.data;
    let private: usize = data.clients.iter().flat_map(|c| &c.images_per_class).sum();
    format!(
        "{}, {}, {}, {}.",
        plural(data.clients.len(), "client", "clients"),
        plural(data.classes.len(), "class", "classes"),
        plural(private, "private image", "private images"),
        plural(data.test_images, "test image", "test images"),
    )
    .replace('\u{a0}', " ")
}

fn figures(method: &MethodSummary) -> Vec<String> {
    let collapsed = if method.collapsed { " (one class)" } else { "" };
    let spread = if method.runs > 1 && method.accuracy_mean.is_finite() {
        format!(" ± {}", percent(method.accuracy_std))
    } else {
        String::new()
    };
    let mut cells = vec![
        escaped(&method.name),
        format!("{}{spread}{collapsed}", percent(method.accuracy_mean)),
        interval(method.accuracy_interval),
        percent(method.balanced_accuracy),
    ];
    if method.runs == 0 {
        cells.extend(std::iter::repeat_n(NONE.to_owned(), 4));
        return cells;
    }
    cells.extend([
        format!("{:.3}", method.macro_f1),
        bytes(method.bytes_up),
        bytes(method.bytes_down),
        seconds(method.seconds),
    ]);
    cells
}

fn differences(pairs: &[Pair]) -> String {
    let Some(first) = pairs.first().map(|pair| &pair.first) else {
        return String::new();
    };
    let mut text = format!(
        "\n{} less each of the others, on the same test images with the same seeds:\n\n",
        escaped(first)
    );
    text.push_str(&head(
        &[
            "other",
            "points",
            "95 % interval",
            "p, corrected",
            "more than chance?",
        ],
        4,
    ));
    for pair in pairs {
        text.push_str(&row(&[
            escaped(&pair.second),
            points(pair.difference),
            interval(Some(pair.interval)),
            escaped(&p_value(pair.p_corrected)),
            if pair.is_clear() { "yes" } else { "not shown" }.to_owned(),
        ]));
    }
    text
}
