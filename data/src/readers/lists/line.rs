//! What the lines of a list look like.

use std::path::{Component, Path};

use crate::folder::has_picture_extension;
use crate::readers::table::{self, Header, Row};

/// Longest line that is read; paths are shorter on every system.
pub(super) const MAX_LINE_BYTES: usize = 64 << 10;

/// Lines looked at to recognise a list.
const LINES_TO_LOOK_AT: usize = 50;

/// Of 100 lines looked at, those that must fit; fewer where the first is DomainNet's form, so that faults of others are named.
const LEAST_THAT_FIT: usize = 90;
const LEAST_THAT_FIT_AFTER_A_FIRST: usize = 50;

/// How a list's lines are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// `path id`, as DomainNet; the path may hold spaces.
    PathAndId,
    /// `path<delimiter>label` without a header; the label may be a word.
    Pair(char),
    /// `path<tab>label` and the four numbers of a box, as Tiny ImageNet's `val_annotations.txt`; the box is not used.
    Boxed,
    /// A JSON object of lists of paths by class, as Food-101's `train.json`.
    ByClass,
    /// A header names the columns.
    Table,
    /// `class/picture`, as Food-101: the folder is the class.
    Path,
}

impl Form {
    /// The form of a text whose first lines these are. `is_there` tells whether a path leads to a picture.
    pub(super) fn of(start: &str, is_there: impl Fn(&str) -> bool) -> Option<Self> {
        let lines: Vec<&str> = start
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .take(LINES_TO_LOOK_AT)
            .collect();
        let first = lines.first()?;
        let cells: Vec<&str> = first.split(char::from(table::delimiter(first))).collect();
        if cells.len() > 1 && Header::find(&cells).is_some() {
            return Some(Self::Table);
        }
        let is_picture = |path: &str| has_picture_extension(Path::new(path)) || is_there(path);
        let fits = |form: &Form, line: &str| {
            form.split(line).is_ok_and(|(path, label)| match label {
                Some(_) => is_picture(path),
                None => path.contains('/') && is_there(path),
            })
        };
        let most_fit = |form: &Form, least: usize| {
            let fit = lines.iter().filter(|line| fits(form, line));
            fit.count() * 100 >= lines.len() * least
        };
        if fits(&Self::PathAndId, first) {
            return most_fit(&Self::PathAndId, LEAST_THAT_FIT_AFTER_A_FIRST)
                .then_some(Self::PathAndId);
        }
        [
            Self::Boxed,
            Self::Pair(','),
            Self::Pair(';'),
            Self::Pair('\t'),
            Self::Pair(' '),
            Self::Path,
        ]
        .into_iter()
        .find(|form| most_fit(form, LEAST_THAT_FIT))
    }

    /// Path and label of a line. Never called for a table or a list by class.
    pub(super) fn split<'a>(&self, line: &'a str) -> Result<(&'a str, Option<&'a str>), String> {
        match self {
            Self::Path | Self::Table | Self::ByClass => Ok((line.trim(), None)),
            Self::Boxed => {
                let cells: Vec<&str> = line.split('\t').map(str::trim).collect();
                let is_box = |cells: &[&str]| cells.iter().all(|c| c.parse::<i64>().is_ok());
                match cells.as_slice() {
                    [path, label, sides @ ..] if sides.len() == 4 && is_box(sides) => {
                        Ok((path, Some(label)))
                    }
                    _ => Err(format!(
                        "`{line}` is no path, label and box of four numbers"
                    )),
                }
            }
            Self::PathAndId => {
                let (path, id) = path_and_id(line)?;
                Ok((path, Some(id)))
            }
            Self::Pair(delimiter) => {
                let cells: Vec<&str> = line.split(*delimiter).map(unquoted).collect();
                match cells.as_slice() {
                    [path, label] if !path.is_empty() && !label.is_empty() => {
                        Ok((path, Some(label)))
                    }
                    _ => Err(format!(
                        "`{line}` is no path and label with one `{delimiter}` between them"
                    )),
                }
            }
        }
    }

    /// The row of a line.
    pub(super) fn row(&self, number: usize, line: &str) -> Result<Row, String> {
        let (path, label) = self.split(line)?;
        Ok(Row {
            number,
            file: path.to_owned(),
            label: label.map(str::to_owned),
            ..Row::default()
        })
    }
}

fn unquoted(cell: &str) -> &str {
    cell.trim().trim_matches('"')
}

/// Splits `path id`; the path may hold spaces.
pub(super) fn path_and_id(line: &str) -> Result<(&str, &str), String> {
    let line = line.trim();
    let expected = "expected `path label`, as in `clipart/axe/clipart_011_000001.jpg 11`";
    let (path, id) = line
        .rsplit_once(char::is_whitespace)
        .ok_or_else(|| format!("`{line}` has no label; {expected}"))?;
    id.parse::<u32>()
        .map_err(|_| format!("`{id}` is no label id; {expected}"))?;
    Ok((path.trim_end(), id))
}

/// The folder that holds a picture, `None` where the path names none.
///
/// # Errors
/// When the path leads out of the list's folder.
pub(super) fn folder_of(relative: &str) -> Result<Option<&str>, String> {
    let path = Path::new(relative);
    if !path
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
    {
        return Err(format!(
            "`{relative}` leads out of the list's folder; write paths relative to it"
        ));
    }
    let folder = path.parent().and_then(|p| p.file_name());
    Ok(folder.and_then(|name| name.to_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_hold_spaces() {
        assert_eq!(
            path_and_id("a b/c d/e f.jpg 12\r\n"),
            Ok(("a b/c d/e f.jpg", "12"))
        );
        assert_eq!(path_and_id("a/b.jpg\t0"), Ok(("a/b.jpg", "0")));
        assert!(path_and_id("a/b.jpg").is_err());
        assert!(path_and_id("a/b.jpg -1").is_err());
        assert!(path_and_id("").is_err());
    }

    #[test]
    fn folders_come_from_the_path_and_stay_below_the_list() {
        assert_eq!(
            folder_of("clipart/aircraft_carrier/x.jpg"),
            Ok(Some("aircraft_carrier"))
        );
        assert_eq!(folder_of("x.jpg"), Ok(None));
        assert!(folder_of("../axe/x.jpg").is_err());
        assert!(folder_of("/etc/axe/x.jpg").is_err());
    }

    #[test]
    fn the_form_is_found_from_the_lines() {
        let nothing = |_: &str| false;
        for (text, form) in [
            ("a/b c.jpg 0\na/d.jpg 1\n", Some(Form::PathAndId)),
            ("a/b.JPG,0\r\na/d.JPG,1\r\n", Some(Form::Pair(','))),
            ("a/b.jpg\tcat\n", Some(Form::Pair('\t'))),
            ("b.jpg cat\nc.jpg dog\n", Some(Form::Pair(' '))),
            ("path,label\nb.jpg,cat\n", Some(Form::Table)),
            ("val_0.JPEG\tn03444034\t0\t32\t44\t62\n", Some(Form::Boxed)),
            ("Chapter 1\nChapter 2\n", None),
            ("n01443537_0.JPEG\t0\t0\t10\t10\n", None),
            ("cat 0\ndog 400\n", None),
            ("apple_pie/1005649\n", None),
            ("", None),
        ] {
            assert_eq!(Form::of(text, nothing), form, "{text}");
        }
        let there = |path: &str| path == "apple_pie/1005649";
        assert_eq!(Form::of("apple_pie/1005649\n", there), Some(Form::Path));
    }
}
