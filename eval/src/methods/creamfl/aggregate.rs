//! One representation of every public pair, made of the clients'.

use crate::{Error, Result};
use candle_core::{Device, Tensor};

/// Pairs whose likenesses to all others are in memory at once.
const ROWS: usize = 256;

/// Global-local contrastive aggregation (Yu et al. 2023, section 3.2, equations 1 to 3): of each client's representations `[pairs, width]` in one
/// modality, given the global ones in the `other` modality. A client's score for pair `k` is `log softmax_j(z_k . other_j)[k]`: how well it tells
/// the pair's partner from all others. Pair by pair, the clients' representations are weighed by the softmax of their scores.
pub(super) fn aggregate(told: &[&[f32]], other: &[f32], width: usize) -> Result<Vec<f32>> {
    if let Some(rows) = told.iter().find(|rows| rows.len() != other.len()) {
        return Err(Error::Payload {
            what: "representations",
            reason: format!("{} numbers where {} are expected", rows.len(), other.len()),
        });
    }
    if told.is_empty() && !other.is_empty() {
        return Err(Error::Payload {
            what: "representations",
            reason: "of no client".to_owned(),
        });
    }
    let scores = told.iter().map(|rows| scores(rows, other, width));
    let scores = scores.collect::<Result<Vec<Vec<f64>>>>()?;
    let mut sums = Vec::with_capacity(other.len());
    for pair in 0..other.len() / width.max(1) {
        let of_pair = || scores.iter().map(|of_client| of_client[pair]);
        let largest = of_pair().fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = of_pair().map(|score| (score - largest).exp()).collect();
        let total: f64 = shares.iter().sum();
        sums.extend((pair * width..(pair + 1) * width).map(|place| {
            let each = told.iter().zip(&shares);
            let sum: f64 = each
                .map(|(rows, share)| share * f64::from(rows[place]))
                .sum();
            (sum / total) as f32
        }));
    }
    Ok(sums)
}

/// A client's score of each pair.
fn scores(rows: &[f32], other: &[f32], width: usize) -> Result<Vec<f64>> {
    let pairs = other.len() / width.max(1);
    let partners = Tensor::from_slice(other, (pairs, width), &Device::Cpu)?.t()?;
    let mut scores = Vec::with_capacity(pairs);
    for rows in rows.chunks(ROWS * width.max(1)) {
        let rows = Tensor::from_slice(rows, (rows.len() / width.max(1), width), &Device::Cpu)?;
        let products: Vec<Vec<f32>> = rows.matmul(&partners)?.to_vec2()?;
        for row in products {
            let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let sum: f64 = row.iter().map(|v| (f64::from(*v) - largest).exp()).sum();
            let own = f64::from(row[scores.len()]);
            scores.push(own - largest - sum.ln());
        }
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// All numbers of a list, or of lists in it.
    fn numbers(value: &Value) -> Vec<f32> {
        match value {
            Value::Array(values) => values.iter().flat_map(numbers).collect(),
            value => vec![value.as_f64().unwrap() as f32],
        }
    }

    #[test]
    fn what_pytorch_makes_of_the_same_clients() {
        let text = include_str!("../../../tests/golden/creamfl.json");
        let golden: Value = serde_json::from_str(text).unwrap();
        let width = golden["width"].as_u64().unwrap() as usize;
        for (told, other, expected) in [
            ("told_of_images", "global_captions", "aggregated_images"),
            ("told_of_captions", "global_images", "aggregated_captions"),
        ] {
            let told = golden[told].as_array().unwrap().iter();
            let told: Vec<Vec<f32>> = told.map(numbers).collect();
            let told: Vec<&[f32]> = told.iter().map(Vec::as_slice).collect();
            let found = aggregate(&told, &numbers(&golden[other]), width).unwrap();
            let expected = numbers(&golden[expected]);
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-5, "{a} and not {b}");
            }
        }
    }

    #[test]
    fn who_tells_partners_apart_counts_more_and_one_client_is_itself() {
        let other = [1.0, 0.0, 0.0, 1.0];
        let (right, wrong) = ([3.0, 0.0, 0.0, 3.0], [0.0, 3.0, 3.0, 0.0]);
        assert_eq!(aggregate(&[&right], &other, 2).unwrap(), right);
        // By hand: scores -log(1 + e^-3) and -log(1 + e^3), whose difference is 3.
        let share = 1.0 / (1.0 + (-3.0f32).exp());
        let found = aggregate(&[&right, &wrong], &other, 2).unwrap();
        for (a, b) in found.iter().zip([3.0 * share, 3.0 * (1.0 - share)]) {
            assert!((a - b).abs() < 1e-5, "{found:?}");
        }
        assert!(aggregate(&[&right[..2]], &other, 2).is_err());
        assert!(aggregate(&[], &other, 2).is_err());
        assert!(aggregate(&[], &[], 2).unwrap().is_empty());
    }
}
