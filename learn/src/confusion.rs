//! Counts of images by label and predicted class, as JSON: all of them, or where classes are many those that are not 0.
//!
//! The two forms are `[[5, 1], [0, 6]]`, rows by label, and `{"classes": 2, "counts": [[0, 0, 5], [0, 1, 1], [1, 1, 6]]}`, triples of label,
//! predicted class and count in ascending order.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Up to this many classes all counts are written, so that a reader may take a label for an index.
const ALL_UP_TO: usize = 64;
/// Most classes of the sparse form: a short text is not to ask for more than 2 GiB.
const MAX_CLASSES: usize = 16_384;
/// A triple is at most as long as its count alone and so many zeros with their commas.
const ZEROS_OF_A_TRIPLE: usize = 8;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sparse {
    classes: usize,
    /// Label, predicted class, count.
    counts: Vec<(usize, usize, u64)>,
}

impl Sparse {
    /// `None` where it would not be the shorter form, or not be that of a square matrix.
    fn of(matrix: &[Vec<u64>]) -> Option<Self> {
        let classes = matrix.len();
        let is_square = matrix.iter().all(|row| row.len() == classes);
        if !is_square || classes <= ALL_UP_TO || classes > MAX_CLASSES {
            return None;
        }
        let counts: Vec<_> = matrix
            .iter()
            .enumerate()
            .flat_map(|(label, row)| {
                let counted = row.iter().enumerate().filter(|(_, count)| **count > 0);
                counted.map(move |(predicted, count)| (label, predicted, *count))
            })
            .collect();
        (ZEROS_OF_A_TRIPLE * counts.len() < classes * classes).then_some(Self { classes, counts })
    }

    fn matrix<E: Error>(self) -> Result<Vec<Vec<u64>>, E> {
        let Self { classes, counts } = self;
        if classes > MAX_CLASSES {
            return Err(E::custom(format!(
                "{classes} classes; there can be {MAX_CLASSES}"
            )));
        }
        let place = |(label, predicted, _): &(usize, usize, u64)| (*label, *predicted);
        let is_ascending = counts.is_sorted_by(|a, b| place(a) < place(b));
        let fits = |&(label, predicted, count): &(usize, usize, u64)| {
            label < classes && predicted < classes && count > 0
        };
        if !is_ascending || !counts.iter().all(fits) {
            return Err(E::custom(format!(
                "the counts are not of {classes} classes, each above 0 and in ascending order of label and predicted class"
            )));
        }
        let mut matrix = vec![vec![0; classes]; classes];
        for (label, predicted, count) in counts {
            matrix[label][predicted] = count;
        }
        Ok(matrix)
    }
}

pub(crate) fn serialize<S: Serializer>(
    matrix: &[Vec<u64>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match Sparse::of(matrix) {
        Some(sparse) => sparse.serialize(serializer),
        None => matrix.serialize(serializer),
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Vec<u64>>, D::Error> {
    deserializer.deserialize_any(EitherForm)
}

struct EitherForm;

impl<'de> Visitor<'de> for EitherForm {
    type Value = Vec<Vec<u64>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows of counts by label, or `classes` and `counts`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, rows: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(rows))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        Sparse::deserialize(MapAccessDeserializer::new(fields))?.matrix()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Held(#[serde(with = "super")] Vec<Vec<u64>>);

    fn text(matrix: &[Vec<u64>]) -> String {
        serde_json::to_string(&Held(matrix.to_vec())).unwrap()
    }

    fn read(text: &str) -> Result<Vec<Vec<u64>>, serde_json::Error> {
        serde_json::from_str::<Held>(text).map(|held| held.0)
    }

    #[test]
    fn few_classes_keep_the_form_that_is_indexed_by_label() {
        assert_eq!(text(&[vec![5, 0], vec![0, 6]]), "[[5,0],[0,6]]");
        assert_eq!(text(&[]), "[]");
        assert!(text(&vec![vec![0; 64]; 64]).starts_with("[["));
    }

    #[test]
    fn many_classes_with_few_counts_are_triples() {
        let mut matrix = vec![vec![0; 1200]; 1200];
        matrix[3][1199] = u64::MAX;
        matrix[1199][0] = 1;
        let written = text(&matrix);
        assert_eq!(
            written,
            "{\"classes\":1200,\"counts\":[[3,1199,18446744073709551615],[1199,0,1]]}"
        );
        assert_eq!(read(&written).unwrap(), matrix);
        assert_eq!(read(&text(&vec![vec![0; 65]; 65])).unwrap().len(), 65);
    }

    #[test]
    fn what_is_no_square_is_written_as_it_is() {
        let mut matrix = vec![vec![0; 100]; 100];
        matrix[7].pop();
        assert!(text(&matrix).starts_with("[["));
        assert_eq!(read(&text(&matrix)).unwrap(), matrix);
    }

    #[test]
    fn damaged_triples_are_refused() {
        for (counts, classes) in [
            ("[[0,0,1],[0,0,1]]", 2),
            ("[[1,0,1],[0,1,1]]", 2),
            ("[[0,2,1]]", 2),
            ("[[2,0,1]]", 2),
            ("[[0,1,0]]", 2),
            ("[[0,1,-1]]", 2),
            ("[[0,1]]", 2),
            ("[]", 1_usize << 40),
        ] {
            let text = format!("{{\"classes\":{classes},\"counts\":{counts}}}");
            assert!(read(&text).is_err(), "{text}");
        }
        assert!(read("{\"classes\":2,\"counts\":[],\"more\":1}").is_err());
        assert!(read("{\"classes\":2}").is_err());
        assert!(read("7").is_err());
        assert_eq!(
            read("{\"classes\":2,\"counts\":[]}").unwrap(),
            [[0, 0], [0, 0]]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn every_matrix_is_read_as_it_was_written(
            classes in 0usize..100,
            counts in proptest::collection::vec((any::<usize>(), any::<usize>(), any::<u64>()), 0..3000),
        ) {
            let mut matrix = vec![vec![0; classes]; classes];
            for (label, predicted, count) in counts.iter().filter(|_| classes > 0) {
                matrix[label % classes][predicted % classes] = *count;
            }
            let written = text(&matrix);
            prop_assert_eq!(read(&written).unwrap(), matrix.clone());
            let all = serde_json::to_string(&matrix).unwrap();
            prop_assert!(written.len() <= all.len());
            // In a document that is read twice over, too.
            let value: serde_json::Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(serde_json::from_value::<Held>(value).unwrap().0, matrix);
        }
    }
}
