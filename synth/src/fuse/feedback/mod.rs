//! What clients tell of the backends' images: a handful of numbers for each domain and class.

mod noise;

pub use noise::{Noise, NoiseRecord, Sensitivity};

use std::collections::{BTreeMap, BTreeSet};

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
    /// The noise in them: none, or that of one client, or those of several together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<NoiseRecord>,
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

    /// The same numbers with noise on each that private images have a part in: on both counts of scores, and on the votes, whose number of
    /// synthetic images is no secret. Scores are then told of each of `classes` in each domain of the client, so that it does not show
    /// which it has none of. Numbers may come out below 0. `seed` stays with the client;
    /// without it the noise is never the same.
    ///
    /// # Errors
    /// As [`Feedback::to_json`]; if the operating system has no random numbers.
    pub fn with_noise(
        mut self,
        noise: Noise,
        sensitivity: Sensitivity,
        classes: &[String],
        seed: Option<u64>,
    ) -> Result<Self> {
        if self.kind == FeedbackKind::Scores {
            self = self.of_all(classes);
        }
        let is_votes = self.kind == FeedbackKind::Votes;
        let numbers = self.cells.len() as u64 * if is_votes { 1 } else { 2 };
        self.noise.push(noise.record(sensitivity, numbers));
        // Of all that decides the numbers, how much noise too: the same draws at two scales would tell the numbers exactly.
        let key = noise::key(seed, &self.to_json()?)?;
        let numbers = self.cells.iter_mut().flat_map(|cell| {
            let all = (!is_votes).then_some(&mut cell.all);
            std::iter::once(&mut cell.right).chain(all)
        });
        noise.add(sensitivity, key, numbers);
        Ok(self)
    }

    /// With a cell for each backend, domain and class, of none where nothing was counted.
    fn of_all(self, classes: &[String]) -> Self {
        let mut all = Cells::default();
        let pairs = self.cells.iter();
        let pairs: BTreeSet<_> = pairs.map(|c| (&c.backend, c.domain.as_ref())).collect();
        for (backend, domain) in pairs {
            for class in classes {
                all.add(backend, domain, class, 0.0, 0.0);
            }
        }
        for cell in &self.cells {
            let domain = cell.domain.as_ref();
            all.add(&cell.backend, domain, &cell.class, cell.right, cell.all);
        }
        Self {
            noise: self.noise,
            ..all.feedback(self.kind)
        }
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
        let mut noise = Vec::new();
        for feedback in all {
            noise.extend(feedback.noise.iter().cloned());
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
        Ok(Self {
            noise,
            ..cells.feedback(first.kind)
        })
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
            let uncounted = numbers.iter().any(|n| *n < 0.0)
                || feedback.kind == FeedbackKind::Scores && cell.right > cell.all;
            numbers.iter().any(|n| !n.is_finite()) || feedback.noise.is_empty() && uncounted
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
        // Noise can lead out of what can be counted; the nearest that can is as private.
        for (right, all) in counts.iter_mut().flatten().flatten() {
            *all = all.max(0.0);
            let most = match self.kind {
                FeedbackKind::Scores => *all,
                FeedbackKind::Votes => f64::INFINITY,
            };
            *right = right.clamp(0.0, most);
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
            noise: Vec::new(),
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
    fn noise_is_the_same_for_a_seed_counted_and_on_classes_that_a_client_has_none_of() {
        let classes = ["cat", "dog", "newt"].map(str::to_owned);
        let clear = Feedback::merge(&[
            of("a", Some("photo"), 90.0, 100.0),
            of("b", Some("photo"), 10.0, 100.0),
        ])
        .unwrap();
        let noise = Noise::Gaussian { sigma: 4.0 };
        let by = Sensitivity::of_scores(2);
        let noisy = |seed| {
            clear
                .clone()
                .with_noise(noise, by, &classes, Some(seed))
                .unwrap()
        };
        let one = noisy(1);
        assert_eq!(one, noisy(1));
        assert_ne!(one.cells, noisy(2).cells);
        // More noise by the same seed is other noise, not the same at another scale.
        let more = Noise::Gaussian { sigma: 8.0 };
        let more = clear.clone().with_noise(more, by, &classes, Some(1));
        let more = more.unwrap();
        let is_scaled = |(one, more): (&FeedbackCell, &FeedbackCell)| {
            let clear = clear
                .cells
                .iter()
                .find(|cell| (&cell.backend, &cell.class) == (&one.backend, &one.class));
            let right = clear.map_or(0.0, |cell| cell.right);
            ((more.right - right) - 2.0 * (one.right - right)).abs() < 0.01
        };
        assert!(!one.cells.iter().zip(&more.cells).any(is_scaled));
        assert_eq!(one.cells.len(), 6);
        assert_eq!((one.noise.len(), one.noise[0].numbers), (1, 12));
        let text = one.to_json().unwrap();
        assert_eq!(Feedback::from_json(&text).unwrap(), one);
        // It still says who is better, and two clients' noise is told twice.
        let both = Feedback::merge(&[one, noisy(2)]).unwrap();
        assert_eq!(both.noise.len(), 2);
        let names = ["a", "b"].map(str::to_owned);
        let scores = both
            .scores_for(&names, &["photo".to_owned()], &classes)
            .unwrap()
            .cell(0, 0);
        assert!(scores[0] > scores[1] + 0.3, "{scores:?}");
        assert!(scores.iter().all(|s| (0.0..=1.0).contains(s)), "{scores:?}");
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
