//! Means over seeds by method, and methods beside each other.

use super::{Table, optional};
use crate::Interval;
use crate::comparison::Comparison;
use crate::csv_cells::{number, text};
use crate::pairs::{Pair, Test};
use crate::summary::MethodSummary;

pub(super) fn methods(comparison: &Comparison) -> Table {
    Table {
        name: "methods.csv",
        columns: &[
            "method",
            "runs",
            "accuracy",
            "accuracy_std",
            "accuracy_low",
            "accuracy_high",
            "balanced_accuracy",
            "balanced_accuracy_std",
            "balanced_accuracy_low",
            "balanced_accuracy_high",
            "macro_f1",
            "macro_f1_std",
            "macro_f1_low",
            "macro_f1_high",
            "expected_calibration_error",
            "negative_log_likelihood",
            "collapsed",
            "bytes_up",
            "bytes_down",
            "bytes_up_per_client",
            "bytes_down_per_client",
            "seconds",
            "images_made",
            "images_trained_on",
        ],
        rows: comparison.summary().iter().map(method).collect(),
    }
}

fn method(summary: &MethodSummary) -> Vec<String> {
    let MethodSummary {
        name,
        runs,
        synthetic,
        ..
    } = summary;
    let mut row = vec![text(name), runs.to_string()];
    let shares = [
        (
            summary.accuracy_mean,
            summary.accuracy_std,
            summary.accuracy_interval,
        ),
        (
            summary.balanced_accuracy,
            summary.balanced_accuracy_std,
            summary.balanced_accuracy_interval,
        ),
        (
            summary.macro_f1,
            summary.macro_f1_std,
            summary.macro_f1_interval,
        ),
    ];
    for (mean, std, interval) in shares {
        // One seed has no spread.
        let std = (*runs > 1).then_some(std);
        row.extend([number(mean), optional(std)]);
        row.extend(ends(interval));
    }
    row.extend([
        optional(summary.expected_calibration_error),
        optional(summary.negative_log_likelihood),
        summary.collapsed.to_string(),
    ]);
    let bytes = [
        summary.bytes_up,
        summary.bytes_down,
        summary.bytes_up_per_client,
        summary.bytes_down_per_client,
    ];
    row.extend(bytes.map(|bytes| {
        if *runs == 0 {
            String::new()
        } else {
            bytes.to_string()
        }
    }));
    row.push(number(summary.seconds));
    let images = synthetic.map(|counts| [counts.made, counts.trained_on]);
    row.extend(images.map_or([String::new(), String::new()], |counts| {
        counts.map(|count| count.to_string())
    }));
    row
}

pub(super) fn pairs(comparison: &Comparison) -> Table {
    Table {
        name: "pairs.csv",
        columns: &[
            "first",
            "second",
            "seeds",
            "images",
            "difference",
            "low",
            "high",
            "test",
            "p",
            "p_corrected",
            "is_clear",
        ],
        rows: comparison.pairs.iter().map(pair).collect(),
    }
}

fn pair(pair: &Pair) -> Vec<String> {
    let test = match pair.test {
        Test::McNemar => "McNemar",
        Test::SignFlip => "sign flip",
    };
    let [low, high] = ends(Some(pair.interval));
    vec![
        text(&pair.first),
        text(&pair.second),
        pair.seeds.to_string(),
        pair.images.to_string(),
        number(pair.difference),
        low,
        high,
        test.to_owned(),
        number(pair.p),
        number(pair.p_corrected),
        pair.is_clear().to_string(),
    ]
}

fn ends(interval: Option<Interval>) -> [String; 2] {
    [interval.map(|i| i.low), interval.map(|i| i.high)].map(optional)
}
