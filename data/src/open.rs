//! Finding out what a path holds, and reading it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use promptfed_files::FileError;
use promptfed_prompts::LabelSpace;

use crate::class_names::{ClassNames, is_names_file};
use crate::folder::{Folder, has_extension};
use crate::listing::{ClassOrder, Listing};
use crate::readers::lists::{self, List};
use crate::readers::{parquet, picture_folders, table};
use crate::tree::Tree;
use crate::{DataError, Dataset, DatasetWarning, Result, foreign};

/// Extensions of files that may hold lists or tables.
const TABLES: [&str; 6] = ["txt", "csv", "tsv", "lst", "jsonl", "json"];

/// Longest text whose encoding is checked only to say why it is not read.
const MAX_BYTES: u64 = 64 << 20;

/// How samples lie on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Layout {
    /// Find out from what is there; where folders could mean several things, refuse. This is the default.
    #[default]
    Auto,
    /// `ROOT/CLASS/**/picture`: the first level is the classes, and all that lies below a class is its own.
    ClassFolders,
    /// `ROOT/DOMAIN/CLASS/**/picture`, as PACS.
    DomainFolders,
    /// List files of pictures and labels, as DomainNet's `<domain>_<split>.txt` files of `path label` lines.
    DomainNetLists,
    /// A Parquet file, or a folder of shards, with the Hugging Face hub's columns.
    Parquet,
}

impl Layout {
    /// One line that names every layout, for messages.
    pub const DESCRIPTIONS: &str = "class folders (CLASS/picture), domain folders (DOMAIN/CLASS/picture), \
        lists (<domain>_train.txt with lines of path and label), Parquet (a file or a folder of shards with `image` and `label`)";
}

/// How to [`open`] a data set. The default detects the layout and takes class names from the data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// The layout to expect.
    pub layout: Layout,
    /// The classes: fixes the label order, gives wnids and folder names their class by the names, prompt names and
    /// aliases, and leaves out every class that is not in it. The level of folders whose names it knows is the classes.
    pub label_space: Option<LabelSpace>,
    /// The split to read (`train`, `test`, ...): a folder, or a word in the name of a list or Parquet file. Needed only where
    /// several lie side by side, and an error where there are none.
    pub split: Option<String>,
}

/// Lists the samples at `path` without reading any picture.
///
/// Hidden files, text side-cars and tables are no samples; every other file of a folder with pictures is one, and proves when
/// it is decoded whether it is a picture. Symbolic links are followed; named pipes, devices and sockets are never opened.
/// Without a label space, classes are named by the names file where there is one (`classes.tsv`, `classes.txt`,
/// `class_names.txt`, `words.txt`, `LOC_synset_mapping.txt`, `wnids.txt`), and labels are ordered by class name.
/// `metadata.csv`, `.jsonl` and `.parquet` give captions, and labels where no folder tells the class.
///
/// # Errors
/// When nothing there has a known layout, it is not certain which folders are the classes, a file is malformed, most pictures
/// would be left out, or several splits lie there and none is chosen.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    let mut listing = Listing::default();
    let metadata = promptfed_files::metadata(path)?;
    let order = if metadata.is_dir() {
        read_folder(path, options, &mut listing)?
    } else {
        // A pipe is refused before anything looks for its first bytes.
        drop(promptfed_files::open_regular(path)?);
        read_file(path, options, &mut listing)?
    };
    listing.finish(path, order, options.label_space.as_ref())
}

fn read_file(path: &Path, options: &OpenOptions, listing: &mut Listing) -> Result<ClassOrder> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    match options.layout {
        Layout::Auto | Layout::Parquet if parquet::is_parquet(path) => {
            return read_parquet(path, folder, &[path.to_owned()], options, listing);
        }
        Layout::Auto | Layout::DomainNetLists => {
            if let Some(list) = List::recognise(path, path) {
                return read_lists(path, folder, &[list], 0, options, listing);
            }
            if has_extension(path, &TABLES) {
                // What is no text is told with the line.
                promptfed_files::read_text(path, MAX_BYTES)?;
            }
        }
        _ => {}
    }
    Err(
        foreign::of_file(path, folder).unwrap_or_else(|| DataError::UnknownLayout {
            path: path.to_owned(),
            found: "a file that is neither Parquet nor a list of `path label` lines".to_owned(),
        }),
    )
}

fn read_folder(root: &Path, options: &OpenOptions, listing: &mut Listing) -> Result<ClassOrder> {
    let contents = Folder::read(root)?;
    let mut read_files = Vec::new();
    let order = read_contents(root, &contents, options, listing, &mut read_files);
    let unread = unread_files(root, &contents, &read_files, options)?;
    match order {
        Ok(order) => {
            for warning in unread {
                listing.warn(warning);
            }
            listing.read(read_files);
            Ok(order)
        }
        Err(error) => Err(error.beside(&unread)),
    }
}

/// `read_files` receives the tables and lists that are used.
fn read_contents(
    root: &Path,
    contents: &Folder,
    options: &OpenOptions,
    listing: &mut Listing,
    read_files: &mut Vec<PathBuf>,
) -> Result<ClassOrder> {
    let mut tree = Tree::walk(root)?;
    let mut tables = std::mem::take(&mut tree.parquet);
    if tree.pictures() == 0 {
        // Whatever its name, it is no table beside pictures.
        tables.extend(tree.metadata.extract_if(.., |f| parquet::is_parquet(f)));
    }
    if tree.pictures() > 0 && options.layout == Layout::Auto {
        tables.retain(|file| parquet::has_pictures(file));
    }
    read_files.extend(tree.metadata.iter().cloned());
    let wants = |layout| options.layout == Layout::Auto || options.layout == layout;
    if options.layout == Layout::Parquet || wants(Layout::Parquet) && !tables.is_empty() {
        if tables.is_empty() {
            return Err(DataError::UnknownLayout {
                path: root.to_owned(),
                found: "no Parquet file".to_owned(),
            });
        }
        if tree.pictures() > 0 {
            listing.warn(DatasetWarning::FileNotRead {
                path: root.to_owned(),
                reason: format!(
                    "its {} pictures in folders, since there are Parquet files; `--layout class-folders` or `domain-folders` reads them",
                    tree.pictures()
                ),
            });
        }
        read_files.extend(tables.iter().cloned());
        read_parquet(root, root, &tables, options, listing)
    } else {
        let lists = match wants(Layout::DomainNetLists) {
            true => lists::in_folder(root, contents, options.split.as_deref())?,
            false => Vec::new(),
        };
        if lists.is_empty() && options.layout == Layout::DomainNetLists {
            return Err(DataError::UnknownLayout {
                path: root.to_owned(),
                found: "no list of `path label` lines".to_owned(),
            });
        }
        if lists.is_empty() {
            if tree.pictures() == 0
                && let Some(error) = foreign::recognise(root)
            {
                return Err(error);
            }
            picture_folders::read(root, tree, options, listing)
        } else {
            read_files.extend(lists.iter().map(|list| list.path().to_owned()));
            let pictures = tree.pictures_below(&lists::common_folder(root, &lists));
            read_lists(root, root, &lists, pictures, options, listing)
        }
    }
}

fn read_parquet(
    path: &Path,
    folder: &Path,
    files: &[PathBuf],
    options: &OpenOptions,
    listing: &mut Listing,
) -> Result<ClassOrder> {
    let wanted = options.split.as_deref();
    let (files, by_name) = parquet::choose_shards(path, files, wanted, listing)?;
    let split = parquet::SplitOf {
        path,
        by_name: by_name.as_deref(),
        wanted,
    };
    let beside = files.first().and_then(|f| f.parent()).unwrap_or(folder);
    let names = ClassNames::read(&[beside, folder], &HashSet::new())?;
    listing.read(names.files.clone());
    parquet::read(&files, split, &names, listing)
}

fn read_lists(
    path: &Path,
    folder: &Path,
    lists: &[List],
    pictures: usize,
    options: &OpenOptions,
    listing: &mut Listing,
) -> Result<ClassOrder> {
    let beside = lists
        .first()
        .and_then(|l| l.path().parent())
        .unwrap_or(folder);
    lists::read(
        path,
        lists,
        pictures,
        options.split.as_deref(),
        &[beside, folder],
        listing,
    )
}

/// Tables and lists in the folder itself, or in one for lists or of the split that is read, that were not read.
fn unread_files(
    root: &Path,
    contents: &Folder,
    read: &[PathBuf],
    options: &OpenOptions,
) -> Result<Vec<DatasetWarning>> {
    const ABOUT: [&str; 6] = [
        "readme", "license", "licence", "citation", "copying", "notice",
    ];
    let mut files = contents.files.clone();
    let is_looked_at = |folder: &&PathBuf| {
        lists::is_for_lists(folder) || lists::is_of_split(folder, options.split.as_deref())
    };
    for folder in contents.folders.iter().filter(is_looked_at) {
        let inside = Folder::read(folder)?;
        if !inside.holds_pictures() {
            files.extend(inside.files);
        }
    }
    let mut unread = Vec::new();
    for file in files {
        let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or("");
        let is_about = ABOUT
            .iter()
            .any(|a| stem.to_ascii_lowercase().starts_with(a));
        let is_text = has_extension(&file, &TABLES);
        let is_table = is_text || has_extension(&file, &["parquet", "arrow"]);
        // What a synthesis job keeps of itself.
        let is_of_a_job = has_extension(&file, &["json", "jsonl"])
            && (matches!(stem, "job" | "manifest") || stem.starts_with("prompt-"));
        if !is_table || is_about || is_of_a_job || is_names_file(&file) || read.contains(&file) {
            continue;
        }
        let wants_lists = matches!(options.layout, Layout::Auto | Layout::DomainNetLists);
        let reason = match promptfed_files::read_text(&file, MAX_BYTES) {
            Err(FileError::NotText { line, reason, .. }) if is_text => {
                format!("line {line}: {reason}")
            }
            Ok(_) if List::recognise(&file, root).is_some() => match wants_lists {
                true => "it is a list, and others were read".to_owned(),
                false => "it is a list, and `--layout` asks for something else".to_owned(),
            },
            Ok(text) if has_extension(&file, &["csv", "tsv"]) => table::what_is_missing(&text),
            _ => "no list, names file or table of captions is recognised in it".to_owned(),
        };
        unread.push(DatasetWarning::FileNotRead { path: file, reason });
    }
    Ok(unread)
}
