//! Tables of captions and labels: CSV, TSV and JSON lines with one row per picture.

use std::path::Path;

use crate::folder::has_extension;
use crate::readers::column_names::{CAPTION, DOMAIN, LABEL, SPLIT};
use crate::{DataError, Result};

/// Longest table that is read.
pub(crate) const MAX_BYTES: u64 = 256 << 20;

/// Names of the column of pictures; of several, the first counts.
const FILE: [&str; 9] = [
    "file_name",
    "filename",
    "file",
    "path",
    "filepath",
    "image_path",
    "image",
    "image_id",
    "img",
];

/// What is known of one picture.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Line, or number of the row, from 1.
    pub(crate) number: usize,
    /// The picture's file as the table calls it.
    pub(crate) file: String,
    pub(crate) label: Option<String>,
    pub(crate) caption: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) split: Option<String>,
}

/// A table with a column of file names.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    /// Columns that mean nothing here.
    pub(crate) unused: Vec<String>,
    pub(crate) has_label: bool,
    pub(crate) has_caption: bool,
    pub(crate) has_split: bool,
}

/// Positions of the columns that mean something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    file: usize,
    label: Option<usize>,
    caption: Option<usize>,
    domain: Option<usize>,
    split: Option<usize>,
}

impl Header {
    /// `None` without a column of file names, or where that is all.
    pub(crate) fn find<T: AsRef<str>>(names: &[T]) -> Option<Self> {
        let find = |known: &[&str]| {
            known.iter().find_map(|k| {
                names
                    .iter()
                    .position(|n| n.as_ref().trim().eq_ignore_ascii_case(k))
            })
        };
        let header = Self {
            file: find(&FILE)?,
            label: find(&LABEL),
            caption: find(&CAPTION),
            domain: find(&DOMAIN),
            split: find(&SPLIT),
        };
        (header.label.is_some() || header.caption.is_some()).then_some(header)
    }

    fn used(&self) -> [Option<usize>; 5] {
        [
            Some(self.file),
            self.label,
            self.caption,
            self.domain,
            self.split,
        ]
    }

    /// Whether a column means something.
    pub(crate) fn uses(&self, index: usize) -> bool {
        self.used().contains(&Some(index))
    }

    /// Names of the columns that are not used.
    pub(crate) fn unused<T: AsRef<str>>(&self, names: &[T]) -> Vec<String> {
        (0..names.len())
            .filter(|&i| !self.uses(i))
            .map(|i| names[i].as_ref().trim().to_owned())
            .collect()
    }

    /// The row of these cells.
    pub(crate) fn row<'a>(
        &self,
        number: usize,
        cell: impl Fn(usize) -> Option<&'a str>,
    ) -> Option<Row> {
        let text = |index: Option<usize>| {
            let text = cell(index?)?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Some(Row {
            number,
            file: text(Some(self.file))?,
            label: text(self.label),
            caption: text(self.caption),
            domain: text(self.domain),
            split: text(self.split),
        })
    }

    pub(crate) fn table(&self, rows: Vec<Row>, unused: Vec<String>) -> Table {
        Table {
            rows,
            unused,
            has_label: self.label.is_some(),
            has_caption: self.caption.is_some(),
            has_split: self.split.is_some(),
        }
    }
}

/// The character between the cells of a first line: a tab, semicolon or comma.
pub(crate) fn delimiter(first_line: &str) -> u8 {
    [b'\t', b';']
        .into_iter()
        .find(|&d| first_line.contains(char::from(d)))
        .unwrap_or(b',')
}

/// Why a table with separated cells is neither a list nor one of captions.
pub(crate) fn what_is_missing(text: &str) -> String {
    const SHOWN: usize = 12;
    let first = text.lines().next().unwrap_or_default();
    let columns: Vec<&str> = first
        .split(char::from(delimiter(first)))
        .map(|c| c.trim().trim_matches('"'))
        .take(SHOWN)
        .collect();
    if Header::find(&columns).is_some() {
        return "another layout was asked for, or its paths lead to no pictures".to_owned();
    }
    format!(
        "its first line is `{}`; a list has a column of paths (`path`, `filename` or `image`) and one of `label`, `class` or `caption`",
        columns.join(", ")
    )
}

/// Reads CSV, TSV or JSON lines. `None` where the text has no column of file names with labels or captions.
///
/// # Errors
/// When the text cannot be read as what its extension says.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Option<Table>> {
    if has_extension(path, &["jsonl", "ndjson", "json"]) {
        parse_json_lines(path, text)
    } else {
        parse_separated(path, text)
    }
}

fn parse_separated(path: &Path, text: &str) -> Result<Option<Table>> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(text.lines().next().unwrap_or_default()))
        .flexible(true)
        .from_reader(text.as_bytes());
    let malformed = |error: csv::Error| DataError::ListLine {
        path: path.to_owned(),
        line: error
            .position()
            .map_or(1, |p| usize::try_from(p.line()).unwrap_or(usize::MAX)),
        reason: error.to_string(),
    };
    let names: Vec<String> = reader
        .headers()
        .map_err(malformed)?
        .iter()
        .map(str::to_owned)
        .collect();
    let Some(header) = Header::find(&names) else {
        return Ok(None);
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let number = usize::try_from(line).unwrap_or(usize::MAX);
        rows.extend(header.row(number, |i| record.get(i)));
    }
    Ok(Some(header.table(rows, header.unused(&names))))
}

fn parse_json_lines(path: &Path, text: &str) -> Result<Option<Table>> {
    let mut names: Vec<String> = Vec::new();
    let mut objects = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)
            .map_err(|error| DataError::ListLine {
                path: path.to_owned(),
                line: index + 1,
                reason: format!("{error}; a line is one JSON object with `file_name`"),
            })?;
        for key in object.keys() {
            if !names.contains(key) {
                names.push(key.clone());
            }
        }
        objects.push((index + 1, object));
    }
    let Some(header) = Header::find(&names) else {
        return Ok(None);
    };
    let mut rows = Vec::with_capacity(objects.len());
    for (number, object) in &objects {
        let cells: Vec<Option<String>> = names
            .iter()
            .map(|name| match object.get(name)? {
                serde_json::Value::String(text) => Some(text.clone()),
                value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => {
                    Some(value.to_string())
                }
                _ => None,
            })
            .collect();
        rows.extend(header.row(*number, |i| cells.get(i)?.as_deref()));
    }
    Ok(Some(header.table(rows, header.unused(&names))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_in_every_format() {
        for (file, text) in [
            ("m.csv", "file_name,text,age\na.png,\"one, two\",40\n"),
            ("m.csv", "Caption;Age;Image\r\none, two;40;a.png\r\n"),
            ("m.tsv", "path\tcaption\tage\na.png\tone, two\t40\n"),
            (
                "m.jsonl",
                "{\"age\": 40, \"file_name\": \"a.png\", \"text\": \"one, two\"}\n\n",
            ),
        ] {
            let table = parse(Path::new(file), text).unwrap().unwrap();
            assert_eq!(table.rows.len(), 1, "{text}");
            assert_eq!(table.rows[0].file, "a.png");
            assert_eq!(table.rows[0].caption.as_deref(), Some("one, two"));
            assert_eq!(table.unused.len(), 1, "{text}");
            assert!(!table.has_label);
        }
    }

    #[test]
    fn what_speaks_of_no_pictures_is_no_table_of_them() {
        for text in ["name,age\ncat,3\n", "file_name,age\na.png,3\n", ""] {
            assert!(parse(Path::new("m.csv"), text).unwrap().is_none(), "{text}");
        }
        let error = parse(Path::new("m.jsonl"), "{\"a\": 1}\n{").unwrap_err();
        assert!(error.to_string().contains("m.jsonl:2"), "{error}");
    }
}
