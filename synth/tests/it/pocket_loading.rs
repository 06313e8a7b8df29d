//! Weights that do not fit are refused with everything that is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use promptfed_synth::engines::pocket::Pocket;
use safetensors::tensor::{Dtype, TensorView};

use crate::fixtures::weights;

/// A copy of the shipped weights in which `change` may touch the tensors.
fn altered(dir: &Path, change: impl FnOnce(&mut BTreeMap<String, (Vec<usize>, Vec<u8>)>)) {
    for name in ["config.json", "tokenizer.json"] {
        std::fs::copy(weights().join(name), dir.join(name)).unwrap();
    }
    let bytes = std::fs::read(weights().join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: BTreeMap<_, _> = file
        .tensors()
        .into_iter()
        .map(|(n, v)| (n, (v.shape().to_vec(), v.data().to_vec())))
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(n, (s, d))| {
        (
            n.as_str(),
            TensorView::new(Dtype::F16, s.clone(), d).unwrap(),
        )
    });
    std::fs::write(
        dir.join("model.safetensors"),
        safetensors::serialize(views, None).unwrap(),
    )
    .unwrap();
}

fn load_error(dir: &Path) -> String {
    match Pocket::load(dir) {
        Ok(_) => panic!("the weights were accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_misfit_is_in_one_error() {
    let dir = tempfile::tempdir().unwrap();
    altered(dir.path(), |tensors| {
        tensors.remove("blocks.2.fc1.weight").unwrap();
        tensors.remove("text.query").unwrap();
        let pos = tensors.get_mut("pos").unwrap();
        pos.0 = vec![384, 16];
        tensors.insert("blocks.9.ada".into(), (vec![1], vec![0, 0]));
    });
    let error = load_error(dir.path());
    for part in [
        "model.safetensors",
        "blocks.2.fc1.weight",
        "text.query",
        "pos is [384, 16]",
        "[16, 384]",
        "blocks.9.ada",
    ] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn unaltered_copies_have_the_same_hash_and_altered_ones_another() {
    use promptfed_synth::Generator;
    let (same, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    altered(same.path(), |_| {});
    altered(other.path(), |tensors| {
        tensors.get_mut("t1.bias").unwrap().1[0] ^= 1
    });
    let hash = |dir: &Path| Pocket::load(dir).unwrap().describe().weights_hash;
    assert_eq!(hash(&weights()), hash(&weights()));
    assert_ne!(hash(same.path()), hash(other.path()));
}

#[test]
fn missing_and_broken_files_are_named() {
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        let dir = tempfile::tempdir().unwrap();
        altered(dir.path(), |_| {});
        let file = dir.path().join(name);
        let whole = std::fs::read(&file).unwrap();
        for content in [&whole[..whole.len() / 2], b"", b"\xff\xfe"] {
            std::fs::write(&file, content).unwrap();
            assert!(load_error(dir.path()).contains(name));
        }
        std::fs::remove_file(&file).unwrap();
        assert!(load_error(dir.path()).contains(name));
    }
}
