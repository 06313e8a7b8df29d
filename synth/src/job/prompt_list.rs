//! Prompts as people keep them: a text on each line, or a table.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use csv::{ReaderBuilder, StringRecord, StringRecordsIntoIter, Trim};
use promptfed_prompts::{ClassIndex, Domain, LabelSpace, RenderedPrompt};

use super::prompts::{JobPrompt, Lines, MAX_LINE_BYTES, lines_of};
use crate::{Error, Result};

/// How a plain list of prompts is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// A prompt on each line; empty lines are passed over.
    Lines,
    /// A table with the names of its columns in the first row: `prompt`, and `class`, `domain`, `negative` and `count` where they are there.
    Csv,
}

/// The columns that are read.
const COLUMNS: [&str; 5] = ["prompt", "class", "domain", "negative", "count"];

/// The classes that a list names, by name; none where it has no such column.
///
/// # Errors
/// A file or a row of it that cannot be read.
pub fn classes_of(path: &Path, format: ListFormat) -> Result<Vec<String>> {
    if format == ListFormat::Lines {
        return Ok(Vec::new());
    }
    let table = Table::open(path)?;
    let Some(column) = table.columns[1] else {
        return Ok(Vec::new());
    };
    let mut classes = BTreeSet::new();
    for row in table.rows {
        classes.insert(row?.get(column).unwrap_or_default().to_owned());
    }
    Ok(classes.into_iter().filter(|c| !c.is_empty()).collect())
}

/// The prompts of a list, from the first to the last. Without a column `class`, all are of the first class.
pub(super) fn read<'a>(
    path: &'a Path,
    format: ListFormat,
    label_space: &'a LabelSpace,
) -> Result<Box<dyn Iterator<Item = Result<JobPrompt>> + 'a>> {
    if format == ListFormat::Csv {
        let table = Table::open(path)?;
        let columns = table.columns;
        let prompt = move |row: Result<StringRecord>| of_row(&row?, &columns, label_space, path);
        return Ok(Box::new(table.rows.map(prompt)));
    }
    Ok(Box::new(PlainLines(Lines::open(path)?)))
}

/// A prompt on each line.
struct PlainLines<'a>(Lines<'a>);

impl PlainLines<'_> {
    fn prompt(&self) -> Result<JobPrompt> {
        let text = self.0.text()?.trim();
        Ok(prompt(ClassIndex::new(0), None, text, "", None))
    }
}

impl Iterator for PlainLines<'_> {
    type Item = Result<JobPrompt>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.advance() {
            Ok(false) => None,
            Ok(true) => Some(self.prompt()),
            Err(error) => Some(Err(error)),
        }
    }
}

/// A table whose first row has been read.
struct Table {
    /// Where each of [`COLUMNS`] is.
    columns: [Option<usize>; 5],
    rows: Rows,
}

/// Most bytes that are read for one row: two texts of the longest, and the rest of it.
const MAX_ROW_BYTES: usize = 4 * MAX_LINE_BYTES;

/// Reads so many bytes until it is allowed more, so that a quotation mark without its other half does not fill the memory.
struct Limited {
    reader: Box<dyn BufRead>,
    left: Rc<Cell<usize>>,
}

impl Read for Limited {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let most = to.len().min(self.left.get());
        if most == 0 && !to.is_empty() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                format!(
                    "the row is longer than {MAX_ROW_BYTES} bytes; perhaps a text begins with a double quote and does not end with one"
                ),
            ));
        }
        let read = self.reader.read(&mut to[..most])?;
        self.left.set(self.left.get() - read);
        Ok(read)
    }
}

/// The rows behind the first, one in memory at a time.
struct Rows {
    path: PathBuf,
    rows: StringRecordsIntoIter<Limited>,
    left: Rc<Cell<usize>>,
    /// The row that was read last, counted from 1.
    row: u64,
}

impl Iterator for Rows {
    type Item = Result<StringRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row += 1;
        self.left.set(MAX_ROW_BYTES);
        let row = self.rows.next()?;
        let row = row.map_err(|error| of_csv(&self.path, &error, self.row));
        Some(row.and_then(|row| in_one_line(&self.path, row)))
    }
}

impl Table {
    fn open(path: &Path) -> Result<Self> {
        let left = Rc::new(Cell::new(MAX_ROW_BYTES));
        let limited = Limited {
            reader: lines_of(path)?,
            left: Rc::clone(&left),
        };
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(limited);
        let names = reader.headers().map_err(|e| of_csv(path, &e, 1))?.clone();
        let mut columns = [None; 5];
        for (index, name) in names.iter().enumerate() {
            let lower = name.to_lowercase();
            let Some(place) = COLUMNS.iter().position(|column| *column == lower) else {
                let known = COLUMNS.join(", ");
                return Err(fault(
                    path,
                    1,
                    format!(
                        "the column {name:?} is not read; there are {known}, with their names in the first row"
                    ),
                ));
            };
            if columns[place].replace(index).is_some() {
                return Err(fault(path, 1, format!("there are two columns {lower:?}")));
            }
        }
        if columns[0].is_none() {
            return Err(fault(path, 1, "the first row names no column `prompt`"));
        }
        Ok(Self {
            columns,
            rows: Rows {
                path: path.to_owned(),
                rows: reader.into_records(),
                left,
                row: 1,
            },
        })
    }
}

fn of_row(
    row: &StringRecord,
    columns: &[Option<usize>; 5],
    label_space: &LabelSpace,
    path: &Path,
) -> Result<JobPrompt> {
    let at = row.position().map_or(1, row_of);
    let [text, class, domain, negative, count] =
        columns.map(|column| column.and_then(|c| row.get(c)).filter(|v| !v.is_empty()));
    let class = match (class, columns[1]) {
        (Some(name), _) => label_space.index_of(name).ok_or_else(|| {
            let space = label_space.name();
            fault(
                path,
                at,
                format!("class {name:?} is not in label space {space:?}; use one of its names or aliases"),
            )
        })?,
        (None, Some(_)) => return Err(fault(path, at, "the class is empty")),
        (None, None) => ClassIndex::new(0),
    };
    let domain = domain
        .map(|text| Domain::try_from(text).map_err(|e| fault(path, at, format!("domain: {e}"))))
        .transpose()?;
    let count = count
        .map(|text| {
            text.parse()
                .map_err(|_| fault(path, at, format!("count {text:?} is no whole number")))
        })
        .transpose()?;
    let (text, negative) = (text.unwrap_or_default(), negative.unwrap_or_default());
    if text.is_empty() {
        let reason = "the prompt is empty; write what the images show";
        return Err(fault(path, at, reason));
    }
    if text.len() + negative.len() > MAX_LINE_BYTES {
        let reason = format!("the texts are longer than {MAX_LINE_BYTES} bytes; shorten them");
        return Err(fault(path, at, reason));
    }
    Ok(prompt(class, domain, text, negative, count))
}

fn prompt(
    class: ClassIndex,
    domain: Option<Domain>,
    text: &str,
    negative: &str,
    count: Option<u32>,
) -> JobPrompt {
    JobPrompt {
        class,
        domain,
        text: RenderedPrompt {
            positive: text.to_owned(),
            negative: negative.to_owned(),
        },
        count,
    }
}

/// The row as spreadsheets count, from 1 with the names of the columns: the line of a table without line breaks in its texts.
fn row_of(position: &csv::Position) -> u64 {
    position.record() + 1
}

/// Refuses a row whose texts have line breaks: no prompt has one, and a quotation mark without its other half takes the rows below for its text.
fn in_one_line(path: &Path, row: StringRecord) -> Result<StringRecord> {
    if row.iter().all(|text| !text.contains(['\n', '\r'])) {
        return Ok(row);
    }
    Err(fault(
        path,
        row.position().map_or(1, row_of),
        "a text goes on in the next line: it begins with a double quote and does not end with one, or it has a line break; close the quotation, or put the text in one line",
    ))
}

fn of_csv(path: &Path, error: &csv::Error, row: u64) -> Error {
    let line = error.position().map_or(row, row_of);
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!(
            "the row has {len} fields and the first row {expected_len}; put texts with commas between double quotes"
        ),
        csv::ErrorKind::Utf8 { .. } => "the row is no UTF-8; save the file as UTF-8".to_owned(),
        _ => error.to_string(),
    };
    fault(path, line, reason)
}

fn fault(path: &Path, line: u64, reason: impl Into<String>) -> Error {
    Error::PromptLine {
        file: path.to_owned(),
        line,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn space() -> LabelSpace {
        LabelSpace::from_names("pets", ["cat", "dog"]).unwrap()
    }

    fn prompts(bytes: &[u8], format: ListFormat) -> Result<Vec<JobPrompt>> {
        let (_folder, path) = file("list", bytes);
        let space = space();
        read(&path, format, &space)?.collect()
    }

    fn texts(found: &[JobPrompt]) -> Vec<&str> {
        found.iter().map(|p| p.text.positive.as_str()).collect()
    }

    #[test]
    fn lines_of_any_system() {
        let utf16: Vec<u8> = "\u{feff}a cat\r\na dog, sitting\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for bytes in [
            b"a cat\n\n  a dog, sitting  \n".to_vec(),
            b"\xef\xbb\xbfa cat\r\na dog, sitting".to_vec(),
            utf16,
        ] {
            let found = prompts(&bytes, ListFormat::Lines).unwrap();
            assert_eq!(texts(&found), ["a cat", "a dog, sitting"]);
            assert!(
                found
                    .iter()
                    .all(|p| p.class.get() == 0 && p.text.negative.is_empty())
            );
        }
        let told = prompts(b"a cat\nCaf\xe9\n", ListFormat::Lines).unwrap_err();
        assert!(told.to_string().contains("UTF-8"), "{told}");
    }

    #[test]
    fn tables_by_the_names_of_their_columns() {
        let text = "\u{feff}Prompt, class ,negative,count\r\n\"a dog, sitting\",dog,blurry,3\r\na cat,cat,,\r\n";
        let found = prompts(text.as_bytes(), ListFormat::Csv).unwrap();
        assert_eq!(texts(&found), ["a dog, sitting", "a cat"]);
        assert_eq!(found[0].class.get(), 1);
        assert_eq!((found[0].count, found[1].count), (Some(3), None));
        assert_eq!(
            (
                found[0].text.negative.as_str(),
                found[1].text.negative.as_str()
            ),
            ("blurry", "")
        );
        let found = prompts(b"prompt\na cat\n", ListFormat::Csv).unwrap();
        assert_eq!((texts(&found), found[0].class.get()), (vec!["a cat"], 0));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, part) in [
            ("prompt,class\na cat,fox\n", 2, "fox"),
            ("prompt,seed\na cat,3\n", 1, "seed"),
            ("text\na cat\n", 1, "text"),
            ("prompt,class\na cat,cat\n,dog\n", 3, "empty"),
            ("prompt,class\na cat\n", 2, "commas"),
            ("prompt,count\na cat,many\n", 2, "many"),
            ("prompt,PROMPT\na,b\n", 1, "two columns"),
            ("prompt,class\na cat,\n", 2, "class is empty"),
            ("prompt,class\r\na cat,cat\r\na fox,fox\r\n", 3, "fox"),
            ("prompt\na cat\n\"a dog\na fox\n", 3, "double quote"),
            ("prompt\n\"a cat\non a mat\"\na dog\n", 2, "line break"),
            (
                "prompt,negative\na cat,\"dark\na dog,\"\n",
                2,
                "double quote",
            ),
        ] {
            match prompts(text.as_bytes(), ListFormat::Csv) {
                Err(Error::PromptLine {
                    line: at, reason, ..
                }) => {
                    assert!(reason.contains(part), "{text:?}: {reason}");
                    assert_eq!(at, line, "{text:?}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_row_without_end_is_refused_and_not_held_in_memory() {
        let endless = format!("prompt\na cat\n\"a dog {}", "and more\n".repeat(100_000));
        match prompts(endless.as_bytes(), ListFormat::Csv) {
            Err(Error::PromptLine { line, reason, .. }) => {
                assert_eq!(line, 3);
                assert!(reason.contains("double quote"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        // Rows together may be longer.
        let many = format!("prompt\n{}", "a cat on a mat\n".repeat(30_000));
        let found = prompts(many.as_bytes(), ListFormat::Csv).unwrap();
        assert_eq!(found.len(), 30_000);
    }

    #[test]
    fn classes_are_those_that_are_named() {
        let (_folder, path) = file("list", b"prompt,class\na dog,dog\na cat,cat\nmore,dog\n");
        assert_eq!(classes_of(&path, ListFormat::Csv).unwrap(), ["cat", "dog"]);
        let (_folder, path) = file("list", b"prompt\na dog\n");
        assert!(classes_of(&path, ListFormat::Csv).unwrap().is_empty());
        assert!(classes_of(&path, ListFormat::Lines).unwrap().is_empty());
    }
}
