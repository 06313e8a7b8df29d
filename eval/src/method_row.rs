//! A method's figures as a row of a table for other programs.

use crate::Interval;
use crate::csv_cells::{number, text};
use crate::summary::MethodSummary;

/// Names of the columns.
pub const COLUMNS: [&str; 28] = [
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
    "jobs",
    "simulated_seconds",
    "seconds_to_target",
    "runs_at_target",
];

/// Its cells, one for each of [`COLUMNS`]: numbers in full, nothing where there is none.
pub fn cells(summary: &MethodSummary) -> Vec<String> {
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
    row.push(summary.jobs.to_string());
    row.extend([
        optional(summary.simulated_seconds),
        optional(summary.seconds_to_target),
        (summary.runs_at_target).map_or_else(String::new, |runs| runs.to_string()),
    ]);
    row
}

fn ends(interval: Option<Interval>) -> [String; 2] {
    [interval.map(|i| i.low), interval.map(|i| i.high)].map(optional)
}

fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::{Comparison, MethodResult};

    #[test]
    fn there_is_a_cell_for_each_column() {
        let empty = r#"{"title":"","version":"","settings":[],"data":{"classes":[],"clients":[],"test_images":0,"test_hash":"TEST","partition":"iid:2"},
            "methods":[],"prompts":[],"gallery":[],"provenance":[],"seconds":0.0}"#;
        let hash = promptfed_prompts::ContentHash::of(b"").to_string();
        let mut comparison: Comparison =
            serde_json::from_str(&empty.replace("TEST", &hash)).unwrap();
        comparison.methods.push(MethodResult {
            name: "=fedavg".into(),
            description: String::new(),
            runs: Vec::new(),
        });
        let row = cells(&comparison.summary()[0]);
        assert_eq!(row.len(), COLUMNS.len());
        assert_eq!((row[0].as_str(), row[1].as_str()), ("'=fedavg", "0"));
        assert_eq!(row[2], "", "no run has no accuracy");
    }
}
