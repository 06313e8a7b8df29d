//! The mapping files that give folder names their class names.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::{DataError, Result};

/// File names in which folder names (wnids) are mapped to class names.
pub(crate) const MAPPING_FILES: [&str; 5] = [
    "classes.txt",
    "wnids.txt",
    "words.txt",
    "class_names.txt",
    "LOC_synset_mapping.txt",
];

/// Longest mapping file that is read; ImageNet's is 31 kB, the whole of WordNet's 2.8 MB.
const MAX_MAPPING_BYTES: u64 = 16 << 20;

/// Class name by folder name, from the first mapping file in `root`: lines of `wnid name`, separated by a space, tab
/// or comma; of `name, synonym, ...` the first counts. Names that several folders share get the folder name added,
/// as ImageNet has two cranes. Empty when there is no such file.
pub(crate) fn read_mapping(
    root: &Path,
    folders: &HashSet<String>,
) -> Result<HashMap<String, String>> {
    for file in MAPPING_FILES {
        let path = root.join(file);
        if !path.is_file() {
            continue;
        }
        if fs_err::metadata(&path)?.len() > MAX_MAPPING_BYTES {
            return Err(DataError::ListLine {
                path,
                line: 1,
                reason: "the file is too long for a class mapping (16 MiB)".to_owned(),
            });
        }
        let bytes = fs_err::read(&path)?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let line = 1 + e.as_bytes()[..e.utf8_error().valid_up_to()]
                .iter()
                .filter(|&&b| b == b'\n')
                .count();
            DataError::ListLine {
                path: path.clone(),
                line,
                reason: "not UTF-8; save the file as UTF-8".to_owned(),
            }
        })?;
        return Ok(parse_mapping(&text, folders));
    }
    Ok(HashMap::new())
}

fn parse_mapping(text: &str, folders: &HashSet<String>) -> HashMap<String, String> {
    let mut mapping = HashMap::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim();
        // A folder name may itself hold spaces, so the longest one that exists counts.
        let folder = line
            .match_indices(is_separator)
            .rev()
            .find_map(|(end, _)| folders.get(&line[..end]));
        let Some(folder) = folder else {
            continue;
        };
        let rest = line[folder.len()..].trim_start_matches(is_separator);
        let name = rest.split(',').next().unwrap_or(rest).trim();
        if !name.is_empty() {
            mapping.insert(folder.clone(), name.to_owned());
        }
    }
    let mut uses: HashMap<String, usize> = HashMap::new();
    for name in mapping.values() {
        *uses.entry(name.clone()).or_insert(0) += 1;
    }
    for (folder, name) in &mut mapping {
        if uses.get(name).copied().unwrap_or(0) > 1 {
            *name = format!("{name} ({folder})");
        }
    }
    mapping
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || c == ','
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_take_the_first_synonym_and_tell_doubles_apart() {
        let text = "n01440764 tench, Tinca tinca\nn02012849\tcrane\nn03126707,crane\nn09999999 not there\nn01 alone\n\n";
        let mapping = parse_mapping(
            text,
            &["n01440764", "n02012849", "n03126707", "n0"]
                .map(str::to_owned)
                .into(),
        );
        assert_eq!(mapping.len(), 3);
        assert_eq!(mapping["n01440764"], "tench");
        assert_eq!(mapping["n02012849"], "crane (n02012849)");
        assert_eq!(mapping["n03126707"], "crane (n03126707)");
    }
}
