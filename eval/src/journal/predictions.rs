//! What a model says of the test images, among text.

use crate::predictions::ModelPredictions;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Predictions in a form that JSON holds in little space and without rounding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptPredictions {
    client: Option<String>,
    /// Two bytes an image, the least significant one first, in base64.
    classes: String,
    /// An f32 an image, likewise.
    confidences: Option<String>,
}

impl KeptPredictions {
    pub(crate) fn of(predictions: ModelPredictions) -> Self {
        let classes = predictions.classes.iter();
        let classes: Vec<u8> = classes.flat_map(|class| class.to_le_bytes()).collect();
        let encoded = |confidences: Vec<f32>| {
            let bytes: Vec<u8> = confidences.iter().flat_map(|c| c.to_le_bytes()).collect();
            STANDARD.encode(bytes)
        };
        Self {
            client: predictions.client,
            classes: STANDARD.encode(classes),
            confidences: predictions.confidences.map(encoded),
        }
    }

    /// The predictions; `None` of a damaged record.
    pub(crate) fn predictions(self) -> Option<ModelPredictions> {
        let classes = values(&self.classes, u16::from_le_bytes)?;
        let confidences = match self.confidences {
            Some(text) => Some(values(&text, f32::from_le_bytes)?),
            None => None,
        };
        let is_whole = confidences
            .as_ref()
            .is_none_or(|all| all.len() == classes.len());
        is_whole.then_some(ModelPredictions {
            client: self.client,
            classes,
            confidences,
        })
    }
}

/// Numbers of `BYTES` bytes each; `None` of what is no base64 or ends within a number.
fn values<const BYTES: usize, T>(text: &str, of: fn([u8; BYTES]) -> T) -> Option<Vec<T>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (whole, rest) = bytes.as_chunks::<BYTES>();
    rest.is_empty()
        .then(|| whole.iter().map(|number| of(*number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_what_was_said() {
        for confidences in [None, Some(vec![0.25, 1.0 / 3.0, 1.0])] {
            let said = ModelPredictions {
                client: confidences.as_ref().map(|_| "client-1".to_owned()),
                classes: vec![0, 65_535, 258],
                confidences,
            };
            let text = serde_json::to_string(&KeptPredictions::of(said.clone())).unwrap();
            let read: KeptPredictions = serde_json::from_str(&text).unwrap();
            assert_eq!(read.predictions(), Some(said));
        }
    }

    #[test]
    fn damage_is_noticed() {
        let of = |classes: &str, confidences: Option<&str>| KeptPredictions {
            client: None,
            classes: classes.into(),
            confidences: confidences.map(str::to_owned),
        };
        assert_eq!(of("AAA", None).predictions(), None, "no base64");
        assert_eq!(of("AAAA", None).predictions(), None, "one and a half");
        assert_eq!(of("AAA=", Some("")).predictions(), None, "one without");
    }
}
