//! One row of figures per method: means over seeds, the bytes of all clients and of one.

use std::collections::BTreeSet;

use promptfed_prompts::ledger::{Direction, PayloadKind};
use serde::Serialize;

use crate::comparison::{Comparison, MethodResult, MethodRun, SyntheticCounts};
use crate::statistics::{Interval, mean_interval};

/// One method's figures over its seeds. Bytes are means over seeds, rounded to whole bytes; a method without runs
/// has a NaN accuracy (`null` in JSON) and no bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MethodSummary {
    /// The method's short name.
    pub name: String,
    /// How many seeds were run.
    pub runs: usize,
    /// Mean test accuracy, in [0, 1].
    pub accuracy_mean: f64,
    /// Sample standard deviation of the accuracy over seeds.
    pub accuracy_std: f64,
    /// The 95 % interval of the mean accuracy over seeds, by Student's t, as far as it lies in [0, 1]; none of one seed.
    pub accuracy_interval: Option<Interval>,
    /// Mean of the classes' accuracies, the mean over seeds, in [0, 1]: whoever always names one class has 1 / classes.
    pub balanced_accuracy: f64,
    /// Sample standard deviation of the balanced accuracy over seeds.
    pub balanced_accuracy_std: f64,
    /// The 95 % interval of its mean, as the accuracy's.
    pub balanced_accuracy_interval: Option<Interval>,
    /// Whether in every run all images but one in a hundred were taken for one class, though there are more.
    pub collapsed: bool,
    /// Mean macro F1, in [0, 1].
    pub macro_f1: f64,
    /// Sample standard deviation of macro F1 over seeds.
    pub macro_f1_std: f64,
    /// The 95 % interval of its mean, as the accuracy's.
    pub macro_f1_interval: Option<Interval>,
    /// Mean expected calibration error, in [0, 1]; none where a run has none.
    pub expected_calibration_error: Option<f64>,
    /// Mean negative log-likelihood of the labels, in nats; none where a run has none.
    pub negative_log_likelihood: Option<f64>,
    /// Bytes from all clients to the server.
    pub bytes_up: u64,
    /// Bytes from the server to all clients.
    pub bytes_down: u64,
    /// Mean over clients of the bytes from one client to the server.
    pub bytes_up_per_client: u64,
    /// Mean over clients of the bytes from the server to one client.
    pub bytes_down_per_client: u64,
    /// Bytes of all clients by direction and kind; kinds that never crossed are left out.
    pub bytes_by_kind: Vec<KindBytes>,
    /// Mean wall time in seconds.
    pub seconds: f64,
    /// How many runs shared the machine at most while one of these was measured; 1 where each had it alone.
    pub jobs: usize,
    /// Mean seconds of a whole run on the simulated clock, where all runs have some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulated_seconds: Option<f64>,
    /// Mean simulated seconds after which the test accuracy that is waited for was reached, over the runs that reached it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_to_target: Option<f64>,
    /// How many runs reached it, where one is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_at_target: Option<usize>,
    /// Mean number of synthetic images made and trained on, where the method makes some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<SyntheticCounts>,
}

/// The bytes of one direction and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KindBytes {
    /// Which way.
    pub direction: Direction,
    /// What.
    pub kind: PayloadKind,
    /// Mean over seeds, all clients together.
    pub bytes: u64,
}

impl MethodSummary {
    /// Bytes of all clients, both ways.
    pub fn bytes(&self) -> u64 {
        self.bytes_up.saturating_add(self.bytes_down)
    }

    /// Bytes of all clients of one direction and kind.
    pub fn bytes_of(&self, direction: Direction, kind: PayloadKind) -> u64 {
        let found = self
            .bytes_by_kind
            .iter()
            .find(|k| k.direction == direction && k.kind == kind);
        found.map_or(0, |k| k.bytes)
    }
}

/// The share of images taken for one class from which a model is called collapsed.
const COLLAPSED: f64 = 0.99;

impl MethodRun {
    /// Whether nearly all images were taken for one class, though those of others are among them.
    pub fn is_collapsed(&self) -> bool {
        let confusion = &self.evaluation.confusion;
        let labels = confusion.iter().filter(|row| row.iter().any(|n| *n > 0));
        let all: u64 = confusion.iter().flatten().sum();
        let named = (0..confusion.len())
            .map(|class| confusion.iter().map(|row| row[class]).sum::<u64>())
            .max();
        labels.count() > 1 && named.unwrap_or(0) as f64 >= COLLAPSED * all as f64
    }

    /// The simulated seconds after which a test accuracy was reached first.
    pub fn seconds_to(&self, accuracy: f64) -> Option<f64> {
        let mut steps = self.accuracy_by_seconds.iter();
        let reached = steps.find(|(_, reached)| *reached >= accuracy);
        reached.map(|(seconds, _)| *seconds)
    }

    /// Bytes of all clients, both ways.
    pub fn bytes(&self) -> u64 {
        self.ledger
            .total(Direction::Up)
            .saturating_add(self.ledger.total(Direction::Down))
    }
}

impl Comparison {
    /// One row of figures per method, in the order of the methods.
    pub fn summary(&self) -> Vec<MethodSummary> {
        self.methods
            .iter()
            .map(|method| self.summarise(method))
            .collect()
    }

    fn summarise(&self, method: &MethodResult) -> MethodSummary {
        let reached = self.target_accuracy.map_or_else(Vec::new, |target| {
            let runs = method.runs.iter();
            runs.filter_map(|run| run.seconds_to(target)).collect()
        });
        let clients = self.client_count(method).max(1) as f64;
        let mean = |of: &dyn Fn(&MethodRun) -> u64| mean_bytes(&method.runs, of);
        let up = mean(&|run| run.ledger.total(Direction::Up));
        let down = mean(&|run| run.ledger.total(Direction::Down));
        let by_kind = [Direction::Up, Direction::Down]
            .into_iter()
            .flat_map(|direction| {
                PayloadKind::ALL.map(|kind| KindBytes {
                    direction,
                    kind,
                    bytes: mean(&|run| run.ledger.total_of_kind(direction, kind)).round() as u64,
                })
            });
        MethodSummary {
            name: method.name.clone(),
            runs: method.runs.len(),
            accuracy_mean: method.accuracy().mean,
            accuracy_std: method.accuracy().std,
            accuracy_interval: interval(&method.runs, |run| run.evaluation.accuracy),
            balanced_accuracy: method.balanced_accuracy().mean,
            balanced_accuracy_std: method.balanced_accuracy().std,
            balanced_accuracy_interval: interval(&method.runs, |run| {
                run.evaluation.tally().balanced_accuracy()
            }),
            collapsed: !method.runs.is_empty() && method.runs.iter().all(MethodRun::is_collapsed),
            macro_f1: method.macro_f1().mean,
            macro_f1_std: method.macro_f1().std,
            macro_f1_interval: interval(&method.runs, |run| run.evaluation.macro_f1),
            expected_calibration_error: mean_of_all(&method.runs, |run| {
                run.evaluation.expected_calibration_error
            }),
            negative_log_likelihood: mean_of_all(&method.runs, |run| {
                run.evaluation.negative_log_likelihood
            }),
            bytes_up: up.round() as u64,
            bytes_down: down.round() as u64,
            bytes_up_per_client: (up / clients).round() as u64,
            bytes_down_per_client: (down / clients).round() as u64,
            bytes_by_kind: by_kind.filter(|k| k.bytes > 0).collect(),
            seconds: method.seconds().mean,
            jobs: method.runs.iter().map(|run| run.jobs).max().unwrap_or(1),
            simulated_seconds: mean_of_all(&method.runs, |run| {
                run.accuracy_by_seconds.last().map(|(seconds, _)| *seconds)
            }),
            seconds_to_target: mean_of(&reached),
            runs_at_target: self.target_accuracy.map(|_| reached.len()),
            synthetic: mean_synthetic(&method.runs),
        }
    }

    /// Clients that hold data, silent or not; who speaks for several of them is none. Where nobody is said to hold any, those who exchanged bytes.
    fn client_count(&self, method: &MethodResult) -> usize {
        if !self.data.clients.is_empty() {
            return self.data.clients.len();
        }
        let speaking = method.runs.iter().flat_map(|run| run.ledger.clients());
        speaking.collect::<BTreeSet<_>>().len()
    }
}

/// Of a share: what lies beyond 0 and 1 is cut off.
fn interval(runs: &[MethodRun], of: fn(&MethodRun) -> f64) -> Option<Interval> {
    let values: Vec<f64> = runs.iter().map(of).collect();
    Some(mean_interval(&values)?.within(0.0, 1.0))
}

fn mean_of_all(runs: &[MethodRun], of: fn(&MethodRun) -> Option<f64>) -> Option<f64> {
    mean_of(&runs.iter().map(of).collect::<Option<Vec<f64>>>()?)
}

/// None of no values.
fn mean_of(values: &[f64]) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    mean.is_finite().then_some(mean)
}

fn mean_synthetic(runs: &[MethodRun]) -> Option<SyntheticCounts> {
    let counts: Vec<SyntheticCounts> = runs.iter().filter_map(|run| run.synthetic).collect();
    let mean = |of: fn(&SyntheticCounts) -> u64| {
        let sum: f64 = counts.iter().map(|counts| of(counts) as f64).sum();
        (sum / counts.len() as f64).round() as u64
    };
    (!counts.is_empty()).then(|| SyntheticCounts {
        made: mean(|counts| counts.made),
        trained_on: mean(|counts| counts.trained_on),
    })
}

fn mean_bytes(runs: &[MethodRun], of: &dyn Fn(&MethodRun) -> u64) -> f64 {
    if runs.is_empty() {
        return 0.0;
    }
    runs.iter().map(|run| of(run) as f64).sum::<f64>() / runs.len() as f64
}
