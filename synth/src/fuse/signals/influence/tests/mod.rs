//! Against NumPy, and on images with known wrong labels.

mod whole_network;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Deserialize;

use super::solve::dot;
use super::*;
use crate::fuse::candidates::{Candidate, Candidates};
use crate::fuse::golden::golden;

#[derive(Deserialize)]
struct Case {
    weight: Vec<Vec<f32>>,
    bias: Vec<f32>,
    features: Vec<Vec<f32>>,
    labels: Vec<u32>,
    held_out_features: Vec<Vec<f32>>,
    held_out_labels: Vec<u32>,
    damping: f64,
    gradient: Vec<f64>,
    solution: Vec<f64>,
    influence: Vec<f64>,
    lissa_scale: f64,
    lissa_samples: usize,
    lissa: Vec<f64>,
}

fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    let size = b.iter().map(|v| v.abs()).fold(0.0, f64::max);
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= tolerance * size, "{a} {b} of {size}");
    }
}

#[test]
fn gradient_solution_and_influence_agree_with_numpy() {
    let case: Case = golden("influence");
    let layer = LastLayer::new(&case.weight.concat(), &case.bias);
    let (features, held_out) = (case.features.concat(), case.held_out_features.concat());
    let images = Labelled {
        features: &features,
        labels: &case.labels,
    };
    let gradient = layer.reverse_gradient(Labelled {
        features: &held_out,
        labels: &case.held_out_labels,
    });
    close(&gradient, &case.gradient, 1e-9);
    let solution = layer.solve(images, case.damping, &gradient, 500);
    close(&solution, &case.solution, 1e-6);
    let influence: Vec<f64> = case
        .features
        .iter()
        .zip(&case.labels)
        .map(|(row, label)| layer.influence(row, *label, &solution))
        .collect();
    close(&influence, &case.influence, 1e-6);
    let lissa = Lissa {
        damping: case.damping,
        scale: case.lissa_scale,
        samples: case.lissa_samples,
    };
    close(&layer.lissa(images, lissa, &gradient), &case.lissa, 1e-9);
}

/// Points of three clouds, a fifth of the first hundred under wrong labels; and clean ones to hold out.
struct Clouds {
    features: Vec<f32>,
    labels: Vec<u32>,
    wrong: Vec<bool>,
}

const WIDTH: usize = 6;

fn clouds(n: usize, wrong_share: f64, seed: u64) -> Clouds {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut clouds = Clouds {
        features: Vec::new(),
        labels: Vec::new(),
        wrong: Vec::new(),
    };
    for i in 0..n {
        let class = (i % 3) as u32;
        for d in 0..WIDTH {
            let noise: f32 = StandardNormal.sample(&mut rng);
            clouds
                .features
                .push(noise + if d == class as usize { 2.5 } else { 0.0 });
        }
        let wrong = rng.random_bool(wrong_share);
        clouds
            .labels
            .push(if wrong { (class + 1) % 3 } else { class });
        clouds.wrong.push(wrong);
    }
    clouds
}

impl Clouds {
    fn labelled(&self) -> Labelled<'_> {
        Labelled {
            features: &self.features,
            labels: &self.labels,
        }
    }
}

/// The share of the `n` images first in `order` that have a wrong label.
fn wrong_among(order: &[usize], wrong: &[bool], n: usize) -> f64 {
    order[..n].iter().filter(|i| wrong[**i]).count() as f64 / n as f64
}

#[test]
fn a_fit_leaves_no_gradient() {
    let training = clouds(200, 0.1, 9);
    let layer = LastLayer::fit(training.labelled(), WIDTH, 3, 1e-3);
    let mut gradient = layer.mean(training.labelled(), |p, label| {
        (0..3)
            .map(|c| p[c] - f64::from(u8::from(c == label)))
            .collect()
    });
    for (gradient, weight) in gradient.iter_mut().zip(&layer.weight) {
        *gradient += 1e-3 * weight;
    }
    let length = dot(&gradient, &gradient).sqrt();
    assert!(length < 1e-5, "{length}");
}

#[test]
fn wrong_labels_have_the_largest_influence_and_the_helpful_sign_leaves_them_out() {
    let training = clouds(300, 0.15, 1);
    let held_out = clouds(150, 0.0, 2);
    let layer = LastLayer::fit(training.labelled(), WIDTH, 3, 1e-3);
    let gradient = layer.reverse_gradient(held_out.labelled());
    let solution = layer.solve(training.labelled(), 5e-3, &gradient, 200);
    let influence: Vec<f32> = (0..300)
        .map(|i| {
            let row = &training.features[i * WIDTH..(i + 1) * WIDTH];
            layer.influence(row, training.labels[i], &solution) as f32
        })
        .collect();
    let order = |sign: Sign| {
        let mut order: Vec<usize> = (0..300).collect();
        order.sort_by(|a, b| {
            sign.score(influence[*a])
                .total_cmp(&sign.score(influence[*b]))
        });
        order
    };
    let flipped = training.wrong.iter().filter(|w| **w).count();
    let largest = wrong_among(&order(Sign::Largest), &training.wrong, flipped);
    let helpful = wrong_among(&order(Sign::Helpful), &training.wrong, 150);
    assert!(
        largest > 0.75,
        "{largest} of the {flipped} largest are wrong"
    );
    assert!(
        helpful < 0.02,
        "{helpful} of the 150 most helpful are wrong"
    );
}

#[test]
fn lissa_converges_to_the_closed_form() {
    let training = clouds(60, 0.1, 3);
    let held_out = clouds(60, 0.0, 4);
    let layer = LastLayer::fit(training.labelled(), WIDTH, 3, 1e-3);
    let gradient = layer.reverse_gradient(held_out.labelled());
    let exact = layer.solve(training.labelled(), 0.05, &gradient, 500);
    let lissa = Lissa {
        damping: 0.05,
        scale: 200.0,
        samples: 60_000,
    };
    close(
        &layer.lissa(training.labelled(), lissa, &gradient),
        &exact,
        0.05,
    );
}

#[derive(Deserialize)]
struct CrossCase {
    first: usize,
    influence: Vec<f64>,
}

/// The reference measures the images of `influence`'s held-out set, in two parts, each on the other, and a trained one on both.
#[test]
fn influence_across_parts_agrees_with_numpy() {
    let case: Case = golden("influence");
    let cross: CrossCase = golden("influence_across");
    let layer = LastLayer::new(&case.weight.concat(), &case.bias);
    let width = layer.width();
    let (features, held) = (case.features.concat(), case.held_out_features.concat());
    let images = Labelled {
        features: &features,
        labels: &case.labels,
    };
    let (of_first, of_second) = held.split_at(cross.first * width);
    let (first, second) = case.held_out_labels.split_at(cross.first);
    let parts = [(of_first, first), (of_second, second)]
        .map(|(features, labels)| Labelled { features, labels });
    let solutions = Solutions::of(&layer, images, parts, case.damping, 500);
    let held = case.held_out_features.iter().zip(&case.held_out_labels);
    let mut found: Vec<f64> = held
        .enumerate()
        .map(|(i, (row, label))| {
            let part = usize::from(i >= cross.first);
            layer.influence(row, *label, solutions.for_part(Some(part)))
        })
        .collect();
    let trained = solutions.for_part(None);
    found.push(layer.influence(&case.features[0], case.labels[0], trained));
    close(&found, &cross.influence, 1e-6);
}

/// 360 images that a map is fitted to, and two parts of 120 that it is not.
fn with_parts(seed: u64) -> (Clouds, LastLayer) {
    let all = clouds(600, 0.15, seed);
    let fitted = Labelled {
        features: &all.features[..360 * WIDTH],
        labels: &all.labels[..360],
    };
    let layer = LastLayer::fit(fitted, WIDTH, 3, 1e-3);
    (all, layer)
}

fn rows(clouds: &Clouds, range: std::ops::Range<usize>) -> Labelled<'_> {
    Labelled {
        features: &clouds.features[range.start * WIDTH..range.end * WIDTH],
        labels: &clouds.labels[range],
    }
}

#[test]
fn wrong_labels_are_found_among_held_out_images_too() {
    let (all, layer) = with_parts(11);
    let parts = [rows(&all, 360..480), rows(&all, 480..600)];
    let solutions = Solutions::of(&layer, rows(&all, 0..360), parts, 5e-3, 200);
    let influence: Vec<f64> = (360..600)
        .map(|i| {
            let row = &all.features[i * WIDTH..(i + 1) * WIDTH];
            let part = usize::from(i >= 480);
            layer.influence(row, all.labels[i], solutions.for_part(Some(part)))
        })
        .collect();
    let wrong = &all.wrong[360..];
    let mut order: Vec<usize> = (0..240).collect();
    order.sort_by(|a, b| influence[*a].total_cmp(&influence[*b]));
    let helpful = wrong_among(&order, wrong, 120);
    let flipped = wrong.iter().filter(|w| **w).count();
    order.reverse();
    let largest = wrong_among(&order, wrong, flipped);
    assert!(
        helpful < 0.08,
        "{helpful} of the 120 most helpful are wrong"
    );
    assert!(
        largest > 0.55,
        "{largest} of the {flipped} largest are wrong"
    );
}

#[test]
fn measured_on_itself_every_image_looks_helpful_and_on_the_other_part_wrong_ones_do_not() {
    let (all, layer) = with_parts(12);
    let hessian = rows(&all, 0..360);
    let wrong: Vec<usize> = (360..480).filter(|i| all.wrong[*i]).collect();
    let mut harmful = 0;
    for &i in &wrong {
        let row = &all.features[i * WIDTH..(i + 1) * WIDTH];
        let parts = [rows(&all, i..i + 1), rows(&all, 480..600)];
        let solutions = Solutions::of(&layer, hessian, parts, 5e-3, 200);
        let measured = |part| layer.influence(row, all.labels[i], solutions.for_part(part));
        // The part of the first is the second, and the other way round.
        assert!(measured(Some(1)) <= 0.0, "image {i} on itself");
        harmful += usize::from(measured(Some(0)) > 0.0);
    }
    assert!(
        harmful * 5 > wrong.len() * 3,
        "{harmful} of {} wrong labels",
        wrong.len()
    );
}

#[test]
fn parts_are_apart_hold_every_class_and_are_the_same_again() {
    for n in [2, 9, 40, 400] {
        let images = (0..n).map(|i| Candidate {
            set: 0,
            row: i as u64,
            class: (i % 3) as u32,
            domain: 0,
        });
        let candidates = Candidates::of(&["a"], images.collect(), 3);
        let dealt = HeldOut::draw(&candidates, 7);
        let mut all = [&dealt.training[..], &dealt.parts[0], &dealt.parts[1]].concat();
        all.sort_unstable();
        assert_eq!(all, (0..n).collect::<Vec<_>>());
        let of_class = |images: &[usize], class| images.iter().filter(|i| **i % 3 == class).count();
        for class in 0..3.min(n) {
            assert!(of_class(&dealt.training, class) > 0, "{n}");
            if n >= 12 {
                assert!(dealt.parts.iter().all(|part| of_class(part, class) > 0));
            }
        }
        for (part, images) in dealt.parts.iter().enumerate() {
            assert!(images.iter().all(|i| dealt.part_of(*i) == Some(part)));
        }
        assert!(dealt.training.iter().all(|i| dealt.part_of(*i).is_none()));
        assert_eq!(dealt, HeldOut::draw(&candidates, 7));
    }
}
