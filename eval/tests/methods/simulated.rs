//! The simulated clock.

use promptfed_eval::comparison::{Comparison, MethodRun};
use promptfed_eval::methods::MethodName;
use promptfed_eval::simulation::Simulation;
use promptfed_prompts::ledger::{Direction, PayloadKind};

use crate::fixtures::{Painted, ROUNDS, compare, experiment, timeless};

/// A million bytes a second up and two down, half a second an image, ten seconds of the server a round.
fn simulation() -> Simulation {
    Simulation {
        links: "up=1MB,down=2MB".parse().unwrap(),
        sample_seconds: 0.5,
        stragglers: None,
        server: "round=10".parse().unwrap(),
        deadline: None,
    }
}

fn simulated(simulation: Simulation, texts: &[&str]) -> Comparison {
    let painted = Painted::new(6, 3);
    let mut experiment = experiment(&painted, "iid:2");
    experiment.setting.simulation = Some(simulation);
    experiment.setting.target_accuracy = Some(0.3);
    compare(&experiment, texts)
}

/// Bytes of one model.
fn model(run: &MethodRun) -> f64 {
    let all = run.ledger.total_of_kind(Direction::Up, PayloadKind::Model);
    all as f64 / f64::from(2 * ROUNDS)
}

fn assert_near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-6,
        "{found} and not {expected}"
    );
}

/// Two clients of nine images each, two local epochs; the counts of three classes, twice four bytes each, cross before the first round.
#[test]
fn a_rounds_time_is_that_of_its_bytes_its_images_and_the_server() {
    let comparison = simulated(simulation(), &["fedavg"]);
    let run = &comparison.methods[0].runs[0];
    let (up, down) = (model(run) / 1e6, model(run) / 2e6);
    assert_eq!(run.accuracy_by_seconds.len(), ROUNDS as usize);
    let round = down + 9.0 * 2.0 * 0.5 + up + 10.0;
    for (number, (seconds, _)) in run.accuracy_by_seconds.iter().enumerate() {
        let expected = (number as f64 + 1.0) * round + 24.0 / 1e6 + down;
        assert_near(*seconds, expected);
    }
    let accuracies = run
        .accuracy_by_seconds
        .iter()
        .map(|(_, accuracy)| *accuracy);
    let by_bytes = run.accuracy_by_bytes.iter().map(|(_, accuracy)| *accuracy);
    assert!(accuracies.eq(by_bytes));
    let summary = &comparison.summary()[0];
    let reached = run.accuracy_by_seconds.iter().find(|(_, a)| *a >= 0.3);
    assert_eq!(summary.seconds_to_target, reached.map(|(s, _)| *s));
    assert_eq!(summary.runs_at_target, Some(usize::from(reached.is_some())));
    assert_eq!(
        timeless(comparison),
        timeless(simulated(simulation(), &["fedavg"]))
    );
}

/// Two clients of nine images each, two local epochs, and 18 public pairs of 8 numbers of 4 bytes: of images up, of both down. Clients pass over the
/// pairs once, where they learn from them, and get a model at the end.
#[test]
fn what_creamfl_ends_with_is_shown_when_clients_have_it() {
    for (text, seen) in [
        ("creamfl:width=8", 9.0 * 2.0 + 18.0),
        ("creamfl:width=8:contrast=0", 9.0 * 2.0),
    ] {
        let comparison = simulated(simulation(), &[text]);
        let run = &comparison.methods[0].runs[0];
        let of_one = f64::from(18 * 8 * 4);
        let (up, down) = ((12.0 + of_one) / 1e6, (12.0 + 2.0 * of_one) / 2e6);
        let round = down + seen * 0.5 + up + 10.0;
        let model = run
            .ledger
            .total_of_kind(Direction::Down, PayloadKind::Model)
            / 2;
        assert!(model > 0);
        assert_eq!(run.accuracy_by_seconds.len(), ROUNDS as usize);
        for (number, (seconds, _)) in run.accuracy_by_seconds.iter().enumerate() {
            let is_last = number + 1 == ROUNDS as usize;
            let received = if is_last { model as f64 / 2e6 } else { 0.0 };
            assert_near(*seconds, (number as f64 + 1.0) * round + received);
        }
        let (bytes, accuracy) = run.accuracy_by_bytes.last().copied().unwrap();
        let total = [Direction::Up, Direction::Down].map(|way| run.ledger.total(way));
        assert_eq!(bytes, total.iter().sum::<u64>());
        assert_eq!(accuracy, run.evaluation.accuracy);
        assert_eq!(run.selected, Some(ROUNDS as usize - 1));
        assert!(run.selection.as_deref().unwrap().starts_with("last"));
    }
}

#[test]
fn a_straggler_holds_up_the_round_until_the_deadline() {
    let slow = Simulation {
        stragglers: Some("0.5:100".parse().unwrap()),
        ..simulation()
    };
    let waiting = simulated(slow, &["fedavg"]);
    let run = &waiting.methods[0].runs[0];
    let last = |run: &MethodRun| run.accuracy_by_seconds.last().unwrap().0;
    let (up, down) = (model(run) / 1e6, model(run) / 2e6);
    let round = down + 9.0 * 2.0 * 0.5 * 100.0 + up + 10.0;
    assert_near(last(run), f64::from(ROUNDS) * round + 24.0 / 1e6 + down);
    let hasty = Simulation {
        deadline: Some(100.0),
        ..slow
    };
    let hasty = simulated(hasty, &["fedavg"]);
    let left = &hasty.methods[0].runs[0];
    assert_near(last(left), f64::from(ROUNDS) * 110.0 + down);
    // What comes too late has crossed.
    assert_eq!(model(left), model(run));
    assert_ne!(left.model_hash, run.model_hash);
    let told = left.selection.as_deref().unwrap();
    assert!(told.starts_with("last: not every client"), "{told}");
}

#[test]
fn all_that_train_together_are_on_the_clock_and_nothing_is_where_nothing_is_simulated() {
    let names: Vec<&str> = MethodName::ALL
        .into_iter()
        .filter(|name| !name.is_generative())
        .map(MethodName::name)
        .filter(|name| !["local", "chance", "majority"].contains(name))
        .collect();
    let comparison = simulated(simulation(), &names);
    for method in &comparison.methods {
        let steps = &method.runs[0].accuracy_by_seconds;
        let name = &method.name;
        assert!(!steps.is_empty(), "{name}");
        assert!(
            steps.windows(2).all(|pair| pair[0].0 <= pair[1].0),
            "{name}"
        );
        // Who takes part in rounds waits for the server in each of them.
        assert!(steps.last().unwrap().0 > 10.0, "{name}: {steps:?}");
    }
    let painted = Painted::new(4, 2);
    let plain = compare(&experiment(&painted, "iid:2"), &["fedavg"]);
    assert!(plain.methods[0].runs[0].accuracy_by_seconds.is_empty());
    assert_eq!(plain.summary()[0].simulated_seconds, None);
}

#[test]
fn no_deadline_ends_what_waits_for_all() {
    let hasty = Simulation {
        deadline: Some(1e-3),
        ..simulation()
    };
    let names = ["centralised", "fedpft", "fedmd", "fedhkt"];
    let (free, hasty) = (simulated(simulation(), &names), simulated(hasty, &names));
    for (free, hasty) in free.methods.iter().zip(&hasty.methods) {
        let (free, hasty) = (&free.runs[0], &hasty.runs[0]);
        assert_eq!(free.accuracy_by_seconds, hasty.accuracy_by_seconds);
        assert!(hasty.accuracy_by_seconds[0].0 > 1.0);
    }
}

#[test]
fn a_deadline_that_nobody_keeps_is_told_and_no_shorter_than_a_download() {
    let hasty = Simulation {
        deadline: Some(1e-9),
        ..simulation()
    };
    let names = ["fedavg", "fedproto"];
    let comparison = simulated(hasty, &names);
    for name in names {
        let begins = format!("{name}: no round heard of any client");
        let mut warnings = comparison.warnings.iter();
        let told = warnings.find(|warning| warning.starts_with(&begins));
        assert!(told.unwrap().contains("longer --deadline"), "{told:?}");
    }
    let run = &comparison.methods[0].runs[0];
    let down = model(run) / 2e6;
    for (number, (seconds, accuracy)) in run.accuracy_by_seconds.iter().enumerate() {
        assert_near(*seconds, (number as f64 + 1.0) * (down + 10.0) + down);
        assert_eq!(*accuracy, run.evaluation.accuracy);
    }
    let kept = simulated(simulation(), &["fedavg"]);
    let is_told = |warning: &String| warning.contains("no round heard");
    assert!(!kept.warnings.iter().any(is_told));
}

#[test]
fn prototypes_are_tested_when_they_have_arrived() {
    let comparison = simulated(simulation(), &["fedproto", "fedtgp"]);
    for method in &comparison.methods {
        let run = &method.runs[0];
        let bytes = |way| run.ledger.total_of_kind(way, PayloadKind::Prototypes);
        let (all, accuracy) = *run.accuracy_by_bytes.last().unwrap();
        assert_eq!(all, bytes(Direction::Up) + bytes(Direction::Down));
        assert_eq!(accuracy, run.evaluation.accuracy);
        assert_eq!(run.accuracy_by_bytes.len(), ROUNDS as usize);
        // The clients' work and the server's, and what crosses in both directions.
        let seconds = run.accuracy_by_seconds.last().unwrap().0;
        let work = f64::from(ROUNDS) * (9.0 * 2.0 * 0.5 + 10.0);
        assert!(seconds > work && seconds < work + 1.0, "{seconds}");
    }
}
