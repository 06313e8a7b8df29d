//! Which runs are compared: trainings of rounds, as an address names them.

use promptfed_prompts::protocol::{RoundId, RoundState};

use crate::Result;
use crate::store::{Store, Work};

/// The most runs that are compared at once.
pub(super) const MOST_RUNS: usize = 6;

/// The most rounds that are offered, the newest of those that are done.
const MOST_ROUNDS: usize = 50;

/// A run that is offered.
pub(super) struct Offered {
    pub(super) work: Work,
    /// Name of its round.
    pub(super) round: String,
}

/// The runs that a query asks for, each once, in its order: `run=ROUND` is a round's own training, `run=ROUND.TRAINING` any. What names none is
/// passed over.
pub(super) fn asked(query: &str) -> Vec<Work> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let mut runs = Vec::new();
    for (key, value) in pairs {
        if key == "run"
            && let Some(work) = read(&value)
            && !runs.contains(&work)
        {
            runs.push(work);
        }
    }
    runs
}

fn read(value: &str) -> Option<Work> {
    let (round, training) = value.split_once('.').unwrap_or((value, "1"));
    Some(Work {
        round: round.parse::<RoundId>().ok()?,
        training: training.parse().ok().filter(|number| *number > 0)?,
    })
}

/// How an address names a run.
pub(super) fn written(work: Work) -> String {
    format!("{}.{}", work.round, work.training)
}

/// What people call a run.
pub(super) fn told(work: Work) -> String {
    match work.training {
        1 => format!("Round {}", work.round),
        later => format!("Round {}, training {later}", work.round),
    }
}

/// The runs that are done, the newest rounds first.
pub(super) fn offered(store: &Store) -> Result<Vec<Offered>> {
    let rounds = store.statuses()?.into_iter();
    let rounds = rounds.filter(|status| status.state == RoundState::Done);
    let mut runs = Vec::new();
    for status in rounds.take(MOST_ROUNDS) {
        let trainings = store.trainings(status.round_id)?.unwrap_or_default();
        for training in trainings {
            if training.state == RoundState::Done {
                runs.push(Offered {
                    work: Work {
                        round: status.round_id,
                        training: training.training,
                    },
                    round: status.name.clone(),
                });
            }
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_each_run_once() {
        let names = |query| asked(query).into_iter().map(written).collect::<Vec<_>>();
        assert_eq!(names("run=3&run=1.2&other=4&run=3.1"), ["3.1", "1.2"]);
        for wrong in ["", "run=", "run=x", "run=1.0", "run=1.x", "run=-1", "%%%"] {
            assert!(names(wrong).is_empty(), "{wrong}");
        }
        assert_eq!(
            asked(&format!("run={}", written(asked("run=7.3")[0]))),
            asked("run=7.3")
        );
    }
}
