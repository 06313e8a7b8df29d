//! Lists of pictures with their labels: DomainNet's `<domain>_<split>.txt` files of `path label` lines (Peng et al., ICCV
//! 2019), Office-Home's `<domain>.txt`, Food-101's `meta/<split>.txt` of paths alone and `meta/<split>.json` of paths by class, Tiny
//! ImageNet's `val_annotations.txt`, and tables with a header.

mod by_class;
mod classes;
mod line;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use promptfed_prompts::same_name::folded;

use crate::class_names::{ClassNames, is_names_file};
use crate::folder::{Folder, first_bytes, folder_name, has_extension, has_picture_extension};
use crate::listing::{ClassOrder, Listing};
use crate::part::{Meaning, Part};
use crate::readers::table::{self, Row};
use crate::split_names::{self, is_split};
use crate::{DataError, DatasetWarning, ImageSource, Result};
use classes::{Classes, Labelled};
use line::{Form, MAX_LINE_BYTES, folder_of};

/// Extensions of list files.
const EXTENSIONS: [&str; 5] = ["txt", "csv", "tsv", "lst", "list"];

/// The extension of lists by class, as Food-101's `meta/train.json`.
const BY_CLASS: &str = "json";

/// Sub-folders in which lists lie, as Food-101's `meta`.
const FOLDERS: [&str; 12] = [
    "meta",
    "splits",
    "split",
    "lists",
    "list",
    "imagelist",
    "image_list",
    "imagesets",
    "labels",
    "annotations",
    "metadata",
    "txt",
];

/// Extensions that are tried for paths without one.
const TRIED: [&str; 9] = [
    "jpg", "jpeg", "png", "JPEG", "JPG", "PNG", "webp", "bmp", "gif",
];

/// Rows that choose the folder which the paths are relative to.
const ROWS_TO_LOOK_AT: usize = 20;

/// Bytes of a file that are looked at to recognise a list.
const START: usize = 16 << 10;

/// A file that was recognised as a list.
#[derive(Debug, Clone)]
pub(crate) struct List {
    path: PathBuf,
    form: Form,
    /// The split that the file's name tells.
    split: Option<String>,
    /// Folders that the paths may be relative to, the likeliest first.
    bases: Vec<PathBuf>,
}

impl List {
    /// Recognises a list by its content; a file that is named as DomainNet's are and begins like one is a list whatever
    /// follows, so that its faults are named. `root` is what was opened.
    pub(crate) fn recognise(path: &Path, root: &Path) -> Option<Self> {
        let stem = path.file_stem()?.to_str()?;
        let is_by_class = has_extension(path, &[BY_CLASS]);
        if !is_by_class && !has_extension(path, &EXTENSIONS) || is_names_file(path) {
            return None;
        }
        let parts = split_names::parts(stem);
        let bases = bases(path, root, parts.split.as_deref());
        let is_there = |relative: &str| bases.iter().any(|base| picture(base, relative).is_some());
        let form = if is_by_class {
            let start = first_bytes::<START>(path);
            by_class::begins(&String::from_utf8_lossy(&start), is_there).then_some(Form::ByClass)?
        } else {
            let start = start_of(path)?;
            let is_named = parts.split.is_some() && !parts.rest.is_empty();
            let first = start.lines().find(|l| !l.trim().is_empty())?;
            Form::of(&start, is_there).or_else(|| {
                let begins = line::path_and_id(first)
                    .is_ok_and(|(path, _)| has_picture_extension(Path::new(path)));
                (is_named && begins).then_some(Form::PathAndId)
            })?
        };
        Some(Self {
            path: path.to_owned(),
            form,
            split: parts.split.or_else(|| {
                let folder = path.parent().filter(|folder| *folder != root)?;
                let name = folder_name(folder).ok().filter(|name| is_split(name));
                name.map(str::to_owned)
            }),
            bases,
        })
    }

    /// The list's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, listing: &mut Listing) -> Result<ReadList> {
        let text = promptfed_files::read_text(&self.path, table::MAX_BYTES)?;
        let mut rows = match self.form {
            Form::Table => {
                let table = table::parse(&self.path, &text)?.unwrap_or_default();
                if !table.unused.is_empty() {
                    listing.warn(DatasetWarning::ColumnsNotUsed {
                        path: self.path.clone(),
                        columns: table.unused,
                    });
                }
                table.rows
            }
            Form::ByClass => by_class::rows(&self.path, &text)?,
            _ => self.lines(&text)?,
        };
        for row in &mut rows {
            if !row.file.contains('/') {
                row.file = row.file.replace('\\', "/");
            }
        }
        let there = |base: &&PathBuf| {
            let looked_at = rows.iter().take(ROWS_TO_LOOK_AT);
            looked_at
                .filter(|row| picture(base, &row.file).is_some())
                .count()
        };
        // Of several with as many pictures, the first.
        let base = self.bases.iter().rev().max_by_key(there);
        Ok(ReadList {
            base: base.cloned().unwrap_or_default(),
            domain: self.domain(&rows),
            rows,
        })
    }

    fn lines(&self, text: &str) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let fault = |reason: String| DataError::ListLine {
                path: self.path.clone(),
                line: index + 1,
                reason,
            };
            if line.len() >= MAX_LINE_BYTES {
                return Err(fault("the line is longer than 64 KiB".to_owned()));
            }
            let line = line.trim();
            if !line.is_empty() {
                rows.push(self.form.row(index + 1, line).map_err(fault)?);
            }
        }
        Ok(rows)
    }

    /// The domain that the file's name tells: beside a split's word, or where the paths begin with it.
    fn domain(&self, rows: &[Row]) -> Option<String> {
        let stem = self.path.file_stem()?.to_str()?;
        let parts = split_names::parts(stem);
        if parts.rest.is_empty() {
            return None;
        }
        let begins = |row: &&Row| {
            let first = row.file.trim_start_matches("./").split('/').next();
            first.is_some_and(|first| folded(first) == folded(&parts.rest))
        };
        let is_domain =
            parts.split.is_some() || rows.iter().filter(begins).count() * 2 > rows.len();
        is_domain.then_some(parts.rest)
    }
}

/// A list's rows.
struct ReadList {
    base: PathBuf,
    domain: Option<String>,
    rows: Vec<Row>,
}

/// The lists in a folder, or else in those of its sub-folders that are called as if for them. Lists by class count where there are no
/// others, since they say the same. Where splits have folders and only some of these a list, `wanted` must be one that has.
pub(crate) fn in_folder(root: &Path, contents: &Folder, wanted: Option<&str>) -> Result<Vec<List>> {
    let mut lists = recognise(&contents.files, root);
    if lists.is_empty() {
        let (mut of_splits, mut are_all) = (Vec::new(), true);
        for folder in &contents.folders {
            if is_for_lists(folder) {
                lists.extend(recognise(&Folder::read(folder)?.files, root));
            } else if folder_name(folder).is_ok_and(is_split) {
                let found = recognise(&Folder::read(folder)?.files, root);
                are_all &= !found.is_empty();
                if wanted.is_some() && is_of_split(folder, wanted) && !found.is_empty() {
                    return Ok(found);
                }
                of_splits.extend(found);
            }
        }
        if are_all {
            lists.extend(of_splits);
        }
    }
    Ok(lists)
}

/// The lists among files of one folder.
fn recognise(files: &[PathBuf], root: &Path) -> Vec<List> {
    let lists = files.iter().filter_map(|file| List::recognise(file, root));
    let mut lists: Vec<List> = lists.filter(|list| !is_metadata(&list.path)).collect();
    if lists.iter().any(|list| list.form != Form::ByClass) {
        lists.retain(|list| list.form != Form::ByClass);
    }
    lists
}

/// Whether a folder is called as a split, and where one is wanted, as that.
pub(crate) fn is_of_split(folder: &Path, wanted: Option<&str>) -> bool {
    folder_name(folder).is_ok_and(|name| {
        is_split(name) && wanted.is_none_or(|wanted| name.eq_ignore_ascii_case(wanted))
    })
}

/// The folder below which the pictures of lists lie: that of a split where all lists lie in it, else `root`.
pub(crate) fn common_folder(root: &Path, lists: &[List]) -> PathBuf {
    let folder = lists.first().and_then(|list| list.path.parent());
    let is_common = |folder: &&Path| {
        is_of_split(folder, None) && lists.iter().all(|l| l.path.parent() == Some(*folder))
    };
    folder.filter(is_common).unwrap_or(root).to_owned()
}

/// Adds the samples of the lists of one split. A class is what [`Classes::find`] says. `pictures` lie in the folder; where the
/// lists of all splits name less than half of them, that is told. Names files lie in `names_beside`.
///
/// # Errors
/// When a line is malformed or leads out of the list's folder, lists disagree on labels, or several splits are listed and none
/// is wanted.
pub(crate) fn read(
    path: &Path,
    lists: &[List],
    pictures: usize,
    wanted: Option<&str>,
    names_beside: &[&Path],
    listing: &mut Listing,
) -> Result<ClassOrder> {
    // A column of splits is only known once a table is read.
    let mut read = Vec::new();
    for list in lists {
        read.push((list, list.read(listing)?));
    }
    let listed: usize = read.iter().map(|(_, read)| read.rows.len()).sum();
    if listed * 2 < pictures {
        listing.warn(DatasetWarning::FileNotRead {
            path: path.to_owned(),
            reason: format!(
                "its lists name {listed} pictures, and {pictures} lie there; `--layout class-folders` or `domain-folders` reads the folders"
            ),
        });
    }
    let split_of = |list: &List, row: &Row| row.split.clone().or_else(|| list.split.clone());
    let splits: BTreeSet<String> = read
        .iter()
        .flat_map(|(list, rows)| rows.rows.iter().filter_map(|row| split_of(list, row)))
        .collect();
    let chosen = split_names::choose(path, splits, wanted)?;
    if let Some(split) = &chosen {
        for (list, rows) in &mut read {
            let before = rows.rows.len();
            rows.rows
                .retain(|row| split_of(list, row).as_ref() == Some(split));
            if list.split.is_none() && rows.rows.is_empty() && before > 0 {
                listing.warn(DatasetWarning::FileNotRead {
                    path: list.path.clone(),
                    reason: format!("it names no split, and `{split}` was read"),
                });
            }
        }
        listing.part(Part::new(
            "name of the list",
            Meaning::Split,
            [split.as_str()],
        ));
    }
    let mut rows: Vec<Labelled<'_>> = Vec::new();
    for (list, read) in &read {
        for row in &read.rows {
            let folder = folder_of(&row.file).map_err(|reason| DataError::ListLine {
                path: list.path.clone(),
                line: row.number,
                reason,
            })?;
            rows.push(Labelled {
                list: &list.path,
                number: row.number,
                label: row.label.as_deref(),
                folder,
            });
        }
    }
    let written: HashSet<String> = rows
        .iter()
        .flat_map(|row| row.folder.into_iter().chain(row.label))
        .map(str::to_owned)
        .collect();
    let names = ClassNames::read(names_beside, &written)?;
    listing.read(names.files.clone());
    let classes = Classes::find(&rows, &names, listing)?;
    let mut rows = rows.iter();
    let mut class_of: HashMap<PathBuf, u32> = HashMap::new();
    for (list, read) in &read {
        let mut repeated = 0;
        for (row, labelled) in read.rows.iter().zip(&mut rows) {
            let key = labelled.label.or(labelled.folder).unwrap_or_default();
            let class = classes.by_label[key];
            let file = picture(&read.base, &row.file).unwrap_or_else(|| read.base.join(&row.file));
            match class_of.insert(file.clone(), class) {
                Some(before) if before == class => {
                    repeated += 1;
                    continue;
                }
                Some(_) => {
                    return Err(DataError::ListLine {
                        path: list.path.clone(),
                        line: row.number,
                        reason: format!(
                            "{} is of another class before; a picture has one class",
                            row.file
                        ),
                    });
                }
                None => {}
            }
            let domain = row.domain.as_deref().or(read.domain.as_deref());
            let domain = domain.map(|d| listing.domain(d));
            let source = ImageSource::File(file);
            listing.push(class, domain, row.caption.clone(), source);
        }
        if repeated > 0 {
            listing.warn(DatasetWarning::FileNotRead {
                path: list.path.clone(),
                reason: format!("{repeated} of its lines, whose pictures were listed before"),
            });
        }
    }
    let domains: Vec<&str> = read
        .iter()
        .filter_map(|(_, r)| r.domain.as_deref())
        .collect();
    if !domains.is_empty() {
        listing.part(Part::new("name of the list", Meaning::Domain, domains));
    }
    listing.class_part(classes.place);
    Ok(classes.order)
}

/// The picture that a path means, with an extension added where it has none; `None` where there is no such file.
fn picture(base: &Path, relative: &str) -> Option<PathBuf> {
    if relative.is_empty() || folder_of(relative).is_err() {
        return None;
    }
    let path = base.join(relative);
    if path.is_file() {
        return Some(path);
    }
    if has_picture_extension(&path) {
        return None;
    }
    TRIED
        .iter()
        .map(|extension| {
            let mut name = path.clone().into_os_string();
            name.push(".");
            name.push(extension);
            PathBuf::from(name)
        })
        .find(|path| path.is_file())
}

fn bases(list: &Path, root: &Path, split: Option<&str>) -> Vec<PathBuf> {
    let folder = list.parent().unwrap_or(Path::new(""));
    let (root, above) = match root.is_dir() {
        true if root == folder && !is_for_lists(folder) => (root, None),
        true => (root, folder.parent()),
        false => (folder, folder.parent()),
    };
    let above = above.filter(|above| !above.as_os_str().is_empty());
    let mut bases = Vec::new();
    for place in [Some(folder), Some(root), above].into_iter().flatten() {
        bases.push(place.to_owned());
        bases.push(place.join("images"));
        bases.extend(split.map(|split| place.join(split)));
    }
    bases
}

/// Whether a folder is called as if for lists.
pub(crate) fn is_for_lists(folder: &Path) -> bool {
    folder_name(folder).is_ok_and(|name| FOLDERS.iter().any(|f| name.eq_ignore_ascii_case(f)))
}

fn is_metadata(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|stem| stem.eq_ignore_ascii_case("metadata"))
}

/// The first whole lines of a file.
fn start_of(path: &Path) -> Option<String> {
    let mut bytes = first_bytes::<START>(path);
    if bytes.len() == START && !bytes.starts_with(b"\xff\xfe") && !bytes.starts_with(b"\xfe\xff") {
        let end = bytes.iter().rposition(|&b| b == b'\n')?;
        bytes.truncate(end);
    }
    promptfed_files::decode_text(bytes).ok()
}
