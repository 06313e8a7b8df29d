//! The names that LoRA files give to the layers of a model.

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

/// How names of layers begin where a file is of one network and does not say which.
const BARE: [(&str, Network); 9] = [
    ("add_embedding.", Network::UNet),
    ("conv_in.", Network::UNet),
    ("conv_out.", Network::UNet),
    ("down_blocks.", Network::UNet),
    ("mid_block.", Network::UNet),
    ("time_embedding.", Network::UNet),
    ("up_blocks.", Network::UNet),
    ("encoder.layers.", Network::TextEncoder),
    ("text_model.", Network::TextEncoder),
];

/// What peft's own `save_pretrained` puts before names.
const OF_PEFT: &str = "base_model.model.";

/// What a tensor is to its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The first of the two matrices, [rank, inputs, ..].
    Down,
    /// The second, [outputs, rank, ..].
    Up,
    /// By what the product is multiplied, times the rank.
    Alpha,
    /// What is added to the layer's bias, [outputs].
    Bias,
    /// The lengths of the rows of the changed weight (DoRA, Liu et al. 2024), one for each output.
    Magnitude,
}

/// How names end.
const PARTS: [(&str, Part); 15] = [
    (".lora_A.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (".lora_B.bias", Part::Bias),
    (".lora_down.weight", Part::Down),
    (".lora_up.weight", Part::Up),
    (".lora_linear_layer.down.weight", Part::Down),
    (".lora_linear_layer.up.weight", Part::Up),
    (".lora.down.weight", Part::Down),
    (".lora.up.weight", Part::Up),
    ("_lora.down.weight", Part::Down),
    ("_lora.up.weight", Part::Up),
    (".lora_magnitude_vector", Part::Magnitude),
    (".lora_magnitude_vector.weight", Part::Magnitude),
    (".dora_scale", Part::Magnitude),
    (".alpha", Part::Alpha),
];

/// What a tensor's name stands for.
#[derive(Debug, PartialEq)]
pub(super) struct Name {
    pub(super) network: Network,
    /// The layer as the file writes it.
    pub(super) layer: String,
    /// The layer in one spelling; see [`flat`].
    pub(super) flat: String,
    pub(super) part: Part,
}

/// Network, layer and part that a tensor's name stands for.
pub(super) fn read_name(name: &str) -> Option<Name> {
    let name = name.strip_prefix(OF_PEFT).unwrap_or(name);
    let prefixed = NETWORKS
        .iter()
        .find_map(|(prefix, network)| Some((*network, name.strip_prefix(prefix)?)));
    let bare = || {
        let found = BARE.iter().find(|(prefix, _)| name.starts_with(prefix));
        Some((found?.1, name))
    };
    let (network, rest) = prefixed.or_else(bare)?;
    let (layer, part) = PARTS
        .iter()
        .find_map(|(suffix, part)| Some((rest.strip_suffix(suffix)?, *part)))?;
    let layer = layer.replace(".processor.", ".");
    Some(Name {
        network,
        flat: flat(network, &layer),
        layer,
        part,
    })
}

/// A layer's name as kohya writes it, of every spelling of the same layer.
pub(super) fn flat(network: Network, layer: &str) -> String {
    let flat = layer.replace('.', "_");
    let flat = flat.strip_prefix("text_model_").unwrap_or(&flat);
    // Of attention in old files of diffusers, whose text encoders have names of the UNet there.
    let old = match network {
        Network::UNet => [("_to_out", "_to_out_0")].as_slice(),
        Network::TextEncoder | Network::TextEncoder2 => [
            ("_self_attn_to_q", "_self_attn_q_proj"),
            ("_self_attn_to_k", "_self_attn_k_proj"),
            ("_self_attn_to_v", "_self_attn_v_proj"),
            ("_self_attn_to_out", "_self_attn_out_proj"),
        ]
        .as_slice(),
    };
    old.iter()
        .find_map(|(old, present)| Some(format!("{}{present}", flat.strip_suffix(old)?)))
        .unwrap_or_else(|| flat.to_owned())
}

/// The layers of the original UNet outside its rows of blocks, and diffusers' names of them.
const OUTSIDE: [(&str, &str); 6] = [
    ("input_blocks_0_0", "conv_in"),
    ("label_emb_0_0", "add_embedding_linear_1"),
    ("label_emb_0_2", "add_embedding_linear_2"),
    ("out_2", "conv_out"),
    ("time_embed_0", "time_embedding_linear_1"),
    ("time_embed_2", "time_embedding_linear_2"),
];

/// diffusers' name of a layer in the names of the original UNet (input, middle and output blocks in one row).
pub(super) fn original_name(layer: &str, layers: usize) -> Option<String> {
    if let Some((_, name)) = OUTSIDE.iter().find(|(original, _)| *original == layer) {
        return Some((*name).to_owned());
    }
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
            format!("{layer}.to_q.lora_A.weight"),
            format!("base_model.model.{layer}.to_q.lora_A.weight"),
            format!(
                "lora_unet_{}_to_q.lora_down.weight",
                layer.replace('.', "_")
            ),
        ] {
            let found = read_name(&name).unwrap();
            assert_eq!(
                (found.network, found.flat.as_str(), found.part),
                (Network::UNet, want, Part::Down),
                "{name}"
            );
        }
        let out = read_name("unet.a.attn1.processor.to_out_lora.up.weight").unwrap();
        assert_eq!(out.flat, "a_attn1_to_out_0");
        let text = read_name("lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha").unwrap();
        assert_eq!(
            (text.network, text.flat.as_str()),
            (Network::TextEncoder2, "encoder_layers_0_mlp_fc1")
        );
        assert!(read_name("unet.a.hada_w1_a").is_none());
        assert!(read_name("decoder.layers.0.lora_A.weight").is_none());
    }

    #[test]
    fn names_of_text_encoders_in_old_files_are_present_ones() {
        let layer = "text_model.encoder.layers.0.self_attn";
        for (old, present) in [
            ("to_q_lora", "q_proj"),
            ("to_k_lora", "k_proj"),
            ("to_v_lora", "v_proj"),
            ("to_out_lora", "out_proj"),
        ] {
            let found = read_name(&format!("text_encoder.{layer}.{old}.up.weight")).unwrap();
            assert_eq!(found.flat, format!("encoder_layers_0_self_attn_{present}"));
        }
    }

    #[test]
    fn parts_of_dora_and_biases_are_known() {
        for (ending, part) in [
            ("lora_magnitude_vector", Part::Magnitude),
            ("lora_magnitude_vector.weight", Part::Magnitude),
            ("dora_scale", Part::Magnitude),
            ("lora_B.bias", Part::Bias),
        ] {
            let found = read_name(&format!("unet.conv_in.{ending}")).unwrap();
            assert_eq!((found.layer.as_str(), found.part), ("conv_in", part));
        }
    }

    #[test]
    fn original_names_are_found() {
        for (original, name) in [
            (
                "input_blocks_4_1_transformer_blocks_0_attn1_to_q",
                "down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q",
            ),
            ("input_blocks_3_0_op", "down_blocks_0_downsamplers_0_conv"),
            ("input_blocks_0_0", "conv_in"),
            ("out_2", "conv_out"),
            ("time_embed_0", "time_embedding_linear_1"),
            ("time_embed_2", "time_embedding_linear_2"),
            ("label_emb_0_0", "add_embedding_linear_1"),
            ("label_emb_0_2", "add_embedding_linear_2"),
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
