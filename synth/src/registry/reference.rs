//! What an engine is called.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// An engine and the weights or the place it works from: `NAME[:ARG]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineRef {
    /// The bundled small generator.
    Pocket(PocketWeights),
    /// Stable Diffusion: a folder in diffusers' layout, or `OWNER/NAME[@REVISION]` on the hub.
    Sd(String),
    /// A server that speaks OpenAI's `images/generations`.
    Remote {
        /// Its address, up to `/v1`.
        address: String,
        /// The model it is asked for; its only one where not given.
        model: Option<String>,
    },
    /// A server that speaks AUTOMATIC1111's `sdapi/v1/txt2img`.
    A1111 {
        /// Its address, without a path.
        address: String,
        /// The checkpoint it is asked for; the one it has loaded where not given.
        model: Option<String>,
    },
}

/// Weights of the bundled generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PocketWeights {
    /// One of [`PocketWeights::BUNDLED`].
    Bundled(&'static str),
    /// Those in a folder.
    Folder(PathBuf),
}

impl PocketWeights {
    /// The bundled weights by name; the first is the default.
    pub const BUNDLED: [&'static str; 3] = ["all", "photo", "draw"];
}

/// What there is, for messages.
const FORMS: &str = "pocket, pocket:all, pocket:photo, pocket:draw, pocket:DIR, sd:DIR, sd:OWNER/NAME[@REVISION], remote:URL[#MODEL] and \
                     a1111:URL[#MODEL]";

/// The templates for engines that know English.
const PLAIN: &str = "photo";

impl EngineRef {
    /// The kind of engine, the part before the colon.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pocket(_) => "pocket",
            Self::Sd(_) => "sd",
            Self::Remote { .. } => "remote",
            Self::A1111 { .. } => "a1111",
        }
    }

    /// The built-in templates whose words suit it: those that the bundled generator was trained on, or plain English.
    pub fn templates(&self) -> &'static str {
        match self {
            // What `promptfed synth serve` offers is called as it is there.
            Self::Remote {
                model: Some(model), ..
            } => Self::templates_of(model).unwrap_or(PLAIN),
            other => Self::templates_of(other.kind()).unwrap_or(PLAIN),
        }
    }

    /// [`EngineRef::templates`] of an engine that is called so: its kind, and perhaps its weights. `None` where the name does not say what it is.
    pub fn templates_of(name: &str) -> Option<&'static str> {
        let kind = name.split(':').next().unwrap_or(name);
        match Self::KINDS.iter().find(|known| **known == kind) {
            Some(&"pocket") => Some("pocket"),
            Some(_) => Some(PLAIN),
            None => None,
        }
    }

    /// The kinds of engines.
    pub const KINDS: [&'static str; 4] = ["pocket", "sd", "remote", "a1111"];

    /// Whether another machine, or another program, makes the images.
    pub fn is_service(&self) -> bool {
        matches!(self, Self::Remote { .. } | Self::A1111 { .. })
    }

    /// What it is called where nobody gives it a name: its kind, and for bundled weights that are not the default theirs too.
    pub fn own_name(&self) -> String {
        match self {
            Self::Pocket(PocketWeights::Bundled(weights))
                if *weights != PocketWeights::BUNDLED[0] =>
            {
                format!("pocket:{weights}")
            }
            other => other.kind().to_owned(),
        }
    }
}

impl Default for EngineRef {
    fn default() -> Self {
        Self::Pocket(PocketWeights::Bundled(PocketWeights::BUNDLED[0]))
    }
}

impl FromStr for EngineRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, argument) = match text.split_once(':') {
            Some((kind, argument)) => (kind, Some(argument).filter(|a| !a.is_empty())),
            None => (text, None),
        };
        let needs = |what: &str, example: &str| {
            format!("the engine {kind} needs {what}: write {kind}:{example}")
        };
        let service = |argument: Option<&str>, example: &str| {
            let address = argument.ok_or_else(|| needs("the server's address", example))?;
            if !address.starts_with("http://") && !address.starts_with("https://") {
                return Err(needs(
                    "an address that begins with http:// or https://",
                    example,
                ));
            }
            let (address, model) = match address.split_once('#') {
                Some((address, "")) => (address, None),
                Some((address, model)) => (address, Some(model.to_owned())),
                None => (address, None),
            };
            Ok((address.to_owned(), model))
        };
        match kind {
            "pocket" => Ok(Self::Pocket(match argument {
                None => PocketWeights::Bundled(PocketWeights::BUNDLED[0]),
                Some(name) => match PocketWeights::BUNDLED.into_iter().find(|b| *b == name) {
                    Some(name) => PocketWeights::Bundled(name),
                    None => PocketWeights::Folder(name.into()),
                },
            })),
            "sd" => {
                let example = "FOLDER, or sd:OWNER/NAME to download them";
                let model = argument.ok_or_else(|| needs("its weights", example))?;
                Ok(Self::Sd(model.to_owned()))
            }
            "remote" => service(argument, "http://HOST:7979/v1")
                .map(|(address, model)| Self::Remote { address, model }),
            "a1111" => service(argument, "http://HOST:7860")
                .map(|(address, model)| Self::A1111 { address, model }),
            _ => Err(format!("there is no engine {text:?}; there are {FORMS}")),
        }
    }
}

impl fmt::Display for EngineRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pocket(PocketWeights::Bundled(name)) => write!(f, "pocket:{name}"),
            Self::Pocket(PocketWeights::Folder(folder)) => {
                write!(f, "pocket:{}", folder.display())
            }
            Self::Sd(model) => write!(f, "sd:{model}"),
            Self::Remote { address, model } | Self::A1111 { address, model } => {
                write!(f, "{}:{address}", self.kind())?;
                match model {
                    Some(model) => write!(f, "#{model}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written_alike() {
        for text in [
            "pocket:all",
            "pocket:draw",
            "pocket:my/weights",
            "sd:models/sd15",
            "sd:owner/name@main",
            "remote:http://h:1/v1",
            "remote:https://api.example.org/v1#dall-e-2",
            "a1111:http://h:7860#v1-5.safetensors [6ce0161689]",
        ] {
            assert_eq!(text.parse::<EngineRef>().unwrap().to_string(), text);
        }
        for text in ["pocket", "pocket:"] {
            assert_eq!(text.parse::<EngineRef>().unwrap(), EngineRef::default());
        }
    }

    #[test]
    fn names_are_short() {
        for (text, name) in [
            ("pocket", "pocket"),
            ("pocket:photo", "pocket:photo"),
            ("pocket:dir", "pocket"),
            ("sd:some/where", "sd"),
            ("remote:http://h/v1#m", "remote"),
        ] {
            let engine: EngineRef = text.parse().unwrap();
            assert_eq!(engine.own_name(), name);
            assert!(EngineRef::KINDS.contains(&engine.kind()));
        }
    }

    #[test]
    fn every_engine_has_words_that_suit_it() {
        for (text, templates) in [
            ("pocket:draw", "pocket"),
            ("sd:some/where", "photo"),
            ("remote:http://h/v1", "photo"),
            ("remote:http://h/v1#pocket:photo", "pocket"),
            ("remote:http://h/v1#dall-e-2", "photo"),
            ("a1111:http://h:7860", "photo"),
        ] {
            let engine: EngineRef = text.parse().unwrap();
            assert_eq!(engine.templates(), templates, "{text}");
            assert!(promptfed_prompts::TemplateSet::builtin(templates).is_ok());
        }
        assert_eq!(EngineRef::templates_of("sd"), Some("photo"));
        assert_eq!(EngineRef::templates_of("hosted"), None);
    }

    #[test]
    fn what_is_no_engine_is_answered_with_what_there_is() {
        for (text, part) in [
            ("dream", "pocket:draw"),
            ("", "pocket:draw"),
            ("sd", "sd:FOLDER"),
            ("sd:", "sd:FOLDER"),
            ("remote", "remote:http://HOST"),
            ("remote:localhost:80", "http:// or https://"),
            ("a1111:", "a1111:http://HOST"),
            ("http://h/v1", "remote:URL"),
        ] {
            let told = text.parse::<EngineRef>().unwrap_err();
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}
