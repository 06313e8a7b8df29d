//! Lists of paths by class, as Food-101's `meta/train.json`: `{"apple_pie": ["apple_pie/1005649", ..], ..}`.

use std::fmt;
use std::path::Path;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::readers::table::Row;
use crate::{DataError, Result};

/// Whether a text begins as such a list, whose first path leads to a picture.
pub(super) fn begins(start: &str, is_there: impl Fn(&str) -> bool) -> bool {
    let first_path = || -> Option<String> {
        let (_, rest) = text(start.trim_start().strip_prefix('{')?)?;
        let rest = rest.trim_start().strip_prefix(':')?;
        let (path, _) = text(rest.trim_start().strip_prefix('[')?)?;
        Some(path)
    };
    first_path().is_some_and(|path| is_there(&path))
}

/// The JSON text at the begin of `rest`, and what follows.
fn text(rest: &str) -> Option<(String, &str)> {
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    let text = values.next()?.ok()?;
    Some((text, rest.get(values.byte_offset()..)?))
}

/// The rows of such a list, numbered from 1 in the order of the file.
///
/// # Errors
/// [`DataError::ListLine`] for what is no list by class.
pub(super) fn rows(path: &Path, json: &str) -> Result<Vec<Row>> {
    let lists: Lists = serde_json::from_str(json).map_err(|error| DataError::ListLine {
        path: path.to_owned(),
        line: error.line(),
        reason: format!(
            "{error}; expected lists of paths by class, as in {{\"cat\": [\"cat/1\"]}}"
        ),
    })?;
    let pairs = lists
        .0
        .into_iter()
        .flat_map(|(class, paths)| paths.into_iter().map(move |path| (class.clone(), path)));
    let row = |(index, (class, file)): (usize, (String, String))| Row {
        number: index + 1,
        file,
        label: Some(class),
        ..Row::default()
    };
    Ok(pairs.enumerate().map(row).collect())
}

/// Classes with their paths, in the order of the file.
struct Lists(Vec<(String, Vec<String>)>);

impl<'de> Deserialize<'de> for Lists {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Lists;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists of paths by class")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lists, A::Error> {
                let mut lists = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    lists.push(entry);
                }
                Ok(Lists(lists))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_by_class_is_known_by_its_first_path() {
        let there = |path: &str| path == "apple pie/1";
        for start in [
            "{\"apple pie\": [\"apple pie/1\", \"apple pie/2",
            " {\n \"a\\n\" : [ \"apple pie/1\" ] }",
        ] {
            assert!(begins(start, there), "{start}");
        }
        for start in [
            "{\"a\": [\"elsewhere\"]}",
            "{\"images\": [{\"id\": 1}]}",
            "{\"a\": []}",
            "[\"apple pie/1\"]",
            "{}",
            "",
        ] {
            assert!(!begins(start, there), "{start}");
        }
    }

    #[test]
    fn rows_come_in_the_order_of_the_file() {
        let json = "{\"b\": [\"b/2\", \"b/1\"], \"a\": [\"a/1\"]}";
        let rows = rows(Path::new("train.json"), json).unwrap();
        let shown: Vec<_> = rows
            .iter()
            .map(|r| (r.number, r.file.as_str(), r.label.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [
                (1, "b/2", Some("b")),
                (2, "b/1", Some("b")),
                (3, "a/1", Some("a"))
            ]
        );
    }

    #[test]
    fn what_is_no_such_list_is_told_with_its_line() {
        let told = rows(Path::new("train.json"), "{\"a\": [\n7]}").unwrap_err();
        assert!(told.to_string().contains("train.json:2"), "{told}");
    }
}
