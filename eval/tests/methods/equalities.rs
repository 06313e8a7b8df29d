//! Methods that must come out the same, because what tells them apart is turned off.

use promptfed_eval::comparison::MethodResult;
use promptfed_prompts::ContentHash;

use crate::fixtures::{Painted, run};

fn hash(method: &MethodResult) -> ContentHash {
    method.runs[0].model_hash.unwrap()
}

#[test]
fn without_its_term_a_method_is_federated_averaging() {
    let painted = Painted::new(7, 2);
    let [fedavg, fedprox, moon, other] = run(
        &painted,
        "dirichlet:2:0.5",
        &["fedavg", "fedprox:mu=0", "moon:mu=0", "fedprox:mu=0.5"],
    )
    .try_into()
    .unwrap();
    assert_eq!(hash(&fedavg), hash(&fedprox));
    assert_eq!(hash(&fedavg), hash(&moon));
    assert_ne!(hash(&fedavg), hash(&other));
}

/// With no memory and a floor far above every change, the adaptive server's step is the rate times the mean change over twice the floor: at a
/// rate of twice the floor that is federated averaging, up to rounding.
#[test]
fn an_adaptive_server_that_adapts_to_nothing_is_federated_averaging() {
    let painted = Painted::new(7, 6);
    let [fedavg, plain] = run(
        &painted,
        "iid:2",
        &[
            "fedavg",
            "fedadam:beta1=0:beta2=0.999999:tau=1000000:server-rate=2000000",
        ],
    )
    .try_into()
    .unwrap();
    let (a, b) = (&fedavg.runs[0], &plain.runs[0]);
    assert!((a.evaluation.accuracy - b.evaluation.accuracy).abs() < 0.2);
    for (a, b) in a.curve.iter().zip(&b.curve) {
        assert!((a.train_loss - b.train_loss).abs() < 0.02, "{a:?} {b:?}");
    }
}

/// A single client's control variate is the server's: nothing is corrected, and it goes as far as one with momentum.
#[test]
fn a_single_client_has_no_drift_to_correct() {
    let painted = Painted::new(7, 2);
    let results = run(&painted, "iid:1", &["scaffold", "fedavg"]);
    let [scaffold, fedavg] = results.as_slice() else {
        panic!("{results:?}")
    };
    let losses = |method: &MethodResult| -> Vec<f32> {
        let curve = method.runs[0].curve.iter();
        curve.map(|stats| stats.train_loss).collect()
    };
    let (own, other) = (losses(scaffold), losses(fedavg));
    assert!((own[0] - other[0]).abs() < 0.3, "{own:?} {other:?}");
    assert!(own.last() < own.first(), "{own:?}");
}

#[test]
fn what_tells_a_method_from_another_does_something() {
    let painted = Painted::new(7, 2);
    let [fedavg, moon, more] = run(
        &painted,
        "dirichlet:2:0.5",
        &["fedavg", "moon", "moon:mu=5"],
    )
    .try_into()
    .unwrap();
    assert_ne!(hash(&fedavg), hash(&moon));
    assert_ne!(hash(&moon), hash(&more));
    // In the first round the global and the last model are one, and there is nothing to contrast.
    let first = |method: &MethodResult| method.runs[0].curve[0].train_accuracy;
    assert_eq!(first(&fedavg), first(&moon));
    let [proto, tgp] = run(&painted, "iid:2", &["fedproto", "fedtgp"])
        .try_into()
        .unwrap();
    let losses = |method: &MethodResult| method.runs[0].curve.last().map(|s| s.train_loss);
    assert_ne!(losses(&proto), losses(&tgp));
}
