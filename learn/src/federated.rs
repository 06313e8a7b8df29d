//! Federated averaging.

use crate::{Error, Result, WeightTensor, Weights};

/// The average of the clients' models, each weighted by its number of samples: McMahan et al. 2017,
/// "Communication-Efficient Learning of Deep Networks from Decentralized Data", Algorithm 1,
/// `w = sum_k (n_k / n) w_k`. The running statistics of batch normalisation are averaged likewise.
///
/// Sums are formed in f64 in the order given. Models of zero samples take no part.
///
/// # Errors
/// If there is no model, if all sizes are zero, or if names or shapes differ between models.
pub fn average(models: &[(Weights, usize)]) -> Result<Weights> {
    let samples: usize = models.iter().map(|(_, n)| n).sum();
    let Some((first, _)) = models.first().filter(|_| samples > 0) else {
        return Err(Error::NothingToAverage {
            models: models.len(),
            samples,
        });
    };
    for (model, (weights, _)) in models.iter().enumerate() {
        if let Some(reason) = difference(first, weights) {
            return Err(Error::Averaging { model, reason });
        }
    }
    let mut average = Weights::new();
    for (name, tensor) in first {
        let mut sums = vec![0f64; tensor.values.len()];
        for (weights, n) in models.iter().filter(|(_, n)| *n > 0) {
            let share = *n as f64 / samples as f64;
            for (sum, value) in sums.iter_mut().zip(&weights[name].values) {
                *sum += share * f64::from(*value);
            }
        }
        average.insert(
            name.clone(),
            WeightTensor {
                shape: tensor.shape.clone(),
                values: sums.into_iter().map(|v| v as f32).collect(),
            },
        );
    }
    Ok(average)
}

fn difference(first: &Weights, other: &Weights) -> Option<String> {
    for (name, tensor) in first {
        let Some(found) = other.get(name) else {
            return Some(format!("{name} is missing"));
        };
        if found.shape != tensor.shape || found.values.len() != tensor.values.len() {
            return Some(format!(
                "{name} is {:?} and not {:?}",
                found.shape, tensor.shape
            ));
        }
    }
    other
        .keys()
        .find(|name| !first.contains_key(*name))
        .map(|name| format!("{name} is unknown"))
}
