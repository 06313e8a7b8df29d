//! How captions are chosen: `generation_config.json`, or the same keys in `config.json`, as transformers 5 puts them together.

use std::path::Path;

use promptfed_nn::load::folder::model_fault;
use serde_json::{Map, Value};

use crate::Result;
use crate::keys::{self, Part};
use crate::section::Section;

/// Tokens of a caption unless told, and the number of transformers' default, which old files write out: of those it counts new
/// tokens too.
const USUAL: usize = 20;

/// Most sentences that are followed at a time.
const MOST_BEAMS: usize = 64;

/// When beam search ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ending {
    /// As soon as there are as many whole captions as beams.
    Early,
    /// When captions of the length reached are no better than those found.
    Likely,
    /// When none can get better.
    Certain,
}

/// The settings of a search.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Generation {
    /// Most tokens, the one that begins among them.
    pub(super) longest: usize,
    /// Tokens before which none ends, the one that begins among them.
    pub(super) shortest: usize,
    /// Sentences that are followed at a time; 1 takes the most likely token each time.
    pub(super) beams: usize,
    /// Tokens in a row that come only once; 0 for any.
    pub(super) no_repeat: usize,
    /// What divides the scores above 0, and multiplies those below, of tokens that were there (Keskar et al. 2019, section 4.1).
    pub(super) repetition: f32,
    /// The power of the length that divides the score of a whole caption.
    pub(super) length: f32,
    pub(super) ending: Ending,
}

impl Generation {
    /// Reads the settings of a folder. `config`: its `config.json`; `positions`: most tokens that the decoder takes.
    pub(super) fn read(folder: &Path, config: &Section, positions: usize) -> Result<Self> {
        let section = section(folder, config)?;
        keys::check(&section, Part::Generation)?;
        let beams = section.count("num_beams")?.unwrap_or(1);
        if !(1..=MOST_BEAMS).contains(&beams) {
            let reason = format!("write a number from 1 to {MOST_BEAMS}");
            return Err(section.fault("num_beams", &reason));
        }
        let repetition = section.number("repetition_penalty")?.unwrap_or(1.0) as f32;
        if !(repetition > 0.0 && repetition.is_finite()) {
            return Err(section.fault("repetition_penalty", "write a number above 0"));
        }
        let length = section.number("length_penalty")?.unwrap_or(1.0) as f32;
        if !length.is_finite() {
            return Err(section.fault("length_penalty", "write a smaller number"));
        }
        let shortest = match section.count("min_new_tokens")? {
            Some(new) => new + 1,
            None => section.count("min_length")?.unwrap_or(0),
        };
        Ok(Self {
            longest: longest(&section, positions)?,
            shortest,
            beams,
            no_repeat: section.count("no_repeat_ngram_size")?.unwrap_or(0),
            repetition,
            length,
            ending: ending(&section)?,
        })
    }
}

/// `generation_config.json` alone, where it is there; else the keys of `config.json`, and of its `text_config` where those say
/// nothing: `GenerationConfig.from_model_config` in transformers.
fn section(folder: &Path, config: &Section) -> Result<Section> {
    let own = folder.join("generation_config.json");
    if own.is_file() {
        return Section::read(&own);
    }
    let text = config.inner("text_config")?;
    let mut values = Map::new();
    for key in keys::deciding(Part::Generation) {
        let outer = config.get(key).filter(|value| !value.is_null());
        let inner = text.as_ref().and_then(|text| text.get(key));
        if let Some(value) = outer.or(inner) {
            values.insert(key.to_owned(), Value::clone(value));
        }
    }
    Ok(Section::new(config.file(), values))
}

/// Most tokens of a caption, the one that begins among them.
fn longest(section: &Section, positions: usize) -> Result<usize> {
    let (key, longest) = match (
        section.count("max_new_tokens")?,
        section.count("max_length")?,
    ) {
        (Some(new), _) => ("max_new_tokens", new + 1),
        (None, None | Some(USUAL)) => return Ok((USUAL + 1).min(positions.max(2))),
        (None, Some(all)) => ("max_length", all),
    };
    // The last token is written and not read.
    if !(2..=positions + 1).contains(&longest) {
        let reason = format!(
            "it leaves no room for words, or more than the {positions} tokens that the decoder takes; write another number"
        );
        return Err(section.fault(key, &reason));
    }
    Ok(longest)
}

fn ending(section: &Section) -> Result<Ending> {
    match section.get("early_stopping") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(Ending::Likely),
        Some(Value::Bool(true)) => Ok(Ending::Early),
        Some(value) if value == "never" => Ok(Ending::Certain),
        Some(_) => Err(model_fault(
            section.file(),
            format!(
                "{}: write true, false or \"never\"",
                section.shown("early_stopping")
            ),
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: Value, own: Option<Value>) -> Result<Generation> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(own) = own {
            let file = folder.path().join("generation_config.json");
            std::fs::write(file, own.to_string()).unwrap();
        }
        let Value::Object(config) = config else {
            panic!("no object")
        };
        let config = Section::new(&folder.path().join("config.json"), config);
        Generation::read(folder.path(), &config, 32)
    }

    #[test]
    fn twenty_new_tokens_unless_told() {
        let longest = |config| read(config, None).unwrap().longest;
        assert_eq!(longest(json!({})), 21);
        assert_eq!(longest(json!({"text_config": {"max_length": 20}})), 21);
        assert_eq!(longest(json!({"text_config": {"max_length": 21}})), 21);
        assert_eq!(longest(json!({"text_config": {"max_length": 9}})), 9);
        assert_eq!(
            longest(json!({"max_length": 8, "text_config": {"max_length": 9}})),
            8
        );
        assert_eq!(
            longest(json!({"max_length": null, "text_config": {"max_length": 9}})),
            9
        );
        assert_eq!(longest(json!({"max_length": 8, "max_new_tokens": 3})), 4);
    }

    #[test]
    fn a_file_of_its_own_comes_alone() {
        let config = json!({"text_config": {"num_beams": 4, "min_length": 5}});
        assert_eq!(read(config.clone(), None).unwrap().beams, 4);
        let own = read(config, Some(json!({"min_new_tokens": 2}))).unwrap();
        assert_eq!((own.beams, own.shortest), (1, 3));
    }

    #[test]
    fn what_cannot_be_followed_is_refused_by_name() {
        for (own, told) in [
            (json!({"do_sample": true, "top_k": 5}), "do_sample true"),
            (json!({"num_beams": 0}), "num_beams 0"),
            (json!({"num_beams": 1000}), "num_beams 1000"),
            (json!({"num_beams": 2.5}), "num_beams 2.5"),
            (json!({"repetition_penalty": 0}), "repetition_penalty 0"),
            (json!({"max_length": 1}), "max_length 1"),
            (json!({"max_length": 34}), "max_length 34"),
            (json!({"max_new_tokens": 0}), "max_new_tokens 0"),
            (json!({"early_stopping": 3}), "early_stopping 3"),
            (json!({"forced_bos_token_id": 3}), "forced_bos_token_id 3"),
        ] {
            let error = read(json!({}), Some(own)).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
            assert!(error.contains("generation_config.json"), "{error}");
        }
        let inner = json!({"text_config": {"do_sample": true}});
        let error = read(inner, None).unwrap_err().to_string();
        assert!(
            error.contains("do_sample") && error.contains("config.json"),
            "{error}"
        );
    }
}
