//! Trainings of a finished round's images after its own. Each row is one; the round's own, number 1, stands with the round.

use std::collections::{BTreeMap, BTreeSet};

use promptfed_prompts::protocol::{
    ModelSummary, RedrawnClass, RoundId, RoundResults, RoundSpec, RoundState, RoundStatus,
    TrainingPlan, TrainingStatus,
};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::attempts::Work;
use super::events::note;
use super::rounds::{read_status, state_of};
use super::{Store, now};
use crate::Result;

/// The classes, by their numbers, whose images were made again, each with the number of the time.
pub(crate) type Draws = BTreeMap<u32, u32>;

/// A training that is asked for.
pub(crate) struct NewTraining {
    pub(crate) plan: TrainingPlan,
    /// Numbers of the classes to draw again.
    pub(crate) redraw: Vec<u32>,
    /// The training whose images it begins with; without it, the latest that is done or queued.
    pub(crate) images_of: Option<u32>,
    pub(crate) publish: bool,
}

/// What came of the wish for a training.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It is queued.
    Queued(TrainingStatus),
    /// The round has no images that are complete.
    NotDone(RoundStatus),
    /// There is no training whose images it was to begin with.
    NoTraining,
    /// There is no such round.
    NoRound,
}

/// What came of the wish to change a training.
#[derive(Debug)]
pub(crate) enum TrainingChange {
    /// It is as wished.
    Done(TrainingStatus),
    /// Its state does not allow it.
    WrongState(TrainingStatus),
    /// There is no such training, or no such round.
    NoTraining,
}

/// What the job runner is to do for a training.
pub(crate) struct TrainingPlanned {
    pub(crate) plan: TrainingPlan,
    pub(crate) draws: Draws,
    /// Those of its draws whose images an earlier training has made to their end.
    pub(crate) drawn: BTreeSet<(u32, u32)>,
    /// What the round's own training found.
    pub(crate) first: RoundResults,
}

impl Store {
    /// Queues a training of the images of a round that is done.
    pub(crate) fn ask_training(&self, round: RoundId, new: &NewTraining) -> Result<Asked> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(status) = read_status(&transaction, round)? else {
            return Ok(Asked::NoRound);
        };
        if status.state != RoundState::Done {
            return Ok(Asked::NotDone(status));
        }
        let earlier = read_draws(&transaction, round)?;
        let base = match new.images_of {
            None => earlier.iter().rfind(|(_, state, _)| is_usable(state)),
            Some(1) => None,
            Some(number) => {
                let Some(found) = earlier.iter().find(|(other, ..)| *other == number) else {
                    return Ok(Asked::NoTraining);
                };
                Some(found)
            }
        };
        let mut draws = base.map(|(_, _, draws)| draws.clone()).unwrap_or_default();
        for class in &new.redraw {
            // Those of trainings that came to nothing count too: what is drawn again has never been seen.
            let times = earlier.iter().filter_map(|(.., draws)| draws.get(class));
            draws.insert(*class, times.max().unwrap_or(&0) + 1);
        }
        let number = earlier.last().map_or(2, |(number, ..)| number + 1);
        let sql = "INSERT INTO trainings (round_id, number, plan, draws, publish, state, asked_at)
            VALUES (?1, ?2, ?3, ?4, ?5, 'queued', ?6)";
        let plan = serde_json::to_string(&new.plan)?;
        let text = serde_json::to_string(&draws)?;
        let values = params![round.get(), number, plan, text, new.publish, now()];
        transaction.execute(sql, values)?;
        let all = read_all(&transaction, round)?;
        let Some(asked) = all.into_iter().flatten().next_back() else {
            return Ok(Asked::NoRound);
        };
        let again = draws.into_iter().filter(|(c, _)| new.redraw.contains(c));
        let spec = read_spec(&transaction, round)?;
        let redrawn = spec.map(|spec| redrawn(&again.collect(), &spec));
        let named = redrawn.into_iter().flatten();
        let named: Vec<String> = named
            .map(|again| format!("{:?} drawn again ({})", again.class, again.draw))
            .collect();
        let with = match named.is_empty() {
            true => String::new(),
            false => format!(" with {}", named.join(", ")),
        };
        let after = if new.publish { ", to be published" } else { "" };
        note(
            &transaction,
            round,
            &format!("training {number} asked for{with}{after}"),
        )?;
        transaction.commit()?;
        Ok(Asked::Queued(asked))
    }

    /// The trainings of a round, the first of them its own; one that is in work is `queued` here.
    pub(crate) fn trainings(&self, round: RoundId) -> Result<Option<Vec<TrainingStatus>>> {
        read_all(&self.lock(), round)
    }

    /// What the job runner is to do for a training; nothing where the round or the training is gone.
    pub(crate) fn planned_training(&self, work: Work) -> Result<Option<TrainingPlanned>> {
        let connection = self.lock();
        let sql =
            "SELECT t.plan, t.draws, r.results FROM trainings t JOIN rounds r ON r.id = t.round_id
            WHERE t.round_id = ?1 AND t.number = ?2";
        let found: Option<(String, String, Option<String>)> = connection
            .query_row(sql, [work.round.get(), work.training], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()?;
        let Some((plan, draws, Some(first))) = found else {
            return Ok(None);
        };
        let done = read_draws(&connection, work.round)?.into_iter();
        let done = done.filter(|(_, state, _)| state == "done");
        Ok(Some(TrainingPlanned {
            plan: serde_json::from_str(&plan)?,
            draws: serde_json::from_str(&draws)?,
            drawn: done.flat_map(|(.., draws)| draws).collect(),
            first: serde_json::from_str(&first)?,
        }))
    }

    /// The results of one training that is done.
    pub(crate) fn training_results(&self, work: Work) -> Result<Option<RoundResults>> {
        let sql = match work.training {
            1 => "SELECT results FROM rounds WHERE id = ?1 AND ?2 = 1",
            _ => "SELECT results FROM trainings WHERE round_id = ?1 AND number = ?2",
        };
        let connection = self.read();
        let mut statement = connection.prepare_cached(sql)?;
        let text: Option<Option<String>> = statement
            .query_row([work.round.get(), work.training], |row| row.get(0))
            .optional()?;
        let results = text.flatten().map(|text| serde_json::from_str(&text));
        Ok(results.transpose()?)
    }

    /// Makes the model of a training that is done the one that clients get.
    pub(crate) fn publish(&self, work: Work) -> Result<TrainingChange> {
        let sql =
            "UPDATE rounds SET published = ?2 WHERE id = ?1 AND published <> ?2 AND state = 'done'
            AND (?2 = 1 OR EXISTS
                (SELECT 1 FROM trainings WHERE round_id = ?1 AND number = ?2 AND state = 'done'))";
        let values = params![work.round.get(), work.training];
        self.change_training(work, sql, values, "published", |status| status.published)
    }

    /// Ends a training without results.
    pub(crate) fn cancel_training(&self, work: Work) -> Result<TrainingChange> {
        let sql = "UPDATE trainings SET state = 'cancelled', failure = NULL, finished_at = ?3
            WHERE round_id = ?1 AND number = ?2 AND (state = 'queued' OR failure = 'paused')";
        let values = params![work.round.get(), work.training, now()];
        self.change_training(work, sql, values, "cancelled", |status| {
            status.state == RoundState::Cancelled
        })
    }

    /// Has a training that failed, or is paused, tried again.
    pub(crate) fn retry_training(&self, work: Work) -> Result<TrainingChange> {
        let sql = "UPDATE trainings SET state = 'queued', failure = NULL, reason = NULL,
            finished_at = NULL, unfinished = 0
            WHERE round_id = ?1 AND number = ?2 AND state = 'failed'";
        let values = params![work.round.get(), work.training];
        self.change_training(work, sql, values, "tried again", |status| {
            status.state == RoundState::Queued
        })
    }

    /// Changes a training by `update` and writes `told` down where it did.
    fn change_training(
        &self,
        work: Work,
        update: &str,
        values: &[&dyn rusqlite::ToSql],
        told: &str,
        reached: fn(&TrainingStatus) -> bool,
    ) -> Result<TrainingChange> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if transaction.execute(update, values)? > 0 {
            let told = format!("training {} {told}", work.training);
            note(&transaction, work.round, &told)?;
        }
        let all = read_all(&transaction, work.round)?;
        transaction.commit()?;
        let mut all = all.into_iter().flatten();
        let status = all.find(|status| status.training == work.training);
        Ok(match status {
            Some(status) if reached(&status) => TrainingChange::Done(status),
            Some(status) => TrainingChange::WrongState(status),
            None => TrainingChange::NoTraining,
        })
    }
}

/// Whether a training's images are there, or will be.
fn is_usable(state: &str) -> bool {
    matches!(state, "done" | "queued")
}

/// Number, state and draws of a round's later trainings, in order.
fn read_draws(connection: &Connection, round: RoundId) -> Result<Vec<(u32, String, Draws)>> {
    let sql = "SELECT number, state, draws FROM trainings WHERE round_id = ?1 ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([round.get()], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
    })?;
    let mut read = Vec::new();
    for row in rows {
        let (number, state, draws): (u32, String, String) = row?;
        read.push((number, state, serde_json::from_str(&draws)?));
    }
    Ok(read)
}

fn read_spec(connection: &Connection, round: RoundId) -> Result<Option<RoundSpec>> {
    let sql = "SELECT spec FROM rounds WHERE id = ?1";
    let text: Option<String> = connection
        .query_row(sql, [round.get()], |row| row.get(0))
        .optional()?;
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// Draws as messages have them.
pub(crate) fn redrawn(draws: &Draws, spec: &RoundSpec) -> Vec<RedrawnClass> {
    let classes = spec.label_space.classes();
    let named = draws.iter().filter_map(|(class, draw)| {
        Some(RedrawnClass {
            class: classes.get(*class as usize)?.name.clone(),
            draw: *draw,
        })
    });
    named.collect()
}

/// A row's own columns, of a round or of a training.
struct Entry {
    number: u32,
    state: RoundState,
    asked_at: Option<u64>,
    finished_at: Option<u64>,
    results: Option<String>,
}

impl Entry {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state: String = row.get(1)?;
        let failure: Option<String> = row.get(2)?;
        Ok(Self {
            number: row.get(0)?,
            state: state_of(&state, failure.as_deref(), row.get(3)?),
            asked_at: row.get(4)?,
            finished_at: row.get(5)?,
            results: row.get(6)?,
        })
    }

    fn status(
        self,
        round: RoundId,
        plan: TrainingPlan,
        redrawn: Vec<RedrawnClass>,
        published: u32,
    ) -> Result<TrainingStatus> {
        let results: Option<RoundResults> = self
            .results
            .map(|text| serde_json::from_str(&text))
            .transpose()?;
        Ok(TrainingStatus {
            round_id: round,
            training: self.number,
            plan,
            redrawn,
            published: self.number == published && results.is_some(),
            asked_at: self.asked_at,
            finished_at: self.finished_at,
            validation_accuracy: results.as_ref().and_then(|r| r.validation_accuracy),
            model: results.map(|results| ModelSummary {
                path: format!("/v1/rounds/{round}/trainings/{}/model", self.number),
                ..results.model
            }),
            state: self.state,
        })
    }
}

/// The trainings of a round in order; nothing where there is no such round, and none while it takes submissions.
fn read_all(connection: &Connection, round: RoundId) -> Result<Option<Vec<TrainingStatus>>> {
    let sql = "SELECT 1, state, failure, reason, closed_at, finished_at, results, published
        FROM rounds WHERE id = ?1";
    let own = connection
        .query_row(sql, [round.get()], |row| {
            Ok((Entry::read(row)?, row.get::<_, u32>(7)?))
        })
        .optional()?;
    let (Some((own, published)), Some(spec)) = (own, read_spec(connection, round)?) else {
        return Ok(None);
    };
    if own.state == RoundState::Open {
        return Ok(Some(Vec::new()));
    }
    let mut all = vec![own.status(round, spec.training, Vec::new(), published)?];
    let sql = "SELECT number, state, failure, reason, asked_at, finished_at, results, plan, draws
        FROM trainings WHERE round_id = ?1 ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([round.get()], |row| {
        let texts: (String, String) = (row.get(7)?, row.get(8)?);
        Ok((Entry::read(row)?, texts))
    })?;
    for row in rows {
        let (entry, (plan, draws)) = row?;
        let draws: Draws = serde_json::from_str(&draws)?;
        let plan = serde_json::from_str(&plan)?;
        all.push(entry.status(round, plan, redrawn(&draws, &spec), published)?);
    }
    Ok(Some(all))
}

#[cfg(test)]
mod tests {
    use promptfed_prompts::{ContentHash, LabelSpace};
    use serde_json::json;

    use super::*;
    use crate::store::{Begun, Ended};

    const ROUND: RoundId = RoundId::new(1);

    const fn later(training: u32) -> Work {
        Work {
            round: ROUND,
            training,
        }
    }

    fn plan() -> serde_json::Value {
        json!({
            "epochs": 2, "batch_size": 8, "learning_rate": 0.05, "label_smoothing": 0.1,
            "weight_decay": 0.0, "image_size": 16, "width": 4, "validation_fraction": 0.0, "seed": 5
        })
    }

    fn results(training: u32) -> RoundResults {
        let hash = ContentHash::of(&training.to_le_bytes());
        let results = json!({
            "round_id": 1, "training": training, "prompt_sets": [],
            "pooled": { "hash": hash, "prompts": 1 },
            "images": { "planned": 0, "accepted": 0, "rejected": 0, "non_finite": 0, "constant": 0, "duplicate": 0 },
            "per_class": [], "curve": [], "selected_epoch": 1,
            "model": { "hash": hash, "bytes": 1, "path": "/", "parameters": 1 },
            "seconds": { "pooling": 0.0, "synthesis": 0.0, "loading": 0.0, "training": 0.0 },
            "versions": { "server": "1", "wire": 1 }, "seeds": { "synthesis": 0, "training": 0 }
        });
        serde_json::from_value(results).unwrap()
    }

    /// A store with a round that is done.
    fn store(folder: &std::path::Path) -> Store {
        let store = Store::open(&folder.join("server.sqlite")).unwrap();
        let space = LabelSpace::from_names("pets", ["cat", "dog"]).unwrap();
        let spec = json!({
            "name": "r", "label_space": space, "training": plan(),
            "synthesis": { "engine": "noise", "images": { "per_prompt": 1 }, "seed": 1 }
        });
        let sql = "INSERT INTO rounds (name, spec, state, opened_at, closed_at, results)
            VALUES ('r', ?1, 'done', 1, 2, ?2)";
        let first = serde_json::to_string(&results(1)).unwrap();
        let values = params![spec.to_string(), first];
        store.lock().execute(sql, values).unwrap();
        store
    }

    fn ask(store: &Store, redraw: &[u32], images_of: Option<u32>, publish: bool) -> Asked {
        let new = NewTraining {
            plan: serde_json::from_value(plan()).unwrap(),
            redraw: redraw.to_vec(),
            images_of,
            publish,
        };
        store.ask_training(ROUND, &new).unwrap()
    }

    fn queued(asked: Asked) -> TrainingStatus {
        match asked {
            Asked::Queued(status) => status,
            other => panic!("{other:?}"),
        }
    }

    fn published(store: &Store) -> (u32, Option<ModelSummary>) {
        let all = store.trainings(ROUND).unwrap().unwrap();
        let one = all.into_iter().find(|training| training.published).unwrap();
        let results = store.results(ROUND).unwrap().unwrap();
        assert_eq!(results.training, one.training);
        (one.training, one.model)
    }

    #[test]
    fn what_is_drawn_again_was_never_drawn_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let draws = |status: TrainingStatus| -> Vec<(String, u32)> {
            let each = status.redrawn.into_iter();
            each.map(|again| (again.class, again.draw)).collect()
        };
        let cat = |draw| ("cat".to_owned(), draw);
        assert_eq!(draws(queued(ask(&store, &[0], None, false))), [cat(1)]);
        store.cancel_training(later(2)).unwrap();
        // Of one that came to nothing neither images nor numbers are taken.
        assert!(draws(queued(ask(&store, &[], None, false))).is_empty());
        assert_eq!(draws(queued(ask(&store, &[0], None, false))), [cat(2)]);
        let both = queued(ask(&store, &[1], None, false));
        assert_eq!(both.training, 5);
        assert_eq!(draws(both), [cat(2), ("dog".to_owned(), 1)]);
        assert!(draws(queued(ask(&store, &[], Some(1), false))).is_empty());
        assert_eq!(draws(queued(ask(&store, &[0], Some(4), false))), [cat(3)]);
        assert!(matches!(
            ask(&store, &[], Some(9), false),
            Asked::NoTraining
        ));
        let of_five = store.planned_training(later(5)).unwrap().unwrap();
        assert_eq!(of_five.draws, Draws::from([(0, 2), (1, 1)]));
        assert_eq!(of_five.drawn, BTreeSet::new());
        store.begin_attempt(later(4)).unwrap();
        let done = results(4);
        store.end_attempt(later(4), &Ended::Done(&done)).unwrap();
        let of_five = store.planned_training(later(5)).unwrap().unwrap();
        assert_eq!(of_five.drawn, BTreeSet::from([(0, 2)]));
    }

    #[test]
    fn clients_get_one_model_and_the_others_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        assert_eq!(published(&store).0, 1);
        for publish in [false, true] {
            queued(ask(&store, &[], None, publish));
        }
        assert_eq!(store.next_queued().unwrap(), Some(later(2)));
        let refused = store.publish(later(2)).unwrap();
        assert!(
            matches!(refused, TrainingChange::WrongState(_)),
            "{refused:?}"
        );
        for training in [2, 3] {
            let begun = store.begin_attempt(later(training)).unwrap();
            assert_eq!(begun, Begun::Attempt(1));
            let done = results(training);
            store
                .end_attempt(later(training), &Ended::Done(&done))
                .unwrap();
            assert_eq!(published(&store).0, if training == 2 { 1 } else { 3 });
        }
        assert_eq!(store.next_queued().unwrap(), None);
        for number in [2, 2, 1, 3] {
            store.publish(later(number)).unwrap();
            let (training, model) = published(&store);
            assert_eq!(training, number);
            assert_eq!(model.unwrap().hash, results(number).model.hash);
            let kept = store.training_results(later(number)).unwrap().unwrap();
            assert_eq!(kept.training, number);
        }
        let events = store.events(ROUND).unwrap().unwrap();
        let told = events
            .iter()
            .filter(|e| e.text.ends_with(" published") && !e.text.contains("asked for"));
        // Not that of the second time in a row.
        assert_eq!(told.count(), 3);
    }

    #[test]
    fn a_training_that_failed_is_tried_again_and_its_round_stays_done() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        queued(ask(&store, &[1], None, true));
        store.begin_attempt(later(2)).unwrap();
        let failed = Ended::Paused("another engine".into());
        store.end_attempt(later(2), &failed).unwrap();
        assert_eq!(store.next_queued().unwrap(), None);
        assert_eq!(
            store.status(ROUND).unwrap().unwrap().state,
            RoundState::Done
        );
        assert_eq!(published(&store).0, 1);
        let again = store.retry_training(later(2)).unwrap();
        assert!(matches!(again, TrainingChange::Done(_)), "{again:?}");
        assert_eq!(store.next_queued().unwrap(), Some(later(2)));
        for _ in 0..5 {
            store.begin_attempt(later(2)).unwrap();
        }
        assert_eq!(store.begin_attempt(later(2)).unwrap(), Begun::SetAside);
        let all = store.trainings(ROUND).unwrap().unwrap();
        let RoundState::Failed { reason } = &all[1].state else {
            panic!("{all:?}")
        };
        assert!(
            reason.contains("promptfed round retry 1 --training 2"),
            "{reason}"
        );
        assert!(matches!(
            store.cancel_training(later(2)).unwrap(),
            TrainingChange::WrongState(_)
        ));
        assert!(matches!(
            store.retry_training(later(7)).unwrap(),
            TrainingChange::NoTraining
        ));
    }
}
