//! Keys of `config.json` of CLIP and BLIP.

use super::Handling::{Harmless, Only, Read};
use super::Idle::{Empty, Flag, Number, Text};
use super::Part::{self, Blip, BlipText, BlipVision, Clip, ClipText, ClipVision};
use super::{Row, row};

const WHOLE: &[Part] = &[Clip, Blip];
const ENCODERS: &[Part] = &[ClipText, ClipVision, BlipText, BlipVision];
const CONFIGS: &[Part] = &[Clip, ClipText, ClipVision, Blip, BlipText, BlipVision];

pub(super) const CONFIG_KEYS: &[Row] = &[
    row(
        WHOLE,
        Read,
        &[
            "model_type",
            "architectures",
            "text_config",
            "vision_config",
        ],
    ),
    row(
        &[Clip],
        Read,
        &["projection_dim", "text_config_dict", "vision_config_dict"],
    ),
    // Where captions are written, nothing is projected, and the decoder's width comes from its weights.
    row(
        &[Blip],
        Harmless,
        &[
            "projection_dim",
            "image_text_hidden_size",
            "label_smoothing",
            "tie_word_embeddings",
        ],
    ),
    row(
        ENCODERS,
        Read,
        &[
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "hidden_act",
            "layer_norm_eps",
        ],
    ),
    row(
        &[ClipText, BlipText],
        Read,
        &["vocab_size", "max_position_embeddings"],
    ),
    row(&[ClipText], Read, &["eos_token_id"]),
    row(&[ClipText], Harmless, &["bos_token_id", "pad_token_id"]),
    row(&[BlipText], Read, &["bos_token_id", "sep_token_id"]),
    // Captions end with `sep_token_id`, and one caption at a time needs no padding.
    row(
        &[BlipText],
        Harmless,
        &[
            "eos_token_id",
            "pad_token_id",
            "encoder_hidden_size",
            "use_cache",
            "tie_word_embeddings",
            "label_smoothing",
            "hidden_dropout_prob",
            "attention_probs_dropout_prob",
        ],
    ),
    row(&[BlipText], Only(&[Flag(true)]), &["is_decoder"]),
    row(
        &[BlipText],
        Only(&[Text("absolute")]),
        &["position_embedding_type"],
    ),
    row(
        &[ClipVision, BlipVision],
        Read,
        &["image_size", "patch_size"],
    ),
    row(
        &[ClipVision, BlipVision],
        Only(&[Number(3.0)]),
        &["num_channels"],
    ),
    row(
        ENCODERS,
        Harmless,
        &[
            "projection_dim",
            "attention_dropout",
            "dropout",
            "model_type",
            "architectures",
        ],
    ),
    row(
        CONFIGS,
        Harmless,
        &[
            "_name_or_path",
            "_commit_hash",
            "auto_map",
            "attn_implementation",
            "chunk_size_feed_forward",
            "dtype",
            "torch_dtype",
            "finetuning_task",
            "id2label",
            "label2id",
            "initializer_factor",
            "initializer_range",
            "logit_scale_init_value",
            "output_attentions",
            "output_hidden_states",
            "problem_type",
            "return_dict",
            "task_specific_params",
            "tokenizer_class",
            "torchscript",
            "transformers_version",
        ],
    ),
    row(CONFIGS, Only(&[Flag(false)]), &["is_encoder_decoder"]),
    row(CONFIGS, Only(&[Empty]), &["pruned_heads"]),
    row(
        CONFIGS,
        Only(&[]),
        &["quantization_config", "per_layer_config"],
    ),
];
