//! Average ranks of methods over data sets or seeds, and how far apart they must be for a difference: Demšar 2006, "Statistical
//! Comparisons of Classifiers over Multiple Data Sets", JMLR 7, section 3.2.2.

mod nemenyi;

use std::collections::BTreeMap;

/// Fewest blocks whose ranks are averaged.
const MIN_BLOCKS: usize = 2;
/// Fewest methods: two are compared directly.
const MIN_METHODS: usize = 3;
/// Accuracies that are nearer to each other share a rank.
const TIE: f64 = 1e-12;

/// The test accuracy of each method on one data set, or with one seed, by the method's name.
pub type Block = BTreeMap<String, f64>;

/// Methods in the order of their average ranks.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Name and average rank of each method, in `1.0..=methods`, the best first.
    pub methods: Vec<(String, f64)>,
    /// How many blocks they are averaged over.
    pub blocks: usize,
    /// Methods whose average ranks are nearer to each other cannot be told apart at the level 0.05 (Nemenyi's test).
    pub critical_difference: f64,
    /// Methods without a finite accuracy in every block.
    pub left_out: Vec<String>,
}

/// Why methods have no average ranks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRanked {
    /// Too few blocks.
    #[error(
        "average ranks need at least {} seeds, or data sets and partitions of a grid; there is {blocks}",
        MIN_BLOCKS
    )]
    FewBlocks {
        /// How many there are.
        blocks: usize,
    },
    /// Too few methods that every block has.
    #[error(
        "average ranks need at least {} methods that learn and have an accuracy with every seed, or on every data set and partition; there are {methods}",
        MIN_METHODS
    )]
    FewMethods {
        /// How many there are.
        methods: usize,
    },
    /// More methods than critical values are known for.
    #[error(
        "critical differences are known for up to {} methods; there are {methods}",
        nemenyi::MAX_METHODS
    )]
    ManyMethods {
        /// How many there are.
        methods: usize,
    },
}

impl Ranking {
    /// Ranks the methods that have a finite accuracy in every block.
    ///
    /// # Errors
    /// For fewer than 2 blocks, or fewer than 3 or more than 20 such methods.
    pub fn of(blocks: &[Block]) -> Result<Self, NotRanked> {
        if blocks.len() < MIN_BLOCKS {
            return Err(NotRanked::FewBlocks {
                blocks: blocks.len(),
            });
        }
        let mut all: Vec<&String> = blocks.iter().flat_map(BTreeMap::keys).collect();
        all.sort_unstable();
        all.dedup();
        let is_everywhere = |name: &&String| {
            let mut accuracies = blocks.iter().map(|block| block.get(*name));
            accuracies.all(|accuracy| accuracy.is_some_and(|a| a.is_finite()))
        };
        let (ranked, left_out): (Vec<&String>, Vec<&String>) =
            all.into_iter().partition(is_everywhere);
        let methods = ranked.len();
        if methods < MIN_METHODS {
            return Err(NotRanked::FewMethods { methods });
        }
        let critical = nemenyi::critical(methods).ok_or(NotRanked::ManyMethods { methods })?;
        let mut sums = vec![0.0; methods];
        for block in blocks {
            let accuracies: Vec<f64> = ranked.iter().map(|name| block[*name]).collect();
            for (sum, rank) in sums.iter_mut().zip(ranks(&accuracies)) {
                *sum += rank;
            }
        }
        let count = blocks.len() as f64;
        let names = ranked.into_iter().cloned();
        let mut averages: Vec<(String, f64)> =
            names.zip(sums.iter().map(|sum| sum / count)).collect();
        averages.sort_by(|a, b| a.1.total_cmp(&b.1));
        let k = methods as f64;
        Ok(Self {
            methods: averages,
            blocks: blocks.len(),
            critical_difference: critical * (k * (k + 1.0) / (6.0 * count)).sqrt(),
            left_out: left_out.into_iter().cloned().collect(),
        })
    }

    /// The largest groups of methods that cannot be told apart, as places in [`Ranking::methods`], both ends included; of two or more each.
    pub fn groups(&self) -> Vec<(usize, usize)> {
        let mut groups: Vec<(usize, usize)> = Vec::new();
        for (first, (_, best)) in self.methods.iter().enumerate() {
            let near = |(_, rank): &&(String, f64)| rank - best <= self.critical_difference;
            let last = first + self.methods[first..].iter().take_while(near).count() - 1;
            let is_new = groups.last().is_none_or(|(_, end)| last > *end);
            if last > first && is_new {
                groups.push((first, last));
            }
        }
        groups
    }
}

/// The rank of each accuracy among all, 1 for the highest; equal ones share the mean of their ranks.
fn ranks(accuracies: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..accuracies.len()).collect();
    order.sort_by(|a, b| accuracies[*b].total_cmp(&accuracies[*a]));
    let mut ranks = vec![0.0; accuracies.len()];
    let tied = |a: &usize, b: &usize| accuracies[*a] - accuracies[*b] <= TIE;
    let mut before = 0;
    for equal in order.chunk_by(tied) {
        let mean = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        for &method in equal {
            ranks[method] = mean;
        }
        before += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        critical: Vec<f64>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        blocks: Vec<Vec<f64>>,
        ranks: Vec<f64>,
        critical_difference: f64,
    }

    fn golden() -> Golden {
        serde_json::from_str(include_str!("../../tests/golden/ranking.json")).unwrap()
    }

    fn blocks(rows: &[Vec<f64>]) -> Vec<Block> {
        let block = |row: &Vec<f64>| {
            let named = row.iter().enumerate();
            named.map(|(i, a)| (format!("m{i:02}"), *a)).collect()
        };
        rows.iter().map(block).collect()
    }

    #[test]
    fn critical_values_are_scipys() {
        let expected = golden().critical;
        assert_eq!(expected.len(), 19);
        for (methods, expected) in (2..).zip(expected) {
            let ours = nemenyi::critical(methods).unwrap();
            assert!((ours - expected).abs() < 6e-5, "{methods}: {ours}");
        }
        assert_eq!(nemenyi::critical(21), None);
        assert_eq!(nemenyi::critical(1), None);
    }

    #[test]
    fn ranks_and_critical_differences_are_scipys() {
        let cases = golden().cases;
        assert_eq!(cases.len(), 5);
        for case in cases {
            let ranking = Ranking::of(&blocks(&case.blocks)).unwrap();
            for (name, rank) in &ranking.methods {
                let place: usize = name[1..].parse().unwrap();
                assert!((rank - case.ranks[place]).abs() < 1e-12, "{name}");
            }
            assert!((ranking.critical_difference - case.critical_difference).abs() < 1e-3);
            assert!(ranking.methods.is_sorted_by_key(|(_, rank)| *rank));
        }
    }

    /// Section 3.2.4 of the article: with 14 data sets and four methods a difference of 1.25 is needed, and no two are so far apart.
    #[test]
    fn the_example_of_the_article() {
        let cases = golden().cases;
        let ranking = Ranking::of(&blocks(&cases.last().unwrap().blocks)).unwrap();
        assert!((ranking.critical_difference - 1.25).abs() < 5e-3);
        assert_eq!(ranking.groups(), [(0, 3)]);
    }

    #[test]
    fn groups_overlap_and_none_lies_within_another() {
        let methods = [("a", 1.0), ("b", 2.0), ("c", 2.5), ("d", 4.5), ("e", 7.0)];
        let ranking = Ranking {
            methods: methods.map(|(name, rank)| (name.to_owned(), rank)).into(),
            blocks: 9,
            critical_difference: 2.0,
            left_out: Vec::new(),
        };
        assert_eq!(ranking.groups(), [(0, 2), (2, 3)]);
    }

    #[test]
    fn what_has_no_accuracy_everywhere_is_left_out_and_too_little_is_refused() {
        let mut rows = blocks(&[vec![0.1, 0.2, 0.3, 0.4], vec![0.1, 0.2, 0.3, f64::NAN]]);
        let ranking = Ranking::of(&rows).unwrap();
        assert_eq!(ranking.left_out, ["m03"]);
        assert_eq!(ranking.methods[0], ("m02".to_owned(), 1.0));
        assert_eq!(
            Ranking::of(&rows[..1]),
            Err(NotRanked::FewBlocks { blocks: 1 })
        );
        rows[0].remove("m01");
        assert_eq!(
            Ranking::of(&rows),
            Err(NotRanked::FewMethods { methods: 2 })
        );
        let many = blocks(&[vec![0.5; 21], vec![0.5; 21]]);
        assert_eq!(
            Ranking::of(&many),
            Err(NotRanked::ManyMethods { methods: 21 })
        );
    }
}
