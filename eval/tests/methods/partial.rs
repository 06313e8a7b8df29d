//! Rounds that not all clients take part in, or not to their end.

use crate::fixtures::{Painted, ROUNDS, experiment, methods_with};
use promptfed_eval::comparison::MethodResult;
use promptfed_eval::journal::Journal;
use promptfed_eval::methods::{MethodName, Participation};
use promptfed_eval::observer::Silent;
use promptfed_prompts::ledger::{Direction, PayloadKind};
use std::sync::atomic::AtomicBool;

fn of_rounds() -> Vec<&'static str> {
    let all = MethodName::ALL.into_iter();
    all.filter(|name| name.is_of_rounds() && !name.is_generative())
        .map(MethodName::name)
        .collect()
}

fn run(painted: &Painted, texts: &[&str], participation: Participation) -> Vec<MethodResult> {
    let folder = tempfile::tempdir().unwrap();
    let comparison = experiment(painted, "iid:4").run(
        &methods_with(texts, participation),
        &Journal::new(folder.path(), false),
        &Silent,
        &AtomicBool::new(false),
    );
    let comparison = comparison.unwrap();
    assert!(comparison.failures.is_empty(), "{:?}", comparison.failures);
    comparison.methods
}

#[test]
fn half_of_the_clients_send_half_and_still_learn() {
    let painted = Painted::new(16, 6);
    let half = Participation {
        share: 0.5,
        dropout: 0.0,
    };
    let names = of_rounds();
    let (all, some) = (
        run(&painted, &names, Participation::FULL),
        run(&painted, &names, half),
    );
    for (all, some) in all.iter().zip(&some) {
        let name = &some.name;
        // FedProto's rounds are too short for a client to move: with half of them it may be no better than chance.
        if !name.starts_with("fedproto") && !name.starts_with("fedtgp") {
            let accuracy = some.runs[0].evaluation.accuracy;
            assert!(accuracy > 0.5, "{name}: {accuracy}");
        }
        let sent =
            |method: &MethodResult, kind| method.runs[0].ledger.total_of_kind(Direction::Up, kind);
        for kind in [
            PayloadKind::Model,
            PayloadKind::ControlVariates,
            PayloadKind::Prototypes,
        ] {
            let (whole, part) = (sent(all, kind), sent(some, kind));
            // Headers tell sizes, and these alone differ.
            assert!(
                part.abs_diff(whole / 2) * 50 <= whole,
                "{name} {kind}: {part} of {whole}"
            );
        }
        let kind = PayloadKind::Representations;
        assert_eq!(2 * sent(some, kind), sent(all, kind), "{name}");
        assert_eq!(sent(some, kind) > 0, name == "creamfl", "{name}");
        assert!(
            some.description.contains("0.5 of the clients in each"),
            "{}",
            some.description
        );
        let told = some.runs[0].selection.as_deref().unwrap_or("last");
        assert!(told.starts_with("last"), "{name}: {told}");
    }
}

#[test]
fn who_drops_out_has_received_and_sends_nothing() {
    let painted = Painted::new(6, 2);
    let lost = Participation {
        share: 1.0,
        dropout: 0.999_999_999,
    };
    for method in run(&painted, &of_rounds(), lost) {
        let run = &method.runs[0];
        let bytes = |direction, kind| run.ledger.total_of_kind(direction, kind);
        for kind in [
            PayloadKind::Model,
            PayloadKind::ControlVariates,
            PayloadKind::Prototypes,
            PayloadKind::Representations,
        ] {
            assert_eq!(bytes(Direction::Up, kind), 0, "{} {kind}", method.name);
        }
        if method.name == "fedavg" {
            assert!(bytes(Direction::Down, PayloadKind::Model) > 0);
        }
        assert_eq!(run.curve.len(), ROUNDS as usize);
        assert!(run.evaluation.accuracy.is_finite());
    }
}
