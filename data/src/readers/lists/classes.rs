//! Which class each label of the lists stands for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use promptfed_prompts::is_identifier;
use promptfed_prompts::same_name::folded;

use crate::class_names::ClassNames;
use crate::folder_names::is_container;
use crate::listing::{ClassOrder, Listing};
use crate::{DataError, Result, split_names};

/// A row of a list, as far as its class goes.
#[derive(Debug)]
pub(super) struct Labelled<'a> {
    pub(super) list: &'a Path,
    pub(super) number: usize,
    /// The label as written; `None` in lists of paths alone.
    pub(super) label: Option<&'a str>,
    /// The folder that holds the picture.
    pub(super) folder: Option<&'a str>,
}

/// Classes of the rows, and where their names come from.
#[derive(Debug)]
pub(super) struct Classes {
    /// Provisional class by label, or by folder in lists of paths alone.
    pub(super) by_label: HashMap<String, u32>,
    pub(super) order: ClassOrder,
    /// For people: what names the classes.
    pub(super) place: &'static str,
}

impl Classes {
    /// Finds the classes. Ids are the classes: they are named by the folders of the pictures where ids and folders agree one
    /// to one, unless a names file names the ids and none of the folders; else by a names file, else by themselves.
    ///
    /// # Errors
    /// When an id stands for two folders that look like classes, or words and numbers are mixed.
    pub(super) fn find(
        rows: &[Labelled<'_>],
        names: &ClassNames,
        listing: &mut Listing,
    ) -> Result<Self> {
        let labelled = rows.iter().filter(|row| row.label.is_some()).count();
        if labelled == 0 {
            return by_folder(rows, names, listing);
        }
        if let Some(row) = rows.iter().find(|row| row.label.is_none()) {
            return Err(row.fault("has no label, and other rows have one".to_owned()));
        }
        let ids: Option<Vec<i64>> = rows.iter().map(|row| row.id()).collect();
        match ids {
            Some(ids) => by_id(rows, &ids, names, listing),
            None => Ok(by_word(rows, names, listing)),
        }
    }
}

impl Labelled<'_> {
    fn id(&self) -> Option<i64> {
        self.label?.parse().ok()
    }

    fn fault(&self, reason: String) -> DataError {
        DataError::ListLine {
            path: self.list.to_owned(),
            line: self.number,
            reason,
        }
    }
}

fn by_word(rows: &[Labelled<'_>], names: &ClassNames, listing: &mut Listing) -> Classes {
    let words = rows.iter().filter_map(|row| row.label);
    Classes {
        by_label: words
            .map(|word| {
                let class = listing.named_class(word, names.of_folder(word));
                (word.to_owned(), class)
            })
            .collect(),
        order: ClassOrder::ByName,
        place: "label of the list",
    }
}

fn by_folder(rows: &[Labelled<'_>], names: &ClassNames, listing: &mut Listing) -> Result<Classes> {
    let mut by_label = HashMap::new();
    for row in rows {
        let folder = row.folder.filter(|f| is_class_like(f));
        let folder = folder.ok_or_else(|| {
            row.fault("names neither a label nor a folder that could be its class".to_owned())
        })?;
        by_label
            .entry(folder.to_owned())
            .or_insert_with(|| listing.named_class(folder, names.of_folder(folder)));
    }
    Ok(Classes {
        by_label,
        order: ClassOrder::ByName,
        place: "folder of the picture",
    })
}

fn by_id(
    rows: &[Labelled<'_>],
    ids: &[i64],
    names: &ClassNames,
    listing: &mut Listing,
) -> Result<Classes> {
    let mut folders_of: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
    let mut ids_of: HashMap<&str, BTreeSet<i64>> = HashMap::new();
    let mut unfiled = None;
    for (row, &id) in rows.iter().zip(ids) {
        let folders = folders_of.entry(id).or_default();
        match row.folder {
            Some(folder) => {
                folders.insert(folder);
                ids_of.entry(folder).or_default().insert(id);
            }
            None => unfiled = unfiled.or(Some(row)),
        }
    }
    if let Some(row) = unfiled.filter(|_| !ids_of.is_empty()) {
        return Err(row.fault(
            "the path has no class folder, and others have one; expected <domain>/<class>/<picture>"
                .to_owned(),
        ));
    }
    let agree = !ids_of.is_empty()
        && folders_of.values().all(|folders| folders.len() == 1)
        && ids_of
            .iter()
            .all(|(f, ids)| ids.len() == 1 && is_class_like(f));
    let classes = |place, class: &mut dyn FnMut(i64) -> u32| Classes {
        by_label: rows
            .iter()
            .zip(ids)
            .map(|(row, &id)| (row.label.unwrap_or_default().to_owned(), class(id)))
            .collect(),
        order: ClassOrder::AsAdded,
        place,
    };
    let named = names.of_ids(&folders_of.keys().copied().collect());
    // A names file goes before folders that it does not speak of: these may be called after people.
    let speaks_of = |folder: &str| {
        let is = |name: &String| folded(name) == folded(folder);
        names.knows(folder) || named.as_ref().is_some_and(|n| n.values().any(is))
    };
    if agree && (named.is_none() || ids_of.keys().any(|folder| speaks_of(folder))) {
        let by_id: BTreeMap<i64, u32> = folders_of
            .iter()
            .map(|(&id, folders)| {
                let folder = folders.first().copied().unwrap_or_default();
                (id, listing.named_class(folder, names.of_folder(folder)))
            })
            .collect();
        return Ok(classes(
            "folder of the picture, one for each id of the list",
            &mut |id| by_id[&id],
        ));
    }
    if named.is_none() {
        check_no_id_names_two_classes(rows, ids, &folders_of, &ids_of)?;
    }
    let place = match named {
        Some(_) => "id of the list, named by a names file",
        None => "id of the list",
    };
    let by_id: BTreeMap<i64, u32> = folders_of
        .keys()
        .map(|&id| {
            let name = named.as_ref().and_then(|n| n.get(&id));
            (
                id,
                listing.named_class(&id.to_string(), name.map(String::as_str)),
            )
        })
        .collect();
    Ok(classes(place, &mut |id| by_id[&id]))
}

/// Folders that hold pictures of several ids, or are called after people or files, are no classes; any other folder is one,
/// and then an id has one alone.
fn check_no_id_names_two_classes(
    rows: &[Labelled<'_>],
    ids: &[i64],
    folders_of: &BTreeMap<i64, BTreeSet<&str>>,
    ids_of: &HashMap<&str, BTreeSet<i64>>,
) -> Result<()> {
    let is_class = |folder: &&str| {
        is_class_like(folder) && !is_identifier(folder) && ids_of[folder].len() == 1
    };
    let mut first: HashMap<i64, &str> = HashMap::new();
    for (row, id) in rows.iter().zip(ids) {
        let Some(folder) = row.folder else { continue };
        let known = *first.entry(*id).or_insert(folder);
        if known != folder && folders_of[id].iter().any(is_class) {
            return Err(row.fault(format!(
                "label {id} is `{folder}` here and `{known}` before; the lists must agree on labels (where the ids are the \
                 classes and the folders are not, name the ids in a `classes.txt` of lines `id name`)"
            )));
        }
    }
    Ok(())
}

fn is_class_like(folder: &str) -> bool {
    !is_container(folder) && !split_names::is_split(folder)
}
