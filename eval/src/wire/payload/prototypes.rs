//! Mean features of classes.

use super::super::{Part, Payload};
use super::{only, words};
use crate::{Error, Result};
use promptfed_prompts::ledger::PayloadKind;
use std::collections::BTreeMap;

/// For each class that there are images of: how many, and the mean of their features.
///
/// As it travels: the number of features, then for each class its number, its images, and the features in f32.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prototypes(pub BTreeMap<u32, (u32, Vec<f32>)>);

const WHAT: &str = "prototypes";

impl Payload for Prototypes {
    const PARTS: usize = 1;

    fn encode(&self) -> Result<Vec<Part>> {
        let width = self
            .0
            .values()
            .next()
            .map_or(0, |(_, features)| features.len());
        let mut bytes = (width as u32).to_le_bytes().to_vec();
        for (class, (images, features)) in &self.0 {
            bytes.extend(class.to_le_bytes());
            bytes.extend(images.to_le_bytes());
            bytes.extend(features.iter().flat_map(|v| v.to_le_bytes()));
        }
        Ok(vec![Part {
            kind: PayloadKind::Prototypes,
            bytes,
        }])
    }

    fn decode(parts: &[Part]) -> Result<Self> {
        let fault = || Error::Payload {
            what: WHAT,
            reason: "cut short".to_owned(),
        };
        let mut words = words(only(parts, WHAT)?, WHAT)?;
        let width = u32::from_le_bytes(words.next().ok_or_else(fault)?) as usize;
        let mut classes = BTreeMap::new();
        while let Some(class) = words.next() {
            let images = words.next().ok_or_else(fault)?;
            let features: Vec<f32> = words.by_ref().take(width).map(f32::from_le_bytes).collect();
            if features.len() < width {
                return Err(fault());
            }
            let (class, images) = (u32::from_le_bytes(class), u32::from_le_bytes(images));
            classes.insert(class, (images, features));
        }
        Ok(Self(classes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_what_was_sent_and_nothing_else_is_taken() {
        let sent = Prototypes(BTreeMap::from([
            (0, (3, vec![0.5, -1.0])),
            (7, (1, vec![0.0, 2.5])),
        ]));
        let mut parts = sent.encode().unwrap();
        assert_eq!(parts[0].bytes.len(), 4 + 2 * (8 + 8));
        assert_eq!(Prototypes::decode(&parts).unwrap(), sent);
        parts[0].bytes.truncate(24);
        assert!(Prototypes::decode(&parts).is_err());
        parts[0].bytes.truncate(23);
        assert!(Prototypes::decode(&parts).is_err());
        let none = Prototypes::default();
        assert_eq!(Prototypes::decode(&none.encode().unwrap()).unwrap(), none);
    }
}
