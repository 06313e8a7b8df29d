//! A round's images, one by one, as its operator looks through them.

use serde::{Deserialize, Serialize};

use super::{InvalidMessage, RoundId};
use crate::ContentHash;

/// Most images that one answer lists.
pub const MAX_LISTED_IMAGES: u32 = 1000;
/// Most images that are named in one request.
pub const MAX_DROPPED_AT_ONCE: usize = 10_000;
/// Digits of a hash that name an image, at least.
pub const LEAST_HASH_DIGITS: usize = 8;
/// Media type of an image.
pub const IMAGE_MEDIA_TYPE: &str = "image/png";

/// A synthetic image of a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyntheticImage {
    /// Hash of its pixels, by which it is known.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: ContentHash,
    /// The class.
    pub class: String,
    /// The domain of its prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The engine that made it.
    pub engine: String,
    /// The rendered prompt.
    pub prompt: String,
    /// The rendered negative prompt.
    pub negative: String,
    /// What it was drawn from: 64 hexadecimal digits.
    pub seed: String,
    /// Row of its engine's manifest, from 0.
    pub row: u64,
    /// Which of the class's images it is of: 0 for those made first, 1 or more for those made again.
    pub draw: u32,
    /// Whether it was dropped, so that no training takes it from then on.
    pub dropped: bool,
}

/// Some of a round's images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImagePage {
    /// The images, in the order in which they were planned; those made again follow.
    pub images: Vec<SyntheticImage>,
    /// How many there are that the question asks for, on all pages.
    pub total: u64,
}

/// Takes images out of all later trainings, or back in; sent with the administrator's token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DropRequest {
    /// Hashes of the images, 1 to 10,000: whole, or their first digits, at least 8, where no other image of the round begins so.
    pub images: Vec<String>,
    /// Whether they are taken back in. This is off by default.
    #[serde(default)]
    pub undo: bool,
}

impl DropRequest {
    /// Checks how many there are and that each is the beginning of a hash.
    ///
    /// # Errors
    /// Names the first that is none.
    pub fn validate(&self) -> Result<(), InvalidMessage> {
        if !(1..=MAX_DROPPED_AT_ONCE).contains(&self.images.len()) {
            let rule = format!("1 to {MAX_DROPPED_AT_ONCE} hashes");
            return Err(InvalidMessage::new("images", self.images.len(), rule));
        }
        let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        for image in &self.images {
            if !(LEAST_HASH_DIGITS..=64).contains(&image.len()) || !image.chars().all(is_digit) {
                let rule = format!(
                    "hashes of images, or their first {LEAST_HASH_DIGITS} digits or more, in 0-9 and a-f"
                );
                let shown: String = image.chars().take(80).collect();
                return Err(InvalidMessage::new(
                    "images",
                    format_args!("{shown:?}"),
                    rule,
                ));
            }
        }
        Ok(())
    }
}

/// Which images were dropped, or taken back in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DroppedImages {
    /// The round.
    pub round_id: RoundId,
    /// Hashes of those that were named, but for those of which it was so before.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub changed: Vec<ContentHash>,
    /// How many of the round's images are dropped now.
    pub dropped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_by_beginnings_of_hashes() {
        let ask = |images: &[&str]| DropRequest {
            images: images.iter().map(ToString::to_string).collect(),
            undo: false,
        };
        let whole = "0123456789abcdef".repeat(4);
        ask(&["01234567", &whole]).validate().unwrap();
        let longer = format!("{whole}0");
        for wrong in [
            &[][..],
            &["0123456"],
            &["0123456G"],
            &["0123456A"],
            &[&longer],
        ] {
            let told = ask(wrong).validate().unwrap_err();
            assert_eq!(told.field(), "images");
        }
    }
}
