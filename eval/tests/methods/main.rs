//! Every method on a tiny federation of real files: what it learns, what crosses, and what it does where there is little to learn from.
#![allow(clippy::unwrap_used)]

mod creamfl;
mod edges;
mod equalities;
mod fedpft;
mod fixtures;
mod parallel;
mod partial;
mod predictions;
mod resuming;
mod simulated;
mod tuning;

use fixtures::{Painted, run, spec};
use promptfed_eval::comparison::MethodResult;
use promptfed_eval::methods::MethodName;
use promptfed_prompts::ledger::{Direction, PayloadKind};

/// Every method that needs no generator.
fn without_generators() -> Vec<MethodName> {
    let all = MethodName::ALL.into_iter();
    all.filter(|name| !name.is_generative()).collect()
}

/// A third of 18 images is chance, and 12 of them come by chance once in 250 times.
#[test]
fn every_method_learns_and_chance_does_not() {
    let painted = Painted::new(8, 6);
    let names = without_generators();
    let texts: Vec<String> = names
        .iter()
        .map(|name| match name {
            // Steps of the default are small beside these few rounds.
            MethodName::Fedadam | MethodName::Fedyogi => format!("{name}:server-rate=0.02"),
            _ => name.to_string(),
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let results = run(&painted, "iid:2", &texts);
    for (name, method) in names.iter().zip(&results) {
        let accuracy = method.runs[0].evaluation.accuracy;
        if name.trains_nothing() {
            assert!(accuracy < 0.65, "{name}: {accuracy}");
        } else {
            assert!(accuracy > 0.65, "{name}: {accuracy}");
        }
        assert!(method.runs[0].seconds >= 0.0);
    }
}

#[test]
fn the_same_seed_gives_the_same_result() {
    let painted = Painted::new(6, 3);
    let names: Vec<&str> = without_generators().iter().map(|n| n.name()).collect();
    let told = |results: Vec<MethodResult>| -> Vec<serde_json::Value> {
        let runs = results.into_iter().flat_map(|method| method.runs);
        let timeless = runs.map(|mut run| {
            run.seconds = 0.0;
            serde_json::to_value(run).unwrap()
        });
        timeless.collect()
    };
    assert_eq!(
        told(run(&painted, "iid:3", &names)),
        told(run(&painted, "iid:3", &names))
    );
}

/// The bytes that each method's description promises, from the sizes of what crosses.
#[test]
fn what_crosses_is_what_was_said() {
    use Direction::{Down, Up};
    use PayloadKind::{
        Control, ControlVariates, Images, Logits, Mixtures, Model, Prototypes, Representations,
    };
    let painted = Painted::new(8, 3);
    let names: Vec<&str> = without_generators().iter().map(|n| n.name()).collect();
    let results = run(&painted, "iid:2", &names);
    let (clients, rounds) = (2, u64::from(fixtures::ROUNDS));
    let model = {
        let recipe = fixtures::recipe();
        let mut model = recipe.start(3).unwrap();
        model.set_class_names(&painted.class_names()).unwrap();
        model
    };
    let parameters = 4 * model.num_parameters() as u64;
    for method in results {
        let ledger = &method.runs[0].ledger;
        let bytes = |direction, kind| ledger.total_of_kind(direction, kind);
        let kinds = |wanted: &[(Direction, PayloadKind)]| {
            for direction in [Up, Down] {
                for kind in PayloadKind::ALL {
                    let there = bytes(direction, kind) > 0;
                    assert_eq!(
                        there,
                        wanted.contains(&(direction, kind)),
                        "{}: {direction} {kind}",
                        method.name
                    );
                }
            }
        };
        match method.name.as_str() {
            "chance" | "local" => kinds(&[]),
            "majority" => {
                kinds(&[(Up, Control)]);
                assert_eq!(bytes(Up, Control), clients * 4 * 3);
                assert!(method.runs[0].is_collapsed());
            }
            "centralised" => {
                kinds(&[(Up, Images), (Down, Model)]);
                assert_eq!(bytes(Up, Images), painted.private_bytes());
            }
            "fedmd" => {
                kinds(&[(Up, Logits), (Down, Logits)]);
                // 24 public images, three classes.
                for direction in [Up, Down] {
                    assert_eq!(bytes(direction, Logits), clients * rounds * 24 * 3 * 4);
                }
            }
            "fedhkt" => {
                kinds(&[
                    (Up, Model),
                    (Down, Model),
                    (Up, Logits),
                    (Down, Logits),
                    (Up, Control),
                ]);
                let of_cloud: std::collections::BTreeSet<&str> = ledger.clients();
                assert!(of_cloud.contains("edge 0"), "{of_cloud:?}");
            }
            "creamfl" => {
                kinds(&[
                    (Up, Representations),
                    (Down, Representations),
                    (Down, Model),
                ]);
                // 24 public pairs, 256 numbers each; of images up, of both down.
                let (header, of_one) = (12, 24 * 256 * 4);
                let times = clients * rounds;
                assert_eq!(bytes(Up, Representations), times * (header + of_one));
                assert_eq!(bytes(Down, Representations), times * (header + 2 * of_one));
                let model = bytes(Down, Model) / clients;
                assert!(
                    model > parameters && model < parameters + 8192,
                    "{model} {parameters}"
                );
            }
            "fedpft" => {
                kinds(&[(Up, Mixtures), (Down, Model)]);
                // A width, and three classes, each its number, its images and its components of 2 x 1280 + 1 numbers of 16 bits.
                let of_components = bytes(Up, Mixtures) - clients * (4 + 3 * 12);
                let of_one = 2 * (2 * 1280 + 1);
                assert_eq!(of_components % of_one, 0);
                // At least one for each class, and at most one for two images of 24.
                assert!((3 * clients..=12).contains(&(of_components / of_one)));
                let head = clients * 4 * 3 * (1280 + 1);
                let down = bytes(Down, Model);
                assert!(down > head && down < head + clients * 512, "{down} {head}");
            }
            "fedproto" | "fedtgp" => {
                kinds(&[(Up, Prototypes), (Down, Prototypes)]);
                // Three classes, each its number, its images and 4 x 4 features; a width before them.
                let whole = 4 + 3 * (8 + 4 * 16);
                assert_eq!(bytes(Up, Prototypes), clients * rounds * whole);
                // In the first round nobody has a prototype.
                assert_eq!(bytes(Down, Prototypes), clients * (4 + rounds * whole));
            }
            "scaffold" => {
                kinds(&[
                    (Up, Model),
                    (Down, Model),
                    (Up, ControlVariates),
                    (Down, ControlVariates),
                    (Up, Control),
                ]);
                for direction in [Up, Down] {
                    let times = clients * (rounds + u64::from(direction == Down));
                    let of_one = bytes(direction, ControlVariates) / times;
                    // A header beside the values.
                    assert!(
                        of_one > parameters && of_one < parameters + 4096,
                        "{of_one} {parameters}"
                    );
                }
            }
            _ => {
                kinds(&[(Up, Model), (Down, Model), (Up, Control)]);
                let up = bytes(Up, Model) / (clients * rounds);
                assert_eq!(bytes(Up, Model), clients * rounds * up, "{}", method.name);
                assert_eq!(
                    bytes(Down, Model),
                    clients * (rounds + 1) * up,
                    "{}",
                    method.name
                );
                assert!(
                    up > parameters && up < parameters + 8192,
                    "{up} {parameters}"
                );
                // Too few to validate with: nothing but the two counts of each class.
                assert_eq!(bytes(Up, Control), clients * 8 * 3, "{}", method.name);
            }
        }
    }
}

#[test]
fn one_method_runs_twice_told_different_things() {
    let painted = Painted::new(6, 3);
    let results = run(
        &painted,
        "iid:2",
        &[
            "fedprox:mu=0.1",
            "fedprox:mu=10",
            "fedavg:learning-rate=0.001",
        ],
    );
    let names: Vec<&str> = results.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "fedprox:mu=0.1",
            "fedprox:mu=10",
            "fedavg:learning-rate=0.001"
        ]
    );
    let hashes: Vec<_> = results.iter().map(|m| m.runs[0].model_hash).collect();
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
    let rates: Vec<f32> = results
        .iter()
        .map(|m| m.runs[0].curve[0].learning_rate)
        .collect();
    assert!(
        rates[0] == rates[1] && (rates[2] - 0.001).abs() < 1e-9,
        "{rates:?}"
    );
    assert!(spec("fedprox:mu=0.1").to_string() == "fedprox:mu=0.1");
}
