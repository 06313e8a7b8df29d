//! Sealed prompt sets against another implementation of the cipher, and what does not open.
#![allow(clippy::unwrap_used)]

use promptfed_privacy::{
    LEAST_PADDED_BYTES, MAX_SEALED_BYTES, PrivateKey, SealedFor, SealingError, seal, sealed_bytes,
};
use promptfed_prompts::MAX_WIRE_BYTES;
use promptfed_prompts::protocol::{ClientId, RoundId};
use proptest::prelude::*;
use serde_json::Value;

fn owner(round: u32, client: u32) -> SealedFor {
    SealedFor {
        round: RoundId::new(round),
        client: ClientId::new(client),
    }
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect()
}

/// `privacy/golden/make.py` writes the file.
#[test]
fn what_another_implementation_has_sealed_opens() {
    let golden: Value = serde_json::from_str(include_str!("golden/sealed.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let number = |name: &str| u32::try_from(case[name].as_u64().unwrap()).unwrap();
        let key = PrivateKey::from_bytes(&bytes(&case["key"]).try_into().unwrap());
        assert_eq!(key.public().to_string(), case["public"].as_str().unwrap());
        let (content, sealed) = (bytes(&case["content"]), bytes(&case["sealed"]));
        let owner = owner(number("round"), number("client"));
        assert_eq!(key.open(&sealed, owner).unwrap(), content);
        assert_eq!(sealed.len(), sealed_bytes(content.len()));
        let again = seal(&content, &key.public(), owner).unwrap();
        assert_eq!(again.len(), sealed.len());
        assert_eq!(key.open(&again, owner).unwrap(), content);
    }
}

#[test]
fn a_key_is_read_as_it_was_written() {
    let key = PrivateKey::generate();
    let read = PrivateKey::from_bytes(&key.to_bytes());
    assert_eq!(read.public(), key.public());
    assert_eq!(read.marking_key(), key.marking_key());
    assert_ne!(PrivateKey::generate().public(), key.public());
    let text = key.public().to_string();
    assert_eq!(text.parse(), Ok(key.public()));
}

#[test]
fn what_is_sealed_for_others_does_not_open() {
    let (key, other) = (PrivateKey::generate(), PrivateKey::generate());
    let sealed = seal(b"a prompt set", &key.public(), owner(1, 1)).unwrap();
    assert_eq!(key.open(&sealed, owner(1, 1)).unwrap(), b"a prompt set");
    for elsewhere in [owner(1, 2), owner(2, 1)] {
        assert_eq!(key.open(&sealed, elsewhere), Err(SealingError::NotOpened));
    }
    assert_eq!(
        other.open(&sealed, owner(1, 1)),
        Err(SealingError::NotOpened)
    );
}

#[test]
fn every_changed_byte_is_found() {
    let key = PrivateKey::generate();
    let sealed = seal(b"a prompt set", &key.public(), owner(1, 1)).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 0x10;
        let error = key.open(&changed, owner(1, 1)).unwrap_err();
        let expected = match at {
            0..4 => matches!(error, SealingError::NotSealed { .. }),
            4..6 => matches!(error, SealingError::UnknownVersion { .. }),
            _ => error == SealingError::NotOpened,
        };
        assert!(expected, "{at}: {error}");
    }
    for length in 0..sealed.len() {
        assert!(key.open(&sealed[..length], owner(1, 1)).is_err());
    }
    let longer = [&sealed[..], b"x"].concat();
    assert_eq!(key.open(&longer, owner(1, 1)), Err(SealingError::NotOpened));
}

#[test]
fn the_largest_set_is_sealed_and_no_larger_one() {
    let key = PrivateKey::generate();
    let largest = vec![7; MAX_WIRE_BYTES];
    let sealed = seal(&largest, &key.public(), owner(1, 1)).unwrap();
    assert_eq!(sealed.len(), MAX_SEALED_BYTES);
    assert!(key.open(&sealed, owner(1, 1)).unwrap() == largest);
    let larger = vec![7; MAX_WIRE_BYTES + 1];
    assert!(matches!(
        seal(&larger, &key.public(), owner(1, 1)),
        Err(SealingError::TooLarge { .. })
    ));
    assert!(matches!(
        key.open(&vec![0; MAX_SEALED_BYTES + 1], owner(1, 1)),
        Err(SealingError::TooLarge { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sealed_sets_open_and_tell_their_size_class_alone(
        content in proptest::collection::vec(any::<u8>(), 0..5000),
        secret in any::<[u8; 32]>(),
        round in any::<u32>(),
        client in any::<u32>(),
    ) {
        let key = PrivateKey::from_bytes(&secret);
        let sealed = seal(&content, &key.public(), owner(round, client)).unwrap();
        prop_assert_eq!(sealed.len(), sealed_bytes(content.len()));
        prop_assert!(sealed.len() > LEAST_PADDED_BYTES);
        prop_assert_ne!(&sealed, &seal(&content, &key.public(), owner(round, client)).unwrap());
        prop_assert_eq!(key.open(&sealed, owner(round, client)).unwrap(), content);
    }

    #[test]
    fn nothing_opens_that_was_not_sealed(bytes in proptest::collection::vec(any::<u8>(), 0..800)) {
        let key = PrivateKey::from_bytes(&[9; 32]);
        prop_assert!(key.open(&bytes, owner(1, 1)).is_err());
        let framed = [&b"PFSP\x01\x00"[..], &bytes].concat();
        prop_assert!(key.open(&framed, owner(1, 1)).is_err());
    }
}
