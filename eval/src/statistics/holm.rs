//! Several tests at once.

/// Holm's step-down correction: with these in place of `p`, each in [0, 1], the chance of calling any difference real that is none is below
/// the level of the test. Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
pub(crate) fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![1.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[index]);
        corrected[index] = largest.min(1.0);
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::super::golden::golden;
    use super::*;

    #[test]
    fn it_corrects_as_statsmodels_does() {
        let cases = golden().holm;
        assert!(!cases.is_empty());
        for case in cases {
            let found = holm(&case.p);
            assert_eq!(found.len(), case.corrected.len());
            for (found, expected) in found.iter().zip(&case.corrected) {
                assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        }
        assert!(holm(&[]).is_empty());
    }
}
