//! A run as its record in a file has it, this version's or an earlier one's.

use crate::comparison::{MethodRun, SyntheticCounts};
use promptfed_learn::{EpochStats, Evaluation};
use promptfed_prompts::{ContentHash, ledger::Ledger};
use serde::{Deserialize, Serializer};

/// What files hold of a [`MethodRun`].
#[derive(Deserialize)]
pub(crate) struct RecordedRun {
    seed: u64,
    evaluation: Evaluation,
    ledger: Ledger,
    seconds: f64,
    /// Before this was recorded, runs went one after the other.
    #[serde(default = "one")]
    jobs: usize,
    curve: Vec<EpochStats>,
    accuracy_by_bytes: Vec<(u64, f64)>,
    #[serde(default)]
    accuracy_by_seconds: Vec<(f64, f64)>,
    model_hash: Option<ContentHash>,
    /// The epoch or round that was kept, counted from 1.
    #[serde(default)]
    kept_step: Option<usize>,
    /// The same in records of before, counted from 0.
    #[serde(default)]
    selected: Option<usize>,
    #[serde(default)]
    selection: Option<String>,
    #[serde(default)]
    synthetic: Option<SyntheticCounts>,
}

impl From<RecordedRun> for MethodRun {
    fn from(record: RecordedRun) -> Self {
        let kept = record.kept_step.and_then(|kept| kept.checked_sub(1));
        Self {
            seed: record.seed,
            evaluation: record.evaluation,
            ledger: record.ledger,
            seconds: record.seconds,
            jobs: record.jobs,
            curve: counted_from_one(record.curve),
            accuracy_by_bytes: record.accuracy_by_bytes,
            accuracy_by_seconds: record.accuracy_by_seconds,
            model_hash: record.model_hash,
            selected: kept.or(record.selected),
            selection: record.selection,
            synthetic: record.synthetic,
        }
    }
}

fn one() -> usize {
    1
}

/// A curve of before begins with epoch 0.
fn counted_from_one(mut curve: Vec<EpochStats>) -> Vec<EpochStats> {
    if curve.first().is_some_and(|first| first.epoch == 0) {
        curve.iter_mut().for_each(|step| step.epoch += 1);
    }
    curve
}

/// Writes a place in a list as a number counted from 1.
pub(crate) fn from_one<S: Serializer>(
    place: &Option<usize>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match place {
        Some(place) => serializer.serialize_some(&(place + 1)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn step(epoch: usize) -> Value {
        json!({ "epoch": epoch, "learning_rate": 0.1, "train_loss": 1.5, "train_accuracy": 0.5, "validation_accuracy": null })
    }

    fn record(first: usize) -> Value {
        let evaluation = json!({
            "accuracy": 0.5, "confusion": [[1, 0], [1, 0]], "macro_f1": 0.25, "per_domain": {},
        });
        json!({
            "seed": 3, "evaluation": evaluation, "ledger": Ledger::new(), "seconds": 1.0, "curve": [step(first), step(first + 1)],
            "accuracy_by_bytes": [], "model_hash": null,
        })
    }

    #[test]
    fn epochs_of_earlier_records_are_counted_as_those_of_today() {
        let mut before = record(0);
        before["selected"] = 1.into();
        let mut now = record(1);
        now["kept_step"] = 2.into();
        for recorded in [before, now] {
            let run: MethodRun = serde_json::from_value(recorded).unwrap();
            assert_eq!(run.selected, Some(1));
            let epochs: Vec<usize> = run.curve.iter().map(|step| step.epoch).collect();
            assert_eq!(epochs, [1, 2]);
            let written = serde_json::to_value(&run).unwrap();
            assert_eq!(written["kept_step"], 2);
            assert!(written.get("selected").is_none());
        }
    }

    #[test]
    fn what_has_no_epochs_keeps_none() {
        let mut bare = record(1);
        bare["curve"] = json!([]);
        bare["kept_step"] = Value::Null;
        let run: MethodRun = serde_json::from_value(bare).unwrap();
        assert_eq!((run.selected, run.curve.len()), (None, 0));
    }
}
