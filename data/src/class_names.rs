//! The files that say what classes are called: names for folders (WordNet ids, codes) and for the ids of labels.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use promptfed_prompts::is_identifier;
use promptfed_prompts::same_name::composed;

use crate::folder::Folder;
use crate::listing::Listing;
use crate::{DatasetWarning, Result};

/// Names of these files; of two that name the same folder, the first counts.
const FILES: [&str; 6] = [
    "classes.tsv",
    "classes.txt",
    "class_names.txt",
    "words.txt",
    "LOC_synset_mapping.txt",
    "wnids.txt",
];

/// Longest names file that is read; ImageNet's is 31 kB, the whole of WordNet's 2.8 MB.
const MAX_BYTES: u64 = 16 << 20;

/// Characters of a line that a warning shows.
const SHOWN: usize = 60;

/// What the names files of a data set say.
#[derive(Debug, Default)]
pub(crate) struct ClassNames {
    by_folder: HashMap<String, String>,
    by_id: HashMap<i64, String>,
    /// The names of a file that has one in each line, whose order may be that of the ids.
    in_order: Vec<String>,
    /// Folders whose line parts folder and name by a tab.
    parted: HashSet<String>,
    /// Folders that a line names, with or without a name for them.
    listed: HashSet<String>,
    /// The files.
    pub(crate) files: Vec<PathBuf>,
    /// Lines that name nothing here.
    pub(crate) warnings: Vec<DatasetWarning>,
}

/// Whether a file of this name says what classes are called.
pub(crate) fn is_names_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str());
    name.is_some_and(|name| FILES.iter().any(|f| name.eq_ignore_ascii_case(f)))
}

impl ClassNames {
    /// Reads the names files of the first of `places` that has any. `folders` are all names that may be classes.
    ///
    /// # Errors
    /// When a file is too long or no text.
    pub(crate) fn read(places: &[&Path], folders: &HashSet<String>) -> Result<Self> {
        let folders: HashSet<String> = folders.iter().map(|f| composed(f)).collect();
        let mut names = Self::default();
        for place in places {
            let Ok(contents) = Folder::read(place) else {
                continue;
            };
            let files: Vec<&PathBuf> = FILES
                .iter()
                .filter_map(|wanted| {
                    contents.files.iter().find(|file| {
                        let name = file.file_name().and_then(|n| n.to_str());
                        name.is_some_and(|name| name.eq_ignore_ascii_case(wanted))
                    })
                })
                .collect();
            for file in &files {
                let text = promptfed_files::read_text(file, MAX_BYTES)?;
                names.add(file, &text, &folders);
            }
            if !files.is_empty() {
                names.files = files.into_iter().cloned().collect();
                break;
            }
        }
        names.tell_doubles_apart();
        Ok(names)
    }

    /// The name of a folder's class, where a file gives one.
    pub(crate) fn of_folder(&self, folder: &str) -> Option<&str> {
        self.by_folder.get(&composed(folder)).map(String::as_str)
    }

    /// The class of a folder. A line that parts folder and name by a tab is the last word; else a label space may know the folder by
    /// its own name.
    pub(crate) fn class_of(&self, folder: &str, listing: &mut Listing) -> u32 {
        match self.of_folder(folder) {
            // An id is nobody's name, and a label space may have it as an alias.
            Some(name) if self.parted.contains(&composed(folder)) && !is_identifier(folder) => {
                listing.class(name)
            }
            name => listing.named_class(folder, name),
        }
    }

    /// Whether a file speaks of a folder as a class.
    pub(crate) fn knows(&self, folder: &str) -> bool {
        self.listed.contains(&composed(folder))
    }

    /// The names of all of these ids: from lines that say which id they name, else from the order of a plain list, where it
    /// is certain whether it counts from 0 or from 1. `None` where an id has no name.
    pub(crate) fn of_ids(&self, ids: &BTreeSet<i64>) -> Option<HashMap<i64, String>> {
        let named = |name_of: &dyn Fn(i64) -> Option<String>| -> Option<HashMap<i64, String>> {
            ids.iter().map(|&id| Some((id, name_of(id)?))).collect()
        };
        if !self.by_id.is_empty() {
            return named(&|id| self.by_id.get(&id).cloned());
        }
        let count = self.in_order.len() as i64;
        let first = match (ids.first(), ids.last()) {
            (Some(0), Some(&last)) if last < count => 0,
            (Some(1..), Some(&last)) if last == count => 1,
            _ => return None,
        };
        named(&|id| {
            let line = usize::try_from(id - first).ok()?;
            self.in_order.get(line).cloned()
        })
    }

    fn add(&mut self, file: &Path, text: &str, folders: &HashSet<String>) {
        let lines: Vec<(usize, &str)> = text
            .lines()
            .map(str::trim)
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .collect();
        let mut plain = Vec::new();
        let mut unfit = Vec::new();
        let mut fits = 0;
        let is_tsv = file.file_name().is_some_and(|name| name == FILES[0]);
        for &(index, line) in &lines {
            let line_of = if is_tsv {
                Line::parted_by_tab
            } else {
                Line::parse
            };
            match line_of(line, folders) {
                Line::Folder(folder, name) => {
                    fits += 1;
                    self.listed.insert(folder.clone());
                    if is_tsv {
                        self.parted.insert(folder.clone());
                    }
                    if let Ok(id) = folder.parse() {
                        self.by_id.entry(id).or_insert_with(|| name.clone());
                    }
                    self.by_folder.entry(folder).or_insert(name);
                }
                Line::Id(id, name) => {
                    fits += 1;
                    let folder = composed(&name);
                    if folders.contains(&folder) {
                        self.listed.insert(folder);
                    }
                    let id_as_folder = id.to_string();
                    if folders.contains(&id_as_folder) {
                        self.listed.insert(id_as_folder.clone());
                        self.by_folder
                            .entry(id_as_folder)
                            .or_insert_with(|| name.clone());
                    }
                    self.by_id.entry(id).or_insert(name);
                }
                Line::FolderAlone(folder) => {
                    fits += 1;
                    self.listed.insert(folder.clone());
                    plain.push((index, line, true));
                }
                Line::OtherFolder => fits += 1,
                Line::Plain => plain.push((index, line, false)),
                Line::Unfit => unfit.push((index, line, false)),
            }
        }
        if plain.len() == lines.len() && self.in_order.is_empty() {
            self.in_order = plain.iter().map(|(_, line, _)| composed(line)).collect();
            self.name_numbered_folders(folders);
            if fits == 0 {
                if !folders.is_empty() && self.listed.is_empty() {
                    self.warnings.push(DatasetWarning::FileNotRead {
                        path: file.to_owned(),
                        reason: "none of its lines names a folder here".to_owned(),
                    });
                }
                return;
            }
        }
        for (index, line, is_folder) in plain.into_iter().chain(unfit) {
            if !(is_folder || index == 0 && is_header(line)) {
                self.warnings.push(DatasetWarning::NameNotUsed {
                    path: file.to_owned(),
                    line: index + 1,
                    text: line.chars().take(SHOWN).collect(),
                });
            }
        }
    }

    /// Names folders that are exactly `0` to `n - 1` by the `n` lines of a plain list.
    fn name_numbered_folders(&mut self, folders: &HashSet<String>) {
        let numbers = 0..self.in_order.len();
        if folders.len() == numbers.len()
            && numbers.clone().all(|i| folders.contains(&i.to_string()))
        {
            for (i, name) in numbers.zip(&self.in_order) {
                self.listed.insert(i.to_string());
                self.by_folder.entry(i.to_string()).or_insert(name.clone());
            }
        }
    }

    /// Adds the folder's name to names that several folders share, as ImageNet has two cranes.
    fn tell_doubles_apart(&mut self) {
        let mut uses: HashMap<String, usize> = HashMap::new();
        for name in self.by_folder.values() {
            *uses.entry(name.clone()).or_insert(0) += 1;
        }
        for (folder, name) in &mut self.by_folder {
            if uses.get(name).copied().unwrap_or(0) > 1 {
                *name = format!("{name} ({folder})");
            }
        }
    }
}

/// What a line of a names file says.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// A folder and its class's name.
    Folder(String, String),
    /// A label's id and its class's name.
    Id(i64, String),
    /// A folder without a name for it.
    FolderAlone(String),
    /// A name for a folder that is not here: dictionaries name more.
    OtherFolder,
    /// One text that is no folder.
    Plain,
    /// Columns of which the first is no folder.
    Unfit,
}

impl Line {
    /// A line of the file that says folder, tab, name, whatever the two hold.
    fn parted_by_tab(line: &str, folders: &HashSet<String>) -> Self {
        let parts = line.split_once('\t');
        let parts = parts.map(|(folder, rest)| (composed(folder), rest.trim()));
        match parts {
            Some((folder, rest)) if folders.contains(&folder) && !rest.is_empty() => {
                let name = name(&folder, rest);
                Self::Folder(folder, name)
            }
            _ => Self::parse(line, folders),
        }
    }

    fn parse(line: &str, folders: &HashSet<String>) -> Self {
        let whole = composed(line);
        if folders.contains(&whole) {
            return Self::FolderAlone(whole);
        }
        // A folder name may itself hold spaces, so the longest one that exists counts.
        let prefix = line
            .match_indices(is_separator)
            .rev()
            .map(|(end, _)| (composed(&line[..end]), &line[end..]))
            .find(|(folder, _)| folders.contains(folder));
        if let Some((folder, rest)) = prefix {
            let rest = trim(rest);
            return match rest.parse() {
                Ok(id) if folder.parse::<i64>().is_err() => Self::Id(id, folder),
                _ if rest.is_empty() => Self::FolderAlone(folder),
                // A number before the rest is an index of some kind, unless columns say that it is the name's.
                _ if !line.contains('\t')
                    && folder.parse::<i64>().is_err()
                    && rest
                        .split(is_separator)
                        .next()
                        .is_some_and(|word| word.parse::<i64>().is_ok()) =>
                {
                    Self::Unfit
                }
                _ => {
                    let name = name(&folder, rest);
                    Self::Folder(folder, name)
                }
            };
        }
        if let Some((first, rest)) = line.split_once(is_separator) {
            let rest = trim(rest);
            if let Ok(id) = first.parse()
                && !rest.is_empty()
            {
                return Self::Id(id, composed(rest));
            }
            if is_identifier(first) && !rest.is_empty() {
                return Self::OtherFolder;
            }
        }
        match line.rsplit_once(is_separator) {
            Some((name, id)) if !trim(name).is_empty() => match id.parse() {
                Ok(id) => Self::Id(id, composed(trim(name))),
                Err(_) if line.contains('\t') => Self::Unfit,
                Err(_) => Self::Plain,
            },
            _ => Self::Plain,
        }
    }
}

/// The class's name in what follows the folder: behind a WordNet id stand synonyms, of which the first counts.
fn name(folder: &str, rest: &str) -> String {
    let name = match is_identifier(folder) {
        true => rest.split(',').next().unwrap_or(rest),
        false => rest,
    };
    composed(name)
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ':' | ';')
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| is_separator(c) || c == '"')
}

/// Whether a first line names columns.
fn is_header(line: &str) -> bool {
    const WORDS: [&str; 14] = [
        "folder",
        "wnid",
        "synset",
        "id",
        "class",
        "classes",
        "name",
        "names",
        "label",
        "labels",
        "index",
        "words",
        "classname",
        "number",
    ];
    line.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .all(|word| WORDS.iter().any(|w| word.eq_ignore_ascii_case(w)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, folders: &[&str]) -> ClassNames {
        let mut names = ClassNames::default();
        let folders = folders.iter().map(|f| (*f).to_owned()).collect();
        names.add(Path::new("classes.txt"), text, &folders);
        names.tell_doubles_apart();
        names
    }

    #[test]
    fn wnids_take_the_first_synonym_and_doubles_are_told_apart() {
        let text = "n01440764 tench, Tinca tinca\nn02012849\tcrane\nn03126707,crane\nn09999999 not there\n\n";
        let names = names(text, &["n01440764", "n02012849", "n03126707", "n0"]);
        assert_eq!(names.of_folder("n01440764"), Some("tench"));
        assert_eq!(names.of_folder("n02012849"), Some("crane (n02012849)"));
        assert_eq!(names.of_folder("n03126707"), Some("crane (n03126707)"));
        assert_eq!(names.of_folder("n0"), None);
        assert!(names.warnings.is_empty());
    }

    #[test]
    fn a_tab_parts_folder_and_name_whatever_they_hold() {
        let mut names = ClassNames::default();
        let lines = [
            ("a", "a"),
            ("a a", "a a"),
            ("%22q%22", "\"q\""),
            ("%2b1", "+1"),
            ("x%3a y;", "x: y;"),
            ("a, b", "a, b"),
        ];
        let folders = lines.map(|(folder, _)| folder.to_owned()).into();
        let text: String = lines
            .map(|(folder, name)| format!("{folder}\t{name}\n"))
            .concat();
        names.add(Path::new("classes.tsv"), &text, &folders);
        names.tell_doubles_apart();
        for (folder, name) in lines {
            assert_eq!(names.of_folder(folder), Some(name));
        }
        assert!(names.warnings.is_empty());
    }

    #[test]
    fn a_name_before_a_number_is_an_index_and_no_mapping() {
        let names = names("cat 0\ndog 400\n", &["cat", "dog"]);
        assert_eq!(names.of_folder("cat"), None);
        assert!(names.knows("cat") && names.knows("dog"));
        assert!(names.warnings.is_empty());
        let ids = names.of_ids(&[0, 400].into()).unwrap();
        assert_eq!(ids[&400], "dog");
    }

    #[test]
    fn lines_of_more_columns_are_no_names() {
        let names = names("cat,0,red\ndog,1,blue\n", &["cat", "dog"]);
        assert_eq!(names.of_folder("cat"), None);
        assert_eq!(names.warnings.len(), 2);
    }

    #[test]
    fn numbered_folders_are_named_in_every_form() {
        for text in [
            "0 cat\n1 dog",
            "cat 0\ndog 1",
            "cat\ndog",
            "0\tcat\n1\tdog",
            "0: cat\n1: dog",
        ] {
            let names = names(text, &["0", "1"]);
            assert_eq!(names.of_folder("1"), Some("dog"), "{text}");
            assert_eq!(names.of_ids(&[0, 1].into()).unwrap()[&0], "cat", "{text}");
        }
    }

    #[test]
    fn a_plain_list_names_ids_only_where_its_start_is_certain() {
        let names = names("cat\ndog\nhen", &[]);
        assert_eq!(names.of_ids(&[0, 2].into()).unwrap()[&2], "hen");
        assert_eq!(names.of_ids(&[1, 3].into()).unwrap()[&3], "hen");
        assert_eq!(names.of_ids(&[1, 2].into()), None);
        assert_eq!(names.of_ids(&[0, 3].into()), None);
    }

    #[test]
    fn lines_that_fit_nothing_are_told_but_headers_are_not() {
        let names = names(
            "folder\tname\nST\tT-shirt/top, blue\nfoo bar\nXY\tnot here",
            &["ST"],
        );
        assert_eq!(names.of_folder("ST"), Some("T-shirt/top, blue"));
        assert_eq!(names.warnings.len(), 2);
        assert!(names.warnings[0].to_string().contains(":3: `foo bar`"));
    }
}
