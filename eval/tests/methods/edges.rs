//! Federations in which somebody has next to nothing.

use promptfed_eval::methods::MethodName;
use promptfed_prompts::ledger::{Direction, PayloadKind};

use crate::fixtures::{Painted, compare, experiment, run, spec};

fn names() -> Vec<&'static str> {
    let all = MethodName::ALL.into_iter();
    all.filter(|name| !name.is_generative())
        .map(MethodName::name)
        .collect()
}

#[test]
fn one_client_is_a_federation() {
    for method in run(&Painted::new(5, 2), "iid:1", &names()) {
        assert_eq!(method.runs.len(), 1, "{}", method.name);
    }
}

#[test]
fn a_class_that_nobody_holds_is_tested_and_not_named() {
    let painted = Painted::of(&[8, 8, 0], 4);
    for method in run(&painted, "iid:2", &names()) {
        let confusion = &method.runs[0].evaluation.confusion;
        let of_fox: u64 = confusion[2].iter().sum();
        assert!(of_fox >= 4, "{}", method.name);
        if method.name != "chance" {
            let named: u64 = confusion.iter().map(|row| row[2]).sum();
            let all: u64 = confusion.iter().flatten().sum();
            assert!(named * 4 < all, "{}: {confusion:?}", method.name);
        }
    }
}

/// Five pictures at three clients: one has a single picture, and at 8 px its normalisation would have one value.
#[test]
fn a_client_with_one_picture_receives_and_sends_none() {
    let painted = Painted::of(&[2, 2, 1], 2);
    let mut experiment = experiment(&painted, "iid:3");
    experiment.setting.recipe.image_size = 8;
    // Of two pictures, one value each to normalise.
    experiment.setting.recipe.training.learning_rate = 0.005;
    // Of two pictures and one value each, running statistics mean nothing, and prototypes by them run away.
    let names = names().into_iter();
    let names: Vec<&str> = names
        .filter(|name| !["fedproto", "fedtgp"].contains(name))
        .collect();
    let comparison = compare(&experiment, &names);
    for method in &comparison.methods {
        let told = format!("{} clients without a step, seed 5", method.name);
        let idle = comparison.provenance.iter().find(|(name, _)| *name == told);
        let ledger = &method.runs[0].ledger;
        for name in idle.iter().flat_map(|(_, names)| names.split(", ")) {
            let sent = PayloadKind::ALL
                .into_iter()
                .filter(|kind| *kind != PayloadKind::Control)
                .map(|kind| ledger.get(name, Direction::Up, kind));
            assert_eq!(sent.sum::<u64>(), 0, "{}: {name}", method.name);
        }
        let of_rounds = spec(&method.name).name.is_of_rounds();
        assert_eq!(idle.is_some(), of_rounds, "{}", method.name);
    }
}
