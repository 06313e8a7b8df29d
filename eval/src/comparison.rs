//! What a comparison of methods found: the one record behind the table, the JSON and the HTML report.

use crate::experiment::Tuned;
use crate::pairs::Pair;
use crate::predictions::TestPredictions;
use crate::recorded_run::{RecordedRun, from_one};
use promptfed_learn::{EpochStats, Evaluation};
use promptfed_prompts::{ContentHash, ledger::Ledger};
use serde::{Deserialize, Serialize};

/// Everything measured by one comparison: methods x seeds on one partition of one data set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Comparison {
    /// Title shown above the report, e.g. `emoji, one drawing style per client`.
    pub title: String,
    /// Version of the program that measured.
    pub version: String,
    /// The settings of the comparison, as `(name, value)` in the order they are shown.
    pub settings: Vec<(String, String)>,
    /// The data used: private images by client, and the test set.
    pub data: DataSummary,
    /// One entry per method, in the order shown.
    pub methods: Vec<MethodResult>,
    /// What crossed the wire in the first seed of the generative methods; what several sent alike stands once.
    pub prompts: Vec<SubmittedPrompts>,
    /// Private images beside synthetic ones.
    pub gallery: Vec<GalleryCell>,
    /// Name and value of each hash, seed and version that the result depends on.
    pub provenance: Vec<(String, String)>,
    /// What in the runs had no effect, was not read or was left out, in words, each once.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Classes of whose words the first engine that tells what it knows was never shown some: its images of them need not look like them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen_classes: Vec<String>,
    /// Runs that failed; their methods' figures are those of the others.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// Where a federated method was tested, one method beside each of the others: is the difference more than chance?
    #[serde(default)]
    pub pairs: Vec<Pair>,
    /// What learning rate each method was given, where they were tuned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tuned: Vec<Tuned>,
    /// The test accuracy that is waited for on the simulated clock, in (0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_accuracy: Option<f64>,
    /// What every run says of every test image; in a file of its own beside the record.
    #[serde(skip)]
    pub predictions: TestPredictions,
    /// Wall time of the whole comparison with the choice of learning rates, in seconds; of one that went on, of its last part.
    pub seconds: f64,
}

/// A run that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The method.
    pub method: String,
    /// The seed.
    pub seed: u64,
    /// Why, in a sentence.
    pub reason: String,
}

/// Sizes and hashes of the data of a comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DataSummary {
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// Per client: name and number of private images of each class.
    pub clients: Vec<ClientSummary>,
    /// Number of test images.
    pub test_images: usize,
    /// Hash of the decoded test images and labels.
    pub test_hash: ContentHash,
    /// The partition, in its text form, e.g. `domain` or `dirichlet:5:0.5`.
    pub partition: String,
}

/// One client's private data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientSummary {
    /// The client's name.
    pub name: String,
    /// Private images of each class, in label order.
    pub images_per_class: Vec<usize>,
    /// Hash of the client's decoded images and labels.
    pub hash: ContentHash,
}

/// One method's runs, one per seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MethodResult {
    /// Short name: `fgl`, `fused`, `fedavg`, `centralised`, `chance`.
    pub name: String,
    /// One sentence: what the method shares and trains on.
    pub description: String,
    /// One run per seed.
    pub runs: Vec<MethodRun>,
}

/// One method with one seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "RecordedRun")]
pub struct MethodRun {
    /// The run's seed.
    pub seed: u64,
    /// The final model on the test set.
    pub evaluation: Evaluation,
    /// Every byte that crossed, by client, direction and kind.
    pub ledger: Ledger,
    /// Wall time in seconds, from the first message or training step to the finished model.
    pub seconds: f64,
    /// How many runs shared the machine while it was measured, this one included. With more than 1 its seconds are not those that it takes alone.
    pub jobs: usize,
    /// Training by epoch (central training) or by round (federated averaging).
    pub curve: Vec<EpochStats>,
    /// Test accuracy after a given total of bytes, both ways, all clients. Shown, never used to choose a model.
    pub accuracy_by_bytes: Vec<(u64, f64)>,
    /// Test accuracy after a given number of simulated seconds, where links and computers are simulated. Shown, never used to choose a model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accuracy_by_seconds: Vec<(f64, f64)>,
    /// Hash of the final model's file, where there is a model.
    pub model_hash: Option<ContentHash>,
    /// Where in `curve` the epoch or round is whose model was kept; in JSON `kept_step`, its number, counted from 1.
    #[serde(rename(serialize = "kept_step"), serialize_with = "from_one")]
    pub selected: Option<usize>,
    /// Why that one: `best validation: ...`, or `last: ...` where there were too few validation images to choose by.
    pub selection: Option<String>,
    /// The synthetic images, where the method makes some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<SyntheticCounts>,
}

/// How many synthetic images a run made, and how many of them its model was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyntheticCounts {
    /// Images made.
    pub made: u64,
    /// Images chosen of them for training, those that select the epoch included.
    pub trained_on: u64,
}

/// One client's submission as the server saw it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SubmittedPrompts {
    /// The client's name.
    pub client: String,
    /// Hash of the canonical prompt set.
    pub hash: ContentHash,
    /// Bytes of the wire form.
    pub wire_bytes: u64,
    /// The canonical document, exactly as it left the client.
    pub document: String,
    /// The prompts as the generator reads them, `(positive, negative)`.
    pub rendered: Vec<(String, String)>,
}

/// The private and the synthetic images of one class and domain, as PNG files in memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GalleryCell {
    /// Class name.
    pub class: String,
    /// Domain (drawing style), where the data has domains.
    pub domain: Option<String>,
    /// A few private images; they stay in the report of a simulation and never cross the wire.
    #[serde(skip)]
    pub private: Vec<Vec<u8>>,
    /// A few synthetic images that each generative method's model was trained on.
    #[serde(skip)]
    pub synthetic: Vec<SyntheticStrip>,
}

/// A few synthetic images of one method.
#[derive(Debug, Clone)]
pub struct SyntheticStrip {
    /// The method's short name.
    pub method: String,
    /// The images, as PNG files in memory.
    pub images: Vec<Vec<u8>>,
}

/// Mean and spread of a figure over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n - 1); 0 for one value.
    pub std: f64,
}

impl Spread {
    /// Mean and sample standard deviation of `values`; NaN mean for none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let std = if values.len() < 2 {
            0.0
        } else {
            (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
        };
        Self { mean, std }
    }
}

impl MethodResult {
    /// Test accuracy over seeds, in [0, 1].
    pub fn accuracy(&self) -> Spread {
        Spread::of(self.runs.iter().map(|r| r.evaluation.accuracy))
    }

    /// Balanced accuracy over seeds, in [0, 1].
    pub fn balanced_accuracy(&self) -> Spread {
        let tallies = self.runs.iter().map(|run| run.evaluation.tally());
        Spread::of(tallies.map(|tally| tally.balanced_accuracy()))
    }

    /// Macro F1 over seeds, in [0, 1].
    pub fn macro_f1(&self) -> Spread {
        Spread::of(self.runs.iter().map(|r| r.evaluation.macro_f1))
    }

    /// Wall time over seeds, in seconds.
    pub fn seconds(&self) -> Spread {
        Spread::of(self.runs.iter().map(|r| r.seconds))
    }
}
