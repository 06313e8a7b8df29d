//! Where a JSON document is at fault, and what should stand there.

use serde::Deserialize;
use serde_json::error::Category;

use crate::error::line_and_column;
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
        return text.to_owned();
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

/// What encloses a place of a document: a list with the index of its entry, or an object with the name of its value.
enum Inside {
    List(usize),
    Object(Option<String>),
}

/// The entry and field at the byte `offset`, as `prompts[3].class`.
fn path_at(json: &str, offset: usize) -> String {
    let mut stack: Vec<Inside> = Vec::new();
    let mut characters = json[..offset].chars();
    while let Some(c) = characters.next() {
        match c {
            '{' => stack.push(Inside::Object(None)),
            '[' => stack.push(Inside::List(0)),
            '}' | ']' => drop(stack.pop()),
            ',' => match stack.last_mut() {
                Some(Inside::List(index)) => *index += 1,
                Some(Inside::Object(name)) => *name = None,
                None => {}
            },
            '"' => {
                let mut text = String::new();
                while let Some(c) = characters.next().filter(|c| *c != '"') {
                    text.push(c);
                    if c == '\\' {
                        text.extend(characters.next());
                    }
                }
                if let Some(Inside::Object(name @ None)) = stack.last_mut() {
                    *name = Some(text);
                }
            }
            _ => {}
        }
    }
    let mut path = String::new();
    for inside in &stack {
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
