//! Gaussian mixtures of the features of classes.

use super::super::{Part, Payload};
use super::only;
use crate::mixture::{Component, Mixture};
use crate::{Error, Result};
use half::f16;
use promptfed_prompts::ledger::PayloadKind;
use std::collections::BTreeMap;

/// For each class that there are images of: how many, and the mixture of their features.
///
/// As it travels, all little endian: the number of features `d`, then for each class its number, its images and its components `K`, four
/// bytes each, and for each component its weight, its means and its variances in f16. With `C` classes that is `4 + C (12 + 2 K (2 d + 1))` bytes:
/// the numbers that FedPFT counts for mixtures of diagonal covariance, `(2 d + 1) K C` of 16 bits, and the labels and counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mixtures(pub BTreeMap<u32, (u32, Mixture)>);

const WHAT: &str = "mixtures";

fn fault(reason: impl Into<String>) -> Error {
    Error::Payload {
        what: WHAT,
        reason: reason.into(),
    }
}

impl Payload for Mixtures {
    const PARTS: usize = 1;

    fn encode(&self) -> Result<Vec<Part>> {
        let first = self
            .0
            .values()
            .find_map(|(_, mixture)| mixture.components.first());
        let width = first.map_or(0, |component| component.means.len());
        let mut bytes = (width as u32).to_le_bytes().to_vec();
        for (class, (images, mixture)) in &self.0 {
            for number in [*class, *images, mixture.components.len() as u32] {
                bytes.extend(number.to_le_bytes());
            }
            for component in &mixture.components {
                if component.means.len() != width || component.variances.len() != width {
                    return Err(fault(format!("a component has not {width} features")));
                }
                let values = [component.weight].into_iter();
                let values = values.chain(component.means.iter().copied());
                for value in values.chain(component.variances.iter().copied()) {
                    let narrow = f16::from_f64(value);
                    if !narrow.is_finite() {
                        return Err(fault(format!("{value} is no number of 16 bits")));
                    }
                    bytes.extend(narrow.to_le_bytes());
                }
            }
        }
        Ok(vec![Part {
            kind: PayloadKind::Mixtures,
            bytes,
        }])
    }

    fn decode(parts: &[Part]) -> Result<Self> {
        let mut rest = Rest(only(parts, WHAT)?);
        let width = rest.number()?;
        let mut classes = BTreeMap::new();
        while !rest.0.is_empty() {
            let (class, images, count) = (rest.number()?, rest.number()?, rest.number()?);
            let mut components = Vec::new();
            for _ in 0..count {
                components.push(rest.component(width as usize)?);
            }
            let whole: f64 = components.iter().map(|c: &Component| c.weight).sum();
            if whole <= 0.0 {
                return Err(fault(format!(
                    "class {class} has no component of any weight"
                )));
            }
            if classes
                .insert(class, (images, Mixture { components }))
                .is_some()
            {
                return Err(fault(format!("class {class} is there twice")));
            }
        }
        Ok(Self(classes))
    }
}

/// What is not read yet.
struct Rest<'p>(&'p [u8]);

impl Rest<'_> {
    fn number(&mut self) -> Result<u32> {
        let parts = self.0.split_first_chunk();
        let (word, rest) = parts.ok_or_else(|| fault("cut short"))?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }

    /// Finite numbers.
    fn halves(&mut self, count: usize) -> Result<Vec<f64>> {
        let parts = self.0.split_at_checked(count.saturating_mul(2));
        let (taken, rest) = parts.ok_or_else(|| fault("cut short"))?;
        self.0 = rest;
        let (halves, _) = taken.as_chunks();
        let values = halves.iter().map(|half| f16::from_le_bytes(*half).to_f64());
        let values: Vec<f64> = values.collect();
        if values.iter().all(|value| value.is_finite()) {
            return Ok(values);
        }
        Err(fault("a value is not finite"))
    }

    fn component(&mut self, width: usize) -> Result<Component> {
        let values = self.halves(width.saturating_mul(2).saturating_add(1))?;
        let (&weight, features) = values.split_first().ok_or_else(|| fault("cut short"))?;
        let (means, variances) = features.split_at(width);
        if weight < 0.0 || variances.iter().any(|variance| *variance <= 0.0) {
            return Err(fault("a weight is below 0, or a variance is not above it"));
        }
        Ok(Component {
            weight,
            means: means.to_vec(),
            variances: variances.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(weight: f64, means: [f64; 3], variances: [f64; 3]) -> Component {
        Component {
            weight,
            means: means.into(),
            variances: variances.into(),
        }
    }

    /// Of numbers that 16 bits can say.
    fn sent() -> Mixtures {
        let two = vec![
            component(0.25, [1.5, -2.0, 0.0], [0.5, 1.0, 6.0]),
            component(0.75, [0.125, 4.0, 3.0], [0.25, 2.0, 1.0]),
        ];
        let one = vec![component(1.0, [0.0; 3], [1.0; 3])];
        let of = |components| Mixture { components };
        Mixtures(BTreeMap::from([(2, (40, of(two))), (7, (1, of(one)))]))
    }

    fn bytes(mixtures: &Mixtures) -> Vec<u8> {
        mixtures.encode().unwrap().remove(0).bytes
    }

    fn read(bytes: &[u8]) -> Result<Mixtures> {
        Mixtures::decode(&[Part {
            kind: PayloadKind::Mixtures,
            bytes: bytes.to_vec(),
        }])
    }

    #[test]
    fn what_arrives_is_what_was_sent_in_as_many_bytes_as_were_said() {
        let sent = sent();
        let parts = sent.encode().unwrap();
        assert_eq!((parts.len(), parts[0].kind), (1, PayloadKind::Mixtures));
        // Two classes, three components, three features.
        assert_eq!(parts[0].bytes.len(), 4 + 2 * 12 + 3 * 2 * (2 * 3 + 1));
        assert_eq!(Mixtures::decode(&parts).unwrap(), sent);
        let none = Mixtures::default();
        assert_eq!(bytes(&none).len(), 4);
        assert_eq!(Mixtures::decode(&none.encode().unwrap()).unwrap(), none);
    }

    #[test]
    fn sixteen_bits_say_small_variances() {
        let least = vec![component(1e-4, [0.3333, 5.999, -1.1], [1e-6, 3e-5, 0.07])];
        let mixture = Mixture { components: least };
        let sent = Mixtures(BTreeMap::from([(0, (3, mixture.clone()))]));
        let found = read(&bytes(&sent)).unwrap().0.remove(&0).unwrap().1;
        let (found, sent) = (&found.components[0], &mixture.components[0]);
        assert!((found.weight / sent.weight - 1.0).abs() < 1e-2);
        for (a, b) in found.means.iter().zip(&sent.means) {
            assert!((a / b - 1.0).abs() < 1e-3, "{a} {b}");
        }
        for (a, b) in found.variances.iter().zip(&sent.variances) {
            assert!((a / b - 1.0).abs() < 0.04, "{a} {b}");
        }
    }

    #[test]
    fn nothing_else_is_taken() {
        let whole = bytes(&sent());
        for end in 0..whole.len() {
            // A first class alone is whole too, and none with a width.
            let is_whole = end == 4 || end == 4 + 12 + 2 * 2 * 7;
            assert_eq!(read(&whole[..end]).is_ok(), is_whole, "{end}");
        }
        let changed = |place: usize, with: &[u8]| {
            let mut bytes = whole.clone();
            bytes[place..place + with.len()].copy_from_slice(with);
            read(&bytes)
        };
        assert!(changed(0, &u32::MAX.to_le_bytes()).is_err());
        assert!(changed(12, &u32::MAX.to_le_bytes()).is_err());
        assert!(changed(16, &f16::NAN.to_le_bytes()).is_err());
        assert!(changed(16, &f16::NEG_ONE.to_le_bytes()).is_err());
        // The first variance of the first component.
        assert!(changed(16 + 2 * 4, &f16::ZERO.to_le_bytes()).is_err());
        // The second class is the first again.
        assert!(changed(4 + 12 + 2 * 2 * 7, &2u32.to_le_bytes()).is_err());
        let none = [3u32, 1, 5, 0].map(u32::to_le_bytes).concat();
        assert!(read(&none).is_err());
        let broken = |components| Mixtures(BTreeMap::from([(0, (1, Mixture { components }))]));
        assert!(
            broken(vec![component(1.0, [f64::NAN; 3], [1.0; 3])])
                .encode()
                .is_err()
        );
        assert!(
            broken(vec![component(1.0, [1e5; 3], [1.0; 3])])
                .encode()
                .is_err()
        );
    }
}
