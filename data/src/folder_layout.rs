//! Which level of folders are the classes: decided from the whole tree, and refused where it could be otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use promptfed_prompts::{LabelSpace, is_identifier};

use crate::class_names::ClassNames;
use crate::folder_names::is_container;
use crate::part::abbreviate;
use crate::split_names::is_split;
use crate::tree::Place;
use crate::{DataError, Layout, Result};

/// Where classes and domains stand among the levels of folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FolderLayout {
    /// Level of the class folders, from 0.
    pub(crate) class: usize,
    /// Whether pictures below the class folders are theirs too.
    pub(crate) is_recursive: bool,
}

impl FolderLayout {
    /// Level of the domain folders.
    pub(crate) fn domain(self) -> Option<usize> {
        self.class.checked_sub(1)
    }

    /// Whether the pictures of a folder belong to a class.
    pub(crate) fn has(self, place: &Place) -> bool {
        let depth = self.class + 1;
        place.folders.len() == depth || self.is_recursive && place.folders.len() > depth
    }
}

/// What is known of the classes beside the folders: their names tell the level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) label_space: Option<&'a LabelSpace>,
    pub(crate) names: &'a ClassNames,
}

impl Evidence<'_> {
    /// Whether a folder's name is known to be a class.
    pub(crate) fn knows(self, folder: &str) -> bool {
        let name = self.names.of_folder(folder);
        match self.label_space {
            Some(space) => {
                space.index_of(folder).is_some()
                    || name.is_some_and(|n| space.index_of(n).is_some())
            }
            None => self.names.knows(folder),
        }
    }

    /// Pictures below folders of this level whose names are known to be classes.
    fn pictures(self, places: &[Place], level: usize) -> usize {
        let known = |place: &&Place| place.folders.get(level).is_some_and(|f| self.knows(f));
        places.iter().filter(known).map(|p| p.pictures.len()).sum()
    }
}

/// A lone split's word among the names of classes is one of them, as `train` among DomainNet's 345; with fewer others, the
/// others may be parts of the data set too.
const OTHERS_THAT_MAKE_A_SPLIT_WORD_A_CLASS: usize = 3;

/// Decides the layout of picture folders; `is_split` where they are those of a split, beside others perhaps.
///
/// # Errors
/// [`DataError::UnknownLayout`] where the pictures lie in no folders, [`DataError::UnclearLayout`] where the levels could mean
/// something else.
pub(crate) fn decide(
    root: &Path,
    places: &[Place],
    layout: Layout,
    is_split: bool,
    evidence: Evidence<'_>,
) -> Result<FolderLayout> {
    let explicit = |class| {
        Ok(FolderLayout {
            class,
            is_recursive: true,
        })
    };
    match layout {
        Layout::ClassFolders => return explicit(0),
        Layout::DomainFolders => return explicit(1),
        _ => {}
    }
    let unclear = |why: String| Err(unclear(root, places, why));
    let (first, second) = (evidence.pictures(places, 0), evidence.pictures(places, 1));
    let depth = usual_depth(places);
    let total: usize = places.iter().map(|p| p.pictures.len()).sum();
    if total > 0 && first.min(second) * 2 >= total {
        return unclear("names of classes stand on both levels of folders".to_owned());
    }
    // Where most pictures lie directly in the folders of a level, others below it are strays, whoever knows the classes.
    let known = |class: usize| {
        Ok(FolderLayout {
            class,
            is_recursive: depth != Some(class + 1),
        })
    };
    if first > second {
        return known(0);
    }
    if second > first {
        let domains = names(places, 0);
        return match mostly(&domains, is_identifier) {
            true => unclear(format!(
                "its second-level folders are the classes, but the first-level ones ({}) look like ids, and would be domains",
                abbreviate(&domains)
            )),
            false => known(1),
        };
    }
    if let (Some(_), Some(depth @ 1..)) = (evidence.label_space, depth) {
        // Whatever the levels mean, the label space knows none of their names.
        return known(depth.min(2) - 1);
    }
    match depth {
        None => unclear("its pictures lie at several depths, none of which holds most".to_owned()),
        Some(0) => Err(DataError::UnknownLayout {
            path: root.to_owned(),
            found: "pictures that lie in no class folder".to_owned(),
        }),
        Some(1) => {
            let classes = names(&at_depth(places, 1), 0);
            match why_no_classes(&classes, is_split) {
                Some(why) => unclear(why),
                None => Ok(FolderLayout {
                    class: 0,
                    is_recursive: false,
                }),
            }
        }
        Some(2) => {
            let places = at_depth(places, 2);
            match why_no_domains(&places) {
                Some(why) => unclear(why),
                None => Ok(FolderLayout {
                    class: 1,
                    is_recursive: false,
                }),
            }
        }
        Some(depth) => unclear(format!("its pictures lie {depth} folders deep")),
    }
}

/// Why folders that hold pictures may be no classes.
fn why_no_classes(classes: &[String], is_split: bool) -> Option<String> {
    if let [only] = classes
        && !is_split
    {
        return Some(format!("there is only one folder with pictures, `{only}`"));
    }
    if let Some(name) = meaningless(classes) {
        return Some(a_part(name, "the folders with pictures"));
    }
    // Numbers and WordNet ids are classes by custom (MNIST, ImageNet), and are refused only where they would become text.
    let is_of_a_person = |name: &str| {
        is_identifier(name)
            && name.parse::<f64>().is_err()
            && !(name.len() == 9 && name.starts_with('n'))
    };
    mostly(classes, is_of_a_person).then(|| {
        format!(
            "the folders with pictures look like ids ({}), of patients or files perhaps",
            abbreviate(classes)
        )
    })
}

/// Why two levels of folders may be no domains and classes.
fn why_no_domains(places: &[Place]) -> Option<String> {
    let (first, second) = (names(places, 0), names(places, 1));
    if let [only] = first.as_slice() {
        return Some(format!(
            "all pictures lie two levels deep in one folder, `{only}`, which may be a class or a domain"
        ));
    }
    if let [only] = second.as_slice() {
        return Some(format!(
            "every second-level folder is called `{only}`, so that the first level may be the classes"
        ));
    }
    if let Some(name) =
        meaningless(&second).or_else(|| first.iter().find(|n| is_split(n) || is_container(n)))
    {
        return Some(a_part(name, "the folders"));
    }
    for (level, names) in [("first", &first), ("second", &second)] {
        if mostly(names, is_identifier) || are_counted(names) {
            return Some(format!(
                "the {level}-level folders look like ids ({}), of patients or files perhaps",
                abbreviate(names)
            ));
        }
    }
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for place in places {
        *uses.entry(&place.folders[1]).or_insert(0) += 1;
    }
    let repeated = places
        .iter()
        .filter(|p| uses[p.folders[1].as_str()] > 1)
        .count();
    // In medicine some patients stand in several classes, and common names are those of several people.
    (repeated * 3 < places.len() * 2).then(|| {
        format!(
            "of {} second-level folders {repeated} share their names with another, too few to be certain that the rest are \
             classes and no people or ids inside classes",
            places.len()
        )
    })
}

/// A name that speaks of a part of a data set, among names of classes.
fn meaningless(names: &[String]) -> Option<&String> {
    let is_few = names.len() <= OTHERS_THAT_MAKE_A_SPLIT_WORD_A_CLASS;
    names
        .iter()
        .find(|name| is_container(name) || is_few && is_split(name))
}

/// That a folder's name speaks of a part of a data set.
fn a_part(name: &str, among: &str) -> String {
    let remedy = match is_split(name) {
        true => format!(" (`--split {name}` reads that alone)"),
        false => String::new(),
    };
    format!("`{name}` stands among {among}, a name for a part of a data set{remedy}")
}

fn unclear(root: &Path, places: &[Place], why: String) -> DataError {
    DataError::UnclearLayout {
        path: root.to_owned(),
        why,
        first: names(places, 0),
        second: names(places, 1),
    }
}

/// Distinct names of the folders of a level.
pub(crate) fn names(places: &[Place], level: usize) -> Vec<String> {
    let names: BTreeSet<&String> = places.iter().filter_map(|p| p.folders.get(level)).collect();
    names.into_iter().cloned().collect()
}

fn at_depth(places: &[Place], depth: usize) -> Vec<Place> {
    let at_depth = places.iter().filter(|p| p.folders.len() == depth);
    at_depth.cloned().collect()
}

/// The depth at which more than half of the pictures lie.
pub(crate) fn usual_depth(places: &[Place]) -> Option<usize> {
    let mut pictures: BTreeMap<usize, usize> = BTreeMap::new();
    for place in places {
        *pictures.entry(place.folders.len()).or_insert(0) += place.pictures.len();
    }
    let total: usize = pictures.values().sum();
    pictures
        .into_iter()
        .find(|(_, count)| count * 2 > total)
        .map(|(depth, _)| depth)
}

/// Whether all names are the same but for the number at their end.
fn are_counted(names: &[String]) -> bool {
    let prefix = |name: &String| {
        let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
        (prefix.len() < name.len()).then(|| prefix.to_owned())
    };
    let first = names.first().and_then(prefix);
    first.is_some() && names.iter().all(|name| prefix(name) == first)
}

fn mostly(names: &[String], is: impl Fn(&str) -> bool) -> bool {
    names.iter().filter(|name| is(name)).count() * 2 > names.len()
}
