//! Naming a client's domain by looking at its images.

use std::path::Path;

use promptfed_data::{Dataset, DecodeOptions, NO_DOMAIN, decode_map};
use promptfed_prompts::Domain;
use promptfed_vision::Clip;

use crate::{Error, Result};

/// What CLIP thinks of a client's images.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedDomain {
    /// The domain with the highest mean probability over the images.
    pub domain: Domain,
    /// The mean probability of every candidate, 0 to 1, in their order; together 1.
    pub scores: Vec<f32>,
    /// Images that were looked at.
    pub images: usize,
}

/// Makes `domain` the domain of every sample that has none.
pub fn give_domain(dataset: &mut Dataset, domain: &Domain) {
    let without = without_domain(dataset);
    let names = &mut dataset.domain_names;
    let known = names.iter().position(|name| name == domain.as_str());
    let given = known.unwrap_or_else(|| {
        // The name of none is free now.
        let none = names.iter().position(|name| name == NO_DOMAIN);
        let place = none.unwrap_or(names.len());
        match names.get_mut(place) {
            Some(name) => *name = domain.as_str().to_owned(),
            None => names.push(domain.as_str().to_owned()),
        }
        place
    });
    for index in without {
        dataset.samples[index].domain = Some(given as u32);
    }
}

/// The samples whose data names no domain for them.
pub fn without_domain(dataset: &Dataset) -> Vec<usize> {
    let is_none = |domain: u32| {
        let name = dataset.domain_names.get(domain as usize);
        name.is_none_or(|name| name == NO_DOMAIN)
    };
    let samples = dataset.samples.iter().enumerate();
    samples
        .filter(|(_, sample)| sample.domain.is_none_or(is_none))
        .map(|(index, _)| index)
        .collect()
}

/// Chooses the domain of those of a client's images that have none, among candidates, such as `photo`, `pencil sketch`, `oil painting`: that with the
/// highest mean probability over at most `most` images, spread evenly over the data set. `model` is a folder of a CLIP model.
///
/// Only the name of one domain can get from the images into prompts by this.
///
/// # Errors
/// A model that cannot be loaded, fewer than two candidates, candidates that may not travel, or no readable image.
pub fn name_domain(
    dataset: &Dataset,
    candidates: &[&str],
    model: &Path,
    most: usize,
) -> Result<NamedDomain> {
    if candidates.len() < 2 {
        return Err(Error::DomainCandidates);
    }
    let domains = candidates
        .iter()
        .map(|name| {
            Domain::try_from(*name).map_err(|problem| Error::Domain {
                domain: (*name).to_owned(),
                problem,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let clip = Clip::load(model)?;
    let texts = clip.text_features(candidates)?;
    let mut some = dataset.clone();
    let without = without_domain(dataset);
    let every = without.len().div_ceil(most.max(1)).max(1);
    let looked_at = without.into_iter().step_by(every);
    some.samples = looked_at.map(|i| dataset.samples[i].clone()).collect();
    let mut sums = vec![0.0f32; candidates.len()];
    let mut images = 0;
    let mut failure = None;
    let report = decode_map(
        &some,
        &DecodeOptions::default(),
        |_, image| clip.scores(&image, &texts),
        |_, scores| match scores {
            Ok(scores) => {
                images += 1;
                for (sum, score) in sums.iter_mut().zip(scores) {
                    *sum += score;
                }
            }
            Err(error) => failure = Some(error),
        },
    )?;
    if let Some(error) = failure {
        return Err(error.into());
    }
    let best = (0..sums.len()).max_by(|a, b| sums[*a].total_cmp(&sums[*b]));
    match best.filter(|_| images > 0) {
        None => Err(Error::NothingUsable {
            images: some.samples.len(),
            why: report.by_kind().join("; "),
        }),
        Some(best) => Ok(NamedDomain {
            domain: domains[best].clone(),
            scores: sums.into_iter().map(|sum| sum / images as f32).collect(),
            images,
        }),
    }
}
