//! Folders of pictures: `CLASS/picture` as ImageNet and torchvision's `ImageFolder`, and `DOMAIN/CLASS/picture` as PACS.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::class_names::ClassNames;
use crate::folder::Folder;
use crate::folder_layout::{self, Evidence, FolderLayout};
use crate::folder_names::is_container;
use crate::folder_splits;
use crate::listing::{ClassOrder, Listing};
use crate::part::{Meaning, Part, ordinal};
use crate::readers::metadata::Metadata;
use crate::split_names::is_split;
use crate::tree::{Place, Tree};
use crate::{DataError, DatasetWarning, ImageSource, Layout, OpenOptions, Result};

/// Adds the pictures of the class folders in `tree`, which was walked from `root`.
///
/// # Errors
/// When there are no pictures, it is not clear which folders are classes, several splits lie there and none is wanted, or most
/// pictures would be left out.
pub(crate) fn read(
    root: &Path,
    tree: Tree,
    options: &OpenOptions,
    listing: &mut Listing,
) -> Result<ClassOrder> {
    if tree.pictures() == 0 {
        return Err(no_pictures(root, &tree)?);
    }
    let folders: HashSet<String> = tree.places.iter().flat_map(|p| p.folders.clone()).collect();
    let mut inner = root.to_owned();
    let mut names = names_files(root, &inner, &folders)?;
    let mut places = tree.places.clone();
    let mut levels = LevelNumbers::new(&places);

    let label_space = options.label_space.as_ref();
    let evidence = Evidence {
        label_space,
        names: &names,
    };
    let split = options.split.as_deref();
    let metadata = Metadata::read(&tree.metadata)?;
    let chosen = match folder_splits::choose(root, &mut places, options.layout, split, evidence) {
        // No folder is a split, and a column may tell it.
        Err(DataError::SplitNotFound { splits, .. })
            if splits.is_empty() && metadata.tells_splits() =>
        {
            None
        }
        chosen => chosen?,
    };
    let is_of_folder_split = chosen.is_some();
    let by_column = match is_of_folder_split {
        true => None,
        false => metadata.choose_split(root, &mut places, split, listing)?,
    };
    if let Some(split) = &by_column {
        listing.part(Part::new(
            "column of splits in the metadata",
            Meaning::Split,
            [split.as_str()],
        ));
    }
    if let Some(chosen) = chosen {
        let number = levels.take(chosen.level);
        let place = format!("{} level", ordinal(number));
        listing.part(Part::new(place, Meaning::Split, [chosen.name.as_str()]));
        if chosen.level == 0 {
            inner.push(&chosen.name);
            names = names_files(root, &inner, &folders)?;
        }
    }
    let evidence = Evidence {
        label_space,
        names: &names,
    };
    if let Some(container) = container(&places, options.layout, evidence) {
        let number = levels.take(0);
        let place = format!("{} level", ordinal(number));
        listing.part(Part::new(place, Meaning::NotUsed, [container.as_str()]));
        places.retain_mut(|place| {
            let is_inside = place.folders.first() == Some(&container);
            if is_inside {
                place.folders.remove(0);
            }
            is_inside
        });
        inner.push(&container);
        names = names_files(root, &inner, &folders)?;
    }
    let evidence = Evidence {
        label_space,
        names: &names,
    };

    let layout = folder_layout::decide(
        &inner,
        &places,
        options.layout,
        is_of_folder_split,
        evidence,
    );
    let (order, used_labels) = match layout {
        Err(_) if metadata.labels_most(&places) => {
            (metadata.read_labels(&places, &names, listing), true)
        }
        Err(error) => return Err(error),
        Ok(layout) => {
            let below = tree.dangling.iter().filter(|link| link.starts_with(&inner));
            let dangling = below.count();
            add(&inner, &places, dangling, layout, &levels, &names, listing)?;
            (ClassOrder::ByName, false)
        }
    };
    metadata.give_captions(&tree.places, used_labels, by_column.is_some(), listing);
    warn_of_folders(&tree, &inner, listing);
    listing.read(names.files);
    for warning in names.warnings {
        listing.warn(warning);
    }
    Ok(order)
}

fn add(
    root: &Path,
    places: &[Place],
    dangling: usize,
    layout: FolderLayout,
    levels: &LevelNumbers,
    names: &ClassNames,
    listing: &mut Listing,
) -> Result<()> {
    let (belongs, elsewhere): (Vec<&Place>, Vec<&Place>) =
        places.iter().partition(|place| layout.has(place));
    for place in &belongs {
        let folder = &place.folders[layout.class];
        let class = names.class_of(folder, listing);
        let domain = layout
            .domain()
            .map(|level| listing.domain(&place.folders[level]));
        for picture in &place.pictures {
            listing.push(class, domain, None, ImageSource::File(picture.clone()));
        }
    }
    for place in &elsewhere {
        listing.warn(DatasetWarning::PicturesElsewhere {
            path: place.path.clone(),
            pictures: place.pictures.len(),
        });
    }
    let count = |places: &[&Place]| places.iter().map(|p| p.pictures.len()).sum::<usize>();
    let (used, left_out) = (count(&belongs), count(&elsewhere));
    let left_out = left_out + dangling;
    if left_out > used {
        let mut why = DatasetWarning::by_kind(listing.warnings());
        if dangling > 0 {
            why.push(format!("{dangling} links lead nowhere"));
        }
        return Err(DataError::MostLeftOut {
            path: root.to_owned(),
            pictures: used + left_out,
            left_out,
            why: why.join("; "),
        });
    }
    let names_at = |level: usize| {
        belongs
            .iter()
            .filter_map(move |p| Some(p.folders.get(level)?.as_str()))
    };
    let place = |level: usize| format!("{} level", ordinal(levels.original(level)));
    if let Some(level) = layout.domain() {
        listing.part(Part::new(place(level), Meaning::Domain, names_at(level)));
    }
    listing.class_part(place(layout.class));
    let below = layout.class + 1;
    if names_at(below).next().is_some() {
        listing.part(Part::new(place(below), Meaning::NotUsed, names_at(below)));
    }
    Ok(())
}

/// The numbers that the levels had before split and container were taken out.
struct LevelNumbers(Vec<usize>);

impl LevelNumbers {
    fn new(places: &[Place]) -> Self {
        let depth = places.iter().map(|p| p.folders.len()).max().unwrap_or(0);
        Self((0..depth).collect())
    }

    /// Takes a level out; returns its number.
    fn take(&mut self, level: usize) -> usize {
        self.0.remove(level)
    }

    fn original(&self, level: usize) -> usize {
        self.0.get(level).copied().unwrap_or(level)
    }
}

/// The only folder, where it merely holds the class folders.
fn container(places: &[Place], layout: Layout, evidence: Evidence<'_>) -> Option<String> {
    let first = folder_layout::names(places, 0);
    let [only] = first.as_slice() else {
        return None;
    };
    let is_outer = folder_layout::usual_depth(places).is_some_and(|depth| depth > 1);
    (layout == Layout::Auto && is_outer && is_container(only) && !evidence.knows(only))
        .then(|| only.clone())
}

/// The names files of the innermost folder, of those above it up to the root, and beside a root that is a split.
fn names_files(root: &Path, inner: &Path, folders: &HashSet<String>) -> Result<ClassNames> {
    let mut places: Vec<&Path> = inner
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .collect();
    // Of a path such as `.`, neither name nor parent can be told before.
    let canonical = fs_err::canonicalize(root)?;
    let is_split = canonical
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(is_split);
    places.extend(canonical.parent().filter(|_| is_split));
    ClassNames::read(&places, folders)
}

/// Tells of the folders of the chosen split in which nothing was found.
fn warn_of_folders(tree: &Tree, inner: &Path, listing: &mut Listing) {
    let inside = |path: &&PathBuf| path.starts_with(inner);
    for path in tree.without_pictures.iter().filter(inside) {
        listing.warn(DatasetWarning::FolderIgnored { path: path.clone() });
    }
    for path in tree.not_entered.iter().filter(inside) {
        listing.warn(DatasetWarning::FolderNotEntered { path: path.clone() });
    }
    for path in tree.not_regular.iter().filter(inside) {
        listing.warn(DatasetWarning::NotRegular { path: path.clone() });
    }
    for path in tree.dangling.iter().filter(inside) {
        listing.warn(DatasetWarning::DanglingLink { path: path.clone() });
    }
}

/// What lies in a folder without pictures.
fn no_pictures(root: &Path, tree: &Tree) -> Result<DataError> {
    let contents = Folder::read(root)?;
    let found = if let Some(first) = tree.dangling.first() {
        format!(
            "no pictures, and {} links that lead nowhere, such as {}: bring back what they lead to",
            tree.dangling.len(),
            first.display()
        )
    } else if contents.folders.is_empty() && contents.files.is_empty() {
        "an empty folder".to_owned()
    } else {
        format!(
            "{} folders without pictures and {} files of other kinds",
            contents.folders.len(),
            contents.files.len()
        )
    };
    Ok(DataError::UnknownLayout {
        path: root.to_owned(),
        found,
    })
}
