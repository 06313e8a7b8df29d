//! Where a JSON document is at fault, and what should stand there.

use std::num::NonZeroU32;

use serde::Deserialize;
use serde_json::error::Category;

use crate::error::{in_plain_words, line_and_column};
use crate::text::excerpt;
use crate::{Error, Result};

/// Reads a whole JSON document.
///
/// # Errors
/// [`Error::Json`] with line, column and entry.
pub(crate) fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|e| {
        let path = e.path().to_string();
        fault(json, e.inner(), Some(path))
    })?;
    reader.end().map_err(|e| fault(json, &e, None))?;
    Ok(value)
}

/// `path` is where a value of the wrong kind stands; for broken syntax it is found again, because readers know it only where
/// they wanted the value.
fn fault(json: &str, error: &serde_json::Error, path: Option<String>) -> Error {
    let lines = json.split_inclusive('\n');
    let line_start: usize = lines
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let offset = match error.classify() {
        Category::Eof => json.len(),
        _ => json.floor_char_boundary(line_start + error.column().saturating_sub(1)),
    };
    let (line, column) = line_and_column(json, offset);
    let path = path
        .filter(|path| error.classify() == Category::Data && path != ".")
        .unwrap_or_else(|| path_at(json, offset));
    Error::Json {
        line,
        column,
        path: excerpt(&path),
        reason: excerpt(&reason(error)),
    }
}

fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    if error.classify() == Category::Data {
        return in_plain_words(text);
    }
    let told = match text {
        "expected `,` or `]`" | "expected `,` or `}`" => {
            return format!("{text}; perhaps a comma is missing before this");
        }
        "trailing comma" => "a comma with nothing behind it; remove it",
        "key must be a string" => "expected a name in double quotes",
        "expected value" => "expected a value",
        "trailing characters" => "trailing characters behind the end; remove them",
        "EOF while parsing a list" => "the file ends inside a list; expected `]`",
        "EOF while parsing an object" => "the file ends inside an entry; expected `}`",
        "EOF while parsing a string" => "the file ends inside a text; expected `\"`",
        "EOF while parsing a value" => "the file ends where a value is expected",
        text if text.starts_with("control character") => {
            "a line break or another control character inside a text; expected `\"` before it"
        }
        other => other,
    };
    told.to_owned()
}

/// The error with the line of its entry in the document.
pub(crate) fn with_line(json: &str, mut error: Error) -> Error {
    if let Some(place) = error.place_mut() {
        let line = place
            .index
            .and_then(|index| line_of_entry(json, place.list, index));
        place.line = line.and_then(|line| NonZeroU32::new(line.try_into().ok()?));
    }
    error
}

/// The line, from 1, on which the entry of a list of the document begins.
fn line_of_entry(json: &str, list: &str, index: usize) -> Option<usize> {
    let mut walk = Walk::of(json);
    loop {
        let offset = json.len() - walk.characters.as_str().len();
        let c = walk.step()?;
        let is_entry = match walk.stack.as_slice() {
            [
                Inside::Object(Some(name)),
                Inside::List(at),
                Inside::Object(None),
            ] => c == '{' && name == list && *at == index,
            _ => false,
        };
        if is_entry {
            return Some(line_and_column(json, offset).0);
        }
    }
}

/// What encloses a place of a document: a list with the index of its entry, or an object with the name of its value.
enum Inside {
    List(usize),
    Object(Option<String>),
}

/// A walk through a document, whole or broken, that knows what encloses each place.
struct Walk<'a> {
    characters: std::str::Chars<'a>,
    stack: Vec<Inside>,
}

impl<'a> Walk<'a> {
    fn of(json: &'a str) -> Self {
        Self {
            characters: json.chars(),
            stack: Vec::new(),
        }
    }

    /// Passes one character, or a whole text, and gives the first character of it; `None` at the end.
    fn step(&mut self) -> Option<char> {
        let c = self.characters.next()?;
        match c {
            '{' => self.stack.push(Inside::Object(None)),
            '[' => self.stack.push(Inside::List(0)),
            '}' | ']' => drop(self.stack.pop()),
            ',' => match self.stack.last_mut() {
                Some(Inside::List(index)) => *index += 1,
                Some(Inside::Object(name)) => *name = None,
                None => {}
            },
            '"' => {
                let mut text = String::new();
                while let Some(c) = self.characters.next().filter(|c| *c != '"') {
                    text.push(c);
                    if c == '\\' {
                        text.extend(self.characters.next());
                    }
                }
                if let Some(Inside::Object(name @ None)) = self.stack.last_mut() {
                    *name = Some(text);
                }
            }
            _ => {}
        }
        Some(c)
    }
}

/// The entry and field at the byte `offset`, as `prompts[3].class`.
fn path_at(json: &str, offset: usize) -> String {
    let mut walk = Walk::of(&json[..offset]);
    while walk.step().is_some() {}
    let mut path = String::new();
    for inside in &walk.stack {
        match inside {
            Inside::List(index) => path.push_str(&format!("[{index}]")),
            Inside::Object(Some(name)) => {
                path.push_str(if path.is_empty() { "" } else { "." });
                path.push_str(name);
            }
            Inside::Object(None) => {}
        }
    }
    if path.is_empty() {
        "the document".to_owned()
    } else {
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Entry {
        #[serde(rename = "class")]
        _class: u32,
        #[serde(rename = "caption")]
        _caption: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    struct Document {
        #[serde(rename = "prompts")]
        _prompts: Vec<Entry>,
    }

    #[test]
    fn entries_are_found_in_any_form_of_a_document() {
        let json = "{\"templates\": [{\"domains\": [\"a\"]},\n{}],\n\"x\":\"{[\\\"\",\n\n\"prompts\":[\n{\"class\":{\"a\":[{}]}}, {\"class\":1\n},\n{}]}";
        for (list, index, line) in [
            ("templates", 0, Some(1)),
            ("templates", 1, Some(2)),
            ("prompts", 0, Some(6)),
            ("prompts", 1, Some(6)),
            ("prompts", 2, Some(8)),
            ("prompts", 3, None),
            ("domains", 0, None),
        ] {
            assert_eq!(line_of_entry(json, list, index), line, "{list} {index}");
        }
    }

    #[test]
    fn every_slip_is_told_with_its_place() {
        for (json, told) in [
            (
                "{\n\"prompts\":[\n{\"class\":0}\n{\"class\":1}\n]}",
                "line 4, column 1, in prompts[0]: expected `,` or `]`; perhaps a comma is missing before this",
            ),
            (
                "{\"prompts\":[\n{\"class\":0},\n{\"class\":1 \"caption\":\"é\"}]}",
                "line 3, column 12, in prompts[1].class: expected `,` or `}`; perhaps a comma is missing before this",
            ),
            (
                "{\"prompts\":[\n{\"caption\":\"日本\" \"class\":1}]}",
                "line 2, column 17, in prompts[0].caption: expected `,`",
            ),
            (
                "{\"prompts\":[\n{\"class\":0},\n]}",
                "line 3, column 1, in prompts[1]: a comma",
            ),
            (
                "{\"prompts\":[{\"class\":0,}]}",
                "in prompts[0]: a comma with nothing behind it",
            ),
            (
                "{\"prompts\":[{class:0}]}",
                "in prompts[0]: expected a name in double quotes",
            ),
            (
                "{\"prompts\":[{\"class\" 0}]}",
                "in prompts[0].class: expected `:`",
            ),
            (
                "{\"prompts\":[{\"class\":}]}",
                "in prompts[0].class: expected a value",
            ),
            (
                "{\"prompts\":[{\"class\":0,\"caption\":\"a\n\"}]}",
                "line 2, column 1, in prompts[0].caption: a line break",
            ),
            (
                "{\"prompts\":[\n{\"class\":0}",
                "line 2, column 12, in prompts[0]: the file ends inside a list",
            ),
            (
                "{\"prompts\":[{\"class\":0}]}\n}",
                "line 2, column 1, in the document: trailing characters behind the end",
            ),
            (
                "{\"prompts\":[{\"class\":0},\n{\"class\":\"dog\"}]}",
                "line 2, column 14, in prompts[1].class: invalid type: string \"dog\"",
            ),
            (
                "{\"prompts\":[{\"class\":0},\n{\"caption\":\"x, [y\"}]}",
                "in prompts[1]: missing field `class`",
            ),
            (
                "",
                "in the document: the file ends where a value is expected",
            ),
        ] {
            let error = parse::<Document>(json).unwrap_err().to_string();
            assert!(error.contains(told), "{json}\n{error}\n{told}");
        }
    }
}
