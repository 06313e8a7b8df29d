//! Every key of a model's files that transformers 5 knows, and what is done with it.
//!
//! A key that is not here is one that transformers does not know either: neither computes anything from it.

use promptfed_nn::load::folder::model_fault;
use serde_json::Value;

use crate::Result;
use crate::section::Section;

/// The objects of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// CLIP's `config.json`.
    Clip,
    /// `text_config` in it.
    ClipText,
    /// `vision_config` in it.
    ClipVision,
    /// BLIP's `config.json`.
    Blip,
    /// `text_config` in it.
    BlipText,
    /// `vision_config` in it.
    BlipVision,
    /// `generation_config.json`, and the same keys in BLIP's `config.json` and its `text_config`.
    Generation,
    /// `preprocessor_config.json`, and `image_processor` in `processor_config.json`.
    Pixels,
    /// `processor_config.json`.
    Processor,
}

/// What is done with a key.
#[derive(Clone, Copy, Debug)]
enum Handling {
    /// It is read.
    Read,
    /// Nothing that is computed here depends on it.
    Harmless,
    /// Nothing follows it: only `null` and these values pass, with which it changes nothing.
    Only(&'static [Idle]),
}

/// A value that changes nothing.
#[derive(Clone, Copy, Debug)]
enum Idle {
    Flag(bool),
    Number(f64),
    Text(&'static str),
    /// No entries.
    Empty,
}

use Handling::{Harmless, Only, Read};
use Idle::{Empty, Flag, Number, Text};
use Part::{Blip, BlipText, BlipVision, Clip, ClipText, ClipVision, Generation, Pixels, Processor};

struct Row {
    parts: &'static [Part],
    handling: Handling,
    keys: &'static [&'static str],
}

const fn row(parts: &'static [Part], handling: Handling, keys: &'static [&'static str]) -> Row {
    Row {
        parts,
        handling,
        keys,
    }
}

const WHOLE: &[Part] = &[Clip, Blip];
const ENCODERS: &[Part] = &[ClipText, ClipVision, BlipText, BlipVision];
const CONFIGS: &[Part] = &[Clip, ClipText, ClipVision, Blip, BlipText, BlipVision];

const TABLE: &[Row] = &[
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
    row(
        &[Generation],
        Read,
        &[
            "max_length",
            "max_new_tokens",
            "min_length",
            "min_new_tokens",
            "num_beams",
            "early_stopping",
            "length_penalty",
            "repetition_penalty",
            "no_repeat_ngram_size",
        ],
    ),
    row(
        &[Generation],
        Only(&[Flag(false)]),
        &[
            "do_sample",
            "renormalize_logits",
            "token_healing",
            "low_memory",
            "use_mtp",
        ],
    ),
    row(
        &[Generation],
        Only(&[Number(1.0)]),
        &[
            "num_beam_groups",
            "encoder_repetition_penalty",
            "guidance_scale",
        ],
    ),
    row(
        &[Generation],
        Only(&[Number(0.0)]),
        &[
            "penalty_alpha",
            "diversity_penalty",
            "encoder_no_repeat_ngram_size",
        ],
    ),
    row(
        &[Generation],
        Only(&[Empty]),
        &["suppress_tokens", "begin_suppress_tokens", "bad_words_ids"],
    ),
    row(
        &[Generation],
        Only(&[]),
        &[
            "assistant_early_exit",
            "constraints",
            "dola_layers",
            "exponential_decay_length_penalty",
            "force_words_ids",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "max_time",
            "prompt_lookup_num_tokens",
            "sequence_bias",
            "stop_strings",
            "watermarking_config",
        ],
    ),
    // BLIP takes the tokens of begin and end from its `text_config`; of several captions the first is the best.
    row(
        &[Generation],
        Harmless,
        &[
            "bos_token_id",
            "decoder_start_token_id",
            "eos_token_id",
            "num_return_sequences",
            "pad_token_id",
        ],
    ),
    // Without sampling nothing asks for these.
    row(
        &[Generation],
        Harmless,
        &[
            "epsilon_cutoff",
            "eta_cutoff",
            "min_p",
            "temperature",
            "top_h",
            "top_k",
            "top_p",
            "typical_p",
        ],
    ),
    // How it is computed, not what.
    row(
        &[Generation],
        Harmless,
        &[
            "_from_model_config",
            "assistant_confidence_threshold",
            "assistant_ensemble_weight",
            "assistant_lookbehind",
            "cache_config",
            "cache_implementation",
            "compile_config",
            "continuous_batching_config",
            "disable_compile",
            "is_assistant",
            "max_cache_len",
            "max_matching_ngram_size",
            "num_assistant_tokens",
            "num_assistant_tokens_schedule",
            "output_attentions",
            "output_hidden_states",
            "output_logits",
            "output_scores",
            "prefill_chunk_size",
            "remove_invalid_values",
            "return_dict_in_generate",
            "speculation_type",
            "target_lookbehind",
            "transformers_version",
            "use_cache",
        ],
    ),
    row(
        &[Pixels],
        Read,
        &[
            "image_processor_type",
            "feature_extractor_type",
            "do_resize",
            "size",
            "default_to_square",
            "resample",
            "do_center_crop",
            "crop_size",
            "do_rescale",
            "rescale_factor",
            "do_normalize",
            "image_mean",
            "image_std",
        ],
    ),
    // Pictures come as RGB, with what is transparent on white as transformers puts it, and one at a time: without `pad_size`
    // nothing is padded.
    row(
        &[Pixels],
        Harmless,
        &[
            "auto_map",
            "data_format",
            "device",
            "disable_grouping",
            "do_convert_rgb",
            "do_pad",
            "image_seq_length",
            "input_data_format",
            "processor_class",
            "return_tensors",
        ],
    ),
    row(&[Pixels], Only(&[]), &["pad_size"]),
    row(&[Pixels], Only(&[Flag(false)]), &["use_square_size"]),
    row(&[Processor], Read, &["image_processor"]),
    row(&[Processor], Harmless, &["auto_map", "processor_class"]),
];

/// Most keys that a message names.
const NAMED: usize = 3;

/// Refuses a section whose keys ask for what nothing here follows.
///
/// # Errors
/// The first of those keys by name, and how many there are.
pub(crate) fn check(section: &Section, part: Part) -> Result<()> {
    let refused: Vec<String> = section
        .iter()
        .filter(|(key, value)| match handling(part, key) {
            Some(Only(idle)) => !value.is_null() && !idle.iter().any(|idle| idle.is(value)),
            Some(Read | Harmless) | None => false,
        })
        .map(|(key, _)| section.shown(key))
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let named = refused[..refused.len().min(NAMED)].join(", ");
    let more = match refused.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let reason = format!(
        "{named}{more}: nothing here follows this; take it out where the model does without, or use another model"
    );
    Err(model_fault(section.file(), reason).into())
}

/// The keys of a part that are not a matter of indifference.
pub(crate) fn deciding(part: Part) -> impl Iterator<Item = &'static str> {
    let rows = TABLE.iter().filter(move |row| row.parts.contains(&part));
    rows.filter(|row| !matches!(row.handling, Harmless))
        .flat_map(|row| row.keys.iter().copied())
}

fn handling(part: Part, key: &str) -> Option<Handling> {
    let mut rows = TABLE.iter();
    rows.find(|row| row.parts.contains(&part) && row.keys.contains(&key))
        .map(|row| row.handling)
}

impl Idle {
    fn is(self, value: &Value) -> bool {
        match self {
            Flag(on) => value == &Value::Bool(on),
            Number(number) => value.as_f64() == Some(number),
            Text(text) => value == text,
            Empty => {
                value.as_array().is_some_and(Vec::is_empty)
                    || value.as_object().is_some_and(serde_json::Map::is_empty)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn part(name: &str) -> Part {
        match name {
            "clip" => Clip,
            "clip.text_config" => ClipText,
            "clip.vision_config" => ClipVision,
            "blip" => Blip,
            "blip.text_config" => BlipText,
            "blip.vision_config" => BlipVision,
            "generation" => Generation,
            "pixels" => Pixels,
            other => panic!("{other} is no part"),
        }
    }

    #[test]
    fn every_key_of_transformers_is_here_once() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/folders/keys.json");
        let known: BTreeMap<String, Vec<String>> =
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for (name, keys) in known {
            for key in keys {
                let found = handling(part(&name), &key);
                assert!(found.is_some(), "{key} of {name} is in no row");
            }
        }
        let mut seen = Vec::new();
        for row in TABLE {
            for part in row.parts {
                for key in row.keys {
                    assert!(!seen.contains(&(*part, key)), "{key} of {part:?} is twice");
                    seen.push((*part, key));
                }
            }
        }
    }

    #[test]
    fn keys_that_nothing_follows_are_refused_by_name() {
        let told = |part, value: Value| {
            let Value::Object(values) = value else {
                panic!("no object")
            };
            check(&Section::new(Path::new("x.json"), values), part)
                .err()
                .map(|error| error.to_string())
        };
        assert_eq!(
            told(
                Generation,
                json!({"do_sample": false, "guidance_scale": 1, "suppress_tokens": [], "stop_strings": null})
            ),
            None
        );
        assert_eq!(
            told(Generation, json!({"num_beams": 7, "of_nobody": 1})),
            None
        );
        let one = told(BlipText, json!({"is_decoder": false})).unwrap();
        assert!(
            one.contains("x.json") && one.contains("is_decoder false"),
            "{one}"
        );
        let many = told(
            Generation,
            json!({"bad_words_ids": [[1]], "do_sample": true, "forced_eos_token_id": 3, "max_time": 2.0, "stop_strings": ["a"]}),
        )
        .unwrap();
        assert!(
            many.contains("bad_words_ids [[1]], ") && many.contains("and 2 more"),
            "{many}"
        );
    }
}
