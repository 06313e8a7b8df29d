//! Means over seeds by method, and methods beside each other.

use super::Table;
use crate::comparison::Comparison;
use crate::csv_cells::{number, text};
use crate::method_row::{COLUMNS, cells};
use crate::pairs::{Pair, Test};

pub(super) fn methods(comparison: &Comparison) -> Table {
    Table {
        name: "methods.csv",
        columns: &COLUMNS,
        rows: comparison.summary().iter().map(cells).collect(),
    }
}

pub(super) fn pairs(comparison: &Comparison) -> Table {
    Table {
        name: "pairs.csv",
        columns: &[
            "first",
            "second",
            "seeds",
            "images",
            "difference",
            "low",
            "high",
            "test",
            "p",
            "p_corrected",
            "is_clear",
        ],
        rows: comparison.pairs.iter().map(pair).collect(),
    }
}

fn pair(pair: &Pair) -> Vec<String> {
    let test = match pair.test {
        Test::McNemar => "McNemar",
        Test::SignFlip => "sign flip",
    };
    vec![
        text(&pair.first),
        text(&pair.second),
        pair.seeds.to_string(),
        pair.images.to_string(),
        number(pair.difference),
        number(pair.interval.low),
        number(pair.interval.high),
        test.to_owned(),
        number(pair.p),
        number(pair.p_corrected),
        pair.is_clear().to_string(),
    ]
}
