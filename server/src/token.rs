//! Bearer tokens: made, hashed, compared.

use promptfed_prompts::protocol::ClientId;
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::role::Role;
use crate::{Error, Result};

/// Least length of an administrator's token that is given, in bytes.
pub(crate) const MIN_TOKEN_BYTES: usize = 16;

/// A secret that opens the server to whoever holds it.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// A new code, for which a client gets its token: `pfe-<client>-<64 hexadecimal digits>`, 256 bits from the operating system, so that none is
    /// guessed.
    pub(crate) fn code_for(client: ClientId) -> Result<Self> {
        Ok(Self(format!("pfe-{client}-{}", secret()?)))
    }

    /// A new token for the administrator: `pfa-<64 hexadecimal digits>`.
    pub(crate) fn for_admin() -> Result<Self> {
        Ok(Self(format!("pfa-{}", secret()?)))
    }

    /// A new token for who signs in to the dashboard in this role: `pfo-` or `pfv-` and 64 hexadecimal digits.
    pub(crate) fn for_role(role: Role) -> Result<Self> {
        let kind = match role {
            Role::Admin => return Self::for_admin(),
            Role::Operator => "pfo",
            Role::Viewer => "pfv",
        };
        Ok(Self(format!("{kind}-{}", secret()?)))
    }

    /// What a session of the dashboard is known by: 64 hexadecimal digits, 256 bits from the operating system.
    pub(crate) fn for_session() -> Result<Self> {
        Ok(Self(secret()?))
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

    /// The client that a presented token claims to belong to: `pfc-<client>-<what the client made>`.
    pub(crate) fn claimed_client(presented: &str) -> Option<ClientId> {
        client_after("pfc-", presented)
    }

    /// The client that a presented code claims to be for.
    pub(crate) fn invited_client(presented: &str) -> Option<ClientId> {
        client_after("pfe-", presented)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

fn client_after(kind: &str, presented: &str) -> Option<ClientId> {
    let (client, _) = presented.strip_prefix(kind)?.split_once('-')?;
    client.parse().ok()
}

/// blake3 of a token or a code. It has 256 random bits, so that its plain hash cannot be searched for; compared in constant time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenHash(blake3::Hash);

impl TokenHash {
    pub(crate) fn of(token: &str) -> Self {
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
        *self == Self::of(presented)
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
        let code = Token::code_for(ClientId::new(7)).unwrap();
        assert_eq!(Token::invited_client(code.as_str()), Some(ClientId::new(7)));
        assert_eq!(Token::claimed_client(code.as_str()), None);
        assert!(code.hash().matches(code.as_str()));
        let other = Token::code_for(ClientId::new(7)).unwrap();
        assert!(!code.hash().matches(other.as_str()));
        assert!(!code.hash().matches(""));
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
