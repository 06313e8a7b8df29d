//! Where a round stands.

use serde::{Deserialize, Serialize};

use super::RoundId;

/// A round's state. Transitions: open, queued, synthesising, fusing where the plan says so, training, done; any of them but `done` may end
/// in `failed` or `cancelled`. An administrator can have a round that failed, or is paused, tried again: it is queued then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RoundState {
    /// Takes submissions.
    Open,
    /// Closed; waits for the job runner.
    Queued,
    /// Images are being made.
    Synthesising {
        /// Images finished.
        done: u64,
        /// Images planned.
        total: u64,
    },
    /// The images of several sources are being chosen and weighed.
    Fusing {
        /// What is being done, in words.
        stage: String,
        /// Steps of the stage finished.
        done: u64,
        /// Steps of the stage in all.
        total: u64,
    },
    /// The central model is being trained.
    Training {
        /// Epochs finished.
        epoch: u32,
        /// Epochs planned.
        epochs: u32,
    },
    /// The job waits for an operator: it cannot go on as the server is now, and nothing is lost.
    Paused {
        /// What is in its way and what to do, in one sentence.
        reason: String,
    },
    /// Results and model are there.
    Done,
    /// The job ended with an error.
    Failed {
        /// The error in one sentence.
        reason: String,
    },
    /// An administrator ended it.
    Cancelled,
    /// A state that this version does not know: the round is not done.
    #[serde(other)]
    Unknown,
}

impl RoundState {
    /// Whether nothing can change any more.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done | Self::Failed { .. } | Self::Cancelled)
    }

    /// The state's name as in JSON, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Queued => "queued",
            Self::Synthesising { .. } => "synthesising",
            Self::Fusing { .. } => "fusing",
            Self::Training { .. } => "training",
            Self::Paused { .. } => "paused",
            Self::Done => "done",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a job failed, for who decides whether to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// By what may pass or be put right outside the round: a full disk, a service that was away, too little memory.
    Transient,
    /// By the plan or the prompts: without a change it fails again.
    Final,
    /// Its job ended the server several times and was set aside.
    Poison,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Where a round stands. Times are milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RoundStatus {
    /// The round.
    pub round_id: RoundId,
    /// Its name.
    pub name: String,
    /// Its state.
    #[serde(flatten)]
    pub state: RoundState,
    /// Clients that have submitted.
    pub submissions: u32,
    /// Clients after which the round closes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_clients: Option<u32>,
    /// When it was opened.
    pub opened_at: u64,
    /// When it was closed to submissions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<u64>,
    /// When it reached its final state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<u64>,
    /// What has no effect or is not read of the job in work, in words, from before its first image; those of a finished round
    /// are in its results.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How often its job was begun.
    #[serde(default)]
    pub attempts: u32,
    /// What kind of failure it was, of a round that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
}

/// Says that the server answers and its store works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// Always `ok`; otherwise the answer is a problem.
    pub status: String,
    /// The server's version.
    pub version: String,
    /// The newest prompt-set wire version it reads.
    pub wire_version: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_lies_flat_in_the_status() {
        let status = RoundStatus {
            round_id: RoundId::new(3),
            name: "r".into(),
            state: RoundState::Synthesising { done: 1, total: 4 },
            submissions: 2,
            expected_clients: None,
            opened_at: 5,
            closed_at: Some(6),
            finished_at: None,
            warnings: vec!["w".into()],
            attempts: 2,
            failure: None,
        };
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(json["state"], "synthesising");
        assert_eq!(json["total"], 4);
        assert_eq!(serde_json::from_value::<RoundStatus>(json).unwrap(), status);
    }

    #[test]
    fn fusing_is_told_and_states_of_later_servers_are_read() {
        let read = |state: serde_json::Value| {
            let mut json =
                serde_json::json!({ "round_id": 3, "name": "r", "submissions": 2, "opened_at": 5 });
            for (key, value) in state.as_object().unwrap() {
                json[key] = value.clone();
            }
            serde_json::from_value::<RoundStatus>(json).unwrap()
        };
        let stage = "training task models";
        let fusing =
            read(serde_json::json!({ "state": "fusing", "stage": stage, "done": 1, "total": 3 }));
        let expected = RoundState::Fusing {
            stage: stage.into(),
            done: 1,
            total: 3,
        };
        assert_eq!(fusing.state, expected);
        let paused = read(serde_json::json!({ "state": "paused", "reason": "other weights" }));
        assert_eq!(paused.state.name(), "paused");
        assert!(!paused.state.is_final() && paused.attempts == 0);
        let failed =
            read(serde_json::json!({ "state": "failed", "reason": "r", "failure": "boredom" }));
        assert_eq!(failed.failure, Some(FailureKind::Unknown));
        let later = read(serde_json::json!({ "state": "polishing", "grade": 7 }));
        assert_eq!(later.state, RoundState::Unknown);
        assert!(!later.state.is_final());
    }
}
