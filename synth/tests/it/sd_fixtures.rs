//! The tiny Stable Diffusion checkpoints and the numbers that belong to them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use promptfed_synth::engines::sd::{LoadOptions, Request, StableDiffusion};
use promptfed_synth::{Image, ImageSeed};

/// Largest error of a network, relative to its largest value.
const NETWORK: f32 = 1e-4;
/// Largest mean error of an image with values in 0 to 1.
const IMAGE: f32 = 1.0 / 255.0;

/// The folder of a tiny checkpoint.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/sd")
        .join(name)
}

/// A copy of a checkpoint that may be changed.
pub(crate) fn copy(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join(name);
    copy_folder(&folder(name), &to);
    (dir, to)
}

/// A copy of a checkpoint with another of its schedulers.
pub(crate) fn with_scheduler(name: &str, file: &str) -> (tempfile::TempDir, PathBuf) {
    let (dir, to) = copy(name);
    let scheduler = to.join("scheduler");
    std::fs::rename(
        scheduler.join(file),
        scheduler.join("scheduler_config.json"),
    )
    .unwrap();
    (dir, to)
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// The UNet's weights in a folder.
pub(crate) const UNET: &str = "unet/diffusion_pytorch_model.safetensors";

pub(crate) fn load(folder: &Path) -> promptfed_synth::Result<StableDiffusion> {
    StableDiffusion::load(folder, &LoadOptions::default())
}

/// An image of two steps.
pub(crate) fn image(model: &mut StableDiffusion) -> Image {
    let request = model.request("a photo of a church", ImageSeed::from_u64(1));
    let request = Request {
        steps: 2,
        ..request
    };
    model.make(&[request]).unwrap().remove(0)
}

/// Changes the tensors of a safetensors file.
pub(crate) fn change(file: &Path, change: impl Fn(&mut HashMap<String, Tensor>)) {
    let mut tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, file).unwrap();
}

/// Sets keys of a JSON file.
pub(crate) fn set(file: &Path, keys: &[(&str, serde_json::Value)]) {
    let mut all: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    all.extend(keys.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
    std::fs::write(file, serde_json::to_vec(&all).unwrap()).unwrap();
}

pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

/// The numbers of a checkpoint.
pub(crate) struct Golden(HashMap<String, Tensor>);

impl Golden {
    pub(crate) fn read(name: &str) -> Self {
        let file = folder("").join(format!("{name}.safetensors"));
        Self(candle_core::safetensors::load(file, &Device::Cpu).unwrap())
    }

    pub(crate) fn tensor(&self, name: &str) -> Tensor {
        self.0[name].clone()
    }

    pub(crate) fn shape(&self, name: &str) -> Vec<usize> {
        self.0[name].dims().to_vec()
    }

    pub(crate) fn values(&self, name: &str) -> Vec<f32> {
        flat(&self.0[name])
    }

    /// A tensor that is NCHW in the file.
    pub(crate) fn nhwc(&self, name: &str) -> Tensor {
        let tensor = self.0[name].permute((0, 2, 3, 1)).unwrap();
        tensor.contiguous().unwrap()
    }

    pub(crate) fn ids(&self, name: &str, row: usize) -> Vec<u32> {
        let ids = self.0[name].get(row).unwrap();
        let ids: Vec<i32> = ids.to_vec1().unwrap();
        ids.into_iter().map(|id| id as u32).collect()
    }

    pub(crate) fn assert_row(&self, name: &str, row: usize, got: &Tensor) {
        let want = self.0[name].get(row).unwrap();
        assert_network(&format!("{name}[{row}]"), got, &want);
    }

    pub(crate) fn assert_nhwc(&self, name: &str, got: &Tensor) {
        assert_network(name, got, &self.nhwc(name));
    }

    pub(crate) fn assert_images(&self, model: &mut StableDiffusion, wanted: &[(&str, Request)]) {
        for (name, request) in wanted {
            let image = model.make(std::slice::from_ref(request)).unwrap().remove(0);
            let want = self.values(name);
            assert_eq!(image.values().len(), want.len(), "{name}");
            let off: f32 = image
                .values()
                .iter()
                .zip(&want)
                .map(|(a, b)| ((a / 2.0 + 0.5).clamp(0.0, 1.0) - b).abs())
                .sum();
            let mean = off / want.len() as f32;
            println!("{name}: off by {mean:e} in the mean");
            assert!(mean < IMAGE, "{name} is off by {mean} in the mean");
        }
    }
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_dtype(DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_network(name: &str, got: &Tensor, want: &Tensor) {
    assert_eq!(got.dims(), want.dims(), "{name}");
    let (got, want) = (flat(got), flat(want));
    let largest = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let off = got
        .iter()
        .zip(&want)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    println!("{name}: off by at most {:e} of {largest}", off / largest);
    assert!(
        off < NETWORK * largest,
        "{name} is off by {off} of {largest}"
    );
}
