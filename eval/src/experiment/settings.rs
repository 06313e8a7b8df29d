//! What a report tells of an experiment's settings.

use super::Experiment;
use crate::federation::{Federation, TestSet};
use promptfed_data::DecodeReport;

impl Experiment {
    pub(super) fn settings(
        &self,
        federation: &Federation,
        test: &TestSet,
    ) -> Vec<(String, String)> {
        let decoding = decoding(federation, test);
        let recipe = &self.setting.recipe;
        let training = &recipe.training;
        let changed: Vec<String> = decoding.notes().collect();
        let changed = if changed.is_empty() {
            "none".to_owned()
        } else {
            changed.join("; ")
        };
        [
            ("partition", self.data.partition.to_string()),
            ("clients", federation.clients.len().to_string()),
            ("image size", format!("{} px", recipe.image_size)),
            ("pictures made square by", recipe.fit.to_string()),
            ("classifier", recipe.architecture.to_string()),
            ("classifier width", recipe.width.to_string()),
            ("batch size", training.batch_size.to_string()),
            (
                "peak learning rate",
                if self.setting.rates.is_empty() {
                    training.learning_rate.to_string()
                } else {
                    "of each method, as tuned".to_owned()
                },
            ),
            ("momentum", training.momentum.to_string()),
            ("weight decay", training.weight_decay.to_string()),
            ("label smoothing", training.label_smoothing.to_string()),
            (
                "augmentation",
                format!(
                    "flip {}, shift {}",
                    if training.augmentation.flip {
                        "on"
                    } else {
                        "off"
                    },
                    training.augmentation.shift
                ),
            ),
            ("validation share", recipe.validation_fraction.to_string()),
            ("kept epoch or round", federation.selection.to_string()),
            (
                "unreadable pictures skipped",
                decoding.skipped.len().to_string(),
            ),
            ("pictures changed in decoding", changed),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .chain(self.simulated())
        .collect()
    }

    /// What is simulated, where something is.
    fn simulated(&self) -> Option<(String, String)> {
        let simulation = self.setting.simulation?;
        Some(("simulated time".to_owned(), simulation.to_string()))
    }

    pub(super) fn provenance(&self) -> Vec<(String, String)> {
        let seeds: Vec<String> = self.setting.seeds.iter().map(u64::to_string).collect();
        vec![
            (
                "promptfed version".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
            ("seeds".to_owned(), seeds.join(", ")),
            (
                format!("label space {}", self.data.label_space.name()),
                self.data.label_space.hash().to_string(),
            ),
        ]
    }
}

/// What came of decoding the pictures of all clients and the test set; a skipped sample's index counts in its own set.
pub(super) fn decoding(federation: &Federation, test: &TestSet) -> DecodeReport {
    let mut all = federation.decoding.clone();
    all.merge(test.decoding.clone());
    all
}
