//! Finding out what a path holds, and reading it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use promptfed_prompts::LabelSpace;

use crate::folder::{Folder, folder_name, has_extension};
use crate::listing::{ClassOrder, Listing};
use crate::mapping::{MAPPING_FILES, read_mapping};
use crate::readers::{class_folders, domain_folders, domainnet_lists, parquet};
use crate::{DataError, Dataset, Result, split_names};

/// How samples lie on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Layout {
    /// Find out from what is there. This is the default.
    #[default]
    Auto,
    /// `ROOT/CLASS/picture`, classes named by name or ImageNet wnid.
    ClassFolders,
    /// `ROOT/DOMAIN/CLASS/picture`, as PACS.
    DomainFolders,
    /// `<domain>_<split>.txt` files of `path label` lines, as DomainNet.
    DomainNetLists,
    /// A Parquet file, or a folder of shards, with the Hugging Face hub's columns.
    Parquet,
}

impl Layout {
    /// One line that names every layout, for messages.
    pub const DESCRIPTIONS: &str = "class folders (CLASS/picture), domain folders (DOMAIN/CLASS/picture), \
        DomainNet lists (<domain>_train.txt), Parquet (a file or a folder of shards with `image` and `label`)";
}

/// How to [`open`] a data set. The default detects the layout and takes class names from the data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// The layout to expect.
    pub layout: Layout,
    /// The classes: fixes the label order, gives wnids and folder names their class by the names, prompt names and
    /// aliases, and leaves out every class that is not in it.
    pub label_space: Option<LabelSpace>,
    /// The split to read (`train`, `test`, ...): a sub-folder, the `_train` of a list file, or the prefix of Parquet
    /// shards. Needed only where several lie side by side.
    pub split: Option<String>,
}

/// Lists the samples at `path` without reading any picture.
///
/// Hidden files, text side-cars and tables are no samples; every other file of a class folder is one, and proves when
/// it is decoded whether it is a picture. Symbolic links are followed. Without a label space, class folders are named by
/// the root's mapping file (`classes.txt`, `wnids.txt`, `words.txt`, `class_names.txt` or `LOC_synset_mapping.txt`,
/// lines of `wnid name`) where it knows them, and labels are ordered by class name.
///
/// # Errors
/// When nothing there has a known layout, a file is malformed, or several splits lie there and none is chosen.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    let mut listing = Listing::default();
    let order = if fs_err::metadata(path)?.is_dir() {
        read_folder(path, options, &mut listing)?
    } else {
        read_file(path, options, &mut listing)?
    };
    listing.finish(path, order, options.label_space.as_ref())
}

fn read_file(path: &Path, options: &OpenOptions, listing: &mut Listing) -> Result<ClassOrder> {
    match options.layout {
        Layout::Auto | Layout::Parquet if parquet::is_parquet(path) => {
            let files = [path.to_owned()];
            let files = parquet::choose_shards(path, &files, options.split.as_deref())?;
            parquet::read(&files, listing)
        }
        Layout::DomainNetLists => read_lists(path, &[path.to_owned()], options, listing),
        Layout::Auto if has_extension(path, &["txt"]) && domainnet_lists::looks_like_list(path) => {
            read_lists(path, &[path.to_owned()], options, listing)
        }
        _ => Err(DataError::UnknownLayout {
            path: path.to_owned(),
            found: "a file that is neither Parquet nor a list of `path label` lines".to_owned(),
        }),
    }
}

fn read_folder(root: &Path, options: &OpenOptions, listing: &mut Listing) -> Result<ClassOrder> {
    let contents = Folder::read(root)?;
    let shards = parquet_files(root, &contents)?;
    if options.layout == Layout::Parquet || options.layout == Layout::Auto && !shards.is_empty() {
        let files = parquet::choose_shards(root, &shards, options.split.as_deref())?;
        return parquet::read(&files, listing);
    }
    let lists = list_files(&contents);
    if options.layout == Layout::DomainNetLists
        || options.layout == Layout::Auto && !lists.is_empty()
    {
        return read_lists(root, &lists, options, listing);
    }
    read_picture_folders(root, contents, options, listing)
}

/// Class folders or domain folders, possibly inside a split's folder.
fn read_picture_folders(
    root: &Path,
    contents: Folder,
    options: &OpenOptions,
    listing: &mut Listing,
) -> Result<ClassOrder> {
    let (inner, contents) = match split_folder(root, &contents, options.split.as_deref())? {
        Some(inner) => {
            let contents = Folder::read(&inner)?;
            let shards = parquet_files(&inner, &contents)?;
            if options.layout == Layout::Auto && !shards.is_empty() {
                return parquet::read(&shards, listing);
            }
            (inner, contents)
        }
        None => (root.to_owned(), contents),
    };
    let layout = match options.layout {
        Layout::Auto => detect(&inner, &contents)?,
        layout => layout,
    };
    if layout == Layout::DomainFolders {
        let mapping = mapping(root, &inner, &contents.folders)?;
        domain_folders::read(&inner, &mapping, listing)?;
    } else {
        let mapping = mapping(root, &inner, std::slice::from_ref(&inner))?;
        class_folders::read(&inner, &mapping, None, listing)?;
    }
    Ok(ClassOrder::ByName)
}

/// The mapping file of the split's folder, or else of the root, for the class folders in `class_roots`.
fn mapping(root: &Path, inner: &Path, class_roots: &[PathBuf]) -> Result<HashMap<String, String>> {
    let folders = class_folders::names(class_roots)?;
    let mapping = read_mapping(inner, &folders)?;
    if mapping.is_empty() && inner != root {
        return read_mapping(root, &folders);
    }
    Ok(mapping)
}

/// The folder of the wanted or only split; `None` when the folders are no splits.
fn split_folder(root: &Path, contents: &Folder, wanted: Option<&str>) -> Result<Option<PathBuf>> {
    let mut names = Vec::new();
    for folder in &contents.folders {
        // A name that is not UTF-8 is no split; the reader reports it if it should name a class.
        names.extend(folder_name(folder).ok());
    }
    let splits: Vec<&str> = match wanted {
        Some(wanted) => names
            .into_iter()
            .filter(|n| split_names::is_split(n) || n.eq_ignore_ascii_case(wanted))
            .collect(),
        None if names.iter().all(|n| split_names::is_split(n)) => names,
        None => Vec::new(),
    };
    let chosen = split_names::choose(root, splits, wanted)?;
    Ok(chosen.map(|name| root.join(name)))
}

/// Class folders if pictures lie one level down, domain folders if two.
fn detect(path: &Path, contents: &Folder) -> Result<Layout> {
    let mut two_down = false;
    for folder in &contents.folders {
        let inside = Folder::read(folder)?;
        if inside.holds_pictures() {
            return Ok(Layout::ClassFolders);
        }
        for folder in &inside.folders {
            two_down = two_down || Folder::read(folder)?.holds_pictures();
        }
    }
    if two_down {
        return Ok(Layout::DomainFolders);
    }
    let found = if contents.holds_pictures() {
        "pictures that lie in no class folder".to_owned()
    } else if contents.folders.is_empty() && contents.files.is_empty() {
        "an empty folder".to_owned()
    } else {
        format!(
            "{} folders without pictures and {} files of other kinds",
            contents.folders.len(),
            contents.files.len()
        )
    };
    Err(DataError::UnknownLayout {
        path: path.to_owned(),
        found,
    })
}

/// Parquet files of a folder or, as on the hub, of its `data` folder.
fn parquet_files(root: &Path, contents: &Folder) -> Result<Vec<PathBuf>> {
    let shards = |folder: &Folder| -> Vec<PathBuf> {
        let mut files = folder.files.clone();
        files.retain(|f| has_extension(f, &["parquet"]));
        files
    };
    let direct = shards(contents);
    let data = root.join("data");
    if direct.is_empty() && contents.folders.contains(&data) {
        return Ok(shards(&Folder::read(&data)?));
    }
    Ok(direct)
}

/// Files named `<domain>_<split>.txt` whose lines are `path label`, and no mapping file.
fn list_files(contents: &Folder) -> Vec<PathBuf> {
    let mut files = contents.files.clone();
    files.retain(|file| {
        let named = domainnet_lists::domain_and_split(file)
            .is_some_and(|(_, split)| split_names::is_split(split));
        let mapping = file
            .file_name()
            .is_some_and(|name| MAPPING_FILES.iter().any(|m| name == *m));
        named && !mapping && domainnet_lists::looks_like_list(file)
    });
    files
}

fn read_lists(
    path: &Path,
    lists: &[PathBuf],
    options: &OpenOptions,
    listing: &mut Listing,
) -> Result<ClassOrder> {
    let split_of = |list: &'_ PathBuf| {
        domainnet_lists::domain_and_split(list).map(|(_, split)| split.to_owned())
    };
    let splits: Vec<String> = lists.iter().filter_map(split_of).collect();
    let splits = splits.iter().map(String::as_str).collect();
    let chosen = split_names::choose(path, splits, options.split.as_deref())?.map(str::to_owned);
    let mut chosen_lists = lists.to_vec();
    chosen_lists.retain(|list| chosen.is_none() || split_of(list) == chosen);
    domainnet_lists::read(&chosen_lists, listing)?;
    Ok(ClassOrder::AsAdded)
}
