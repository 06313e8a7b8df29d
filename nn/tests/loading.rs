//! Weights on their way from files into a model.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use promptfed_nn::load::{Loader, LowRank};
use promptfed_nn::{Precision, WeightProblem};
use proptest::prelude::*;

const CPU: Device = Device::Cpu;

fn tensor(shape: &[usize], from: f32) -> Tensor {
    let n: usize = shape.iter().product();
    let values = (0..n).map(|i| from + i as f32 * 0.5).collect();
    Tensor::from_vec(values, shape, &CPU).unwrap()
}

fn bytes(tensors: &[(&str, Tensor)]) -> Vec<u8> {
    let tensors: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, tensor)| ((*name).to_owned(), tensor.clone()))
        .collect();
    safetensors::serialize(&tensors, None).unwrap()
}

fn loader(tensors: &[(&str, Tensor)]) -> Loader {
    Loader::from_bytes(&bytes(tensors), "test", &CPU).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn every_floating_point_type_becomes_f32() {
    let x = tensor(&[2, 3], -1.0);
    for dtype in [DType::F32, DType::F16, DType::BF16, DType::F64] {
        let mut loader = loader(&[("x", x.to_dtype(dtype).unwrap())]);
        assert_eq!(values(&loader.tensor("x", &[2, 3]).unwrap()), values(&x));
        loader.finish().unwrap();
    }
}

#[test]
fn integers_and_numbers_that_are_not_finite_are_reported_when_they_are_asked_for() {
    let tensors = [
        ("int", Tensor::zeros(2, DType::I64, &CPU).unwrap()),
        (
            "nan",
            Tensor::from_vec(vec![1.0, f32::NAN], 2, &CPU).unwrap(),
        ),
        (
            "inf",
            Tensor::from_vec(vec![f32::INFINITY], 1, &CPU).unwrap(),
        ),
    ];
    let mut first = loader(&tensors);
    for (name, n) in [("int", 2), ("nan", 2), ("inf", 1)] {
        assert_eq!(values(&first.tensor(name, &[n]).unwrap()), vec![0.0; n]);
    }
    let message = first.finish().unwrap_err().to_string();
    for part in ["int has type I64", "nan holds", "inf holds"] {
        assert!(message.contains(part), "{message}");
    }
    let mut second = loader(&tensors);
    second.ignore(|_| true);
    second.finish().unwrap();
}

#[test]
fn parts_make_one_model() {
    let dir = tempfile::tempdir().unwrap();
    let files = [dir.path().join("1"), dir.path().join("2")];
    std::fs::write(&files[0], bytes(&[("a", tensor(&[2], 0.0))])).unwrap();
    std::fs::write(&files[1], bytes(&[("b", tensor(&[3], 7.0))])).unwrap();
    let mut loader = Loader::open_parts(&files, "parts", &CPU).unwrap();
    assert_eq!(values(&loader.tensor("b", &[3]).unwrap()), [7.0, 7.5, 8.0]);
    assert_eq!(values(&loader.tensor("a", &[2]).unwrap()), [0.0, 0.5]);
    loader.finish().unwrap();

    std::fs::write(&files[1], bytes(&[("a", tensor(&[2], 0.0))])).unwrap();
    let error = Loader::open_parts(&files, "parts", &CPU).err().unwrap();
    assert!(error.to_string().contains("two of its files hold a"));
    assert!(Loader::open_parts(&[dir.path().join("3")], "parts", &CPU).is_err());
}

#[test]
fn names_change_and_zeros_stand_in() {
    let mut loader = loader(&[("old.x", tensor(&[2], 1.0)), ("y", tensor(&[1], 5.0))]);
    loader.rename(|name| name.strip_prefix("old.").map(|rest| format!("new.{rest}")));
    loader.supply_zeros("bias", &[3]);
    loader.supply_zeros("y", &[1]);
    assert_eq!(loader.shape("new.x"), Some(&[2][..]));
    assert_eq!(
        loader.remaining().collect::<Vec<_>>(),
        ["bias", "new.x", "y"]
    );
    assert_eq!(values(&loader.tensor("new.x", &[2]).unwrap()), [1.0, 1.5]);
    assert_eq!(values(&loader.tensor("bias", &[3]).unwrap()), [0.0; 3]);
    assert_eq!(values(&loader.tensor("y", &[1]).unwrap()), [5.0]);
    loader.finish().unwrap();
}

#[test]
fn low_rank_changes_add_up() {
    let w = tensor(&[2, 3], 0.0);
    let mut loader = loader(&[("w", w.clone()), ("c", tensor(&[2, 1, 3, 3], 0.0))]);
    let up = tensor(&[2, 1], 1.0);
    let down = tensor(&[1, 3], 2.0);
    let product = || LowRank::new(up.clone(), down.clone(), 0.5).unwrap();
    loader.add_low_rank("w", product()).unwrap();
    loader.add_low_rank("w", product()).unwrap();
    let want = (w + up.matmul(&down).unwrap()).unwrap();
    assert_eq!(values(&loader.tensor("w", &[2, 3]).unwrap()), values(&want));
    let conv = LowRank::new(tensor(&[2, 2, 1, 1], 0.0), tensor(&[2, 1, 3, 3], 0.0), 0.0).unwrap();
    loader.add_low_rank("c", conv).unwrap();
    let c = loader.tensor("c", &[2, 1, 3, 3]).unwrap();
    assert_eq!(values(&c), values(&tensor(&[2, 1, 3, 3], 0.0)));
    assert!(loader.add_low_rank("w", product()).is_err(), "handed out");
    assert!(LowRank::new(tensor(&[2, 2], 0.0), tensor(&[3, 2], 0.0), 1.0).is_err());
    assert!(LowRank::new(tensor(&[2], 0.0), tensor(&[2, 2], 0.0), 1.0).is_err());
}

#[test]
fn the_hash_depends_on_what_was_handed_out_alone() {
    let (a, b) = (("a", tensor(&[2], 0.0)), ("b", tensor(&[3], 1.0)));
    let file = bytes(&[a.clone(), b.clone()]);
    let take = |loader: &mut Loader, names: &[(&str, &[usize])]| {
        for (name, shape) in names {
            loader.tensor(name, shape).unwrap();
        }
    };
    let read = |names: &[(&str, &[usize])]| {
        let mut loader = Loader::from_bytes(&file, "test", &CPU).unwrap();
        take(&mut loader, names);
        loader.ignore(|_| true);
        loader.finish().unwrap()
    };
    let both = read(&[("a", &[2]), ("b", &[3])]);
    assert_eq!(read(&[("b", &[3]), ("a", &[2])]), both);
    assert_ne!(read(&[("a", &[2])]), both);

    let dir = tempfile::tempdir().unwrap();
    let parts = [("1.safetensors", &a), ("2.safetensors", &b)].map(|(name, tensor)| {
        let part = dir.path().join(name);
        std::fs::write(&part, bytes(std::slice::from_ref(tensor))).unwrap();
        part
    });
    let mut in_parts = Loader::open_parts(&parts, "parts", &CPU).unwrap();
    take(&mut in_parts, &[("a", &[2]), ("b", &[3])]);
    assert_eq!(in_parts.finish().unwrap(), both);

    for other in [
        [("a", tensor(&[2], 0.5)), b.clone()],
        [
            ("a", tensor(&[2], 0.0).to_dtype(DType::F16).unwrap()),
            b.clone(),
        ],
    ] {
        let mut other = loader(&other);
        take(&mut other, &[("a", &[2]), ("b", &[3])]);
        assert_ne!(other.finish().unwrap(), both);
    }
}

#[test]
fn misfits_keep_the_shape_that_was_asked_for() {
    let mut loader = loader(&[("w", tensor(&[2, 3], 0.0))]).with_precision(Precision::Bf16);
    assert_eq!(loader.precision(), Precision::Bf16);
    assert_eq!(loader.activations(), DType::F32);
    assert_eq!(loader.tensor("w", &[3, 2]).unwrap().dims(), [3, 2]);
    let promptfed_nn::Error::Mismatch { problems, .. } = loader.finish().unwrap_err() else {
        panic!("another error")
    };
    assert!(matches!(&problems[..], [WeightProblem::Shape { found, .. }] if found == &[2, 3]));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut spoilt in Just(bytes(&[("w", tensor(&[2, 3], 0.0))])),
                              changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
                              cut in any::<prop::sample::Index>()) {
        for (at, value) in changes {
            let at = at.index(spoilt.len());
            spoilt[at] = value;
        }
        spoilt.truncate(cut.index(spoilt.len()) + 1);
        if let Ok(mut loader) = Loader::from_bytes(&spoilt, "spoilt", &CPU) {
            let _ = loader.tensor("w", &[2, 3]).unwrap();
            let _ = loader.finish();
        }
    }
}
