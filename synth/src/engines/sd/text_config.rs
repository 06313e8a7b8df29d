//! `config.json` of a text encoder: what is read, and what of the rest changes nothing.

use std::path::Path;

use promptfed_nn::load::folder::{read_checked, read_json};
use promptfed_vision::text_encoder::{Features, TextConfig};

use super::keys::{Keys, Others};
use crate::Result;
use crate::error::model_fault;

/// The keys of transformers' `CLIPTextConfig`, and of the general configuration of its models, that are not read.
const KEYS: Keys = Keys {
    fixed: &[
        ("add_cross_attention", "false"),
        ("is_decoder", "false"),
        ("pruned_heads", "{}"),
        ("quantization_config", "null"),
        (ATTENTION_MASK, "false"),
    ],
    harmless: &[
        // Notes, and what only training or other tasks heed.
        "architectures",
        "attention_dropout",
        "attn_implementation",
        "dropout",
        "dtype",
        "finetuning_task",
        "id2label",
        "initializer_factor",
        "initializer_range",
        "label2id",
        "model_type",
        "problem_type",
        "task_specific_params",
        "torch_dtype",
        "transformers_version",
        // The tokenizer's own files say these.
        "bos_token_id",
        "pad_token_id",
        "prefix",
        "sep_token_id",
        "tokenizer_class",
        // Forms of what is returned, and of the same computation.
        "chunk_size_feed_forward",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "tf_legacy_loss",
        "tie_encoder_decoder",
        "tie_word_embeddings",
        "torchscript",
        "use_bfloat16",
        "use_cache",
        // Of the generation of text.
        "bad_words_ids",
        "begin_suppress_tokens",
        "cross_attention_hidden_size",
        "decoder_start_token_id",
        "diversity_penalty",
        "do_sample",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "exponential_decay_length_penalty",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "is_encoder_decoder",
        "length_penalty",
        "max_length",
        "min_length",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_return_sequences",
        "output_scores",
        "remove_invalid_values",
        "repetition_penalty",
        "return_dict_in_generate",
        "suppress_tokens",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
    ],
};

/// The keys that [`TextConfig`] reads.
const READ: [&str; 10] = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "hidden_act",
    "layer_norm_eps",
    "projection_dim",
    "eos_token_id",
];

/// Whether padding is hidden from the words. diffusers' pipelines of Stable Diffusion XL do not heed it.
const ATTENTION_MASK: &str = "use_attention_mask";

/// Reads and checks a configuration; the `features` tell the family.
///
/// # Errors
/// A key with an impossible value, or one that asks for an encoder that is not offered; the message names file and key.
pub(super) fn read_text_config(file: &Path, features: Features) -> Result<TextConfig> {
    let config = read_checked(file, TextConfig::fault)?;
    let mut others: Others = read_json(file)?;
    others.retain(|key, _| {
        let is_idle = features == Features::Penultimate && key == ATTENTION_MASK;
        !READ.contains(&key.as_str()) && !is_idle
    });
    match KEYS.fault(&others) {
        None => Ok(config),
        Some(reason) => Err(model_fault(file, reason)),
    }
}
