//! Which writer is meant, and how it is opened: the same words everywhere.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::AtomicBool;

use super::Writer;
use super::chat::Chat;
use super::gguf::{Gguf, Sampling};
use super::grammar::Grammar;
use crate::service::{ApiKey, Limits, Service};
use crate::{Generator, Result};

/// A writer by name: `grammar`, `grammar:FILE`, `gguf:FILE`, `chat:URL[#MODEL]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriterName {
    /// The bundled grammar, or that of a file.
    Grammar(Option<PathBuf>),
    /// A quantised language model in a GGUF file, which runs here.
    Gguf(PathBuf),
    /// A language model behind an address that speaks OpenAI's `chat/completions`.
    Chat {
        /// The address, up to `/v1`.
        address: String,
        /// The model it is asked for; its only one where not given.
        model: Option<String>,
    },
}

/// What a writer needs to know beside its name.
#[derive(Clone, Debug, Default)]
pub struct WriterOptions {
    /// How language models draw their words.
    pub sampling: Sampling,
    /// The key of a service.
    pub key: Option<ApiKey>,
    /// How much is asked of a service, and how long it is waited for.
    pub limits: Limits,
}

impl WriterName {
    /// Whether it is slow enough that what it wrote must not be lost.
    pub fn is_slow(&self) -> bool {
        !matches!(self, Self::Grammar(_))
    }

    /// Opens the writer, for prompts that `readers` will read: a grammar leaves out what one of them was never shown.
    ///
    /// # Errors
    /// A grammar or model that cannot be read, or a service that cannot be used.
    pub fn open(
        &self,
        options: &WriterOptions,
        readers: &[&dyn Generator],
        cancel: &AtomicBool,
    ) -> Result<Box<dyn Writer>> {
        let grammar = match self {
            Self::Grammar(None) => Grammar::bundled(),
            Self::Grammar(Some(file)) => Grammar::read(file),
            Self::Gguf(file) => return Ok(Box::new(Gguf::load(file, options.sampling)?)),
            Self::Chat { address, model } => {
                let service = Service::new(address, options.key.clone(), options.limits)?;
                let model = model.as_deref();
                let chat = Chat::new(service, model, options.sampling, cancel)?;
                return Ok(Box::new(chat));
            }
        };
        let mut grammar = grammar?;
        if !readers.is_empty() {
            grammar.leave_out(|words| {
                let unknown = readers.iter().map(|reader| reader.unknown_words(words));
                unknown.flatten().collect()
            })?;
        }
        Ok(Box::new(grammar))
    }
}

impl fmt::Display for WriterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grammar(None) => f.write_str("grammar"),
            Self::Grammar(Some(file)) => write!(f, "grammar:{}", file.display()),
            Self::Gguf(file) => write!(f, "gguf:{}", file.display()),
            Self::Chat {
                address,
                model: None,
            } => write!(f, "chat:{address}"),
            Self::Chat {
                address,
                model: Some(model),
            } => write!(f, "chat:{address}#{model}"),
        }
    }
}

impl FromStr for WriterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, argument) = match text.split_once(':') {
            Some((kind, argument)) => (kind, Some(argument).filter(|a| !a.is_empty())),
            None => (text, None),
        };
        let needed = |what: &str| format!("{kind} needs {what}, as in {kind}:{what}");
        match (kind, argument) {
            ("grammar", file) => Ok(Self::Grammar(file.map(PathBuf::from))),
            ("gguf", Some(file)) => Ok(Self::Gguf(file.into())),
            ("gguf", None) => Err(needed("FILE")),
            ("chat", Some(url)) => {
                let (address, model) = match url.split_once('#') {
                    Some((address, model)) => (address, Some(model).filter(|m| !m.is_empty())),
                    None => (url, None),
                };
                Ok(Self::Chat {
                    address: address.to_owned(),
                    model: model.map(str::to_owned),
                })
            }
            ("chat", None) => Err(needed("URL")),
            _ => Err(format!(
                "there is no writer {kind:?}; there are grammar, grammar:FILE, gguf:FILE and chat:URL[#MODEL]"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_answered_with_a_list() {
        for name in [
            "grammar",
            "grammar:my.toml",
            "gguf:/models/a.gguf",
            "chat:http://127.0.0.1:8080/v1",
            "chat:https://h/v1#a/b:latest",
        ] {
            assert_eq!(name.parse::<WriterName>().unwrap().to_string(), name);
        }
        for (name, part) in [
            ("gguf", "gguf:FILE"),
            ("chat:", "chat:URL"),
            ("llm", "there are grammar"),
        ] {
            let problem = name.parse::<WriterName>().unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
