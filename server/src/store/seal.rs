//! How a round's prompt sets stand in the database: sealed, with marks in the place of what could be guessed from them.

use std::borrow::Cow;

use promptfed_privacy::{PrivateKey, SealedFor, SealingError};
use promptfed_prompts::protocol::{ClientId, RoundId, SealingKey};
use promptfed_prompts::{COUNTS_KEY, ContentHash, Piece, PromptSet};
use rusqlite::{Connection, OptionalExtension};

use super::Store;
use super::keys::Keys;
use crate::Result;

/// What opens a round's prompt sets. A small prompt set can be guessed from its plain hash, and a domain from that of its name: what is written
/// beside a sealed set to compare it with others is hashed under a key that only the private one gives.
pub(crate) struct Seal(Option<Sealed>);

struct Sealed {
    round: RoundId,
    key: PrivateKey,
    marking_key: [u8; 32],
}

/// What is marked; equal texts of two kinds have different marks.
#[derive(Clone, Copy)]
pub(super) enum Marked {
    /// The hash of a set's canonical JSON.
    Content = 0,
    /// The name of a domain.
    Domain = 1,
    /// The hash of a template.
    Template = 2,
    /// The key of a piece of a pool.
    Piece = 3,
}

impl Seal {
    /// Of rounds that were opened before there were keys, which take prompts as they are.
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Self(None)
    }

    fn of(round: RoundId, key: PrivateKey) -> Self {
        let marking_key = key.marking_key();
        Self(Some(Sealed {
            round,
            key,
            marking_key,
        }))
    }

    /// The wire format of what a client has sent.
    ///
    /// # Errors
    /// What is not sealed for this round by this client, where the round has a key.
    pub(crate) fn open<'a>(
        &self,
        client: ClientId,
        sent: &'a [u8],
    ) -> std::result::Result<Cow<'a, [u8]>, SealingError> {
        match &self.0 {
            None => Ok(Cow::Borrowed(sent)),
            Some(Sealed { round, key, .. }) => {
                let owner = SealedFor {
                    round: *round,
                    client,
                };
                key.open(sent, owner).map(Cow::Owned)
            }
        }
    }

    /// The hash on the receipt: of what was sent, where it is sealed, and else of the canonical JSON.
    pub(super) fn receipt_hash(&self, set: &PromptSet, sent: &[u8]) -> ContentHash {
        match self.0 {
            None => set.hash(),
            Some(_) => ContentHash::of(sent),
        }
    }

    /// Whether what is stored beside a set is marked.
    pub(super) fn is_sealed(&self) -> bool {
        self.0.is_some()
    }

    /// The mark of a hash; the hash itself where nothing is sealed.
    pub(super) fn hash(&self, what: Marked, hash: ContentHash) -> ContentHash {
        self.mark(what, hash.as_bytes()).unwrap_or(hash)
    }

    /// The mark of a text; the text itself where nothing is sealed.
    pub(super) fn text<'a>(&self, what: Marked, text: &'a str) -> Cow<'a, str> {
        match self.mark(what, text.as_bytes()) {
            None => Cow::Borrowed(text),
            Some(mark) => Cow::Owned(mark.to_string()),
        }
    }

    /// A set's pieces, with marks for keys.
    pub(super) fn pieces<'a>(&'a self, set: &'a PromptSet) -> impl Iterator<Item = Piece> + 'a {
        set.pieces().map(move |mut piece| {
            // That there are counts is told by its key.
            if piece.key != COUNTS_KEY
                && let Some(mark) = self.mark(Marked::Piece, &piece.key)
            {
                piece.key.copy_from_slice(&mark.as_bytes()[..16]);
            }
            piece
        })
    }

    fn mark(&self, what: Marked, content: &[u8]) -> Option<ContentHash> {
        let Sealed { marking_key, .. } = self.0.as_ref()?;
        let mut hasher = blake3::Hasher::new_keyed(marking_key);
        hasher.update(&[what as u8]);
        hasher.update(content);
        Some(ContentHash::from_bytes(*hasher.finalize().as_bytes()))
    }
}

impl Store {
    /// What opens a round's prompt sets; nothing where there is no such round.
    pub(crate) fn seal(&self, round: RoundId) -> Result<Option<Seal>> {
        let Some(public) = public_key(&self.read(), round)? else {
            return Ok(None);
        };
        seal(&self.keys, round, public).map(Some)
    }

    /// A round's public key: absent of rounds that were opened before there were any. Nothing where there is no such round.
    pub(crate) fn sealing_key(&self, round: RoundId) -> Result<Option<Option<SealingKey>>> {
        public_key(&self.read(), round)
    }

    /// What opens a round's prompt sets, where its key is there: a set whose key is lost can be removed all the same.
    pub(super) fn seal_if_kept(
        &self,
        connection: &Connection,
        round: RoundId,
    ) -> Result<Option<Seal>> {
        let Some(public) = public_key(connection, round)? else {
            return Ok(None);
        };
        Ok(seal(&self.keys, round, public)
            .inspect_err(
                |error| tracing::warn!(%round, %error, "a stored prompt set cannot be opened"),
            )
            .ok())
    }
}

fn seal(keys: &Keys, round: RoundId, public: Option<SealingKey>) -> Result<Seal> {
    Ok(match public {
        None => Seal(None),
        Some(public) => Seal::of(round, keys.read(round, &public)?),
    })
}

fn public_key(connection: &Connection, round: RoundId) -> Result<Option<Option<SealingKey>>> {
    let mut statement =
        connection.prepare_cached("SELECT sealing_key FROM rounds WHERE id = ?1")?;
    let key = statement.query_row([round.get()], |row| row.get::<_, Option<[u8; 32]>>(0));
    Ok(key.optional()?.map(|key| key.map(SealingKey::from_bytes)))
}

#[cfg(test)]
mod tests {
    use promptfed_prompts::{ClassIndex, LabelSpace, Level, TemplateSet};

    use super::*;

    #[test]
    fn marks_are_equal_for_equals_of_one_round_and_kind_alone() {
        let round = RoundId::new(1);
        let sealed = Seal::of(round, PrivateKey::from_bytes(&[1; 32]));
        let again = Seal::of(round, PrivateKey::from_bytes(&[1; 32]));
        let other = Seal::of(round, PrivateKey::from_bytes(&[2; 32]));
        let hash = ContentHash::of(b"content");
        let of = |seal: &Seal, what| seal.hash(what, hash);
        assert_eq!(of(&sealed, Marked::Content), of(&again, Marked::Content));
        assert_ne!(of(&sealed, Marked::Content), of(&other, Marked::Content));
        assert_ne!(of(&sealed, Marked::Content), of(&sealed, Marked::Template));
        assert_ne!(of(&sealed, Marked::Content), hash);
        assert_ne!(sealed.text(Marked::Domain, "sketch"), "sketch");
        // Old rounds compare what they always have.
        assert_eq!(of(&Seal::none(), Marked::Content), hash);
        assert_eq!(Seal::none().text(Marked::Domain, "sketch"), "sketch");
    }

    #[test]
    fn pieces_keep_all_but_their_keys() {
        let space = LabelSpace::from_names("pets", ["cat", "dog"]).unwrap();
        let templates = TemplateSet::builtin("fgl").unwrap();
        let mut builder = PromptSet::builder(&space, Level::Class, &templates);
        builder.counts(true);
        builder.add(ClassIndex::new(0), None, None).unwrap();
        let set = builder.build().unwrap();
        let sealed = Seal::of(RoundId::new(1), PrivateKey::from_bytes(&[1; 32]));
        let marked: Vec<Piece> = sealed.pieces(&set).collect();
        let plain: Vec<Piece> = set.pieces().collect();
        assert_eq!(marked.len(), plain.len());
        let mut counts = 0;
        for (marked, plain) in marked.iter().zip(&plain) {
            assert_eq!((marked.kind, marked.bytes), (plain.kind, plain.bytes));
            counts += u32::from(plain.key == COUNTS_KEY);
            assert_eq!(marked.key == plain.key, plain.key == COUNTS_KEY);
        }
        assert_eq!(counts, 1);
        assert!(Seal::none().pieces(&set).eq(plain));
    }
}
