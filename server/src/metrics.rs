//! What the server has done, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters since the server's start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Requests answered, by the first digit of their status.
    requests: [AtomicU64; 6],
    request_micros: AtomicU64,
    submissions: AtomicU64,
    submitted_bytes: AtomicU64,
    images: AtomicU64,
    /// Jobs that came to an end, by how.
    jobs: Mutex<BTreeMap<&'static str, u64>>,
    /// Seconds of each stage of jobs.
    stages: Mutex<BTreeMap<&'static str, f64>>,
}

impl Metrics {
    pub(crate) fn answered(&self, status: u16, micros: u64) {
        let class = usize::from(status / 100).min(self.requests.len() - 1);
        self.requests[class].fetch_add(1, Ordering::Relaxed);
        self.request_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn submitted(&self, bytes: u64) {
        self.submissions.fetch_add(1, Ordering::Relaxed);
        self.submitted_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn made(&self, images: u64) {
        self.images.fetch_add(images, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, how: &'static str) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        *jobs.entry(how).or_default() += 1;
    }

    pub(crate) fn worked(&self, stage: &'static str, seconds: f64) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        *stages.entry(stage).or_default() += seconds;
    }

    /// The text that Prometheus reads, with the rounds in each state, those that are left to erase, and the stage of the job in work.
    pub(crate) fn text(
        &self,
        rounds: &[(String, u64)],
        to_erase: u64,
        stage: Option<&str>,
    ) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed).to_string();
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let requests = classes.iter().zip(&self.requests[1..]);
        let seconds = self.request_micros.load(Ordering::Relaxed) as f64 / 1e6;
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        let families = [
            Family {
                name: "promptfed_requests_total",
                help: "Requests answered, by class of status.",
                label: "status",
                values: requests
                    .map(|(class, counter)| (Some((*class).to_owned()), count(counter)))
                    .collect(),
            },
            Family::single(
                "promptfed_request_seconds_total",
                "Time until answers began.",
                seconds.to_string(),
            ),
            Family::single(
                "promptfed_submissions_total",
                "Prompt sets stored.",
                count(&self.submissions),
            ),
            Family::single(
                "promptfed_submitted_bytes_total",
                "Their bytes as they crossed.",
                count(&self.submitted_bytes),
            ),
            Family::single(
                "promptfed_images_total",
                "Images made.",
                count(&self.images),
            ),
            Family {
                name: "promptfed_jobs_total",
                help: "Attempts at jobs that came to an end, by how.",
                label: "end",
                values: jobs
                    .iter()
                    .map(|(how, n)| (Some((*how).to_owned()), n.to_string()))
                    .collect(),
            },
            Family {
                name: "promptfed_stage_seconds_total",
                help: "Time of the stages of jobs that ended.",
                label: "stage",
                values: stages
                    .iter()
                    .map(|(stage, seconds)| (Some((*stage).to_owned()), seconds.to_string()))
                    .collect(),
            },
            Family {
                name: "promptfed_rounds",
                help: "Rounds, by state.",
                label: "state",
                values: rounds
                    .iter()
                    .map(|(state, n)| (Some(state.clone()), n.to_string()))
                    .collect(),
            },
            Family::single(
                "promptfed_rounds_to_erase",
                "Deleted rounds whose prompts may still have bytes in the database's files.",
                to_erase.to_string(),
            ),
            Family {
                name: "promptfed_job_stage",
                help: "What the job in work does; nothing where there is none.",
                label: "stage",
                values: stage
                    .map(|stage| (Some(stage.to_owned()), "1".to_owned()))
                    .into_iter()
                    .collect(),
            },
        ];
        families.iter().map(Family::text).collect()
    }
}

/// Values of one name.
struct Family {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    values: Vec<(Option<String>, String)>,
}

impl Family {
    fn single(name: &'static str, help: &'static str, value: String) -> Self {
        Self {
            name,
            help,
            label: "",
            values: vec![(None, value)],
        }
    }

    fn text(&self) -> String {
        let Self {
            name, help, label, ..
        } = self;
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        let mut text = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (of, value) in &self.values {
            // Writing to a text cannot fail.
            let _ = match of {
                Some(of) => writeln!(text, "{name}{{{label}=\"{of}\"}} {value}"),
                None => writeln!(text, "{name} {value}"),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_stand_in_the_text() {
        let metrics = Metrics::default();
        metrics.answered(200, 1_500_000);
        metrics.answered(404, 500_000);
        metrics.submitted(70);
        metrics.submitted(30);
        metrics.made(12);
        metrics.ended("done");
        metrics.worked("training", 1.5);
        metrics.worked("training", 0.5);
        let text = metrics.text(&[("open".to_owned(), 3)], 2, Some("training"));
        for line in [
            "# TYPE promptfed_requests_total counter",
            "promptfed_requests_total{status=\"2xx\"} 1",
            "promptfed_requests_total{status=\"4xx\"} 1",
            "promptfed_requests_total{status=\"5xx\"} 0",
            "promptfed_request_seconds_total 2",
            "promptfed_submissions_total 2",
            "promptfed_submitted_bytes_total 100",
            "promptfed_images_total 12",
            "promptfed_jobs_total{end=\"done\"} 1",
            "promptfed_stage_seconds_total{stage=\"training\"} 2",
            "# TYPE promptfed_rounds gauge",
            "promptfed_rounds{state=\"open\"} 3",
            "# TYPE promptfed_rounds_to_erase gauge",
            "promptfed_rounds_to_erase 2",
            "promptfed_job_stage{stage=\"training\"} 1",
        ] {
            assert!(text.lines().any(|there| there == line), "{line}\n{text}");
        }
    }
}
