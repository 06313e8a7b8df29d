//! LoRA adapters (Hu et al. 2022), merged into the weights as they are loaded.

mod names;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use promptfed_nn::load::{Loader, LowRank};
use promptfed_prompts::ContentHash;

pub use self::names::Network;
use self::names::{NETWORKS, Part, flat, original_name, read_name};
use crate::Result;
use crate::error::model_fault;

/// What newer diffusers writes beside the tensors.
const SETTINGS: &str = "lora_adapter_metadata";

/// The low-rank changes of one file and how strongly they count.
///
/// Names may be those of diffusers (`unet.<layer>.lora_A.weight`), of older diffusers
/// (`unet.<layer>.processor.to_q_lora.down.weight`) and of kohya (`lora_unet_<layer>.lora_down.weight`, with the layers of
/// Stable Diffusion XL also in the original names, `input_blocks_4_1_..`).
pub struct Adapter {
    file: PathBuf,
    scale: f32,
    hash: ContentHash,
    /// By network and by the name of the layer with underscores for dots.
    changes: BTreeMap<Network, BTreeMap<String, Change>>,
}

#[derive(Default)]
struct Change {
    up: Option<Tensor>,
    down: Option<Tensor>,
    alpha: Option<f32>,
}

impl Adapter {
    /// Reads an adapter. Its changes count `scale` times.
    ///
    /// # Errors
    /// If the file is not a safetensors file or holds anything but low-rank pairs; all such names in one error.
    pub fn open(file: &Path, scale: f32) -> Result<Self> {
        if !scale.is_finite() {
            let reason = format!("scale {scale}; give a finite number");
            return Err(model_fault(file, reason));
        }
        let mut loader = Loader::open(file, &Device::Cpu)?;
        let alphas = peft_alphas(file, loader.metadata())?;
        let names: Vec<String> = loader.remaining().map(str::to_owned).collect();
        let mut changes: BTreeMap<Network, BTreeMap<String, Change>> = BTreeMap::new();
        let mut unknown = Vec::new();
        for name in names {
            let Some((network, layer, part)) = read_name(&name) else {
                unknown.push(name);
                continue;
            };
            let shape = loader.shape(&name).unwrap_or_default().to_vec();
            let tensor = loader.tensor(&name, &shape)?;
            let change = changes
                .entry(network)
                .or_default()
                .entry(layer)
                .or_default();
            match part {
                Part::Down => change.down = Some(tensor),
                Part::Up => change.up = Some(tensor),
                Part::Alpha => {
                    change.alpha = tensor.flatten_all()?.to_vec1()?.first().copied();
                }
            }
        }
        if !unknown.is_empty() {
            let reason = format!(
                "{} are no low-rank pairs; give a LoRA file",
                unknown.join(", ")
            );
            return Err(model_fault(file, reason));
        }
        let settings = loader.metadata().get(SETTINGS).cloned();
        let weights = loader.finish()?;
        let hash = format!("{weights} {} {scale}", settings.unwrap_or_default());
        for (network, alpha) in alphas {
            for change in changes.entry(network).or_default().values_mut() {
                change.alpha.get_or_insert(alpha);
            }
        }
        Ok(Self {
            file: file.to_owned(),
            scale,
            hash: ContentHash::of(hash.as_bytes()),
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

    /// Has `loader` add the changes of a network to its weights; `layers` is the number of residual blocks in a level
    /// of the UNet, from which the original names of blocks follow.
    ///
    /// # Errors
    /// If a layer is unknown or has another shape; all of them in one error.
    pub fn apply(&self, network: Network, layers: usize, loader: &mut Loader) -> Result<()> {
        let Some(changes) = self.changes.get(&network) else {
            return Ok(());
        };
        let weights: BTreeMap<String, String> = loader
            .remaining()
            .filter_map(|name| Some((flat(name.strip_suffix(".weight")?), name.to_owned())))
            .collect();
        let mut faults = Vec::new();
        for (layer, change) in changes {
            let name = weights
                .get(layer)
                .or_else(|| weights.get(&original_name(layer, layers)?));
            match (name, &change.up, &change.down) {
                (Some(name), Some(up), Some(down)) => {
                    let rank = down.dims().first().copied().unwrap_or(1).max(1) as f32;
                    let scale = self.scale * change.alpha.map_or(1.0, |alpha| alpha / rank);
                    let added = LowRank::new(up.clone(), down.clone(), scale)
                        .and_then(|product| loader.add_low_rank(name, product));
                    if let Err(e) = added {
                        faults.push(format!("{layer}: {e}"));
                    }
                }
                (None, ..) => faults.push(format!("{layer} is no layer of it")),
                _ => faults.push(format!("{layer} lacks one of its two matrices")),
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "the adapter does not fit the {}: {}; use an adapter made for this model",
            network.component(),
            faults.join(", ")
        );
        Err(model_fault(&self.file, reason))
    }
}

/// The alphas that newer diffusers writes beside peft's names.
fn peft_alphas(file: &Path, metadata: &BTreeMap<String, String>) -> Result<Vec<(Network, f32)>> {
    let Some(text) = metadata.get(SETTINGS) else {
        return Ok(Vec::new());
    };
    let fault = |reason: String| model_fault(file, format!("{SETTINGS}: {reason}"));
    let keys: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|e| fault(e.to_string()))?;
    let mut alphas = Vec::new();
    for (key, value) in &keys {
        let Some((network, option)) = NETWORKS
            .iter()
            .find_map(|(prefix, network)| Some((*network, key.strip_prefix(prefix)?)))
        else {
            continue;
        };
        let set = match value {
            serde_json::Value::Bool(on) => *on,
            serde_json::Value::Object(map) => !map.is_empty(),
            _ => false,
        };
        match option {
            "lora_alpha" => alphas.extend(value.as_f64().map(|a| (network, a as f32))),
            "alpha_pattern" | "use_rslora" | "use_dora" if set => {
                return Err(fault(format!(
                    "{key} is not offered; merge the adapter in peft"
                )));
            }
            _ => {}
        }
    }
    Ok(alphas)
}
