//! What models make of public pairs of images and captions.

use super::super::{Part, Payload};
use super::{only, words};
use crate::{Error, Result};
use promptfed_prompts::ledger::PayloadKind;

/// Representations of the same pairs: of their images, of their captions, or of both.
///
/// As it travels: the numbers in one, how many are of images, how many are of captions, and all of them in f32.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Representations {
    /// Numbers in one.
    pub width: usize,
    /// `[pairs, width]`, or empty.
    pub images: Vec<f32>,
    /// `[pairs, width]`, or empty.
    pub captions: Vec<f32>,
}

const WHAT: &str = "representations";

impl Representations {
    /// Bytes beside the numbers.
    pub const HEADER: usize = 12;
}

impl Payload for Representations {
    const PARTS: usize = 1;

    fn encode(&self) -> Result<Vec<Part>> {
        let rows = |values: &[f32]| (values.len() / self.width.max(1)) as u32;
        let header = [self.width as u32, rows(&self.images), rows(&self.captions)];
        let values = self.images.iter().chain(&self.captions);
        let mut bytes =
            Vec::with_capacity(Self::HEADER + 4 * (self.images.len() + self.captions.len()));
        bytes.extend(header.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(values.flat_map(|value| value.to_le_bytes()));
        Ok(vec![Part {
            kind: PayloadKind::Representations,
            bytes,
        }])
    }

    fn decode(parts: &[Part]) -> Result<Self> {
        let fault = |reason: String| Error::Payload { what: WHAT, reason };
        let bytes = only(parts, WHAT)?;
        let mut words = words(bytes, WHAT)?;
        let mut number = || {
            let word = words.next().map(u32::from_le_bytes);
            word.ok_or_else(|| fault("cut short".to_owned()))
        };
        let (width, images, captions) = (number()?, number()?, number()?);
        let values: Vec<f32> = words.map(f32::from_le_bytes).collect();
        let told = u64::from(width).saturating_mul(u64::from(images) + u64::from(captions));
        if values.len() as u64 != told {
            return Err(fault(format!(
                "{} numbers where {told} are told",
                values.len()
            )));
        }
        let (of_images, of_captions) = values.split_at(width as usize * images as usize);
        Ok(Self {
            width: width as usize,
            images: of_images.to_vec(),
            captions: of_captions.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_what_was_sent_and_nothing_else_is_taken() {
        let both = Representations {
            width: 2,
            images: vec![0.5, -1.0, 0.0, 2.5],
            captions: vec![1.0, 0.25, -0.5, 0.0],
        };
        let one = Representations {
            images: Vec::new(),
            ..both.clone()
        };
        for sent in [&both, &one, &Representations::default()] {
            let mut parts = sent.encode().unwrap();
            let numbers = sent.images.len() + sent.captions.len();
            assert_eq!(parts[0].bytes.len(), Representations::HEADER + 4 * numbers);
            assert_eq!(&Representations::decode(&parts).unwrap(), sent);
            parts[0].bytes.extend([0; 4]);
            assert!(Representations::decode(&parts).is_err());
            parts[0].bytes.truncate(8);
            assert!(Representations::decode(&parts).is_err());
        }
        let mut parts = both.encode().unwrap();
        // A header that tells more than any machine holds.
        parts[0].bytes[..12].fill(0xff);
        assert!(Representations::decode(&parts).is_err());
    }
}
