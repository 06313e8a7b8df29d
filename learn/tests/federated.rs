//! Properties of federated averaging.
#![allow(clippy::unwrap_used)]

use promptfed_learn::federated::average;
use promptfed_learn::{Classifier, ClassifierConfig, Error, WeightTensor, Weights};
use proptest::prelude::*;

fn weights(seed: u64) -> Weights {
    let config = ClassifierConfig::new(2, 8).with_width(1);
    Classifier::new(config, seed).unwrap().weights().unwrap()
}

fn largest_difference(a: &Weights, b: &Weights) -> f32 {
    assert!(a.keys().eq(b.keys()));
    let values = |w: &Weights| {
        w.values()
            .flat_map(|t| t.values.clone())
            .collect::<Vec<_>>()
    };
    values(a)
        .iter()
        .zip(values(b))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

proptest! {
    #[test]
    fn equal_models_average_to_themselves(sizes in prop::collection::vec(0usize..1000, 1..6), seed: u64) {
        prop_assume!(sizes.iter().sum::<usize>() > 0);
        let models: Vec<_> = sizes.into_iter().map(|n| (weights(seed), n)).collect();
        prop_assert!(largest_difference(&average(&models).unwrap(), &weights(seed)) < 1e-6);
    }

    #[test]
    fn the_order_of_clients_does_not_matter(sizes in prop::collection::vec(1usize..1000, 2..6)) {
        let mut models: Vec<_> = sizes.into_iter().zip(0..).map(|(n, seed)| (weights(seed), n)).collect();
        let forward = average(&models).unwrap();
        models.reverse();
        prop_assert!(largest_difference(&forward, &average(&models).unwrap()) < 1e-6);
    }

    #[test]
    fn sizes_are_the_weights(a in -10f32..10.0, b in -10f32..10.0, n in 0usize..500, m in 1usize..500) {
        let model = |v| Weights::from([("w".to_owned(), WeightTensor { shape: vec![1], values: vec![v] })]);
        let mean = average(&[(model(a), n), (model(b), m)]).unwrap()["w"].values[0];
        let expected = (a * n as f32 + b * m as f32) / (n + m) as f32;
        prop_assert!((mean - expected).abs() < 1e-4);
        prop_assert!(mean >= a.min(b) - 1e-5 && mean <= a.max(b) + 1e-5);
    }
}

#[test]
fn running_statistics_are_averaged() {
    let (mut a, b) = (weights(0), weights(1));
    let name = "blocks.0.na.running_mean";
    a.get_mut(name).unwrap().values.fill(4.0);
    assert_eq!(average(&[(a, 1), (b, 3)]).unwrap()[name].values, [1.0]);
}

#[test]
fn unlike_models_are_an_error() {
    let mut other = weights(1);
    other.get_mut("head.bias").unwrap().values.push(0.0);
    let unlike = average(&[(weights(0), 1), (other, 1)]);
    assert!(matches!(unlike, Err(Error::Averaging { model: 1, .. })));
    let mut fewer = weights(1);
    fewer.remove("head.bias");
    assert!(average(&[(weights(0), 1), (fewer, 1)]).is_err());
    assert!(matches!(average(&[]), Err(Error::NothingToAverage { .. })));
    assert!(matches!(
        average(&[(weights(0), 0)]),
        Err(Error::NothingToAverage { .. })
    ));
}
