//! How large the pool of a round is before it is pooled: what would not fit is refused when it comes, and not found after the round has closed.

use promptfed_prompts::protocol::{ClientId, RoundId, RoundSpec};
use promptfed_prompts::{
    COUNTS_KEY, MAX_DECODED_BYTES, POOL_COUNT_BYTES, POOL_FRAME_BYTES, Piece, PieceKind, PromptSet,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::seal::Seal;
use crate::Result;

/// What the submissions of a round come to without equal pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PoolSize {
    prompts: u64,
    classes: u64,
    /// Bytes of all pieces, without counts.
    bytes: u64,
    /// Whether one of the submissions has counts. The pool has them only if all have; those that have none may go again.
    has_counts: bool,
}

/// What a round takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    prompts: u64,
    classes: u64,
}

impl Most {
    pub(super) fn of(spec: &RoundSpec) -> Self {
        Self {
            prompts: spec.most_pooled_prompts(),
            classes: spec.most_pooled_classes(),
        }
    }

    /// What there is too much of in a set of so many prompts, whatever else the pool has.
    pub(super) fn excess_of(self, prompts: usize) -> Option<String> {
        (prompts as u64 > self.prompts).then(|| self.too_many_prompts())
    }

    fn too_many_prompts(self) -> String {
        format!("more than {} distinct prompts", self.prompts)
    }
}

impl PoolSize {
    pub(super) fn read(connection: &Connection, round: RoundId) -> Result<Self> {
        let sql = "SELECT pooled_prompts, pooled_classes, pooled_bytes,
                EXISTS (SELECT 1 FROM pieces WHERE round_id = rounds.id AND key = ?2)
            FROM rounds WHERE id = ?1";
        let mut statement = connection.prepare_cached(sql)?;
        Ok(
            statement.query_row(params![round.get(), COUNTS_KEY], |row| {
                Ok(Self {
                    prompts: row.get(0)?,
                    classes: row.get(1)?,
                    bytes: row.get(2)?,
                    has_counts: row.get(3)?,
                })
            })?,
        )
    }

    pub(super) fn write(self, connection: &Connection, round: RoundId) -> Result<()> {
        let sql = "UPDATE rounds SET pooled_prompts = ?2, pooled_classes = ?3, pooled_bytes = ?4
            WHERE id = ?1";
        let mut statement = connection.prepare_cached(sql)?;
        statement.execute(params![round.get(), self.prompts, self.classes, self.bytes])?;
        Ok(())
    }

    /// Whether nothing was counted yet: no set has no bytes.
    pub(super) fn is_uncounted(self) -> bool {
        self.bytes == 0
    }

    /// Adds a set's pieces to those of its round, until `is_enough`.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        round: RoundId,
        pieces: impl IntoIterator<Item = Piece>,
        is_enough: impl Fn(&Self) -> bool,
    ) -> Result<()> {
        let sql = "INSERT INTO pieces (round_id, key, holders) VALUES (?1, ?2, 1)
            ON CONFLICT DO UPDATE SET holders = holders + 1 RETURNING holders";
        let mut statement = connection.prepare_cached(sql)?;
        for piece in pieces {
            let holders: u32 =
                statement.query_row(params![round.get(), piece.key], |row| row.get(0))?;
            if holders == 1 {
                self.count(piece.kind, piece.bytes, u64::saturating_add);
                self.has_counts |= piece.kind == PieceKind::Counts;
                if is_enough(self) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes a set's pieces away from those of its round.
    pub(super) fn remove(
        &mut self,
        connection: &Connection,
        round: RoundId,
        pieces: impl IntoIterator<Item = Piece>,
    ) -> Result<()> {
        let sql = "UPDATE pieces SET holders = holders - 1 WHERE round_id = ?1 AND key = ?2
            RETURNING holders";
        let mut lessen = connection.prepare_cached(sql)?;
        let sql = "DELETE FROM pieces WHERE round_id = ?1 AND key = ?2";
        let mut delete = connection.prepare_cached(sql)?;
        for piece in pieces {
            let holders: Option<u32> = lessen
                .query_row(params![round.get(), piece.key], |row| row.get(0))
                .optional()?;
            if holders == Some(0) {
                delete.execute(params![round.get(), piece.key])?;
                self.count(piece.kind, piece.bytes, u64::saturating_sub);
                self.has_counts &= piece.kind != PieceKind::Counts;
            }
        }
        Ok(())
    }

    fn count(&mut self, kind: PieceKind, bytes: u64, by: fn(u64, u64) -> u64) {
        match kind {
            PieceKind::Prompt => self.prompts = by(self.prompts, 1),
            PieceKind::Class => self.classes = by(self.classes, 1),
            PieceKind::Domain | PieceKind::Template | PieceKind::Counts => {}
        }
        self.bytes = by(self.bytes, bytes);
    }

    /// Most bytes of the pool's canonical JSON, whichever of its sets stay.
    fn most_bytes(self) -> u64 {
        let counts = match self.has_counts {
            true => self.prompts.saturating_mul(POOL_COUNT_BYTES),
            false => 0,
        };
        self.bytes
            .saturating_add(counts)
            .saturating_add(POOL_FRAME_BYTES)
    }

    /// What of it is more than the round takes, in words that do not tell how much the others have sent. A pool that was too large `before` may
    /// stay so, and become smaller.
    pub(super) fn excess(self, before: Self, most: Most) -> Option<String> {
        if self.prompts > most.prompts.max(before.prompts) {
            return Some(most.too_many_prompts());
        }
        if self.classes > most.classes.max(before.classes) {
            let classes = most.classes;
            return Some(format!(
                "more than {classes} classes, of which each needs an image"
            ));
        }
        let most = MAX_DECODED_BYTES as u64;
        let is_over = self.most_bytes() > most.max(before.most_bytes());
        is_over.then(|| format!("more than {most} bytes"))
    }
}

/// A stored prompt set.
pub(super) fn opened(
    seal: &Seal,
    client: ClientId,
    sent: &[u8],
    spec: &RoundSpec,
) -> Result<PromptSet> {
    let wire = seal.open(client, sent)?;
    Ok(PromptSet::from_wire(&wire, &spec.label_space)?)
}

/// The pool of a round whose submissions were stored before pools were counted. One that cannot be read any more is left out: what it does to the
/// job is not the next client's fault.
pub(super) fn count_again(
    connection: &Connection,
    round: RoundId,
    spec: &RoundSpec,
    seal: &Seal,
) -> Result<PoolSize> {
    connection.execute("DELETE FROM pieces WHERE round_id = ?1", [round.get()])?;
    let mut size = PoolSize::default();
    let sql = "SELECT client_id, wire FROM submissions WHERE round_id = ?1";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([round.get()])?;
    while let Some(row) = rows.next()? {
        let (client, sent): (u32, Vec<u8>) = (row.get(0)?, row.get(1)?);
        match opened(seal, ClientId::new(client), &sent, spec) {
            Ok(set) => size.add(connection, round, seal.pieces(&set), |_| false)?,
            Err(error) => {
                tracing::warn!(%round, client, %error, "a stored prompt set cannot be counted");
            }
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use promptfed_prompts::{Caption, ClassIndex, LabelSpace, Level, TemplateSet};

    use super::*;
    use crate::store::schema;

    fn set(captions: std::ops::Range<u32>, counts: bool) -> PromptSet {
        let space = LabelSpace::from_names("pets", ["cat", "dog"]).unwrap();
        let templates = TemplateSet::builtin("fgl").unwrap();
        let mut builder = PromptSet::builder(&space, Level::Instance, &templates);
        builder.counts(counts);
        for number in captions {
            let caption = Caption::try_from(format!("picture {number}")).unwrap();
            builder
                .add(ClassIndex::new(number % 2), None, Some(caption))
                .unwrap();
        }
        builder.build().unwrap()
    }

    #[test]
    fn counted_and_uncounted_sets_come_and_go_in_any_order() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::prepare(&mut connection).unwrap();
        let sql = "INSERT INTO rounds (name, spec, state, opened_at) VALUES ('r', '{}', 'open', 1)";
        connection.execute(sql, []).unwrap();
        let round = RoundId::new(1);
        let (counted, plain) = (set(0..4, true), set(2..8, false));
        for (first, second) in [(&counted, &plain), (&plain, &counted)] {
            for leaves_first in [first, second] {
                let stays = if std::ptr::eq(leaves_first, first) {
                    second
                } else {
                    first
                };
                let mut size = PoolSize::default();
                for set in [first, second] {
                    size.add(&connection, round, set.pieces(), |_| false)
                        .unwrap();
                    size.write(&connection, round).unwrap();
                    size = PoolSize::read(&connection, round).unwrap();
                }
                let pool = PromptSet::merge(&[counted.clone(), plain.clone()]).unwrap();
                assert_eq!((size.prompts, size.classes), (pool.len() as u64, 2));
                assert!(size.has_counts);
                // As if the one without counts went again.
                assert!(size.most_bytes() >= pool.to_json().len() as u64 + 8 * 19);

                size.remove(&connection, round, leaves_first.pieces())
                    .unwrap();
                size.write(&connection, round).unwrap();
                let left = PoolSize::read(&connection, round).unwrap();
                assert_eq!(left, size);
                let mut alone = PoolSize::default();
                for piece in stays.pieces() {
                    alone.count(piece.kind, piece.bytes, u64::saturating_add);
                }
                alone.has_counts = stays.has_counts();
                assert_eq!(left, alone);
                assert!(left.most_bytes() >= stays.to_json().len() as u64);

                size.remove(&connection, round, stays.pieces()).unwrap();
                size.write(&connection, round).unwrap();
                let none = PoolSize::read(&connection, round).unwrap();
                assert_eq!(none, PoolSize::default());
            }
        }
    }

    #[test]
    fn a_pool_that_is_too_large_may_become_smaller() {
        let most = Most {
            prompts: 10,
            classes: 5,
        };
        let size = |prompts, classes| PoolSize {
            prompts,
            classes,
            ..PoolSize::default()
        };
        let before = size(20, 2);
        assert_eq!(size(20, 3).excess(before, most), None);
        assert_eq!(size(15, 2).excess(before, most), None);
        let told = size(21, 2).excess(before, most).unwrap();
        assert!(told.contains("more than 10 distinct prompts"), "{told}");
        assert!(size(15, 6).excess(before, most).is_some());
        assert!(size(11, 1).excess(size(3, 1), most).is_some());
        assert!(most.excess_of(10).is_none() && most.excess_of(11).is_some());
    }

    #[test]
    fn what_is_too_much_is_not_looked_at_to_its_end() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::prepare(&mut connection).unwrap();
        let sql = "INSERT INTO rounds (name, spec, state, opened_at) VALUES ('r', '{}', 'open', 1)";
        connection.execute(sql, []).unwrap();
        let most = Most {
            prompts: 3,
            classes: u64::MAX,
        };
        let mut size = PoolSize::default();
        let is_enough = |size: &PoolSize| size.excess(PoolSize::default(), most).is_some();
        size.add(
            &connection,
            RoundId::new(1),
            set(0..50, false).pieces(),
            is_enough,
        )
        .unwrap();
        assert_eq!(size.prompts, 4);
    }
}
