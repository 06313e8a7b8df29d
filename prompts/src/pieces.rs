//! What a set takes of the pool of a round, piece by piece, so that a pool's size is known without pooling it.

use serde::Serialize;

use crate::canonical::{TemplateOut, line};
use crate::{Caption, ClassIndex, Domain, PromptSet};

/// Most bytes of a pool's canonical JSON that are no piece's.
pub const POOL_FRAME_BYTES: u64 = 256;

/// Most bytes that a pool with counts has more for each of its prompts: those of the longest count.
pub const POOL_COUNT_BYTES: u64 = ",\"count\":4294967295".len() as u64;

/// The key of [`PieceKind::Counts`].
pub const COUNTS_KEY: [u8; 16] = [0; 16];

/// What stands once in a pool, however many of its sets have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: PieceKind,
    /// The same for equal pieces of every set, and for no others.
    pub key: [u8; 16],
    /// Most bytes that it takes of the pool's canonical JSON.
    pub bytes: u64,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PieceKind {
    /// A prompt, whatever its count.
    Prompt,
    /// A class that has prompts.
    Class,
    /// A domain's name beside its template.
    Domain,
    /// A template's texts.
    Template,
    /// That a set has counts: then the pool may have them, which is not yet known when the set comes. Its prompts are the same pieces as
    /// those of sets without.
    Counts,
}

#[derive(Serialize)]
struct Uncounted<'a> {
    class: ClassIndex,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<&'a Domain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caption: Option<&'a Caption>,
}

impl PromptSet {
    /// Every piece of the set, each once.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        let counts = self.has_counts().then_some(Piece {
            kind: PieceKind::Counts,
            key: COUNTS_KEY,
            bytes: 0,
        });
        let prompts = self.prompts().iter().map(|prompt| {
            let text = line(&Uncounted {
                class: prompt.class,
                domain: prompt.domain.as_ref(),
                caption: prompt.caption.as_ref(),
            });
            // With the comma and the line's end.
            piece(PieceKind::Prompt, text.as_bytes(), text.len() + 2)
        });
        let mut before = None;
        let classes = self.prompts().iter().filter_map(move |prompt| {
            let is_new = before.replace(prompt.class) != Some(prompt.class);
            is_new.then(|| piece(PieceKind::Class, &prompt.class.get().to_le_bytes(), 0))
        });
        let domains = self.templates().filter_map(|(domain, _)| {
            let text = line(domain?);
            Some(piece(PieceKind::Domain, text.as_bytes(), text.len() + 1))
        });
        let mut texts: Vec<String> = self
            .templates()
            .map(|(domain, template)| {
                line(&TemplateOut {
                    domains: domain.map(|_| Vec::new()),
                    positive: template.positive(),
                    negative: template.negative(),
                })
            })
            .collect();
        texts.sort_unstable();
        texts.dedup();
        let templates = texts
            .into_iter()
            .map(|text| piece(PieceKind::Template, text.as_bytes(), text.len() + 2));
        let others = classes.chain(domains).chain(templates);
        counts.into_iter().chain(prompts).chain(others)
    }
}

fn piece(kind: PieceKind, content: &[u8], bytes: usize) -> Piece {
    let tag: u8 = match kind {
        PieceKind::Prompt => 0,
        PieceKind::Class => 1,
        PieceKind::Domain => 2,
        PieceKind::Template => 3,
        PieceKind::Counts => 4,
    };
    let hash = blake3::Hasher::new()
        .update(&[tag])
        .update(content)
        .finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&hash.as_bytes()[..16]);
    Piece {
        kind,
        key,
        bytes: bytes as u64,
    }
}
