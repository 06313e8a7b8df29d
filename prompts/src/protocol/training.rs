//! Trainings of a finished round's images after its own: with other settings, with classes drawn again.

use serde::{Deserialize, Serialize};

use super::{InvalidMessage, ModelSummary, RoundId, RoundState, TrainingPlan};

/// Asks for one more training of the images of a round that is done; sent with the administrator's token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TrainingRequest {
    /// How the model is trained; without it as the round's plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<TrainingPlan>,
    /// Names of classes whose images are made again before, from seeds that none was drawn from, each once; they take the place of those that
    /// the class has. None where a request does not say.
    #[serde(default)]
    pub redraw: Vec<String>,
    /// The training whose images it begins with; without it, the latest that is done or queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images_of: Option<u32>,
    /// Whether the model is the one that clients get as soon as it is there. This is off by default.
    #[serde(default)]
    pub publish: bool,
}

impl TrainingRequest {
    /// Checks the plan, and that no class stands twice.
    ///
    /// # Errors
    /// Names the first field that is out of its range.
    pub fn validate(&self) -> Result<(), InvalidMessage> {
        let mut seen = std::collections::BTreeSet::new();
        for class in &self.redraw {
            if !seen.insert(class) {
                let rule = "names of which each stands once";
                return Err(InvalidMessage::new("redraw", class, rule));
            }
        }
        self.plan.map_or(Ok(()), |plan| plan.validate())
    }
}

/// Where a training of a round's images stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrainingStatus {
    /// The round.
    pub round_id: RoundId,
    /// Its number in the round: 1 is the round's own, those asked for later follow.
    pub training: u32,
    /// Where it stands, in the words of rounds; never open.
    #[serde(flatten)]
    pub state: RoundState,
    /// How the model is trained.
    pub plan: TrainingPlan,
    /// The classes whose images were drawn again for it or for one before, in the label space's order.
    pub redrawn: Vec<RedrawnClass>,
    /// Whether its model is the one that clients get.
    pub published: bool,
    /// When it was asked for, in milliseconds since 1970-01-01 UTC; of the round's own, when the round was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<u64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<u64>,
    /// The model, once it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSummary>,
    /// Accuracy of the selected epoch on held-out synthetic images, 0 to 1, once it is done and where there were enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
}

/// A class whose images were made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedrawnClass {
    /// Its name.
    pub class: String,
    /// How often its images were made again, 1 or more; their seeds are derived from those of the round's images and this number.
    pub draw: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_needs_no_words_and_names_a_class_once() {
        let none: TrainingRequest = serde_json::from_str("{}").unwrap();
        assert_eq!(none, TrainingRequest::default());
        none.validate().unwrap();
        let twice = TrainingRequest {
            redraw: vec!["cat".into(), "dog".into(), "cat".into()],
            ..TrainingRequest::default()
        };
        let told = twice.validate().unwrap_err();
        assert_eq!(told.field(), "redraw");
        assert!(told.to_string().contains("cat"), "{told}");
    }
}
