//! The figures as a table in a terminal.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_eval::Interval;
use promptfed_eval::comparison::{Comparison, SyntheticCounts};
use promptfed_eval::report::bytes;
use promptfed_eval::summary::MethodSummary;

pub(super) fn table(comparison: &Comparison) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    let summary = comparison.summary();
    // Where every image that is made is trained on, there is nothing to tell.
    let chooses = summary
        .iter()
        .filter_map(|method| method.synthetic)
        .any(|images| images.made != images.trained_on);
    // One seed has none.
    let has_intervals = summary.iter().any(|m| m.accuracy_interval.is_some());
    let jobs = summary.iter().map(|method| method.jobs).max().unwrap_or(1);
    let seconds = match jobs {
        0 | 1 => "seconds".to_owned(),
        jobs => format!("seconds, {jobs} at a time"),
    };
    let target = comparison.target_accuracy;
    let to_target = target.map(|target| format!("s to {:.1} %", 100.0 * target));
    let is_simulated = summary.iter().any(|m| m.simulated_seconds.is_some());
    let mut header = vec!["method", "accuracy, %"];
    if has_intervals {
        header.push("95 % interval");
    }
    header.extend([
        "macro F1",
        "up per client",
        "down per client",
        "up, all",
        "down, all",
        &seconds,
    ]);
    if is_simulated {
        header.push("simulated s");
        header.extend(to_target.as_deref());
    }
    if chooses {
        header.extend(["images made", "trained on"]);
    }
    table.set_header(header);
    for method in summary {
        let mut row = vec![method.name.clone(), accuracy(&method)];
        if has_intervals {
            row.push(method.accuracy_interval.map_or(String::new(), interval));
        }
        row.extend([
            spread(method.macro_f1, method.macro_f1_std, method.runs, 3),
            bytes(method.bytes_up_per_client),
            bytes(method.bytes_down_per_client),
            bytes(method.bytes_up),
            bytes(method.bytes_down),
            format!("{:.1}", method.seconds),
        ]);
        if is_simulated {
            row.push(time(method.simulated_seconds));
            if target.is_some() {
                row.push(time(method.seconds_to_target));
            }
        }
        if chooses {
            let of = |count: fn(SyntheticCounts) -> u64| {
                let images = method.synthetic;
                images.map_or(String::new(), |images| count(images).to_string())
            };
            row.extend([of(|images| images.made), of(|images| images.trained_on)]);
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Accuracy in percent with its spread over seeds, and whether all images were taken for one class.
pub(super) fn accuracy(method: &MethodSummary) -> String {
    let (mean, std) = (100.0 * method.accuracy_mean, 100.0 * method.accuracy_std);
    let collapsed = if method.collapsed { " (one class)" } else { "" };
    format!("{}{collapsed}", spread(mean, std, method.runs, 1))
}

/// In percent.
pub(super) fn interval(interval: Interval) -> String {
    format!(
        "{:.1} to {:.1}",
        100.0 * interval.low,
        100.0 * interval.high
    )
}

/// Simulated seconds; a dash where there are none.
fn time(seconds: Option<f64>) -> String {
    let told = |seconds: f64| {
        // One exchange of prompts is over in a fraction of one.
        let digits = if seconds < 1.0 { 3 } else { 1 };
        format!("{seconds:.digits$}")
    };
    seconds.map_or_else(|| "–".to_owned(), told)
}

/// One seed has no spread.
fn spread(mean: f64, std: f64, runs: usize, digits: usize) -> String {
    if runs < 2 {
        return format!("{mean:.digits$}");
    }
    format!("{mean:.digits$} ± {std:.digits$}")
}
