//! Loading a folder.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::Device;
use promptfed_nn::Precision;
use promptfed_prompts::ContentHash;

use super::autoencoder::Autoencoder;
use super::conditioning::TextStages;
use super::engine::StableDiffusion;
use super::faults::{all, both};
use super::folder::Folder;
use super::long_prompts::LongPrompts;
use super::lora::{Adapter, Network, Target};
use super::pipeline::Pipeline;
use super::schedule::{SchedulerConfig, Spacing};
use super::unet::{UNet, UNetConfig};
use super::vae::{TinyDecoder, VaeConfig};
use crate::engines::device;
use crate::engines::prompt_cache::PromptCache;
use crate::error::model_fault;
use crate::{EngineInfo, Error, Reproducible, Result, Sampler, SamplingDefaults};

/// Changes when the same request would give another image.
const VERSION: &str = "3";

/// Encoded prompts that are kept; those of Stable Diffusion XL have 600 kB.
const PROMPTS_KEPT: usize = 256;

/// How a folder is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// How weights are kept and products computed. The autoencoder stays in f32 where its configuration forces it.
    pub precision: Precision,
    /// Where the networks run.
    pub device: Device,
    /// The sampler of requests through [`Generator`]; the folder's own where `None`.
    pub sampler: Option<Sampler>,
    /// Side of the images of requests through [`Generator`]; that of the training images where `None`.
    pub size: Option<u32>,
    /// Images that are made together and share the UNet's calls. On a GPU the last group is filled up, so that an image does
    /// not depend on the others; on the CPU no product depends on the rows beside it.
    pub batch: usize,
    /// LoRA files and how strongly they count.
    pub loras: Vec<(PathBuf, f32)>,
    /// The folder of a TAESD, which decodes in place of the autoencoder.
    pub tiny_decoder: Option<PathBuf>,
    /// Images with more pixels than this are decoded in overlapping tiles, which keeps memory low and changes them slightly.
    pub tile_above: usize,
    /// What becomes of prompts that are longer than the text encoders take.
    pub long_prompts: LongPrompts,
}

impl Default for LoadOptions {
    /// f32 on the CPU, one image at a time, everything else as the folder says, tiles above 1024 x 1024 pixels.
    fn default() -> Self {
        Self {
            precision: Precision::F32,
            device: Device::Cpu,
            sampler: None,
            size: None,
            batch: 1,
            loras: Vec::new(),
            tiny_decoder: None,
            tile_above: 1024 * 1024,
            long_prompts: LongPrompts::Cut,
        }
    }
}

impl StableDiffusion {
    /// Loads a folder in diffusers' layout: `model_index.json`, `unet`, `vae`, `text_encoder` and `text_encoder_2`, their
    /// tokenizers, `scheduler`.
    ///
    /// # Errors
    /// A file that is missing or not what it should be. The tensors of all components, adapters and the tiny decoder that
    /// are missing, unknown, of another shape or not finite, in one error ([`Error::Components`](crate::Error::Components)).
    pub fn load(dir: &Path, options: &LoadOptions) -> Result<Self> {
        let folder = Folder::open(dir)?;
        let unet_config = UNetConfig::read(&folder.path("unet", "config.json"))?;
        let vae_config = VaeConfig::read(&folder.path("vae", "config.json"))?;
        let scheduler = SchedulerConfig::read(&folder.path("scheduler", "scheduler_config.json"))?;
        let defaults = defaults(&scheduler, &unet_config, options.sampler)?;
        let adapters = adapters(&folder, options);
        let known = adapters.as_deref().unwrap_or_default();
        let text = TextStages::load(&folder, &unet_config, known, options);
        let unet = load_unet(&folder, &unet_config, known, options);
        let vae = Autoencoder::load(
            folder.path("vae", ""),
            &vae_config,
            options.precision,
            &options.device,
        );
        let tiny = tiny_decoder(options, &vae_config);
        let networks = both(dir, text, unet);
        let decoders = both(dir, vae, tiny);
        let (((text, (unet, unet_hash)), (vae, tiny)), adapters) =
            both(dir, both(dir, networks, decoders), adapters)?;
        let mut hash = format!("{} {unet_hash} {}", text.weights_hash(), vae.weights_hash());
        hash += &format!(" {}", folder.settings_hash()?);
        for adapter in &adapters {
            hash += &format!(" {}", adapter.hash());
        }
        if let Some(tiny) = &tiny {
            hash += &format!(" {} {}", tiny.weights_hash(), tiny.scaling_factor());
        }
        hash += &format!(" {}", options.precision);
        let side = unet_config.sample_size.longest() * vae_config.reduction();
        let info = EngineInfo {
            name: "sd".into(),
            version: VERSION.into(),
            weights_hash: ContentHash::of(hash.as_bytes()),
            image_size: options.size.unwrap_or(side as u32),
            defaults,
            samplers: Sampler::DIFFUSION.to_vec(),
            reproducible: Reproducible::Exact,
            settings: settings(options),
            origin: None,
        };
        Ok(Self {
            info,
            text,
            pipeline: Pipeline {
                unet,
                unet_config,
                vae,
                tiny,
                scheduler,
                tile_above: options.tile_above,
                device: options.device.clone(),
                dtype: promptfed_nn::load::activations(options.precision, &options.device),
            },
            prompts: PromptCache::new(PROMPTS_KEPT),
            negatives: PromptCache::new(PROMPTS_KEPT),
            without_negative: HashMap::new(),
            batch: options.batch.max(1),
        })
    }
}

/// How numbers are computed and long prompts read, and on a card the batch, on which the last bits of images depend there.
fn settings(options: &LoadOptions) -> BTreeMap<String, String> {
    let mut settings = device::settings(&options.device, options.precision);
    if !options.device.is_cpu() {
        settings.insert("batch".to_owned(), options.batch.to_string());
    }
    if options.long_prompts == LongPrompts::Chunk {
        settings.insert("long_prompts".to_owned(), "chunk".to_owned());
    }
    settings
}

/// Steps and guidance that suit the family, which its scheduler tells: Turbo (Sauer et al. 2023) spaces Euler's steps from
/// the noisy end and takes one without guidance; consistency models (Luo et al. 2023) take four.
fn defaults(
    scheduler: &SchedulerConfig,
    unet: &UNetConfig,
    sampler: Option<Sampler>,
) -> Result<SamplingDefaults> {
    let sampler = match sampler {
        Some(sampler) => sampler,
        None => scheduler.default_sampler()?,
    };
    let turbo = matches!(sampler, Sampler::Euler | Sampler::EulerAncestral)
        && scheduler.timestep_spacing == Some(Spacing::Trailing);
    let (steps, guidance) = match sampler {
        _ if turbo => (1, 1.0),
        Sampler::Lcm if unet.time_cond_proj_dim.is_some() => (4, 8.5),
        Sampler::Lcm => (4, 1.0),
        _ if unet.addition_embed_type.is_some() => (30, 5.0),
        _ => (30, 7.5),
    };
    Ok(SamplingDefaults {
        steps,
        guidance,
        sampler,
    })
}

fn load_unet(
    folder: &Folder,
    config: &UNetConfig,
    adapters: &[Adapter],
    options: &LoadOptions,
) -> Result<(UNet, blake3::Hash)> {
    let mut loader = folder.weights("unet", options.precision, &options.device)?;
    let target = Target {
        network: Network::UNet,
        layers: config.layers_per_block.at(0),
        weights: &|| folder.weights("unet", options.precision, &Device::Cpu),
    };
    let applied = target.apply(adapters, &mut loader);
    let applied = all(folder.root(), applied);
    let unet = UNet::load(&mut loader, config)?;
    let hash = loader.finish().map_err(Error::from);
    let (_, hash) = both(folder.root(), applied, hash)?;
    Ok((unet, hash))
}

fn adapters(folder: &Folder, options: &LoadOptions) -> Result<Vec<Adapter>> {
    let has = |network: Network| folder.has(network.component());
    let opened = options.loras.iter().map(|(file, scale)| {
        let adapter = Adapter::open(file, *scale)?;
        adapter.check_place(has)?;
        Ok(adapter)
    });
    all(folder.root(), opened)
}

fn tiny_decoder(options: &LoadOptions, vae: &VaeConfig) -> Result<Option<TinyDecoder>> {
    let Some(folder) = &options.tiny_decoder else {
        return Ok(None);
    };
    let tiny = TinyDecoder::open(folder, &options.device, options.precision)?;
    if tiny.reduction() != vae.reduction() {
        return Err(model_fault(
            folder,
            format!(
                "it makes images {} times as large as latents and the model {} times; use the decoder of this family",
                tiny.reduction(),
                vae.reduction()
            ),
        ));
    }
    Ok(Some(tiny))
}
