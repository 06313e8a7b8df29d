//! Mixtures of a frozen network's features.

use std::sync::atomic::AtomicBool;

use promptfed_data::LabelledImages;
use promptfed_eval::Error;
use promptfed_eval::feature_cache::FeatureCache;
use promptfed_eval::journal::Journal;
use promptfed_eval::methods::FrozenNetwork;
use promptfed_eval::observer::Silent;
use promptfed_prompts::ContentHash;
use promptfed_prompts::ledger::{Direction, PayloadKind};

use crate::fixtures::{
    NETWORK, Painted, compare, experiment, methods, network_folder, run, spec, timeless,
};

/// 18 images of three classes: 12 of them come by chance once in 250 times.
#[test]
fn it_learns_where_clients_hold_few_classes() {
    let painted = Painted::new(9, 6);
    for method in run(
        &painted,
        "dirichlet:3:0.1",
        &["fedpft", "fedpft:components=1"],
    ) {
        let run = &method.runs[0];
        assert!(
            run.evaluation.accuracy > 0.65,
            "{}: {}",
            method.name,
            run.evaluation.accuracy
        );
        assert_eq!((run.selected, run.curve.len()), (Some(0), 1));
    }
}

#[test]
fn a_component_costs_what_its_numbers_do() {
    let painted = Painted::new(8, 2);
    let [one, more] = run(
        &painted,
        "iid:2",
        &["fedpft:components=1", "fedpft:components=2"],
    )
    .try_into()
    .unwrap();
    let sent = |method: &promptfed_eval::comparison::MethodResult| {
        let ledger = &method.runs[0].ledger;
        ledger.total_of_kind(Direction::Up, PayloadKind::Mixtures)
    };
    assert_eq!(sent(&one), 2 * (4 + 3 * (12 + 2 * (2 * 1280 + 1))));
    assert!(sent(&more) > sent(&one) && sent(&more) < 2 * sent(&one));
    assert_ne!(one.runs[0].model_hash, more.runs[0].model_hash);
}

#[test]
fn its_network_is_told_and_determines_it() {
    let file = std::fs::read(network_folder().join("model.safetensors")).unwrap();
    let hash = ContentHash::of(&file).to_string();
    let method = methods(&["fedpft"]).pop().unwrap();
    assert!(method.determined_by().contains(&hash));
    assert!(method.card().description.contains("ImageNet"));
    let comparison = compare(&experiment(&Painted::new(4, 2), "iid:2"), &["fedpft"]);
    assert!(
        comparison
            .warnings
            .iter()
            .any(|warning| warning.contains("ImageNet"))
    );
    let told = comparison.provenance.iter();
    let network = told
        .filter(|(name, _)| name == "fedpft frozen network, seed 5")
        .map(|(_, value)| value.contains(&hash));
    assert_eq!(network.collect::<Vec<_>>(), [true]);
}

#[test]
fn features_come_some_at_a_time_and_end_where_asked() {
    let count = 33;
    let images = LabelledImages {
        size: 4,
        pixels: (0..count * 4 * 4 * 3)
            .map(|i| (i * 37 % 251) as u8)
            .collect(),
        labels: vec![0; count],
        domains: vec![0; count],
        class_names: vec!["cat".into()],
        domain_names: Vec::new(),
    };
    let mut told = Vec::new();
    let never = AtomicBool::new(false);
    let features = NETWORK
        .features(&images, &never, &mut |done| told.push(done))
        .unwrap();
    assert_eq!(
        (features.len(), features.width()),
        (count, FrozenNetwork::WIDTH)
    );
    assert_eq!(told, [32, 33]);
    let last = NETWORK
        .features(&images.subset(&[count - 1]), &never, &mut |_| {})
        .unwrap();
    assert_eq!(features.subset(&[count - 1]), last);
    let stopped = NETWORK.features(&images, &AtomicBool::new(true), &mut |_| {});
    assert!(matches!(stopped, Err(Error::Interrupted)));
    let none = NETWORK
        .features(&images.subset(&[]), &never, &mut |_| {})
        .unwrap();
    assert!(none.is_empty());
}

/// 24 private and 6 test pictures, no two of them alike.
#[test]
fn features_are_worked_out_once() {
    let painted = Painted::new(8, 2);
    let experiment = experiment(&painted, "iid:2");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("features.bin");
    let compared = |cache: &FeatureCache| {
        let network = NETWORK.clone().with_cache(cache.clone());
        let method = spec("fedpft:components=2").on_features(&network).unwrap();
        let cells = tempfile::tempdir().unwrap();
        let journal = Journal::new(cells.path(), false);
        let never = AtomicBool::new(false);
        let found = experiment
            .run(&[method], &journal, &Silent, &never)
            .unwrap();
        timeless(found)
    };
    let first = FeatureCache::default().with_file(&path, FrozenNetwork::WIDTH);
    let fresh = compared(&first);
    assert_eq!(first.len(), 30);
    let bytes = std::fs::metadata(&path).unwrap().len();
    let again = FeatureCache::default().with_file(&path, FrozenNetwork::WIDTH);
    assert_eq!(again.len(), 30);
    assert_eq!(compared(&again), fresh);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), bytes);
    // Nothing is found in a cache of nobody.
    assert_eq!(compared(&FeatureCache::default()), fresh);
}
