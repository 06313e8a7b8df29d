//! Every key of a model's files that transformers 5 knows, and what is done with it.
//!
//! A key that is not here is one that transformers does not know either: neither computes anything from it.

mod configs;
mod generation;
mod pixels;

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

/// All rows, in tables by file.
const TABLES: [&[Row]; 3] = [
    configs::CONFIG_KEYS,
    generation::GENERATION_KEYS,
    pixels::PIXEL_KEYS,
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
    let rows = rows().filter(move |row| row.parts.contains(&part));
    rows.filter(|row| !matches!(row.handling, Harmless))
        .flat_map(|row| row.keys.iter().copied())
}

fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.into_iter().flatten()
}

fn handling(part: Part, key: &str) -> Option<Handling> {
    rows()
        .find(|row| row.parts.contains(&part) && row.keys.contains(&key))
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

    use super::Part::{Blip, BlipText, BlipVision, Clip, ClipText, ClipVision, Generation, Pixels};
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
        for row in rows() {
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
