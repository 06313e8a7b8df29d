//! What clients tell of the backends' images: a handful of numbers for each domain and class.

use std::collections::BTreeMap;

use promptfed_data::LabelledImages;
use promptfed_learn::{Classifier, evaluate};
use promptfed_nn::cross_entropy::arg_max;
use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use super::candidates::Candidates;
use super::quotas::Scores;
use super::signals::influence::Labelled;
use super::signals::votes::votes;
use crate::{Error, Result};

/// Version of the document.
const FORMAT: u32 = 1;

/// The numbers of one client, or of several together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// Version of the document.
    pub format: u32,
    /// What was counted.
    pub kind: FeedbackKind,
    /// The numbers, by backend, domain and class.
    pub cells: Vec<FeedbackCell>,
}

/// What a feedback counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedbackKind {
    /// Private images that the backend's task model names rightly, of all.
    Scores,
    /// Votes of private images for the backend's images as the nearest ([`votes`]), of its images.
    Votes,
}

/// One backend's numbers for a domain and a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackCell {
    /// The backend.
    pub backend: String,
    /// The domain; none where the client's images have none, and then it is said of all.
    pub domain: Option<String>,
    /// The class.
    pub class: String,
    /// Private images named rightly, or votes.
    pub right: f64,
    /// Private images, or the backend's images.
    pub all: f64,
}

impl Feedback {
    /// A client's scores of the backends' task models on its private images.
    ///
    /// # Errors
    /// Images that do not fit the models.
    pub fn of_models(models: &[(String, Classifier)], private: &LabelledImages) -> Result<Self> {
        let mut cells = Cells::default();
        for (backend, model) in models {
            // Refuses images of other classes.
            evaluate(model, private)?;
            let probabilities = model.probabilities(private)?;
            let rows = probabilities.chunks_exact(model.config().classes);
            for (image, row) in rows.enumerate() {
                let right = arg_max(row) == private.labels[image] as usize;
                let class = &private.class_names[private.labels[image] as usize];
                let domain = private.domain_names.get(private.domains[image] as usize);
                cells.add(backend, domain, class, f64::from(u8::from(right)), 1.0);
            }
        }
        Ok(cells.feedback(FeedbackKind::Scores))
    }

    /// A client's votes: each private image for its `neighbours` nearest candidates of its class. `features` are the private images' as
    /// [`Signals::features`](super::signals::Signals::features) are the candidates'.
    ///
    /// # Errors
    /// If the candidates' features are not there.
    pub fn of_votes(
        candidates: &Candidates,
        private: &LabelledImages,
        features: &[f32],
        neighbours: usize,
    ) -> Result<Self> {
        if private.class_names != candidates.class_names() {
            return Err(Error::Fusion(
                "the private images have other classes than the sets; leave out --label-space, or give that of the sets"
                    .into(),
            ));
        }
        let file = candidates.signals.features()?;
        let labels: Vec<u32> = candidates
            .images()
            .iter()
            .map(|image| image.class)
            .collect();
        let synthetic = file.read(&(0..candidates.len()).collect::<Vec<_>>())?;
        let mut cells = Cells::default();
        let names = candidates.class_names();
        let domains: Vec<Option<u32>> = if private.domain_names.is_empty() {
            vec![None]
        } else {
            (0..private.domain_names.len() as u32).map(Some).collect()
        };
        for domain in domains {
            let of_domain = |i: &usize| domain.is_none_or(|domain| private.domains[*i] == domain);
            let chosen: Vec<usize> = (0..private.len()).filter(of_domain).collect();
            let name = domain.and_then(|domain| private.domain_names.get(domain as usize));
            // Only what is of the same domain competes for it, where the candidates have it.
            let place = name.and_then(|n| candidates.domain_names().iter().position(|d| d == n));
            let competes = |image: usize| {
                place.is_none_or(|place| candidates.images()[image].domain as usize == place)
            };
            let width = file.width();
            let rows = |values: &[f32], of: &[usize]| -> Vec<f32> {
                let row = |i: &usize| values[i * width..(i + 1) * width].to_vec();
                of.iter().flat_map(row).collect()
            };
            let competing: Vec<usize> = (0..candidates.len()).filter(|i| competes(*i)).collect();
            let of =
                |labels: &[u32], of: &[usize]| of.iter().map(|i| labels[*i]).collect::<Vec<_>>();
            let (private_labels, labels) = (of(&private.labels, &chosen), of(&labels, &competing));
            let (private_rows, synthetic) = (rows(features, &chosen), rows(&synthetic, &competing));
            let private = Labelled {
                features: &private_rows,
                labels: &private_labels,
            };
            let synthetic = Labelled {
                features: &synthetic,
                labels: &labels,
            };
            let votes = votes(private, synthetic, width, neighbours);
            for ((image, near), label) in competing.iter().zip(votes.near).zip(&labels) {
                let backend = &candidates.backends()[candidates.backend(*image)];
                cells.add(backend, name, &names[*label as usize], near, 1.0);
            }
        }
        Ok(cells.feedback(FeedbackKind::Votes))
    }

    /// The numbers of several clients together.
    ///
    /// # Errors
    /// None, or of different kinds.
    pub fn merge(all: &[Self]) -> Result<Self> {
        let Some(first) = all.first() else {
            return Err(Error::Fusion(
                "give the feedback of at least one client".into(),
            ));
        };
        let mut cells = Cells::default();
        for feedback in all {
            if feedback.kind != first.kind {
                return Err(Error::Fusion(
                    "scores and votes cannot be added; take the feedback of all clients by one command".into(),
                ));
            }
            for cell in &feedback.cells {
                cells.add(
                    &cell.backend,
                    cell.domain.as_ref(),
                    &cell.class,
                    cell.right,
                    cell.all,
                );
            }
        }
        Ok(cells.feedback(first.kind))
    }

    /// The temperature that suits its scores ([`Softmax`](super::Softmax)): shares of 1, or votes for an image where 1 is the mean.
    pub fn temperature(&self) -> f64 {
        match self.kind {
            FeedbackKind::Scores => 0.05,
            FeedbackKind::Votes => 0.5,
        }
    }

    /// The document as it travels.
    ///
    /// # Errors
    /// Numbers that are none.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_vec(self).map_err(|e| Error::Fusion(format!("feedback: {e}")))?;
        Ok(text)
    }

    /// Reads a document.
    ///
    /// # Errors
    /// What is no feedback, of another version, or holds numbers that no client can have counted.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let feedback: Self = serde_json::from_slice(bytes).map_err(|e| {
            Error::Fusion(format!(
                "not a client's feedback ({e}); give a file of `promptfed feedback`"
            ))
        })?;
        if feedback.format != FORMAT {
            return Err(Error::Fusion(format!(
                "feedback of format {} is not {FORMAT}; use the version that made it",
                feedback.format
            )));
        }
        let unfit = |cell: &&FeedbackCell| {
            let numbers = [cell.right, cell.all];
            numbers.iter().any(|n| !n.is_finite() || *n < 0.0)
                || feedback.kind == FeedbackKind::Scores && cell.right > cell.all
        };
        if let Some(cell) = feedback.cells.iter().find(unfit) {
            return Err(Error::Fusion(format!(
                "feedback on {:?} for class {:?} counts {} of {}; no client can have counted this",
                cell.backend, cell.class, cell.right, cell.all
            )));
        }
        Ok(feedback)
    }

    /// Hash of the document.
    ///
    /// # Errors
    /// As [`Feedback::to_json`].
    pub fn hash(&self) -> Result<ContentHash> {
        Ok(ContentHash::of(&self.to_json()?))
    }

    /// The backends' scores for the candidates' domains and classes. Numbers of other names are left out.
    ///
    /// # Errors
    /// If nothing in it is of any backend of the candidates.
    pub fn scores(&self, candidates: &Candidates) -> Result<Scores> {
        self.scores_for(
            candidates.backends(),
            candidates.domain_names(),
            candidates.class_names(),
        )
    }

    /// [`Feedback::scores`] for these names.
    pub(super) fn scores_for(
        &self,
        backends: &[String],
        domains: &[String],
        classes: &[String],
    ) -> Result<Scores> {
        let mut counts =
            vec![vec![vec![(0.0, 0.0); classes.len()]; domains.len().max(1)]; backends.len()];
        let mut known = false;
        for cell in &self.cells {
            let backend = backends.iter().position(|b| *b == cell.backend);
            let class = classes.iter().position(|c| *c == cell.class);
            let (Some(backend), Some(class)) = (backend, class) else {
                continue;
            };
            for (domain, counts) in counts[backend].iter_mut().enumerate() {
                let is_of = |name: &String| domains.is_empty() || domains.get(domain) == Some(name);
                if cell.domain.as_ref().is_none_or(is_of) {
                    counts[class].0 += cell.right;
                    counts[class].1 += cell.all;
                    known = true;
                }
            }
        }
        if !known {
            return Err(Error::Fusion(
                "the feedback speaks of none of these backends, domains and classes; take it on the models or sets of the same backends"
                    .into(),
            ));
        }
        Ok(match self.kind {
            FeedbackKind::Scores => Scores::of_counts(&counts),
            FeedbackKind::Votes => Scores::of_votes(&counts),
        })
    }
}

/// Numbers by backend, domain and class.
#[derive(Default)]
struct Cells(BTreeMap<(String, Option<String>, String), (f64, f64)>);

impl Cells {
    fn add(&mut self, backend: &str, domain: Option<&String>, class: &str, right: f64, all: f64) {
        let key = (backend.to_owned(), domain.cloned(), class.to_owned());
        let cell = self.0.entry(key).or_default();
        cell.0 += right;
        cell.1 += all;
    }

    fn feedback(self, kind: FeedbackKind) -> Feedback {
        let cells = self.0.into_iter();
        let cell = |((backend, domain, class), (right, all))| FeedbackCell {
            backend,
            domain,
            class,
            right,
            all,
        };
        Feedback {
            format: FORMAT,
            kind,
            cells: cells.map(cell).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(backend: &str, domain: Option<&str>, right: f64, all: f64) -> Feedback {
        let mut cells = Cells::default();
        cells.add(
            backend,
            domain.map(str::to_owned).as_ref(),
            "cat",
            right,
            all,
        );
        cells.feedback(FeedbackKind::Scores)
    }

    #[test]
    fn clients_add_up_whatever_their_order() {
        let parts = [
            of("a", Some("photo"), 3.0, 4.0),
            of("b", Some("photo"), 1.0, 4.0),
        ];
        let more = of("a", Some("photo"), 1.0, 6.0);
        let one = Feedback::merge(&[parts[0].clone(), parts[1].clone(), more.clone()]).unwrap();
        let other = Feedback::merge(&[more, parts[1].clone(), parts[0].clone()]).unwrap();
        assert_eq!(one, other);
        assert_eq!((one.cells[0].right, one.cells[0].all), (4.0, 10.0));
        assert_eq!(Feedback::from_json(&one.to_json().unwrap()).unwrap(), one);
    }

    #[test]
    fn a_domain_is_scored_by_its_own_numbers_and_by_those_of_none() {
        let names = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        let (backends, domains) = (names(&["a", "b"]), names(&["photo", "sketch"]));
        let all = [
            of("a", Some("photo"), 90.0, 100.0),
            of("b", Some("photo"), 10.0, 100.0),
            of("a", Some("sketch"), 10.0, 100.0),
            of("b", None, 50.0, 100.0),
        ];
        let feedback = Feedback::merge(&all).unwrap();
        let scores = feedback
            .scores_for(&backends, &domains, &names(&["cat"]))
            .unwrap();
        let (photo, sketch) = (scores.cell(0, 0), scores.cell(1, 0));
        assert!(photo[0] > 0.8 && photo[1] < 0.35, "{photo:?}");
        assert!(sketch[0] < 0.2 && sketch[1] > 0.45, "{sketch:?}");
        let other = feedback.scores_for(&names(&["c"]), &domains, &names(&["cat"]));
        assert!(
            other
                .unwrap_err()
                .to_string()
                .contains("none of these backends")
        );
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for wrong in [of("a", None, 5.0, 4.0), of("a", None, -1.0, 4.0)] {
            let error = Feedback::from_json(&wrong.to_json().unwrap()).unwrap_err();
            assert!(error.to_string().contains("no client can"), "{error}");
        }
        assert!(Feedback::from_json(b"{}").is_err());
        assert!(Feedback::merge(&[]).is_err());
    }
}
