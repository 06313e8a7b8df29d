//! One row for each run, and what each run has several of: bytes by client and kind, domains.

use super::{Table, all_runs, optional};
use crate::comparison::{Comparison, MethodRun};
use crate::csv_cells::{number, text};
use promptfed_prompts::ledger::Direction;

pub(super) fn runs(comparison: &Comparison) -> Table {
    Table {
        name: "runs.csv",
        columns: &[
            "method",
            "seed",
            "accuracy",
            "balanced_accuracy",
            "macro_f1",
            "expected_calibration_error",
            "negative_log_likelihood",
            "collapsed",
            "bytes_up",
            "bytes_down",
            "seconds",
            "kept_step",
            "steps",
            "kept_by",
            "images_made",
            "images_trained_on",
            "model_hash",
            "jobs",
            "simulated_seconds",
        ],
        rows: all_runs(comparison).map(run).collect(),
    }
}

fn run((method, run): (&str, &MethodRun)) -> Vec<String> {
    let evaluation = &run.evaluation;
    let count = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
    vec![
        text(method),
        run.seed.to_string(),
        number(evaluation.accuracy),
        number(evaluation.tally().balanced_accuracy()),
        number(evaluation.macro_f1),
        optional(evaluation.expected_calibration_error),
        optional(evaluation.negative_log_likelihood),
        run.is_collapsed().to_string(),
        run.ledger.total(Direction::Up).to_string(),
        run.ledger.total(Direction::Down).to_string(),
        number(run.seconds),
        // Steps are counted from 1, as on the page.
        count(run.selected.map(|kept| kept as u64 + 1)),
        run.curve.len().to_string(),
        text(run.selection.as_deref().unwrap_or_default()),
        count(run.synthetic.map(|images| images.made)),
        count(run.synthetic.map(|images| images.trained_on)),
        run.model_hash
            .map_or_else(String::new, |hash| hash.to_string()),
        run.jobs.to_string(),
        optional(run.accuracy_by_seconds.last().map(|(seconds, _)| *seconds)),
    ]
}

pub(super) fn failures(comparison: &Comparison) -> Table {
    let failures = comparison.failures.iter();
    Table {
        name: "failures.csv",
        columns: &["method", "seed", "reason"],
        rows: failures
            .map(|f| vec![text(&f.method), f.seed.to_string(), text(&f.reason)])
            .collect(),
    }
}

pub(super) fn bytes(comparison: &Comparison) -> Table {
    let rows = all_runs(comparison).flat_map(|(method, run)| {
        run.ledger.entries().map(move |entry| {
            vec![
                text(method),
                run.seed.to_string(),
                text(&entry.client),
                entry.direction.to_string(),
                entry.kind.to_string(),
                entry.bytes.to_string(),
            ]
        })
    });
    Table {
        name: "bytes.csv",
        columns: &["method", "seed", "client", "direction", "kind", "bytes"],
        rows: rows.collect(),
    }
}

pub(super) fn domains(comparison: &Comparison) -> Table {
    let rows = all_runs(comparison).flat_map(|(method, run)| {
        let domains = run.evaluation.per_domain.iter();
        domains.map(move |(domain, accuracy)| {
            vec![
                text(method),
                run.seed.to_string(),
                text(domain),
                number(*accuracy),
            ]
        })
    });
    Table {
        name: "domains.csv",
        columns: &["method", "seed", "domain", "accuracy"],
        rows: rows.collect(),
    }
}
