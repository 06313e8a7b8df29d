//! Measures of synthetic sets against the programs of their authors (`golden/quality.py`), and what must hold for any features.
#![allow(clippy::unwrap_used)]

use promptfed_eval::quality::{
    FeatureSet, Labelled, Manifolds, QualityError, measure, near_copies, vendi_score,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    width: usize,
    k: usize,
    real: Vec<f32>,
    synthetic: Vec<f32>,
    precision: f64,
    recall: f64,
    density: f64,
    coverage: f64,
    vendi: f64,
}

#[test]
fn measures_agree_with_their_authors() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/quality.json")).unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let real = FeatureSet::new(case.width, case.real).unwrap();
        let synthetic = FeatureSet::new(case.width, case.synthetic).unwrap();
        let found = Manifolds::measure(&real, &synthetic, case.k).unwrap();
        for (found, expected) in [
            (found.precision, case.precision),
            (found.recall, case.recall),
            (found.density, case.density),
            (found.coverage, case.coverage),
        ] {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        let vendi = vendi_score(&synthetic);
        assert!(
            (vendi / case.vendi - 1.0).abs() < 1e-4,
            "{vendi} {}",
            case.vendi
        );
    }
}

fn rows(n: usize, width: usize, seed: u64) -> Vec<f32> {
    let mut state = seed | 1;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(n * width).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_set_beside_itself_is_complete(n in 8usize..40, width in 1usize..30, k in 1usize..6, seed: u64) {
        let set = FeatureSet::new(width, rows(n, width, seed)).unwrap();
        let found = Manifolds::measure(&set, &set, k).unwrap();
        prop_assert_eq!((found.precision, found.recall, found.coverage), (1.0, 1.0, 1.0));
        prop_assert!(found.density > 0.9);
        prop_assert_eq!(near_copies(&set, &set, &set).unwrap(), Some(0.0));
        let score = vendi_score(&set);
        prop_assert!((1.0 - 1e-6..=n.min(width) as f64 + 1e-6).contains(&score), "{}", score);
    }

    #[test]
    fn far_away_is_worth_nothing_and_copies_add_nothing(n in 8usize..40, width in 2usize..30, seed: u64) {
        let real = FeatureSet::new(width, rows(n, width, seed)).unwrap();
        let far: Vec<f32> = rows(n, width, seed ^ 5).iter().map(|v| v + 100.0).collect();
        let far = FeatureSet::new(width, far).unwrap();
        let found = Manifolds::measure(&real, &far, 3).unwrap();
        prop_assert_eq!((found.precision, found.recall, found.density, found.coverage), (0.0, 0.0, 0.0, 0.0));
        let twice = [real.values(), real.values()].concat();
        let (once, twice) = (vendi_score(&real), vendi_score(&FeatureSet::new(width, twice).unwrap()));
        prop_assert!((once / twice - 1.0).abs() < 1e-4, "{} {}", once, twice);
    }
}

#[test]
fn sets_that_cannot_be_measured_say_why() {
    let set = |n: usize, width: usize| FeatureSet::new(width, rows(n, width, 3)).unwrap();
    let labelled = |n: usize, classes: &[&str]| Labelled {
        features: set(n, 4),
        labels: (0..n as u32).map(|i| i % classes.len() as u32).collect(),
        class_names: classes.iter().map(|c| (*c).to_owned()).collect(),
    };
    assert!(matches!(
        Manifolds::measure(&set(9, 4), &set(3, 4), 3),
        Err(QualityError::TooFew {
            role: "synthetic",
            images: 3,
            k: 3
        })
    ));
    assert!(matches!(
        Manifolds::measure(&set(9, 4), &set(9, 5), 3),
        Err(QualityError::Width {
            found: 5,
            expected: 4
        })
    ));
    assert!(matches!(
        FeatureSet::new(2, vec![0.0, 0.0, f32::NAN, 1.0]),
        Err(QualityError::NotFinite { index: 1 })
    ));
    let (two, three) = (labelled(20, &["a", "b"]), labelled(20, &["a", "b", "c"]));
    assert!(matches!(
        measure(&two, &three, None, 3),
        Err(QualityError::Classes { .. })
    ));
    // Four images of one class are too few for five neighbours: the class has no measures, the set has.
    let mut few = labelled(24, &["a", "b"]);
    for label in few.labels.iter_mut().skip(4) {
        *label = 1;
    }
    let report = measure(&few, &labelled(24, &["a", "b"]), None, 5).unwrap();
    assert!(report.all.manifolds.is_some());
    assert!(
        report.classes[0].quality.manifolds.is_none()
            && report.classes[1].quality.manifolds.is_some()
    );
    assert_eq!(report.class_mean, report.classes[1].quality.manifolds);
}

#[test]
fn near_copies_of_a_class_are_those_of_its_images_alone() {
    let set = |places: &[f32]| FeatureSet::new(1, places.to_vec()).unwrap();
    let labelled = |places: &[f32], labels: &[u32]| Labelled {
        features: set(places),
        labels: labels.to_vec(),
        class_names: ["a", "b", "c"].map(str::to_owned).to_vec(),
    };
    let seen = set(&[0.0, 10.0, 20.0]);
    let real = labelled(&[3.0, 13.5, 7.0, 17.5, 4.0], &[0, 1, 0, 1, 0]);
    let synthetic = labelled(&[0.1, 15.0, 4.0, 10.2, 10.1], &[0, 1, 0, 1, 1]);
    let report = measure(&synthetic, &real, Some(&seen), 2).unwrap();
    let whole = near_copies(&seen, &real.features, &synthetic.features).unwrap();
    assert_eq!(report.all.near_copies, whole);
    let a = near_copies(&seen, &set(&[3.0, 7.0, 4.0]), &set(&[0.1, 4.0]));
    let b = near_copies(&seen, &set(&[13.5, 17.5]), &set(&[15.0, 10.2, 10.1]));
    let of_class = |class: usize| report.classes[class].quality.near_copies;
    assert_eq!(of_class(0), a.unwrap());
    assert_eq!(of_class(1), b.unwrap());
    assert_eq!([of_class(0), of_class(1)], [Some(0.5), Some(2.0 / 3.0)]);
    assert_eq!(of_class(2), None);
    let unknown = measure(&synthetic, &real, None, 2).unwrap();
    assert_eq!(unknown.all.near_copies, None);
}
