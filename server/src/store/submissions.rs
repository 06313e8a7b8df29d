//! Prompt sets as the clients sent them, with their receipts.

use std::borrow::Cow;

use promptfed_prompts::protocol::{
    ClientId, RoundId, RoundSpec, SubmissionAnswer, SubmissionOutcome, SubmissionReceipt,
};
use promptfed_prompts::{ContentHash, Domain, Piece, PromptSet, Template};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::events::{note, note_submission};
use super::members::forget_pieces;
use super::pool::{self, Most, PoolSize};
use super::seal::{Marked, Seal};
use super::{Store, now};
use crate::Result;

/// A prompt set that has passed every check on its own.
pub(crate) struct NewSubmission<'a> {
    pub(crate) round: RoundId,
    pub(crate) client: ClientId,
    /// What its round has agreed on.
    pub(crate) spec: &'a RoundSpec,
    /// The set itself.
    pub(crate) set: &'a PromptSet,
    /// The bytes it was received as, which are stored.
    pub(crate) sent: &'a [u8],
    /// What has opened them.
    pub(crate) seal: &'a Seal,
}

/// What became of a submission.
#[derive(Debug)]
pub(crate) enum Submitted {
    /// It is stored; `closed` says whether it was the last one expected, which closes the round.
    Answer {
        answer: SubmissionAnswer,
        closed: bool,
    },
    /// The round, in this state, takes no submissions.
    WrongState(String),
    /// It cannot be pooled with another client's submission: this differs.
    Differs(String),
    /// With it the pool would have this, which is more than the round takes.
    TooMuch(String),
    /// An administrator has excluded the client from the round.
    Excluded,
    /// There is no such round.
    NoRound,
}

/// A stored prompt set, opened.
pub(crate) struct Stored {
    /// The hash on its receipt.
    pub(crate) hash: ContentHash,
    pub(crate) prompts: u64,
    /// Size of what was sent.
    pub(crate) bytes: u64,
    pub(crate) wire: Vec<u8>,
}

/// A prompt set as it came, sealed or plain.
struct Sent {
    hash: ContentHash,
    prompts: u64,
    client: ClientId,
    wire: Vec<u8>,
}

impl Store {
    /// Stores a client's prompt set, in place of another one of the same client.
    ///
    /// The same content again changes nothing, in whatever state the round is: a client that lost the answer can repeat.
    pub(crate) fn submit(&self, new: &NewSubmission<'_>) -> Result<Submitted> {
        // What can be done before others wait.
        if let Some(excess) = Most::of(new.spec).excess_of(new.set.len()) {
            return Ok(Submitted::TooMuch(excess));
        }
        let pieces: Vec<Piece> = new.seal.pieces(new.set).collect();
        let content = new.seal.hash(Marked::Content, new.set.hash());
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let round = new.round.get();
        let sql = "SELECT state, expected_clients, submitted FROM rounds WHERE id = ?1";
        let found = transaction
            .query_row(sql, [round], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let Some((state, expected, submitted)): Option<(String, Option<u32>, u32)> = found else {
            return Ok(Submitted::NoRound);
        };
        let earlier = receipt(&transaction, new.round, new.client)?;
        let outcome = match earlier {
            Some(receipt) if is_held(&transaction, new, content)? => {
                let answer = SubmissionAnswer {
                    outcome: SubmissionOutcome::Duplicate,
                    receipt,
                };
                return Ok(Submitted::Answer {
                    answer,
                    closed: false,
                });
            }
            Some(_) => SubmissionOutcome::Replaced,
            None => SubmissionOutcome::Stored,
        };
        if state != "open" {
            return Ok(Submitted::WrongState(state));
        }
        if is_excluded(&transaction, new)? {
            return Ok(Submitted::Excluded);
        }
        if let Some(difference) = difference(&transaction, new)? {
            return Ok(Submitted::Differs(difference));
        }
        if let Some(excess) = add_to_pool(&transaction, new, pieces, submitted > 0)? {
            return Ok(Submitted::TooMuch(excess));
        }
        let received_at = now();
        let hash = new.seal.receipt_hash(new.set, new.sent);
        insert(&transaction, new, hash, content, received_at)?;
        let told = format!(
            "client {} {}: {} prompts in {} bytes",
            new.client,
            match outcome {
                SubmissionOutcome::Replaced => "replaced its prompt set",
                _ => "submitted",
            },
            new.set.len(),
            new.sent.len()
        );
        note_submission(&transaction, new.round, &told)?;
        let closed = transaction.execute(
            "UPDATE rounds SET state = 'queued', closed_at = ?2 WHERE id = ?1 AND ?3 <= submitted",
            params![round, received_at, expected],
        )? > 0;
        if closed {
            note(
                &transaction,
                new.round,
                "closed: all expected clients have submitted",
            )?;
        }
        transaction.commit()?;
        let receipt = SubmissionReceipt {
            round_id: new.round,
            client_id: new.client,
            hash,
            bytes: new.sent.len() as u64,
            prompts: new.set.len() as u64,
            received_at,
        };
        Ok(Submitted::Answer {
            answer: SubmissionAnswer { outcome, receipt },
            closed,
        })
    }

    /// The receipt of a client's prompt set.
    pub(crate) fn receipt(
        &self,
        round: RoundId,
        client: ClientId,
    ) -> Result<Option<SubmissionReceipt>> {
        receipt(&self.lock(), round, client)
    }

    /// All prompt sets of a round, opened, sorted by the hash on their receipts so that their order does not depend on who came first.
    ///
    /// # Errors
    /// [`Error::RoundKey`](crate::Error::RoundKey) where the round's key is not there.
    pub(crate) fn submissions(&self, round: RoundId) -> Result<Vec<Stored>> {
        let Some(seal) = self.seal(round)? else {
            return Ok(Vec::new());
        };
        // Others wait for the reading alone: thousands of sets take a second to open.
        let rows = self.sent(round)?.into_iter();
        let open = |sent: Sent| -> Result<Stored> {
            Ok(Stored {
                hash: sent.hash,
                prompts: sent.prompts,
                bytes: sent.wire.len() as u64,
                wire: seal.open(sent.client, &sent.wire)?.into_owned(),
            })
        };
        rows.map(open).collect()
    }

    /// All prompt sets of a round as they came, sorted by the hash on their receipts.
    fn sent(&self, round: RoundId) -> Result<Vec<Sent>> {
        let connection = self.lock();
        let sql = "SELECT hash, prompts, client_id, wire FROM submissions
            WHERE round_id = ?1 ORDER BY hash, client_id";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([round.get()], |row| {
            Ok(Sent {
                hash: ContentHash::from_bytes(row.get(0)?),
                prompts: row.get(1)?,
                client: ClientId::new(row.get(2)?),
                wire: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

pub(super) fn receipt(
    connection: &Connection,
    round: RoundId,
    client: ClientId,
) -> Result<Option<SubmissionReceipt>> {
    let sql = "SELECT hash, length(wire), prompts, received_at FROM submissions
        WHERE round_id = ?1 AND client_id = ?2";
    let receipt = connection.query_row(sql, [round.get(), client.get()], |row| {
        Ok(SubmissionReceipt {
            round_id: round,
            client_id: client,
            hash: ContentHash::from_bytes(row.get(0)?),
            bytes: row.get(1)?,
            prompts: row.get(2)?,
            received_at: row.get(3)?,
        })
    });
    Ok(receipt.optional()?)
}

/// Whether the client's stored set has this content.
fn is_held(connection: &Connection, new: &NewSubmission<'_>, content: ContentHash) -> Result<bool> {
    let sql = "SELECT coalesce(content, hash) = ?3 FROM submissions
        WHERE round_id = ?1 AND client_id = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let key = params![new.round.get(), new.client.get(), content.as_bytes()];
    Ok(statement.query_row(key, |row| row.get(0))?)
}

/// What keeps a set from being pooled with those of other clients, by the rules of [`PromptSet::merge`]. Those that are stored agree with
/// each other, so that one of them speaks for all.
fn difference(connection: &Connection, new: &NewSubmission<'_>) -> Result<Option<String>> {
    let (round, client) = (new.round.get(), new.client.get());
    let sql = "SELECT level FROM submissions WHERE round_id = ?1 AND client_id <> ?2 LIMIT 1";
    let level = new.set.level().as_str();
    let other: Option<String> = connection
        .query_row(sql, params![round, client], |row| row.get(0))
        .optional()?;
    if let Some(other) = other.filter(|other| other != level) {
        return Ok(Some(format!(
            "the level is {level}, that of the others {other}"
        )));
    }
    let sql = "SELECT hash FROM submission_templates
        WHERE round_id = ?1 AND domain = ?2 AND client_id <> ?3 LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    for (domain, template) in new.set.templates() {
        let other: Option<Vec<u8>> = statement
            .query_row(
                params![round, domain_key(domain, new.seal), client],
                |row| row.get(0),
            )
            .optional()?;
        let hash = template_hash(template, new.seal);
        if other.is_some_and(|other| other != hash.as_bytes()) {
            let prompts = domain.map_or("prompts without a domain".to_owned(), |d| {
                format!("domain {d}")
            });
            return Ok(Some(format!(
                "the template for {prompts} is not that of the others"
            )));
        }
    }
    Ok(None)
}

fn is_excluded(connection: &Connection, new: &NewSubmission<'_>) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM exclusions WHERE round_id = ?1 AND client_id = ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([new.round.get(), new.client.get()], |row| row.get(0))?)
}

/// Counts a set of these pieces in its round's pool, in place of the client's earlier one; says what is too much of it.
fn add_to_pool(
    connection: &Connection,
    new: &NewSubmission<'_>,
    pieces: Vec<Piece>,
    has_others: bool,
) -> Result<Option<String>> {
    let NewSubmission {
        round, spec, seal, ..
    } = *new;
    let mut before = PoolSize::read(connection, round)?;
    if has_others && before.is_uncounted() {
        before = pool::count_again(connection, round, spec, seal)?;
        before.write(connection, round)?;
    }
    forget_pieces(connection, round, new.client, spec, Some(seal))?;
    let mut size = PoolSize::read(connection, round)?;
    let most = Most::of(spec);
    size.add(connection, round, pieces, |size| {
        size.excess(before, most).is_some()
    })?;
    size.write(connection, round)?;
    Ok(size.excess(before, most))
}

fn insert(
    connection: &Connection,
    new: &NewSubmission<'_>,
    hash: ContentHash,
    content: ContentHash,
    received_at: u64,
) -> Result<()> {
    let (round, client, set) = (new.round.get(), new.client.get(), new.set);
    // Takes the templates of a replaced set along (ON DELETE CASCADE).
    let sql = "DELETE FROM submissions WHERE round_id = ?1 AND client_id = ?2";
    connection.execute(sql, params![round, client])?;
    let sql =
        "INSERT INTO submissions (round_id, client_id, hash, level, prompts, received_at, wire, classes, content)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let level = set.level().as_str();
    let content = new.seal.is_sealed().then_some(content);
    let classes = set.prompts().chunk_by(|one, next| one.class == next.class);
    connection.execute(
        sql,
        params![
            round,
            client,
            hash.as_bytes(),
            level,
            set.len(),
            received_at,
            new.sent,
            classes.count(),
            content.as_ref().map(ContentHash::as_bytes)
        ],
    )?;
    let sql = "INSERT INTO submission_templates (round_id, client_id, domain, hash) VALUES (?1, ?2, ?3, ?4)";
    let mut statement = connection.prepare(sql)?;
    for (domain, template) in set.templates() {
        let (domain, hash) = (
            domain_key(domain, new.seal),
            template_hash(template, new.seal),
        );
        statement.execute(params![round, client, domain, hash.as_bytes()])?;
    }
    Ok(())
}

/// A domain is never empty, so the empty text stands for prompts without one.
fn domain_key<'a>(domain: Option<&'a Domain>, seal: &Seal) -> Cow<'a, str> {
    seal.text(Marked::Domain, domain.map_or("", Domain::as_str))
}

fn template_hash(template: &Template, seal: &Seal) -> ContentHash {
    let (positive, negative) = (template.positive(), template.negative());
    let hash = ContentHash::of(format!("{}:{positive}{negative}", positive.len()).as_bytes());
    seal.hash(Marked::Template, hash)
}
