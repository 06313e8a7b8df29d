//! The ledger gives the answers of the scheduler, and keeps what it said.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use promptfed_prompts::ContentHash;
use promptfed_synth::queue::{
    Asked, Grant, Ledger, MadeObject, Moment, Needs, Offer, Policy, RunState, Scheduler, ShardId,
    Stale, State, WorkerId,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::server::{content, needs};

const JOB: ContentHash = ContentHash::from_bytes([7; 32]);

fn offer(kind: usize) -> Offer {
    Offer {
        engine: needs(kind).engine.unwrap(),
        version: "1".into(),
        weights_hash: ContentHash::of(b"weights"),
        settings: BTreeMap::new(),
    }
}

fn ledger(folder: &Path) -> Ledger {
    Ledger::create(&folder.join("shards.sqlite"), JOB, Policy::default()).unwrap()
}

fn add(ledger: &mut Ledger, id: ShardId, needs: &Needs, work: &[u8], now: Moment) {
    let asked = Asked {
        id,
        images: 32,
        needs,
        work,
    };
    ledger.add(&asked, now).unwrap();
}

#[test]
fn ledger_and_scheduler_give_the_same_answers() {
    for seed in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path());
        let mut scheduler = Scheduler::new(Policy::default());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut now = Duration::from_secs(1_000_000);
        for id in 0..24 {
            let needs = needs(id as usize / 5);
            scheduler.add(id, 32, &needs, now);
            add(&mut ledger, id, &needs, b"work", now);
        }
        // Leases that were given, of which some are stale.
        let mut given: Vec<(ShardId, u64, WorkerId)> = Vec::new();
        for _ in 0..250 {
            now += Duration::from_millis(rng.random_range(0..25_000));
            let worker = WorkerId(rng.random_range(1..5));
            let lease = (!given.is_empty()).then(|| given[rng.random_range(0..given.len())]);
            match (rng.random_range(0..8), lease) {
                (0..3, _) | (_, None) => {
                    let offer = offer(rng.random_range(0..2));
                    let told = scheduler.lease(worker, &offer, now);
                    let kept = ledger.lease(worker, &offer, now).unwrap();
                    let kept = kept.map(|Grant { id, lease, .. }| (id, lease));
                    assert_eq!(kept, told, "seed {seed}");
                    given.extend(told.map(|(id, lease)| (id, lease.fence, worker)));
                }
                (3, Some((id, fence, worker))) => {
                    let told = scheduler.extend(worker, id, fence, now);
                    assert_eq!(ledger.extend(worker, id, fence, now).unwrap(), told);
                }
                (4, Some((id, fence, _))) => {
                    let hash = content(id);
                    let made = MadeObject { fence, hash };
                    let told = scheduler.complete(id, made);
                    assert_eq!(ledger.complete(id, made).unwrap(), told);
                }
                (5, Some((id, fence, worker))) => {
                    let told = scheduler.fail(worker, id, fence, "no memory", now);
                    let kept = ledger.fail(worker, id, fence, "no memory", now).unwrap();
                    assert_eq!(kept, told);
                }
                (6, Some((id, fence, _))) => {
                    let told = scheduler.release(id, fence, now);
                    assert_eq!(ledger.release(id, fence, now).unwrap(), told);
                }
                (_, Some((id, fence, _))) => {
                    let told = scheduler.lose_object(id, fence, now);
                    assert_eq!(ledger.lose_object(id, fence, now).unwrap(), told);
                }
            }
            assert_eq!(ledger.load(now).unwrap(), scheduler.load(now));
        }
        for (id, _, shard) in scheduler.shards() {
            assert_eq!(ledger.get(id).unwrap().as_ref(), Some(shard), "seed {seed}");
        }
        let load = scheduler.load(now);
        assert!(load.done > 0 && given.len() > 30, "{load:?}");
    }
}

#[test]
fn what_was_said_is_there_for_whoever_opens_it_next() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shards.sqlite");
    assert!(Ledger::join(&file).unwrap().is_none());
    assert!(!file.exists());
    let mut first = ledger(folder.path());
    let now = Duration::from_secs(5);
    add(&mut first, 0, &needs(0), b"zero", now);
    let mut worker = Ledger::join(&file).unwrap().unwrap();
    assert_eq!(worker.policy(), Policy::default());
    let a = WorkerId(u64::MAX);
    let grant = worker.lease(a, &offer(0), now).unwrap().unwrap();
    assert_eq!(
        (grant.work.as_slice(), grant.lease.worker),
        (&b"zero"[..], a)
    );
    // The process is killed; another one begins.
    drop(first);
    let mut again = ledger(folder.path());
    add(&mut again, 0, &needs(0), b"zero", now);
    let shard = again.get(0).unwrap().unwrap();
    assert_eq!(shard.state, State::Leased(grant.lease));
    let made = MadeObject {
        fence: grant.lease.fence,
        hash: content(0),
    };
    assert_eq!(worker.complete(0, made).unwrap(), Ok(()));
    assert_eq!(again.get(0).unwrap().unwrap().state, State::Done(made));
    assert_eq!(worker.run_state().unwrap(), RunState::Open);
    again.end(false).unwrap();
    assert_eq!(worker.run_state().unwrap(), RunState::Closed);
    again.end(true).unwrap();
    assert_eq!(worker.run_state().unwrap(), RunState::Finished);
}

#[test]
fn who_drew_a_shard_that_was_forgotten_is_too_late() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = ledger(folder.path());
    let (now, a, b) = (Duration::from_secs(5), WorkerId(1), WorkerId(2));
    add(&mut ledger, 0, &needs(0), b"old", now);
    let old = ledger.lease(a, &offer(0), now).unwrap().unwrap().lease;
    let made = |fence| MadeObject {
        fence,
        hash: content(0),
    };
    // Another content of the same name.
    add(&mut ledger, 0, &needs(0), b"new", now);
    assert_eq!(ledger.complete(0, made(old.fence)).unwrap(), Err(Stale));
    let new = ledger.lease(b, &offer(0), now).unwrap().unwrap();
    assert_eq!(new.work, b"new");
    assert!(new.lease.fence > old.fence);
    // Forgotten and added once more; and another job in its place.
    ledger.forget(0..1).unwrap();
    assert_eq!(
        ledger.complete(0, made(new.lease.fence)).unwrap(),
        Err(Stale)
    );
    add(&mut ledger, 0, &needs(0), b"new", now);
    let third = ledger.lease(a, &offer(0), now).unwrap().unwrap().lease;
    assert!(third.fence > new.lease.fence);
    drop(ledger);
    let file = folder.path().join("shards.sqlite");
    let mut other =
        Ledger::create(&file, ContentHash::of(b"another job"), Policy::default()).unwrap();
    assert_eq!(other.get(0).unwrap(), None);
    add(&mut other, 0, &needs(0), b"new", now);
    let fourth = other.lease(b, &offer(0), now).unwrap().unwrap().lease;
    assert!(fourth.fence > third.fence);
    assert_eq!(other.complete(0, made(third.fence)).unwrap(), Err(Stale));
}

#[test]
fn a_worker_that_fits_nothing_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = ledger(folder.path());
    assert_eq!(ledger.unmet(&offer(0)).unwrap(), None);
    add(&mut ledger, 0, &needs(1), b"work", Duration::ZERO);
    let lack = ledger.unmet(&offer(0)).unwrap().unwrap();
    assert!(lack.contains("sd") && lack.contains("pocket"), "{lack}");
    assert_eq!(ledger.unmet(&offer(1)).unwrap(), None);
    assert_eq!(
        ledger
            .lease(WorkerId(1), &offer(0), Duration::ZERO)
            .unwrap(),
        None
    );
}

#[test]
fn a_file_that_is_no_ledger_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shards.sqlite");
    std::fs::write(&file, "no database at all, but long enough to be looked at").unwrap();
    let told = Ledger::create(&file, JOB, Policy::default()).err().unwrap();
    assert!(told.to_string().contains("shards.sqlite"), "{told}");
    assert!(Ledger::join(&file).is_err());
}

/// Several processes take, fail and draw shards at once, here as threads with connections of their own.
#[test]
fn no_shard_is_given_to_two_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shards.sqlite");
    let mut ledger = ledger(folder.path());
    let now = Duration::from_secs(5);
    for id in 0..60 {
        add(&mut ledger, id, &needs(0), b"work", now);
    }
    let taken: Vec<Vec<ShardId>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=4)
            .map(|id| {
                let file = &file;
                scope.spawn(move || {
                    let mut ledger = Ledger::join(file).unwrap().unwrap();
                    let mut taken = Vec::new();
                    while let Some(grant) = ledger.lease(WorkerId(id), &offer(0), now).unwrap() {
                        let made = MadeObject {
                            fence: grant.lease.fence,
                            hash: content(grant.id),
                        };
                        assert_eq!(ledger.complete(grant.id, made).unwrap(), Ok(()));
                        taken.push(grant.id);
                    }
                    taken
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    let mut all = taken.concat();
    all.sort_unstable();
    assert_eq!(all, (0..60).collect::<Vec<_>>());
}

#[test]
fn shards_that_were_set_aside_are_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = ledger(folder.path());
    let mut now = Duration::from_secs(1_000_000);
    for id in [0, 32] {
        add(&mut ledger, id, &needs(0), b"work", now);
    }
    let mut fences = Vec::new();
    for worker in (1..4).map(WorkerId) {
        let grant = ledger.lease(worker, &offer(0), now).unwrap().unwrap();
        assert_eq!(grant.id, 0);
        fences.push(grant.lease.fence);
        let failed = ledger.fail(worker, 0, grant.lease.fence, "no memory", now);
        failed.unwrap().unwrap();
        now += Duration::from_secs(100);
    }
    assert_eq!(ledger.get(0).unwrap().unwrap().state, State::SetAside);
    assert_eq!(ledger.load(now).unwrap().set_aside, 1);
    let aside = ledger.set_aside().unwrap();
    assert_eq!((aside.len(), aside[0].0), (1, 0));
    assert_eq!(aside[0].1.reasons().len(), 3);
    assert_eq!(ledger.retry_set_aside().unwrap(), 1);
    assert_eq!(ledger.retry_set_aside().unwrap(), 0);
    let shard = ledger.get(0).unwrap().unwrap();
    assert!(shard.failures.is_empty() && shard.losses == 0, "{shard:?}");
    let again = ledger.lease(WorkerId(1), &offer(0), now).unwrap().unwrap();
    assert_eq!(again.id, 0);
    // Who failed before is too late with what it says.
    assert!(fences.iter().all(|fence| *fence < again.lease.fence));
}
