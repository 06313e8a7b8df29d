//! Sealing: a prompt set that only the holder of a round's private key can read. Nothing here knows of sockets or files.
//!
//! The cipher is HPKE (RFC 9180) in base mode, as the crate `hpke` has it: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305. What
//! is sealed is padded to a size class first, and bound to its round and its client.
//!
//! ```
//! use promptfed_privacy::{PrivateKey, SealedFor, seal};
//! use promptfed_prompts::protocol::{ClientId, RoundId};
//!
//! let key = PrivateKey::generate();
//! let owner = SealedFor { round: RoundId::new(1), client: ClientId::new(7) };
//! let sealed = seal(b"a prompt set in wire format", &key.public(), owner)?;
//! assert_eq!(key.open(&sealed, owner)?, b"a prompt set in wire format");
//! let thief = SealedFor { client: ClientId::new(8), ..owner };
//! assert!(key.open(&sealed, thief).is_err());
//! # Ok::<(), promptfed_privacy::SealingError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod padding;
mod sealing;

pub use error::SealingError;
pub use padding::LEAST_PADDED_BYTES;
pub use sealing::{
    MAX_SEALED_BYTES, PrivateKey, SEALED_MAGIC, SEALED_VERSION, SealedFor, seal, sealed_bytes,
};
