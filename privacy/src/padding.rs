//! Size classes. From one power of two to the next there are eight, so that at most an eighth of a set is padding; below 512 bytes there is one.

use promptfed_prompts::MAX_WIRE_BYTES;

use crate::SealingError;

/// The smallest size class in bytes.
pub const LEAST_PADDED_BYTES: usize = 512;
/// The largest: the largest prompt set is not made larger.
pub(crate) const MAX_PADDED_BYTES: usize = LENGTH_BYTES + MAX_WIRE_BYTES;

/// Bytes of the content's length, little endian, before the content.
const LENGTH_BYTES: usize = 4;

/// The size class of a content of so many bytes, at most [`MAX_WIRE_BYTES`].
pub(crate) fn padded_bytes(content: usize) -> usize {
    let needed = LENGTH_BYTES + content;
    if needed <= LEAST_PADDED_BYTES {
        return LEAST_PADDED_BYTES;
    }
    let step = 1 << (needed.ilog2() - 3);
    needed.next_multiple_of(step).min(MAX_PADDED_BYTES)
}

/// Length, content, zeros up to the size class.
///
/// # Errors
/// [`SealingError::TooLarge`] above [`MAX_WIRE_BYTES`].
pub(crate) fn pad(content: &[u8]) -> Result<Vec<u8>, SealingError> {
    let length = u32::try_from(content.len()).ok();
    let length = length.filter(|_| content.len() <= MAX_WIRE_BYTES);
    let length = length.ok_or(SealingError::TooLarge {
        bytes: content.len(),
        max: MAX_WIRE_BYTES,
    })?;
    let mut padded = Vec::with_capacity(padded_bytes(content.len()));
    padded.extend_from_slice(&length.to_le_bytes());
    padded.extend_from_slice(content);
    padded.resize(padded_bytes(content.len()), 0);
    Ok(padded)
}

/// The content of what [`pad`] made; anything else is refused.
pub(crate) fn unpad(mut padded: Vec<u8>) -> Result<Vec<u8>, SealingError> {
    let (length, _) = padded.split_first_chunk().ok_or(SealingError::Padding)?;
    let length = u32::from_le_bytes(*length) as usize;
    let end = LENGTH_BYTES.saturating_add(length);
    let is_ours = length <= MAX_WIRE_BYTES
        && padded.len() == padded_bytes(length)
        && padded[end..].iter().all(|byte| *byte == 0);
    if !is_ours {
        return Err(SealingError::Padding);
    }
    padded.truncate(end);
    padded.drain(..LENGTH_BYTES);
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classes_are_those_that_are_written_down() {
        for (content, class) in [
            (0, 512),
            (508, 512),
            (509, 576),
            (1020, 1024),
            (1021, 1152),
            (60_000, 61_440),
            (MAX_WIRE_BYTES, MAX_PADDED_BYTES),
        ] {
            assert_eq!(padded_bytes(content), class, "{content}");
        }
    }

    proptest! {
        #[test]
        fn a_class_holds_its_content_and_an_eighth_more_at_most(content in 0..=MAX_WIRE_BYTES) {
            let (class, needed) = (padded_bytes(content), content + LENGTH_BYTES);
            prop_assert!(needed <= class);
            prop_assert!(class == LEAST_PADDED_BYTES || (class - needed) * 8 < needed);
            // A class is that of the largest content in it too, and classes grow with what they hold.
            prop_assert_eq!(padded_bytes(class - LENGTH_BYTES), class);
            prop_assert!(content == 0 || padded_bytes(content - 1) <= class);
        }

        #[test]
        fn what_is_padded_comes_back(content in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(unpad(pad(&content).unwrap()), Ok(content));
        }

        #[test]
        fn nothing_else_is_taken_for_padded(bytes in proptest::collection::vec(any::<u8>(), 0..1200)) {
            if let Ok(content) = unpad(bytes.clone()) {
                prop_assert_eq!(pad(&content).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn padding_is_whole_and_zero() {
        let padded = pad(b"content").unwrap();
        let mut marked = padded.clone();
        marked[100] = 1;
        assert_eq!(unpad(marked), Err(SealingError::Padding));
        let mut short = padded.clone();
        short.pop();
        assert_eq!(unpad(short), Err(SealingError::Padding));
        let mut longer = padded;
        longer.extend_from_slice(&[0; 64]);
        assert_eq!(unpad(longer), Err(SealingError::Padding));
        assert_eq!(unpad(vec![0xff; 512]), Err(SealingError::Padding));
        assert_eq!(unpad(Vec::new()), Err(SealingError::Padding));
    }
}
