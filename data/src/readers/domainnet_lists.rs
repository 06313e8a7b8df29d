//! `<domain>_<split>.txt` files of `path label` lines: the layout of DomainNet (Peng et al., ICCV 2019).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

use crate::listing::Listing;
use crate::{DataError, ImageSource, Result};

/// Longest line that is read; paths are shorter on every system.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Domain and split of a list file's name: `clipart_train.txt` is `clipart`, `train`.
pub(crate) fn domain_and_split(path: &Path) -> Option<(&str, &str)> {
    let name = path.file_name()?.to_str()?;
    let (domain, split) = name.strip_suffix(".txt")?.rsplit_once('_')?;
    (!domain.is_empty() && !split.is_empty()).then_some((domain, split))
}

/// Whether the first line of a file is a path and a label.
pub(crate) fn looks_like_list(path: &Path) -> bool {
    let start = crate::folder::first_bytes::<4096>(path);
    let line = start
        .split(|&b| b == b'\n')
        .find(|l| !l.trim_ascii().is_empty());
    line.and_then(|l| std::str::from_utf8(l).ok())
        .is_some_and(|l| parse_line(l).is_ok())
}

/// Adds the samples of the list files. Pictures lie relative to the list's folder; a class is named by the folder of
/// its pictures, and classes are ordered by label id.
///
/// # Errors
/// When a line is no `path label`, leads out of the list's folder, or gives one id to two classes.
pub(crate) fn read(lists: &[PathBuf], listing: &mut Listing) -> Result<()> {
    let mut lines = Vec::new();
    for list in lists {
        read_list(list, &mut lines)?;
    }
    let mut classes: BTreeMap<u32, &str> = BTreeMap::new();
    for line in &lines {
        let known = *classes.entry(line.id).or_insert(&line.class);
        if known != line.class {
            return Err(DataError::ListLine {
                path: line.list.to_owned(),
                line: line.number,
                reason: format!(
                    "label {} is `{}` here and `{known}` before; the lists must agree on labels",
                    line.id, line.class
                ),
            });
        }
    }
    let classes: BTreeMap<u32, u32> = classes
        .into_iter()
        .map(|(id, name)| (id, listing.class(name)))
        .collect();
    for line in &lines {
        let domain = listing.domain(line.domain);
        listing.push(
            classes[&line.id],
            Some(domain),
            None,
            ImageSource::File(line.picture.clone()),
        );
    }
    Ok(())
}

struct Line<'a> {
    list: &'a Path,
    number: usize,
    domain: &'a str,
    class: String,
    id: u32,
    picture: PathBuf,
}

fn read_list<'a>(list: &'a Path, lines: &mut Vec<Line<'a>>) -> Result<()> {
    let domain = domain_and_split(list).map_or_else(
        || crate::folder::folder_name(list).map(|name| name.trim_end_matches(".txt")),
        |(domain, _)| Ok(domain),
    )?;
    let folder = list.parent().unwrap_or(Path::new(""));
    let mut reader = BufReader::new(fs_err::File::open(list)?);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let mut limited = std::io::Read::take(&mut reader, MAX_LINE_BYTES as u64);
        if limited.read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let malformed = |reason: String| DataError::ListLine {
            path: list.to_owned(),
            line: number,
            reason,
        };
        if bytes.len() == MAX_LINE_BYTES {
            return Err(malformed("the line is longer than 64 KiB".to_owned()));
        }
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| malformed("not UTF-8; save the list as UTF-8".to_owned()))?
            .trim_start_matches('\u{feff}')
            .trim();
        if text.is_empty() {
            continue;
        }
        let (relative, id) = parse_line(text).map_err(malformed)?;
        let class = class_of(relative).map_err(malformed)?;
        lines.push(Line {
            list,
            number,
            domain,
            class: class.to_owned(),
            id,
            picture: folder.join(relative),
        });
    }
    Ok(())
}

/// Splits `path label`; the path may hold spaces.
fn parse_line(line: &str) -> Result<(&str, u32), String> {
    let line = line.trim();
    let expected = "expected `path label`, as in `clipart/axe/clipart_011_000001.jpg 11`";
    let (path, id) = line
        .rsplit_once(char::is_whitespace)
        .ok_or_else(|| format!("`{line}` has no label; {expected}"))?;
    let id = id
        .parse()
        .map_err(|_| format!("`{id}` is no label id; {expected}"))?;
    Ok((path.trim_end(), id))
}

/// The folder that holds the picture, which names its class.
fn class_of(relative: &str) -> Result<&str, String> {
    let path = Path::new(relative);
    if !path
        .components()
        .all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
    {
        return Err(format!(
            "`{relative}` leads out of the list's folder; write paths relative to it"
        ));
    }
    path.parent()
        .and_then(|p| p.file_name())
        .and_then(|name| name.to_str())
        .ok_or_else(|| {
            format!("`{relative}` has no class folder; expected <domain>/<class>/<picture>")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_hold_spaces() {
        assert_eq!(
            parse_line("a b/c d/e f.jpg 12\r\n"),
            Ok(("a b/c d/e f.jpg", 12))
        );
        assert_eq!(parse_line("a/b.jpg\t0"), Ok(("a/b.jpg", 0)));
        assert!(parse_line("a/b.jpg").is_err());
        assert!(parse_line("a/b.jpg -1").is_err());
        assert!(parse_line("").is_err());
    }

    #[test]
    fn classes_come_from_the_path_and_stay_below_the_list() {
        assert_eq!(
            class_of("clipart/aircraft_carrier/x.jpg"),
            Ok("aircraft_carrier")
        );
        assert!(class_of("x.jpg").is_err());
        assert!(class_of("../axe/x.jpg").is_err());
        assert!(class_of("/etc/axe/x.jpg").is_err());
    }

    #[test]
    fn list_names_hold_domain_and_split() {
        assert_eq!(
            domain_and_split(Path::new("x/clipart_train.txt")),
            Some(("clipart", "train"))
        );
        assert_eq!(
            domain_and_split(Path::new("art_painting_test.txt")),
            Some(("art_painting", "test"))
        );
        assert_eq!(domain_and_split(Path::new("readme.txt")), None);
        assert_eq!(domain_and_split(Path::new("_train.txt")), None);
    }
}
