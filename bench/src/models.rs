//! Whole models, from folders that `compare_torch.py` writes.

use std::path::Path;

use anyhow::Result;
use candle_core::{Device, Tensor};
use promptfed_data::LabelledImages;
use promptfed_learn::{Augmentation, Classifier, ClassifierConfig, TrainConfig, train};
use promptfed_nn::load::Loader;
use promptfed_nn::noise::{standard_normal, uniform};
use promptfed_synth::engines::pocket::Pocket;
use promptfed_synth::engines::sd::unet::{Conditions, UNet, UNetConfig};
use promptfed_synth::engines::sd::{LoadOptions, Precision, StableDiffusion};
use promptfed_synth::{Generator, ImageRequest, ImageSeed, Sampler};

use crate::Workload;

/// Batches in one call of [`training`].
const BATCHES: usize = 2;

/// `images` images of one prompt each by Heun's method with guidance.
pub(crate) fn pocket(folder: &str, images: usize, steps: usize) -> Result<Workload> {
    let mut pocket = Pocket::load(Path::new(folder))?;
    let requests: Vec<ImageRequest> = (0..images)
        .map(|i| ImageRequest {
            steps: steps as u32,
            guidance: 2.5,
            sampler: Sampler::Heun,
            ..ImageRequest::with_defaults(
                &format!("a photo of object {}", i % 10),
                ImageSeed::from_u64(i as u64),
                pocket.describe(),
            )
        })
        .collect();
    Ok(Box::new(move || {
        pocket.generate(&requests)?;
        Ok(())
    }))
}

/// Two training steps of a classifier of 32-pixel images.
pub(crate) fn training(architecture: &str, batch_size: usize) -> Result<Workload> {
    let config = match architecture {
        "resnet18" => ClassifierConfig::resnet18(10, 32),
        _ => ClassifierConfig::new(10, 32),
    };
    let count = BATCHES * batch_size;
    let pixels = uniform(1, count * 32 * 32 * 3, 0.0, 255.0);
    let images = LabelledImages {
        size: 32,
        pixels: pixels.into_iter().map(|v| v as u8).collect(),
        labels: (0..count as u32).map(|i| i % 10).collect(),
        domains: vec![0; count],
        class_names: (0..10).map(|i| i.to_string()).collect(),
        domain_names: vec!["noise".into()],
    };
    let recipe = TrainConfig {
        epochs: 1,
        batch_size,
        augmentation: Augmentation::NONE,
        ..TrainConfig::default()
    };
    let mut model = Classifier::new(config, 0)?;
    Ok(Box::new(move || {
        train(&mut model, &images, None, &recipe, &mut |_| ())?;
        Ok(())
    }))
}

/// One call of a UNet with 64 x 64 latents, batch 2, 77 tokens.
pub(crate) fn unet(folder: &str) -> Result<Workload> {
    let folder = Path::new(folder);
    let config = UNetConfig::read(&folder.join("config.json"))?;
    let file = folder.join("diffusion_pytorch_model.safetensors");
    let mut loader = Loader::open(&file, &Device::Cpu)?.with_precision(Precision::chosen());
    let unet = UNet::load(&mut loader, &config)?;
    loader.finish()?;
    let normal = |seed, shape: &[usize]| {
        let values = standard_normal(seed, shape.iter().product());
        Tensor::from_vec(values, shape, &Device::Cpu)
    };
    let latents = normal(1, &[2, 64, 64, 4])?;
    let context = normal(2, &[2, 77, 768])?;
    Ok(Box::new(move || {
        let conditions = Conditions {
            added: None,
            guidance: None,
        };
        unet.forward(&latents, 500.0, &context, &conditions)?;
        Ok(())
    }))
}

/// One image of `side` x `side` pixels with guidance, from prompt to pixels, from a folder in diffusers' layout.
pub(crate) fn stable_diffusion(folder: &str, side: usize, steps: usize) -> Result<Workload> {
    let options = LoadOptions {
        precision: Precision::chosen(),
        size: Some(side as u32),
        ..LoadOptions::default()
    };
    let mut model = StableDiffusion::load(Path::new(folder), &options)?;
    let request = ImageRequest {
        steps: steps as u32,
        guidance: 7.5,
        ..ImageRequest::with_defaults(
            "a photo of a church",
            ImageSeed::from_u64(0),
            model.describe(),
        )
    };
    Ok(Box::new(move || {
        model.generate(std::slice::from_ref(&request))?;
        Ok(())
    }))
}
