//! What a shard needs of a worker, and what a worker offers.

use std::collections::BTreeMap;

use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use crate::EngineInfo;

/// What a shard needs of whoever draws it; what is not said is left open.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Name of the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Version of its arithmetic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Hash of its weights, configuration and tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_hash: Option<ContentHash>,
    /// Settings of the engine and their values, among them `precision`, `device` (of a graphics card) and `instructions` (of a processor).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

impl Needs {
    /// What makes the same images as this engine, bit for bit where it promises so.
    pub fn exactly(engine: &EngineInfo) -> Self {
        Self {
            engine: Some(engine.name.clone()),
            version: Some(engine.version.clone()),
            weights_hash: Some(engine.weights_hash),
            settings: engine.settings.clone(),
        }
    }

    /// What an offer lacks, in words; `None` where it has everything.
    pub fn unmet(&self, offer: &Offer) -> Option<String> {
        let Offer {
            engine,
            version,
            weights_hash,
            settings,
        } = offer;
        let differs = |what: &str, needed: &str, has: &str| {
            Some(format!(
                "{what} {needed} is needed and this worker has {has}"
            ))
        };
        if let Some(needed) = self.engine.as_ref().filter(|needed| *needed != engine) {
            return differs("the engine", needed, engine);
        }
        if let Some(needed) = self.version.as_ref().filter(|needed| *needed != version) {
            return differs("the engine's version", needed, version);
        }
        if let Some(needed) = self.weights_hash.filter(|needed| needed != weights_hash) {
            return differs(
                "the model with hash",
                &needed.to_string(),
                &weights_hash.to_string(),
            );
        }
        let unmet = self
            .settings
            .iter()
            .find(|(name, needed)| settings.get(*name) != Some(needed));
        let (name, needed) = unmet?;
        let has = settings.get(name).map_or("none", String::as_str);
        differs(name, needed, has)
    }
}

/// What a worker draws with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Name of its engine.
    pub engine: String,
    /// Version of the engine's arithmetic.
    pub version: String,
    /// Hash of the engine's weights, configuration and tokenizer.
    pub weights_hash: ContentHash,
    /// Settings of the engine.
    pub settings: BTreeMap<String, String>,
}

impl Offer {
    /// What a worker with this engine offers.
    pub fn of(engine: &EngineInfo) -> Self {
        Self {
            engine: engine.name.clone(),
            version: engine.version.clone(),
            weights_hash: engine.weights_hash,
            settings: engine.settings.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(precision: &str) -> Offer {
        Offer {
            engine: "pocket".into(),
            version: "1".into(),
            weights_hash: ContentHash::of(b"weights"),
            settings: BTreeMap::from([("precision".into(), precision.into())]),
        }
    }

    #[test]
    fn what_is_not_said_is_open_and_the_rest_is_told() {
        assert_eq!(Needs::default().unmet(&offer("f32")), None);
        let precision = Needs {
            settings: BTreeMap::from([("precision".into(), "bf16".into())]),
            ..Needs::default()
        };
        assert_eq!(precision.unmet(&offer("bf16")), None);
        let told = precision.unmet(&offer("f32")).unwrap();
        assert!(
            told.contains("precision bf16") && told.contains("f32"),
            "{told}"
        );
        let device = Needs {
            settings: BTreeMap::from([("device".into(), "cuda".into())]),
            ..Needs::default()
        };
        assert!(device.unmet(&offer("f32")).unwrap().contains("has none"));
        for needs in [
            Needs {
                engine: Some("sd".into()),
                ..Needs::default()
            },
            Needs {
                version: Some("2".into()),
                ..Needs::default()
            },
            Needs {
                weights_hash: Some(ContentHash::of(b"others")),
                ..Needs::default()
            },
        ] {
            assert!(needs.unmet(&offer("f32")).is_some(), "{needs:?}");
        }
    }
}
