//! What can be wrong with a sealed prompt set.

/// Why a prompt set cannot be sealed or opened. All are errors of whoever made the bytes or the key; none asks for a retry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealingError {
    /// The bytes are something else, as a prompt set that is not sealed.
    #[error("not a sealed prompt set: {reason}")]
    NotSealed {
        /// What was seen instead.
        reason: &'static str,
    },
    /// A version that this build does not read.
    #[error(
        "the prompt set is sealed in version {found}, and this program reads version {supported}; use the same release of promptfed on both sides"
    )]
    UnknownVersion {
        /// Version found.
        found: u16,
        /// The only version read.
        supported: u16,
    },
    /// More bytes than the largest prompt set has.
    #[error("the prompt set has {bytes} bytes, above the limit of {max}; split it")]
    TooLarge {
        /// Size found.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The key does not fit. Nothing tells these cases apart, by the cipher's design.
    #[error(
        "the sealed prompt set cannot be opened: it was changed, or sealed to the key of another round, or by another client; submit again"
    )]
    NotOpened,
    /// What was opened is not padded as a sealed set is.
    #[error(
        "the opened prompt set is not padded to its size class; submit it with `promptfed submit`"
    )]
    Padding,
    /// The public key is no point to seal to.
    #[error("the round's key cannot be sealed to; ask the operator for another round")]
    Key,
}
