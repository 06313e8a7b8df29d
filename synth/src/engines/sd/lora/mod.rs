//! LoRA adapters (Hu et al. 2022), merged into the weights as they are loaded.

mod change;
mod dora;
mod integers;
mod kinds;
mod names;
mod path;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use promptfed_nn::load::Loader;
use promptfed_prompts::ContentHash;

pub use self::names::Network;

use self::change::{Change, Place};
use self::integers::integers;
use self::kinds::kind_fault;
use self::names::{Name, Part, flat, original_name, read_name};
use self::path::path_fault;
use self::settings::{SETTINGS, Settings, read_settings};
use super::few::few;
use crate::Result;
use crate::error::model_fault;

/// The low-rank changes of one file and how strongly they count.
///
/// Names may be those of diffusers (`unet.<layer>.lora_A.weight`), of older diffusers
/// (`unet.<layer>.processor.to_q_lora.down.weight`), of peft (`<layer>.lora_A.weight`) and of kohya
/// (`lora_unet_<layer>.lora_down.weight`, with the layers of Stable Diffusion XL also in the original names,
/// `input_blocks_4_1_..`). Lengths of rows (DoRA) and biases beside the pairs count too.
pub struct Adapter {
    file: PathBuf,
    scale: f32,
    hash: ContentHash,
    settings: BTreeMap<Network, Settings>,
    /// By network and by the name of the layer with underscores for dots.
    changes: BTreeMap<Network, BTreeMap<String, Change>>,
}

impl Adapter {
    /// Reads an adapter. Its changes count `scale` times.
    ///
    /// # Errors
    /// If the file is not a safetensors file, is empty, holds anything but low-rank pairs, two names of the same layer, or
    /// settings that are not offered; the first names and a count in one error.
    pub fn open(file: &Path, scale: f32) -> Result<Self> {
        let fault = |reason: String| model_fault(file, reason);
        if !scale.is_finite() {
            return Err(fault(format!("scale {scale}; give a finite number")));
        }
        if let Some(reason) = path_fault(file) {
            return Err(fault(reason));
        }
        let mut loader = Loader::open(file, &Device::Cpu)?;
        let settings = read_settings(file, loader.metadata())?;
        let names: Vec<String> = loader.remaining().map(str::to_owned).collect();
        if names.is_empty() {
            return Err(fault("it holds no tensors; give a LoRA file".into()));
        }
        let unknown: Vec<String> = (names.iter().filter(|name| read_name(name).is_none()))
            .cloned()
            .collect();
        if !unknown.is_empty() {
            return Err(fault(kind_fault(&unknown, names.len())));
        }
        let whole = integers(file)?;
        let mut alphas = String::new();
        let mut changes: BTreeMap<Network, BTreeMap<String, Change>> = BTreeMap::new();
        let mut twice = Vec::new();
        for name in &names {
            let Some(read) = read_name(name) else {
                continue;
            };
            let tensor = match whole.get(name) {
                Some(alpha) if read.part == Part::Alpha => {
                    loader.ignore(|other| other == name);
                    alphas += &format!(" {name} {alpha}");
                    Tensor::new(&[*alpha], &Device::Cpu)?
                }
                _ => {
                    let shape = loader.shape(name).unwrap_or_default().to_vec();
                    loader.tensor(name, &shape)?
                }
            };
            let Name {
                network,
                layer,
                flat,
                part,
            } = read;
            let layers = changes.entry(network).or_default();
            let change = layers.entry(flat).or_insert_with(|| Change::new(layer));
            if let Err(other) = change.take(part, name, tensor) {
                twice.push(format!("{other} and {name}"));
            }
        }
        if !twice.is_empty() {
            return Err(fault(same_layer(twice)));
        }
        let text = loader.metadata().get(SETTINGS).cloned().unwrap_or_default();
        let weights = loader.finish()?;
        let hash = format!("{weights} {text} {scale}{alphas}");
        Ok(Self {
            file: file.to_owned(),
            scale,
            hash: ContentHash::of(hash.as_bytes()),
            settings,
            changes,
        })
    }

    /// The file and how strongly it counts.
    pub fn origin(&self) -> (&Path, f32) {
        (&self.file, self.scale)
    }

    /// A hash over its changes and how strongly they count.
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Checks that a model `has` all networks that the adapter changes.
    ///
    /// # Errors
    /// If it lacks one; the first layers of it and a count in the message.
    pub fn check_place(&self, has: impl Fn(Network) -> bool) -> Result<()> {
        let Some((network, layers)) = self.changes.iter().find(|(network, _)| !has(**network))
        else {
            return Ok(());
        };
        let reason = format!(
            "it changes {} layers of {}, which this model does not have: {}; use an adapter made for this model",
            layers.len(),
            network.component(),
            few(layers.keys())
        );
        Err(model_fault(&self.file, reason))
    }

    /// Has `loader` add the changes of a network to its weights; `changed` are those that other adapters change.
    fn apply(
        &self,
        target: &Target<'_>,
        changed: &mut BTreeSet<String>,
        loader: &mut Loader,
    ) -> Result<()> {
        let network = target.network;
        let Some(changes) = self.changes.get(&network) else {
            return Ok(());
        };
        let weights: BTreeMap<String, String> = loader
            .remaining()
            .filter_map(|name| {
                Some((
                    flat(network, name.strip_suffix(".weight")?),
                    name.to_owned(),
                ))
            })
            .collect();
        let (mut nowhere, mut misfits, mut twice) = (Vec::new(), Vec::new(), Vec::new());
        let mut spellings: BTreeMap<&String, &String> = BTreeMap::new();
        for (layer, change) in changes {
            let Some(weight) = weights
                .get(layer)
                .or_else(|| weights.get(&original_name(layer, target.layers)?))
            else {
                nowhere.push(layer);
                continue;
            };
            if let Some(other) = spellings.insert(weight, layer) {
                twice.push(format!("{other} and {layer}"));
                continue;
            }
            let place = Place {
                weight,
                below: target.weights,
                is_changed: changed.contains(weight),
            };
            let settings = self.settings.get(&network);
            if let Err(reason) = change.apply(self.scale, settings, &place, loader) {
                misfits.push(format!("{layer} ({reason})"));
            }
        }
        changed.extend(spellings.into_keys().cloned());
        let mut faults = Vec::new();
        if !nowhere.is_empty() {
            let count = nowhere.len();
            faults.push(format!(
                "{count} of its {} layers are not there: {}",
                changes.len(),
                few(nowhere)
            ));
        }
        if !misfits.is_empty() {
            let count = misfits.len();
            faults.push(format!("{count} do not fit: {}", few(misfits)));
        }
        if !twice.is_empty() {
            faults.push(same_layer(twice));
        }
        if faults.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "the adapter does not fit the {}: {}; use an adapter made for this model",
            network.component(),
            faults.join("; ")
        );
        Err(model_fault(&self.file, reason))
    }
}

/// A network that adapters change.
pub struct Target<'a> {
    /// Which.
    pub network: Network,
    /// Residual blocks in a level of the UNet, from which the original names of blocks follow.
    pub layers: usize,
    /// Opens its weights once more, on the CPU: what some adapters do depends on them.
    pub weights: &'a dyn Fn() -> Result<Loader>,
}

impl Target<'_> {
    /// Has `loader` add the changes of all adapters to the weights that it hands out, in their order; one result for each.
    ///
    /// # Errors
    /// For an adapter, layers that are not there or do not fit, the first names and a count in one error.
    pub fn apply(&self, adapters: &[Adapter], loader: &mut Loader) -> Vec<Result<()>> {
        let mut changed = BTreeSet::new();
        adapters
            .iter()
            .map(|adapter| adapter.apply(self, &mut changed, loader))
            .collect()
    }
}

/// Says that pairs of names, each already joined, stand for the same layer.
fn same_layer(pairs: Vec<String>) -> String {
    format!(
        "two names stand for the same layer: {}; keep one of them",
        few(pairs)
    )
}
