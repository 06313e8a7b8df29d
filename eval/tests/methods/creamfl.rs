//! CreamFL's losses against PyTorch, and what its clients may hold.

use promptfed_eval::comparison::MethodResult;
use promptfed_learn::objective::{Consensus, Imitation, RepresentationLoss};
use promptfed_prompts::ledger::{Direction, PayloadKind};
use serde_json::Value;

use crate::fixtures::{Painted, ROUNDS, compare, experiment, run};

fn numbers(value: &Value) -> Vec<f32> {
    let values = value.as_array().unwrap().iter();
    values.map(|v| v.as_f64().unwrap() as f32).collect()
}

#[test]
fn losses_and_their_gradients_are_pytorchs() {
    let golden: Value = serde_json::from_str(include_str!("../golden/creamfl.json")).unwrap();
    let number = |name: &str| golden[name].as_f64().unwrap() as f32;
    let rows = |name: &str| numbers(&golden[name]);
    let indices = golden["indices"].as_array().unwrap().iter();
    let indices: Vec<usize> = indices.map(|v| v.as_u64().unwrap() as usize).collect();
    let (width, outputs) = (number("width") as usize, rows("outputs"));
    let [other, same, last] = ["global_captions", "global_images", "last"].map(rows);
    let mut consensus = Consensus {
        other: &other,
        same: &same,
        last: &last,
        temperature: number("temperature"),
        weight: number("contrast"),
    };
    let mut imitation = Imitation {
        goal: rows("aggregated_images"),
        weight: number("distillation"),
    };
    let losses: [(&str, &mut dyn RepresentationLoss); 2] =
        [("consensus", &mut consensus), ("imitation", &mut imitation)];
    for (name, loss) in losses {
        let found = loss.of(&indices, &outputs, width).unwrap();
        let expected = &golden[name];
        let apart = found.loss - expected["loss"].as_f64().unwrap();
        assert!(apart.abs() < 1e-5, "{name}: {found:?}");
        let gradient = numbers(&expected["gradient"]);
        assert_eq!(found.gradient.len(), gradient.len());
        for (a, b) in found.gradient.iter().zip(&gradient) {
            assert!((a - b).abs() < 1e-5, "{name}: {a} and not {b}");
        }
    }
}

fn accuracy(method: &MethodResult) -> f64 {
    method.runs[0].evaluation.accuracy
}

/// A third of 18 images is chance.
#[test]
fn clients_may_hold_pairs_or_images_captions_and_both_in_turn() {
    let painted = Painted::new(8, 6);
    let told = ["creamfl:clients=pair", "creamfl:clients=mixed"];
    for method in run(&painted, "iid:3", &told) {
        assert!(accuracy(&method) > 0.65, "{}: {method:?}", method.name);
        let of_kind = |way| {
            let ledger = &method.runs[0].ledger;
            ledger.total_of_kind(way, PayloadKind::Representations)
        };
        // Of 24 pairs, 256 numbers of 4 bytes each.
        let (header, one, rounds) = (12, 24 * 256 * 4, u64::from(ROUNDS));
        assert_eq!(of_kind(Direction::Down), rounds * 3 * (header + 2 * one));
        let of_clients = if method.name.ends_with("pair") { 6 } else { 4 };
        let up = rounds * (3 * header + of_clients * one);
        assert_eq!(of_kind(Direction::Up), up, "{}", method.name);
    }
}

#[test]
fn settings_change_what_is_sent_and_what_is_learned() {
    let painted = Painted::new(6, 3);
    let results = run(
        &painted,
        "iid:2",
        &[
            "creamfl:width=8",
            "creamfl:distillation=0:width=8",
            "creamfl:contrast=0:width=8",
            "creamfl:public-images=5:width=8",
            // Fewer numbers than classes.
            "creamfl:width=2",
        ],
    );
    let hashes: Vec<_> = results.iter().map(|m| m.runs[0].model_hash).collect();
    assert!(hashes[0].is_some());
    for (other, method) in hashes[1..4].iter().zip(&results[1..]) {
        assert_ne!(hashes[0], *other, "{}", method.name);
    }
    assert_ne!(hashes[1], hashes[2]);
    let sent = results.iter().map(|method| {
        let ledger = &method.runs[0].ledger;
        ledger.total_of_kind(Direction::Up, PayloadKind::Representations)
    });
    let bytes = |pairs: u64| 2 * u64::from(ROUNDS) * (12 + pairs * 8 * 4);
    let narrow = 2 * u64::from(ROUNDS) * (12 + 18 * 2 * 4);
    let expected = [bytes(18), bytes(18), bytes(18), bytes(5), narrow];
    assert_eq!(sent.collect::<Vec<_>>(), expected);
}

/// No public caption says fox: nothing is ever called one, and that is told.
#[test]
fn a_class_that_public_captions_do_not_name_is_not_answered() {
    let painted = Painted::of(&[8, 8, 0], 4);
    let comparison = compare(&experiment(&painted, "iid:2"), &["creamfl"]);
    let confusion = &comparison.methods[0].runs[0].evaluation.confusion;
    let named: u64 = confusion.iter().map(|row| row[2]).sum();
    assert_eq!(named, 0, "{confusion:?}");
    let warned = |warning: &String| warning.contains("no public caption names fox");
    assert!(
        comparison.warnings.iter().any(warned),
        "{:?}",
        comparison.warnings
    );
}
