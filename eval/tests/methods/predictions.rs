//! What is kept of every test image, and what is told of the differences.

use promptfed_eval::comparison::Comparison;
use promptfed_eval::journal::Journal;
use promptfed_eval::pairs::Test;

use crate::fixtures::{Painted, compare, experiment, run_with};

const METHODS: [&str; 4] = ["fedavg", "local", "majority", "chance"];

#[test]
fn predictions_are_those_that_were_measured() {
    let painted = Painted::new(6, 3);
    let mut experiment = experiment(&painted, "iid:2");
    experiment.setting.seeds = vec![5, 6];
    let comparison = compare(&experiment, &METHODS);
    let predictions = &comparison.predictions;
    let [first, .., last] = predictions.images.as_slice() else {
        panic!("{:?}", predictions.images)
    };
    assert_eq!((first.source.as_str(), first.label), ("cat/1000.png", 0));
    assert_eq!((last.source.as_str(), last.label), ("fox/1002.png", 2));
    assert_eq!(predictions.images.len(), 9);
    assert_eq!(predictions.runs.len(), METHODS.len() * 2);
    for run in &predictions.runs {
        let method = comparison.methods.iter().find(|m| m.name == run.method);
        let mut measured = method.unwrap().runs.iter();
        let measured = measured.find(|r| r.seed == run.seed).unwrap();
        let right = run.right(&predictions.images);
        let share = right.iter().sum::<f64>() / right.len() as f64;
        assert!((share - measured.evaluation.accuracy).abs() < 1e-12);
        let clients: Vec<_> = run.models.iter().map(|m| m.client.as_deref()).collect();
        let expected = match run.method.as_str() {
            "local" => vec![Some("client-0"), Some("client-1")],
            _ => vec![None],
        };
        assert_eq!(clients, expected, "{}", run.method);
        let guesses = ["majority", "chance"].contains(&run.method.as_str());
        let error = measured.evaluation.expected_calibration_error;
        assert_eq!(error.is_none(), guesses, "{}", run.method);
        for model in &run.models {
            assert_eq!(model.confidences.is_none(), guesses, "{}", run.method);
        }
    }
    // Where nothing generative was run, the federated method stands beside the others.
    assert_eq!(comparison.pairs.len(), METHODS.len() - 1);
    for (pair, other) in comparison.pairs.iter().zip(&METHODS[1..]) {
        assert_eq!(
            (pair.first.as_str(), pair.second.as_str()),
            ("fedavg", *other)
        );
        assert_eq!((pair.seeds, pair.images, pair.test), (2, 9, Test::SignFlip));
        let mean = |name: &str| {
            let method = comparison.methods.iter().find(|m| m.name == name);
            method.unwrap().accuracy().mean
        };
        assert!((pair.difference - (mean("fedavg") - mean(other))).abs() < 1e-12);
    }
}

#[test]
fn cells_of_before_predictions_were_kept_are_read_and_not_run_again() {
    let painted = Painted::new(6, 3);
    let experiment = experiment(&painted, "iid:2");
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path(), false);
    let first = run_with(&experiment, &["fedavg", "chance"], &journal);
    assert_eq!((first.predictions.runs.len(), first.pairs.len()), (2, 1));
    let again = run_with(&experiment, &["fedavg", "chance"], &journal);
    assert_eq!(again.predictions, first.predictions);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let mut cell: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let done = cell["outcome"]["done"].as_object_mut().unwrap();
        assert!(done.remove("predictions").is_some());
        let evaluation = done["run"]["evaluation"].as_object_mut().unwrap();
        assert!(evaluation.remove("expected_calibration_error").is_some());
        assert!(evaluation.remove("negative_log_likelihood").is_some());
        let text = serde_json::to_vec(&cell).unwrap();
        std::fs::write(&path, &text).unwrap();
        files.push((path, text));
    }
    assert_eq!(files.len(), 2);
    let old = run_with(&experiment, &["fedavg", "chance"], &journal);
    let accuracy = |of: &Comparison| of.methods[0].accuracy().mean;
    assert_eq!(accuracy(&old), accuracy(&first));
    assert!(old.predictions.runs.is_empty() && old.pairs.is_empty());
    for (path, text) in files {
        assert_eq!(std::fs::read(path).unwrap(), text, "it was run again");
    }
}
