//! The statements: shards as rows, and back.

use std::time::Duration;

use promptfed_prompts::ContentHash;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

use super::super::{
    CHOICES, Failure, Fence, Lease, Load, MadeObject, Moment, Needs, Offer, Policy, Shard, ShardId,
    State, WorkerId,
};
use super::{Asked, Grant, immediate};

fn millis(moment: Moment) -> u64 {
    moment.as_millis() as u64
}

pub(super) fn read(connection: &Connection, id: ShardId) -> rusqlite::Result<Option<Shard>> {
    let sql =
        "SELECT images, fence, losses, state, since, due, worker, hash FROM shards WHERE id = ?1";
    let mut select = connection.prepare_cached(sql)?;
    let shard = select.query_row([id], |row| {
        let fence = row.get(1)?;
        let moment = |column: usize| row.get::<_, u64>(column).map(Duration::from_millis);
        let state: String = row.get(3)?;
        let state = match state.as_str() {
            "waiting" => State::Waiting {
                since: moment(4)?,
                not_before: moment(5)?,
            },
            "leased" => State::Leased(Lease {
                worker: WorkerId(row.get::<_, i64>(6)? as u64),
                fence,
                until: moment(5)?,
            }),
            "done" => State::Done(MadeObject {
                fence,
                hash: ContentHash::from_bytes(row.get(7)?),
            }),
            "set-aside" => State::SetAside,
            other => {
                let other = other.to_owned();
                return Err(rusqlite::Error::InvalidColumnType(3, other, Type::Text));
            }
        };
        Ok(Shard {
            images: row.get(0)?,
            state,
            fence,
            failures: Vec::new(),
            losses: row.get(2)?,
        })
    });
    let Some(mut shard) = shard.optional()? else {
        return Ok(None);
    };
    let sql = "SELECT worker, reason FROM failures WHERE shard = ?1 ORDER BY id";
    let mut select = connection.prepare_cached(sql)?;
    let failures = select.query_map([id], |row| {
        Ok(Failure {
            worker: WorkerId(row.get::<_, i64>(0)? as u64),
            reason: row.get(1)?,
        })
    })?;
    shard.failures = failures.collect::<rusqlite::Result<_>>()?;
    Ok(Some(shard))
}

/// Writes a shard of which `told` failures are written, where its fence is still the one that was read, and tells whether it was.
pub(super) fn write(
    connection: &Connection,
    id: ShardId,
    fence: Fence,
    told: usize,
    shard: &Shard,
) -> rusqlite::Result<bool> {
    let zero = Duration::ZERO;
    let (state, since, due, worker, hash) = match &shard.state {
        State::Waiting { since, not_before } => ("waiting", *since, *not_before, None, None),
        State::Leased(lease) => (
            "leased",
            zero,
            lease.until,
            Some(lease.worker.0 as i64),
            None,
        ),
        State::Done(made) => ("done", zero, zero, None, Some(made.hash)),
        State::SetAside => ("set-aside", zero, zero, None, None),
    };
    let sql = "UPDATE shards SET fence = ?3, losses = ?4, state = ?5, since = ?6, due = ?7, worker = ?8, hash = ?9
        WHERE id = ?1 AND fence = ?2";
    let mut update = connection.prepare_cached(sql)?;
    let updated = update.execute(params![
        id,
        fence,
        shard.fence,
        shard.losses,
        state,
        millis(since),
        millis(due),
        worker,
        hash.as_ref().map(ContentHash::as_bytes),
    ])?;
    for failure in shard.failures.iter().skip(told) {
        let sql = "INSERT INTO failures (shard, worker, reason) VALUES (?1, ?2, ?3)";
        connection.execute(sql, params![id, failure.worker.0 as i64, failure.reason])?;
    }
    Ok(updated == 1)
}

pub(super) fn add(
    connection: &mut Connection,
    asked: &Asked<'_>,
    now: Moment,
) -> rusqlite::Result<()> {
    let transaction = immediate(connection)?;
    let needs = serde_json::to_string(asked.needs).unwrap_or_default();
    transaction.execute(
        "INSERT INTO needs (needs) VALUES (?1) ON CONFLICT DO NOTHING",
        [&needs],
    )?;
    let kind: i64 =
        transaction.query_row("SELECT id FROM needs WHERE needs = ?1", [&needs], |row| {
            row.get(0)
        })?;
    let sql = "SELECT fence, needs = ?2 AND work = ?3 FROM shards WHERE id = ?1";
    let there: Option<(Fence, bool)> = transaction
        .query_row(sql, params![asked.id, kind, asked.work], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let fence = match there {
        Some((_, true)) => return Ok(()),
        Some((fence, false)) => fence + 1,
        None => transaction.query_row("SELECT fence FROM run", [], |row| row.get(0))?,
    };
    transaction.execute("DELETE FROM failures WHERE shard = ?1", [asked.id])?;
    transaction.execute(
        "INSERT OR REPLACE INTO shards (id, needs, images, work, state, fence, since, due)
         VALUES (?1, ?2, ?3, ?4, 'waiting', ?5, ?6, ?6)",
        params![asked.id, kind, asked.images, asked.work, fence, millis(now)],
    )?;
    transaction.commit()
}

/// The shards that were set aside.
pub(super) fn set_aside(connection: &Connection) -> rusqlite::Result<Vec<(ShardId, Shard)>> {
    let sql = "SELECT id FROM shards WHERE state = 'set-aside' ORDER BY id";
    let mut shards = Vec::new();
    for id in ids(connection, sql, [])? {
        shards.extend(read(connection, id)?.map(|shard| (id, shard)));
    }
    Ok(shards)
}

/// Has shards that were set aside wait again, and tells how many those are.
pub(super) fn retry_set_aside(connection: &Connection) -> rusqlite::Result<u64> {
    let sql =
        "DELETE FROM failures WHERE shard IN (SELECT id FROM shards WHERE state = 'set-aside')";
    connection.execute(sql, [])?;
    let sql = "UPDATE shards SET state = 'waiting', fence = fence + 1, losses = 0, since = unixepoch() * 1000
        WHERE state = 'set-aside'";
    connection.execute(sql, []).map(|shards| shards as u64)
}

pub(super) fn needs(connection: &Connection) -> rusqlite::Result<Vec<(i64, Needs)>> {
    let mut select = connection.prepare_cached("SELECT id, needs FROM needs ORDER BY id")?;
    let rows = select.query_map([], |row| {
        let text: String = row.get(1)?;
        let needs = serde_json::from_str(&text)
            .map_err(|_| rusqlite::Error::InvalidColumnType(1, text, Type::Text))?;
        Ok((row.get(0)?, needs))
    })?;
    rows.collect()
}

pub(super) fn lease(
    connection: &mut Connection,
    policy: &Policy,
    worker: WorkerId,
    offer: &Offer,
    now: Moment,
) -> rusqlite::Result<Option<Grant>> {
    let transaction = immediate(connection)?;
    for id in ids(
        &transaction,
        "SELECT id FROM shards WHERE state = 'leased' AND due <= ?1",
        params![millis(now)],
    )? {
        if let Some(mut shard) = read(&transaction, id)? {
            let (fence, told) = (shard.fence, shard.failures.len());
            shard.lapse(now, policy);
            write(&transaction, id, fence, told, &shard)?;
        }
    }
    let mut first = Vec::new();
    for (kind, needs) in needs(&transaction)? {
        if needs.unmet(offer).is_none() {
            first.extend(ids(
                &transaction,
                "SELECT id FROM shards WHERE state = 'waiting' AND needs = ?1 AND due <= ?2 ORDER BY id LIMIT ?3",
                params![kind, millis(now), CHOICES as u64],
            )?);
        }
    }
    first.sort_unstable();
    first.truncate(CHOICES);
    let mut chosen = None;
    for id in first {
        let Some(shard) = read(&transaction, id)? else {
            continue;
        };
        let is_fresh = !shard.failed_on(worker);
        if is_fresh || chosen.is_none() {
            chosen = Some((id, shard));
        }
        if is_fresh {
            break;
        }
    }
    let mut grant = None;
    if let Some((id, mut shard)) = chosen {
        let (fence, told) = (shard.fence, shard.failures.len());
        if let Some(lease) = shard.lease(worker, now, policy)
            && write(&transaction, id, fence, told, &shard)?
        {
            let sql = "SELECT work FROM shards WHERE id = ?1";
            let work = transaction.query_row(sql, [id], |row| row.get(0))?;
            grant = Some(Grant { id, lease, work });
        }
    }
    transaction.commit()?;
    Ok(grant)
}

fn ids(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Vec<ShardId>> {
    let mut select = connection.prepare_cached(sql)?;
    let ids = select.query_map(values, |row| row.get(0))?;
    ids.collect()
}

pub(super) fn load(connection: &Connection, now: Moment) -> rusqlite::Result<Load> {
    let sql = "SELECT state, count(*), sum(images), min(since) FROM shards GROUP BY state";
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query([])?;
    let mut load = Load::default();
    while let Some(row) = rows.next()? {
        let state: String = row.get(0)?;
        let (shards, images): (u64, u64) = (row.get(1)?, row.get(2)?);
        match state.as_str() {
            "waiting" => {
                load.waiting = shards;
                load.images_left += images;
                let since = Duration::from_millis(row.get(3)?);
                load.oldest_seconds = now.saturating_sub(since).as_secs_f64();
            }
            "leased" => {
                load.leased = shards;
                load.images_left += images;
            }
            "done" => load.done = shards,
            _ => load.set_aside = shards,
        }
    }
    Ok(load)
}
