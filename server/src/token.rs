//! Bearer tokens: made, hashed, compared.

use promptfed_prompts::protocol::ClientId;
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::{Error, Result};

/// Least length of an administrator's token that is given, in bytes.
pub(crate) const MIN_TOKEN_BYTES: usize = 16;

/// A secret that opens the server to whoever holds it.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// A new token for a client: `pfc-<client>-<64 hexadecimal digits>`, 256 bits from the operating system.
    pub(crate) fn for_client(client: ClientId) -> Result<Self> {
        Ok(Self(format!("pfc-{client}-{}", secret()?)))
    }

    /// A new token for the administrator: `pfa-<64 hexadecimal digits>`.
    pub(crate) fn for_admin() -> Result<Self> {
        Ok(Self(format!("pfa-{}", secret()?)))
    }

    /// A token that somebody else made up.
    pub(crate) fn given(text: String) -> Result<Self> {
        let fits = text.len() >= MIN_TOKEN_BYTES && text.bytes().all(|b| b.is_ascii_graphic());
        if fits {
            Ok(Self(text))
        } else {
            Err(Error::WeakAdminToken)
        }
    }

    /// The client that a presented token claims to belong to.
    pub(crate) fn claimed_client(presented: &str) -> Option<ClientId> {
        let (client, _) = presented.strip_prefix("pfc-")?.split_once('-')?;
        client.parse().ok()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

/// blake3 of a token. A token has 256 random bits, so that its plain hash cannot be searched for.
#[derive(Clone, Copy)]
pub(crate) struct TokenHash(blake3::Hash);

impl TokenHash {
    fn of(token: &str) -> Self {
        Self(blake3::hash(token.as_bytes()))
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether a presented token has this hash; takes the same time for every token of one length.
    pub(crate) fn matches(&self, presented: &str) -> bool {
        // `blake3::Hash` compares in constant time.
        self.0 == Self::of(presented).0
    }
}

fn secret() -> Result<String> {
    let mut bytes = [0; 32];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|e| Error::Randomness(e.to_string()))?;
    Ok(blake3::Hash::from_bytes(bytes).to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_matches() {
        let token = Token::for_client(ClientId::new(7)).unwrap();
        assert_eq!(
            Token::claimed_client(token.as_str()),
            Some(ClientId::new(7))
        );
        assert!(token.hash().matches(token.as_str()));
        let other = Token::for_client(ClientId::new(7)).unwrap();
        assert!(!token.hash().matches(other.as_str()));
        assert!(!token.hash().matches(""));
    }

    #[test]
    fn nonsense_claims_no_client() {
        for text in [
            "",
            "pfc-",
            "pfc--x",
            "pfc-1",
            "pfa-1-2",
            "pfc-99999999999-x",
            "pfc--1-x",
        ] {
            assert_eq!(Token::claimed_client(text), None, "{text}");
        }
    }

    #[test]
    fn weak_given_tokens_are_refused() {
        for text in ["", "short", "with a space in it"] {
            assert!(Token::given(text.into()).is_err());
        }
        assert!(Token::given("a-long-enough-token".into()).is_ok());
    }
}
