//! Simulated time, tuned learning rates and shared machines, as the report tells of them.

use promptfed_eval::comparison::Comparison;
use promptfed_eval::report::{render, write};
use promptfed_eval::{RateScore, Tuned};

use crate::tables::Table;
use crate::{assert_sound, sample, section};

/// fgl ends after 20 seconds, fedavg reaches 40 % after 300.
fn comparison() -> Comparison {
    let mut comparison = sample::comparison();
    let steps = [
        vec![(20.0, 0.45)],
        vec![(100.0, 0.2), (300.0, 0.41), (500.0, 0.55)],
    ];
    for (method, steps) in comparison.methods.iter_mut().zip(steps) {
        for run in &mut method.runs {
            run.accuracy_by_seconds.clone_from(&steps);
        }
    }
    comparison.target_accuracy = Some(0.4);
    comparison
}

#[test]
fn simulated_time_has_a_figure_a_table_and_the_time_to_an_accuracy() {
    let comparison = comparison();
    let page = render(&comparison);
    assert_sound(&page);
    let told = section(&page, "simulated");
    for part in [
        "Whole run",
        "To 40.0",
        "3 of 3 seeds",
        "0 of 3 seeds",
        "waited for",
    ] {
        assert!(told.contains(part), "{part}");
    }
    let folder = tempfile::tempdir().unwrap();
    let files = write(&comparison, &folder.path().join("report.html")).unwrap();
    let named = |name: &str| files.figures.iter().any(|file| file.ends_with(name));
    assert!(named("accuracy_by_seconds.svg"));
    let steps = Table::read(folder.path(), "accuracy_by_seconds.csv");
    assert_eq!(steps.0.len(), 3 + 9);
    let methods = Table::read(folder.path(), "methods.csv");
    let of = |row: usize, column: &str| methods.0[row][column].clone();
    assert_eq!(of(0, "seconds_to_target"), "20");
    assert_eq!(of(1, "seconds_to_target"), "300");
    assert_eq!(of(1, "simulated_seconds"), "500");
    assert_eq!(of(2, "simulated_seconds"), "");
    assert_eq!(
        (of(1, "runs_at_target"), of(2, "runs_at_target")),
        ("3".into(), "0".into())
    );
    // Steps that no axis has a place for are left out.
    let mut odd = comparison;
    for run in &mut odd.methods[1].runs {
        run.accuracy_by_seconds =
            vec![(0.0, 0.1), (f64::NAN, 0.2), (5e-324, 0.3), (10.0, f64::NAN)];
    }
    assert_sound(&render(&odd));
}

#[test]
fn what_is_not_simulated_or_tuned_has_no_section() {
    let page = render(&sample::comparison());
    assert!(!page.contains("id=\"simulated\"") && !page.contains("id=\"tuning\""));
    assert!(!page.contains("shared the machine"));
}

#[test]
fn tuned_rates_are_told_with_all_that_were_tried() {
    let mut comparison = sample::comparison();
    let score = |rate: f32, accuracy| RateScore { rate, accuracy };
    comparison.tuned = vec![Tuned {
        method: "fedavg".into(),
        chosen: 0.03,
        scores: vec![
            score(0.01, Some(0.25)),
            score(0.03, Some(0.5)),
            score(0.1, None),
        ],
    }];
    let page = render(&comparison);
    assert_sound(&page);
    let told = section(&page, "tuning");
    for part in ["fedavg", "0.01", "25.0", "50.0", "No test image was read"] {
        assert!(told.contains(part), "{part}");
    }
    let folder = tempfile::tempdir().unwrap();
    write(&comparison, &folder.path().join("report.html")).unwrap();
    let rows = Table::read(folder.path(), "tuning.csv").0;
    let of =
        |row: usize| ["learning_rate", "balanced_accuracy", "chosen"].map(|c| rows[row][c].clone());
    assert_eq!(of(1), ["0.03", "0.5", "true"]);
    assert_eq!(of(2), ["0.1", "", "false"]);
    let record = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let tuned = &record["comparison"]["tuned"][0];
    assert_eq!(
        (&tuned["chosen"], &tuned["scores"][0]["rate"]),
        (&serde_json::json!(0.03), &serde_json::json!(0.01))
    );
    let read: Comparison = serde_json::from_value(record["comparison"].clone()).unwrap();
    assert_eq!(read.tuned, comparison.tuned);
}

#[test]
fn seconds_of_runs_that_shared_the_machine_are_marked() {
    let mut comparison = sample::comparison();
    for run in &mut comparison.methods[1].runs {
        run.jobs = 4;
    }
    let page = render(&comparison);
    assert_sound(&page);
    let results = section(&page, "results");
    assert_eq!(results.matches("beside others").count(), 1);
    assert!(results.contains("4 runs shared the machine"));
    let folder = tempfile::tempdir().unwrap();
    write(&comparison, &folder.path().join("report.html")).unwrap();
    let runs = Table::read(folder.path(), "runs.csv").0;
    let jobs: Vec<&str> = runs.iter().map(|row| row["jobs"].as_str()).collect();
    assert_eq!(jobs, [["1"; 3], ["4"; 3], ["1"; 3], ["1"; 3]].concat());
    // A record of before tells of nothing beside it.
    let mut record = serde_json::to_value(&comparison).unwrap();
    let run = &mut record["methods"][1]["runs"][0];
    run.as_object_mut().unwrap().remove("jobs");
    let read: Comparison = serde_json::from_value(record).unwrap();
    assert_eq!(read.methods[1].runs[0].jobs, 1);
}

#[test]
fn a_better_method_without_predictions_is_not_passed_over_in_silence() {
    let mut comparison = sample::comparison();
    let mut better = comparison.methods[0].clone();
    better.name = "fgl:level=class".into();
    for run in &mut better.runs {
        run.evaluation.accuracy = 0.9;
    }
    comparison.methods.push(better);
    let page = render(&comparison);
    assert!(
        section(&page, "differences")
            .contains("fgl stands here though fgl:level=class reached more")
    );
}
