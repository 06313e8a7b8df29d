//! A JSON object of a model's files, read key by key: a fault names file, key and value.

use std::path::{Path, PathBuf};

use promptfed_nn::load::folder::{model_fault, read_json};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Most letters of a value in a message.
const SHOWN: usize = 60;

/// An object with the file that holds it.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    file: PathBuf,
    /// What stands before its keys in messages, such as `text_config.`.
    prefix: String,
    values: Map<String, Value>,
}

impl Section {
    /// A whole file.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        Ok(Self::new(file, read_json(file)?))
    }

    pub(crate) fn new(file: &Path, values: Map<String, Value>) -> Self {
        Self {
            file: file.to_owned(),
            prefix: String::new(),
            values,
        }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of a key; `null` is one.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The object under a key, where there is one that is not `null`.
    pub(crate) fn inner(&self, key: &str) -> Result<Option<Self>> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(values)) => Ok(Some(Self {
                file: self.file.clone(),
                prefix: format!("{}{key}.", self.prefix),
                values: values.clone(),
            })),
            Some(_) => Err(self.fault(key, "it must be an object; restore the file of this model")),
        }
    }

    /// A key that is on or off; transformers takes `null` as off.
    pub(crate) fn flag(&self, key: &str, absent: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(absent),
            Some(Value::Null) => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(_) => Err(self.fault(key, "write true or false")),
        }
    }

    /// A finite number, where there is one.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_f64()
                .filter(|n| n.is_finite())
                .map(Some)
                .ok_or_else(|| self.fault(key, "write a number")),
        }
    }

    /// A whole number of at least 0, where there is one.
    pub(crate) fn count(&self, key: &str) -> Result<Option<usize>> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => whole(value)
                .map(|n| Some(n as usize))
                .ok_or_else(|| self.fault(key, "write a whole number of at least 0")),
        }
    }

    /// A text, where there is one.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&str>> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.fault(key, "write a text")),
        }
    }

    /// A key as messages show it, with its value.
    pub(crate) fn shown(&self, key: &str) -> String {
        let value = self.get(key).map(Value::to_string).unwrap_or_default();
        let cut = value.char_indices().nth(SHOWN).map(|(end, _)| end);
        match cut {
            Some(end) => format!("{}{key} {}..", self.prefix, &value[..end]),
            None => format!("{}{key} {value}", self.prefix),
        }
    }

    /// What makes the value of a key unusable.
    pub(crate) fn fault(&self, key: &str, reason: &str) -> Error {
        model_fault(&self.file, format!("{}: {reason}", self.shown(key))).into()
    }
}

/// A whole number from 0 to 2^32 - 1.
pub(crate) fn whole(value: &Value) -> Option<u32> {
    let number = value.as_f64()?;
    let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    is_whole.then_some(number as u32)
}
