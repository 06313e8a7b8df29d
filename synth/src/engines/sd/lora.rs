//! LoRA adapters (Hu et al. 2022), merged into the weights as they are loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use promptfed_nn::load::{Loader, LowRank};

use super::folder::model_fault;
use crate::Result;

/// The low-rank changes of one file and how strongly they count.
///
/// Names may be those of peft and diffusers (`unet.<layer>.lora_A.weight`), of older diffusers
/// (`unet.<layer>.processor.to_q_lora.down.weight`) and of kohya (`lora_unet_<layer>.lora_down.weight`, with the layers of
/// Stable Diffusion XL also in the original names, `input_blocks_4_1_..`).
pub struct Adapter {
    file: PathBuf,
    scale: f32,
    /// By network and by the name of the layer with underscores for dots.
    changes: BTreeMap<Network, BTreeMap<String, Change>>,
}

/// What an adapter changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Network {
    /// The UNet.
    UNet,
    /// The text encoder.
    TextEncoder,
    /// The second text encoder of Stable Diffusion XL.
    TextEncoder2,
}

impl Network {
    /// The name of its folder.
    pub fn component(self) -> &'static str {
        match self {
            Network::UNet => "unet",
            Network::TextEncoder => "text_encoder",
            Network::TextEncoder2 => "text_encoder_2",
        }
    }
}

#[derive(Default)]
struct Change {
    up: Option<Tensor>,
    down: Option<Tensor>,
    alpha: Option<f32>,
}

/// How names begin.
const NETWORKS: [(&str, Network); 7] = [
    ("unet.", Network::UNet),
    ("text_encoder_2.", Network::TextEncoder2),
    ("text_encoder.", Network::TextEncoder),
    ("lora_unet_", Network::UNet),
    ("lora_te1_", Network::TextEncoder),
    ("lora_te2_", Network::TextEncoder2),
    ("lora_te_", Network::TextEncoder),
];

#[derive(Clone, Copy)]
enum Part {
    Down,
    Up,
    Alpha,
}

/// How names end.
const PARTS: [(&str, Part); 11] = [
    (".lora_A.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (".lora_down.weight", Part::Down),
    (".lora_up.weight", Part::Up),
    (".lora_linear_layer.down.weight", Part::Down),
    (".lora_linear_layer.up.weight", Part::Up),
    (".lora.down.weight", Part::Down),
    (".lora.up.weight", Part::Up),
    ("_lora.down.weight", Part::Down),
    ("_lora.up.weight", Part::Up),
    (".alpha", Part::Alpha),
];

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
        loader.finish()?;
        for (network, alpha) in alphas {
            for change in changes.entry(network).or_default().values_mut() {
                change.alpha.get_or_insert(alpha);
            }
        }
        Ok(Self {
            file: file.to_owned(),
            scale,
            changes,
        })
    }

    /// The file and how strongly it counts.
    pub fn origin(&self) -> (&Path, f32) {
        (&self.file, self.scale)
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
    let Some(text) = metadata.get("lora_adapter_metadata") else {
        return Ok(Vec::new());
    };
    let fault = |reason: String| model_fault(file, format!("lora_adapter_metadata: {reason}"));
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

/// Network, layer and part that a tensor's name stands for.
fn read_name(name: &str) -> Option<(Network, String, Part)> {
    let (network, rest) = NETWORKS
        .iter()
        .find_map(|(prefix, network)| Some((*network, name.strip_prefix(prefix)?)))?;
    let (layer, part) = PARTS
        .iter()
        .find_map(|(suffix, part)| Some((rest.strip_suffix(suffix)?, *part)))?;
    Some((network, flat(layer), part))
}

/// A layer's name as kohya writes it, of every spelling of the same layer.
fn flat(layer: &str) -> String {
    let flat = layer.replace(".processor.", ".").replace('.', "_");
    let flat = flat.strip_prefix("text_model_").unwrap_or(&flat);
    match flat.strip_suffix("_to_out") {
        Some(attention) => format!("{attention}_to_out_0"),
        None => flat.to_owned(),
    }
}

/// diffusers' name of a layer in the names of the original UNet (input, middle and output blocks in one row).
fn original_name(layer: &str, layers: usize) -> Option<String> {
    let mut parts = layer.split('_');
    let kind = parts.next()?;
    parts.next()?; // "blocks", or "block" in the middle
    let first: usize = parts.next()?.parse().ok()?;
    let (block, inner) = if kind == "middle" {
        let at = ["resnets_0", "attentions_0", "resnets_1"].get(first)?;
        ("mid_block".to_owned(), (*at).to_owned())
    } else {
        let second: usize = parts.next()?.parse().ok()?;
        let (name, number) = match kind {
            "input" => ("down_blocks", first.checked_sub(1)?),
            "output" => ("up_blocks", first),
            _ => return None,
        };
        let at = number % (layers + 1);
        let inner = match (kind, second) {
            ("input", 0) if at == layers => "downsamplers_0".to_owned(),
            (_, 0) => format!("resnets_{at}"),
            (_, 1) => format!("attentions_{at}"),
            _ => "upsamplers_0".to_owned(),
        };
        (format!("{name}_{}", number / (layers + 1)), inner)
    };
    let rest: Vec<&str> = parts.collect();
    let rest = match rest.join("_").as_str() {
        "in_layers_0" => "norm1".to_owned(),
        "in_layers_2" => "conv1".to_owned(),
        "emb_layers_1" => "time_emb_proj".to_owned(),
        "out_layers_0" => "norm2".to_owned(),
        "out_layers_3" => "conv2".to_owned(),
        "skip_connection" => "conv_shortcut".to_owned(),
        "op" => "conv".to_owned(),
        other => other.to_owned(),
    };
    Some(format!("{block}_{inner}_{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_names_the_same_layer() {
        let want = "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q";
        let layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1";
        for name in [
            format!("unet.{layer}.to_q.lora_A.weight"),
            format!("unet.{layer}.to_q.lora.down.weight"),
            format!("unet.{layer}.processor.to_q_lora.down.weight"),
            format!(
                "lora_unet_{}_to_q.lora_down.weight",
                layer.replace('.', "_")
            ),
        ] {
            let (network, found, part) = read_name(&name).unwrap();
            assert_eq!((network, found.as_str()), (Network::UNet, want), "{name}");
            assert!(matches!(part, Part::Down));
        }
        let out = read_name("unet.a.attn1.processor.to_out_lora.up.weight").unwrap();
        assert_eq!(out.1, "a_attn1_to_out_0");
        let text = read_name("lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha").unwrap();
        assert_eq!(
            (text.0, text.1.as_str()),
            (Network::TextEncoder2, "encoder_layers_0_mlp_fc1")
        );
        assert!(read_name("unet.a.dora_scale").is_none());
    }

    #[test]
    fn original_names_are_found() {
        for (original, name) in [
            (
                "input_blocks_4_1_transformer_blocks_0_attn1_to_q",
                "down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q",
            ),
            ("input_blocks_3_0_op", "down_blocks_0_downsamplers_0_conv"),
            (
                "input_blocks_5_0_in_layers_2",
                "down_blocks_1_resnets_1_conv1",
            ),
            ("middle_block_1_proj_in", "mid_block_attentions_0_proj_in"),
            (
                "middle_block_2_emb_layers_1",
                "mid_block_resnets_1_time_emb_proj",
            ),
            ("output_blocks_5_2_conv", "up_blocks_1_upsamplers_0_conv"),
            (
                "output_blocks_2_1_proj_out",
                "up_blocks_0_attentions_2_proj_out",
            ),
        ] {
            assert_eq!(original_name(original, 2).as_deref(), Some(name));
        }
        assert_eq!(original_name("down_blocks_0", 2), None);
    }
}
