//! The envelope of a sealed prompt set.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | [`SEALED_MAGIC`] |
//! | 2 | [`SEALED_VERSION`], little endian |
//! | 32 | the encapsulated key |
//! | rest | the ciphertext of the padded set, and its tag of 16 bytes |
//!
//! Associated data are the first six bytes, the round's number and the client's, each of four bytes, little endian.

use std::fmt;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use promptfed_prompts::protocol::{ClientId, RoundId, SealingKey};

use crate::SealingError;
use crate::padding::{MAX_PADDED_BYTES, pad, padded_bytes, unpad};

/// First four bytes of a sealed prompt set.
pub const SEALED_MAGIC: [u8; 4] = *b"PFSP";
/// Version of the envelope: of its layout, its size classes and its cipher.
pub const SEALED_VERSION: u16 = 1;
/// Largest sealed prompt set in bytes.
pub const MAX_SEALED_BYTES: usize = AROUND_BYTES + MAX_PADDED_BYTES;

const HEADER_BYTES: usize = 6;
const ENCAPSULATED_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// What stands around the padded set.
const AROUND_BYTES: usize = HEADER_BYTES + ENCAPSULATED_BYTES + TAG_BYTES;
/// What the cipher is used for, so that a key is good for nothing else.
const INFO: &[u8] = b"promptfed sealed prompts";
/// What derives the key of [`PrivateKey::marking_key`].
const MARKING: &str = "promptfed 2026-11-30 marks of opened prompts";

type Mechanism = X25519HkdfSha256;

/// Whose a sealed prompt set is: it opens for no other round and under no other client's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedFor {
    /// The round.
    pub round: RoundId,
    /// The client.
    pub client: ClientId,
}

impl SealedFor {
    fn associated_data(self) -> Vec<u8> {
        let mut data = header().to_vec();
        data.extend_from_slice(&self.round.get().to_le_bytes());
        data.extend_from_slice(&self.client.get().to_le_bytes());
        data
    }
}

/// Seals a prompt set in wire format. Each call gives other bytes, all of the same length ([`sealed_bytes`]).
///
/// # Errors
/// [`SealingError::TooLarge`], and [`SealingError::Key`] for a key that is none.
///
/// # Panics
/// Where the operating system gives no random numbers.
pub fn seal(wire: &[u8], key: &SealingKey, owner: SealedFor) -> Result<Vec<u8>, SealingError> {
    let padded = pad(wire)?;
    let key =
        <Mechanism as Kem>::PublicKey::from_bytes(key.as_bytes()).map_err(|_| SealingError::Key)?;
    let (encapsulated, mut context) =
        hpke::setup_sender::<ChaCha20Poly1305, HkdfSha256, Mechanism>(&OpModeS::Base, &key, INFO)
            .map_err(|_| SealingError::Key)?;
    let ciphertext = context
        .seal(&padded, &owner.associated_data())
        .map_err(|_| SealingError::Key)?;
    Ok([&header()[..], &encapsulated.to_bytes()[..], &ciphertext[..]].concat())
}

/// Bytes of a sealed prompt set that has `wire` bytes in wire format, at most [`MAX_WIRE_BYTES`](promptfed_prompts::MAX_WIRE_BYTES).
pub fn sealed_bytes(wire: usize) -> usize {
    AROUND_BYTES + padded_bytes(wire)
}

/// The private half of a round's key pair. It is overwritten in memory when it is dropped.
pub struct PrivateKey(<Mechanism as Kem>::PrivateKey);

impl PrivateKey {
    /// A new one.
    ///
    /// # Panics
    /// Where the operating system gives no random numbers.
    pub fn generate() -> Self {
        Self(Mechanism::gen_keypair().0)
    }

    /// The key with these bytes; five bits of them are fixed (RFC 7748, section 5).
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let key = <Mechanism as Kem>::PrivateKey::from_bytes(bytes);
        Self(key.expect("every 32 bytes are a key of X25519"))
    }

    /// The key's bytes, a secret.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    /// The public half.
    pub fn public(&self) -> SealingKey {
        SealingKey::from_bytes(Mechanism::sk_to_pk(&self.0).to_bytes().into())
    }

    /// A key derived from this one by BLAKE3, for keyed hashes by which equal contents are known to be equal: nobody without the private key
    /// can try what a content was.
    pub fn marking_key(&self) -> [u8; 32] {
        blake3::derive_key(MARKING, &self.to_bytes())
    }

    /// The wire format of a set that [`seal`] has sealed to this key for this owner.
    ///
    /// # Errors
    /// [`SealingError`] says what the bytes are instead; of what was changed or sealed for others, [`SealingError::NotOpened`].
    pub fn open(&self, sealed: &[u8], owner: SealedFor) -> Result<Vec<u8>, SealingError> {
        if sealed.len() > MAX_SEALED_BYTES {
            return Err(SealingError::TooLarge {
                bytes: sealed.len(),
                max: MAX_SEALED_BYTES,
            });
        }
        let not_sealed = |reason| SealingError::NotSealed { reason };
        let short = "it is too short";
        let (start, rest) = sealed
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(not_sealed(short))?;
        if start[..4] != SEALED_MAGIC {
            return Err(not_sealed("it starts with other bytes"));
        }
        let found = u16::from_le_bytes([start[4], start[5]]);
        if found != SEALED_VERSION {
            return Err(SealingError::UnknownVersion {
                found,
                supported: SEALED_VERSION,
            });
        }
        let (encapsulated, ciphertext) = rest
            .split_first_chunk::<ENCAPSULATED_BYTES>()
            .ok_or(not_sealed(short))?;
        unpad(self.decrypt(encapsulated, INFO, &owner.associated_data(), ciphertext)?)
    }

    fn decrypt(
        &self,
        encapsulated: &[u8; ENCAPSULATED_BYTES],
        info: &[u8],
        associated_data: &[u8],
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, SealingError> {
        let not_opened = |_| SealingError::NotOpened;
        let encapsulated = <Mechanism as Kem>::EncappedKey::from_bytes(encapsulated);
        let encapsulated = encapsulated.map_err(not_opened)?;
        let mut context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, Mechanism>(
            &OpModeR::Base,
            &self.0,
            &encapsulated,
            info,
        )
        .map_err(not_opened)?;
        context
            .open(ciphertext, associated_data)
            .map_err(not_opened)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&SEALED_MAGIC);
    header[4..].copy_from_slice(&SEALED_VERSION.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        assert_eq!(hex.len(), 2 * N);
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    /// RFC 9180, appendix A.2.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, sequence number 0.
    #[test]
    fn the_cipher_is_that_of_the_rfc() {
        let key = PrivateKey::from_bytes(&bytes(
            "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
        ));
        assert_eq!(
            key.public().to_string(),
            "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
        );
        let encapsulated =
            bytes("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a");
        let ciphertext: [u8; 45] = bytes(
            "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
        );
        let info = b"Ode on a Grecian Urn";
        let opened = key.decrypt(&encapsulated, info, b"Count-0", &ciphertext);
        assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
        assert_eq!(
            key.decrypt(&encapsulated, info, b"Count-1", &ciphertext),
            Err(SealingError::NotOpened)
        );
    }

    #[test]
    fn no_key_is_shown() {
        let key = PrivateKey::from_bytes(&[7; 32]);
        assert_eq!(format!("{key:?}"), "PrivateKey(..)");
        assert_ne!(key.marking_key(), key.to_bytes());
    }

    #[test]
    fn a_point_of_small_order_is_no_key() {
        let owner = SealedFor {
            round: RoundId::new(1),
            client: ClientId::new(1),
        };
        let zero = SealingKey::from_bytes([0; 32]);
        assert_eq!(seal(b"x", &zero, owner), Err(SealingError::Key));
    }
}
