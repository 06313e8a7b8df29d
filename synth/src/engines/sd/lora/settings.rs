//! What peft says of an adapter: the `LoraConfig` of each network that diffusers writes into the file's header.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::names::Network;
use crate::Result;
use crate::engines::sd::keys::{Keys, Others};
use crate::error::model_fault;

/// Where diffusers writes it.
pub(super) const SETTINGS: &str = "lora_adapter_metadata";

/// How keys begin; those of the UNet alone may lack it.
const PREFIXES: [(&str, Network); 3] = [
    ("unet.", Network::UNet),
    ("text_encoder_2.", Network::TextEncoder2),
    ("text_encoder.", Network::TextEncoder),
];

/// peft's alpha where the header has none.
const ALPHA: f64 = 8.0;

/// Characters that make a name of a pattern one of a regular expression, but for the full stops of names.
const REGULAR: [char; 13] = [
    '*', '+', '?', '[', ']', '(', ')', '{', '}', '|', '\\', '$', '^',
];

/// The keys of peft's `LoraConfig` that are not read.
const KEYS: Keys = Keys {
    fixed: &[
        ("alora_invocation_tokens", "null"),
        ("arrow_config", "null"),
        ("bias", "\"none\""),
        ("fan_in_fan_out", "false"),
        ("kasa_config", "null"),
        ("layer_replication", "null"),
        ("modules_to_save", "null"),
        ("monteclora_config", "null"),
        ("peft_type", "\"LORA\""),
        ("target_parameters", "null"),
        ("trainable_token_indices", "null"),
        ("use_bdlora", "null"),
        ("use_qalora", "false"),
        ("velora_config", "null"),
    ],
    harmless: &[
        // The tensors say these.
        "exclude_modules",
        "layers_pattern",
        "layers_to_transform",
        "lora_bias",
        "r",
        "rank_pattern",
        "target_modules",
        "use_dora",
        // Of training, and notes.
        "auto_mapping",
        "base_model_name_or_path",
        "corda_config",
        "ensure_weight_tying",
        "eva_config",
        "inference_mode",
        "loftq_config",
        "lora_dropout",
        "lora_ga_config",
        "megatron_config",
        "megatron_core",
        "peft_version",
        "qalora_group_size",
        "revision",
        "runtime_config",
        "task_type",
    ],
};

/// Beginnings of ways to begin that change the weights below the pairs too.
const CHANGING: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

/// What peft says of the pairs of one network.
#[derive(Debug, PartialEq)]
pub(super) struct Settings {
    alpha: f64,
    /// Alphas of layers of their own.
    alphas: Vec<(Pattern, f64)>,
    /// Whether alpha is divided by the root of the rank (rsLoRA, Kalajdzievski 2023) rather than by the rank.
    by_root: bool,
}

impl Settings {
    /// By what the product of a layer's pair is multiplied; `layer` is its name with full stops.
    ///
    /// # Errors
    /// Patterns that disagree about the layer.
    pub(super) fn scale(&self, layer: &str, rank: f64) -> Result<f64, String> {
        let mut own = self.alphas.iter().filter(|(p, _)| p.names(layer));
        let alpha = match own.next() {
            None => self.alpha,
            Some((_, alpha)) if own.all(|(_, other)| other == alpha) => *alpha,
            Some(_) => return Err(format!("alpha_pattern has two alphas for {layer}")),
        };
        Ok(alpha / if self.by_root { rank.sqrt() } else { rank })
    }
}

/// The end of a layer's name, or all of it.
#[derive(Debug, PartialEq)]
struct Pattern {
    name: String,
    is_whole: bool,
}

impl Pattern {
    fn read(text: &str) -> Option<Self> {
        let (name, is_whole) = match text.strip_prefix('^') {
            Some(name) => (name, true),
            None => (text, false),
        };
        (!name.contains(REGULAR)).then(|| Self {
            name: bare(name).to_owned(),
            is_whole,
        })
    }

    fn names(&self, layer: &str) -> bool {
        match bare(layer).strip_suffix(&self.name) {
            Some("") => true,
            Some(before) => !self.is_whole && before.ends_with('.'),
            None => false,
        }
    }
}

/// A layer's name without the prefix that text encoders have in some versions of transformers.
fn bare(layer: &str) -> &str {
    layer.strip_prefix("text_model.").unwrap_or(layer)
}

/// The settings of each network that the header of a file has.
///
/// # Errors
/// A header that is no such thing, or asks for what is not offered; the message names file and key.
pub(super) fn read_settings(
    file: &Path,
    metadata: &BTreeMap<String, String>,
) -> Result<BTreeMap<Network, Settings>> {
    let Some(text) = metadata.get(SETTINGS) else {
        return Ok(BTreeMap::new());
    };
    let fault = |reason: String| model_fault(file, format!("{SETTINGS}: {reason}"));
    let keys: Others = serde_json::from_str(text).map_err(|e| fault(e.to_string()))?;
    let mut networks: BTreeMap<Network, (&str, Others)> = BTreeMap::new();
    for (key, value) in &keys {
        let (prefix, network) = PREFIXES
            .into_iter()
            .find(|(prefix, _)| key.starts_with(prefix))
            .unwrap_or(("", Network::UNet));
        let (_, options) = networks.entry(network).or_insert((prefix, Others::new()));
        let option = key.strip_prefix(prefix).unwrap_or(key);
        options.insert(option.to_owned(), value.clone());
    }
    networks
        .into_iter()
        .map(|(network, (prefix, options))| {
            let settings = read(options).map_err(|reason| fault(format!("{prefix}{reason}")))?;
            Ok((network, settings))
        })
        .collect()
}

/// The settings of one network, or what is wrong with them, beginning with a key.
fn read(mut options: Others) -> Result<Settings, String> {
    let mut take = |key: &str| options.remove(key).unwrap_or(Value::Null);
    let number = |key: &str, value: &Value| {
        let number = value.as_f64().filter(|n| n.is_finite());
        number.ok_or_else(|| format!("{key} is {value}; it is a number"))
    };
    let alpha = match take("lora_alpha") {
        Value::Null => ALPHA,
        value => number("lora_alpha", &value)?,
    };
    let by_root = match take("use_rslora") {
        Value::Null => false,
        Value::Bool(on) => on,
        value => return Err(format!("use_rslora is {value}; it is true or false")),
    };
    let alphas = match take("alpha_pattern") {
        Value::Null => Vec::new(),
        Value::Object(patterns) => patterns
            .iter()
            .map(|(pattern, value)| {
                let alpha = number("alpha_pattern", value)?;
                let read = Pattern::read(pattern).ok_or_else(|| {
                    format!("alpha_pattern has the regular expression {pattern:?}; only names of layers are offered")
                })?;
                Ok((read, alpha))
            })
            .collect::<Result<_, String>>()?,
        value => return Err(format!("alpha_pattern is {value}; it is an object")),
    };
    match take("init_lora_weights") {
        Value::String(way) if CHANGING.iter().any(|changing| way.starts_with(changing)) => {
            return Err(format!(
                "init_lora_weights is {way}, which changes the weights below the pairs too; convert the adapter with peft (path_initial_model_for_weight_conversion)"
            ));
        }
        _ => {}
    }
    match KEYS.fault(&options) {
        None => Ok(Settings {
            alpha,
            alphas,
            by_root,
        }),
        Some(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<BTreeMap<Network, Settings>> {
        let metadata = BTreeMap::from([(SETTINGS.to_owned(), text.to_owned())]);
        read_settings(Path::new("adapter.safetensors"), &metadata)
    }

    #[test]
    fn alphas_are_of_networks_patterns_and_ranks() {
        let all = settings(
            r#"{"unet.lora_alpha": 6, "unet.r": 4, "unet.alpha_pattern": {"^mid_block.a.to_q": 1, "attn2.to_q": 3},
                "unet.use_rslora": true, "text_encoder.lora_alpha": 5.0,
                "text_encoder.alpha_pattern": {"text_model.encoder.layers.0.mlp.fc1": 2}}"#,
        )
        .unwrap();
        let unet = &all[&Network::UNet];
        for (layer, scale) in [
            ("down_blocks.0.to_q", 3.0),
            ("mid_block.a.to_q", 0.5),
            ("x.mid_block.a.to_q", 3.0),
            ("down_blocks.0.attn2.to_q", 1.5),
            ("down_blocks.0.my_attn2.to_q", 3.0),
        ] {
            assert_eq!(unet.scale(layer, 4.0), Ok(scale), "{layer}");
        }
        let text = &all[&Network::TextEncoder];
        assert_eq!(text.scale("encoder.layers.0.mlp.fc1", 4.0), Ok(0.5));
        assert_eq!(
            text.scale("text_model.encoder.layers.1.mlp.fc1", 4.0),
            Ok(1.25)
        );
        // As `save_lora_adapter` of one network writes them.
        let bare = settings(r#"{"lora_alpha": 16, "r": 8}"#).unwrap();
        assert_eq!(bare[&Network::UNet].scale("x", 8.0), Ok(2.0));
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        for (text, parts) in [
            (
                r#"{"unet.bias": "all"}"#,
                ["unet.bias is \"all\"", "only \"none\""],
            ),
            (
                r#"{"unet.init_lora_weights": "pissa_niter_4"}"#,
                ["init_lora_weights is pissa", "peft"],
            ),
            (
                r#"{"unet.alpha_pattern": {"to_[qk]": 1}}"#,
                ["alpha_pattern", "regular expression"],
            ),
            (
                r#"{"text_encoder_2.of_tomorrow": 1}"#,
                ["text_encoder_2.of_tomorrow", "not known"],
            ),
            ("[1]", [SETTINGS, "adapter.safetensors"]),
        ] {
            let error = settings(text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        let two = settings(r#"{"alpha_pattern": {"to_q": 1, "attn.to_q": 2}}"#).unwrap();
        let fault = two[&Network::UNet].scale("x.attn.to_q", 4.0).unwrap_err();
        assert!(fault.contains("two alphas for x.attn.to_q"), "{fault}");
    }
}
