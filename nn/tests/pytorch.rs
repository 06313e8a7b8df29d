//! The layers against PyTorch (`golden/make.py`).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use candle_core::{D, Device, Tensor, Var};
use promptfed_nn::Path;
use promptfed_nn::batch_norm::{Affine, BatchNorm, Statistics, update_running};
use promptfed_nn::convolution::{ConvolutionShape, convolution, weight_from_oihw, weight_to_oihw};
use promptfed_nn::cross_entropy::cross_entropy;
use promptfed_nn::load::Loader;

type Golden = BTreeMap<String, Tensor>;

fn golden(bytes: &[u8]) -> Golden {
    candle_core::safetensors::load_buffer(bytes, &Device::Cpu)
        .unwrap()
        .into_iter()
        .collect()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn close(found: &[f32], expected: &Tensor, tolerance: f32) {
    let expected = values(expected);
    assert_eq!(found.len(), expected.len());
    for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(1.0),
            "{i}: {a} and not {b}"
        );
    }
}

fn check_convolution(bytes: &[u8], shape: ConvolutionShape) {
    let golden = golden(bytes);
    let images = Var::from_tensor(&golden["x"]).unwrap();
    let weight = Var::from_tensor(&weight_from_oihw(&golden["weight"]).unwrap()).unwrap();
    let output = convolution(&images, &weight, shape).unwrap();
    assert_eq!(output.dims(), golden["y"].dims());
    close(&values(&output), &golden["y"], 1e-5);
    let gradients = output
        .mul(&golden["g"])
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    close(
        &values(gradients.get(&images).unwrap()),
        &golden["dx"],
        1e-5,
    );
    let of_weight = weight_to_oihw(gradients.get(&weight).unwrap(), shape).unwrap();
    close(&values(&of_weight), &golden["dweight"], 2e-5);
}

#[test]
fn convolutions_agree() {
    let same = ConvolutionShape::same;
    check_convolution(
        include_bytes!("golden/convolution_3x3_s1.safetensors"),
        same(3, 1),
    );
    check_convolution(
        include_bytes!("golden/convolution_3x3_s2.safetensors"),
        same(3, 2),
    );
    check_convolution(
        include_bytes!("golden/convolution_1x1_s2.safetensors"),
        same(1, 2),
    );
}

#[test]
fn batch_normalisation_agrees() {
    let golden = golden(include_bytes!("golden/batch_norm.safetensors"));
    for path in [Path::of(&Device::Cpu).unwrap(), Path::Operations] {
        let (x, residual) = (&golden["x"], &golden["residual"]);
        let affine = Affine {
            gamma: &golden["gamma"],
            beta: &golden["beta"],
        };
        let norm = BatchNorm::new(path);
        let statistics = norm.statistics(x).unwrap();
        let output = norm
            .forward(x, &statistics, affine, Some(residual))
            .unwrap();
        close(&values(&output), &golden["y"], 2e-4);

        let running = Statistics {
            mean: golden["mean"].clone(),
            variance: golden["var"].clone(),
        };
        let pixels = x.elem_count() / x.dim(D::Minus1).unwrap();
        let moved = update_running(&running, &statistics, pixels).unwrap();
        close(&values(&moved.mean), &golden["mean_after"], 1e-6);
        close(&values(&moved.variance), &golden["var_after"], 1e-5);
        let evaluated = norm.forward(x, &moved, affine, Some(residual)).unwrap();
        close(&values(&evaluated), &golden["y_eval"], 2e-4);

        let found = norm
            .gradients(x, &output, &golden["g"], &statistics, affine, true)
            .unwrap();
        close(&values(&found.residual.unwrap()), &golden["dresidual"], 0.0);
        close(&values(&found.values), &golden["dx"], 1e-5);
        close(&values(&found.gamma), &golden["dgamma"], 5e-5);
        close(&values(&found.beta), &golden["dbeta"], 1e-5);
    }
}

#[test]
fn cross_entropy_agrees() {
    let golden = golden(include_bytes!("golden/cross_entropy.safetensors"));
    let logits = values(&golden["logits"]);
    let labels: Vec<u32> = values(&golden["labels"])
        .iter()
        .map(|v| *v as u32)
        .collect();
    let weights = values(&golden["weights"]);
    for (name, weights, smoothing) in [
        ("0.0", None, 0.0),
        ("0.1", None, 0.1),
        ("weighted", Some(&weights[..]), 0.1),
    ] {
        let found = cross_entropy(&logits, &labels, weights, smoothing);
        close(&[found.loss], &golden[&format!("loss_{name}")], 1e-6);
        close(&found.gradient, &golden[&format!("gradient_{name}")], 1e-6);
    }
}

#[test]
fn misfits_of_a_file_are_all_listed() {
    let bytes = include_bytes!("golden/convolution_1x1_s2.safetensors");
    let mut loader = Loader::from_bytes(bytes, "golden", &Device::Cpu).unwrap();
    loader.tensor("x", &[3, 5, 6, 8]).unwrap();
    loader.tensor("weight", &[1, 2]).unwrap();
    loader.tensor("absent", &[4]).unwrap();
    let message = loader.finish().unwrap_err().to_string();
    for part in [
        "golden",
        "weight [16, 8, 1, 1]",
        "absent [4] is missing",
        "dx is unknown",
    ] {
        let short = part.split(' ').next().unwrap();
        assert!(message.contains(short), "{part}: {message}");
    }
    assert!(!message.contains("x is [3"), "{message}");
    assert!(Loader::from_bytes(&bytes[..50], "cut", &Device::Cpu).is_err());
}
