//! `metadata.csv`, `.jsonl` and `.parquet` beside pictures, as the hub's `imagefolder` has them: captions, and labels where
//! no folder tells the class.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use promptfed_files::FileError;

use crate::class_names::ClassNames;
use crate::folder::has_extension;
use crate::listing::{ClassOrder, Listing};
use crate::part::{Meaning, Part};
use crate::readers::parquet;
use crate::readers::table::{self, Row};
use crate::tree::Place;
use crate::{DatasetWarning, ImageSource, Result, split_names};

/// What the tables say of the pictures.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    rows: HashMap<PathBuf, Row>,
    tables: Vec<KnownTable>,
    warnings: Vec<DatasetWarning>,
}

#[derive(Debug)]
struct KnownTable {
    path: PathBuf,
    unused: Vec<String>,
    has_label: bool,
    has_caption: bool,
    has_split: bool,
}

impl Metadata {
    /// Reads the tables; file names are relative to the table's folder.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self> {
        let mut metadata = Self::default();
        for path in files {
            let table = match has_extension(path, &["parquet"]) {
                true => parquet::read_table(path)?,
                false => {
                    let text = match promptfed_files::read_text(path, table::MAX_BYTES) {
                        // The pictures are there without it.
                        Err(error @ FileError::TooLarge { .. }) => {
                            metadata.warnings.push(DatasetWarning::FileNotRead {
                                path: path.clone(),
                                reason: error.to_string(),
                            });
                            continue;
                        }
                        text => text?,
                    };
                    table::parse(path, &text)?
                }
            };
            let Some(table) = table else {
                metadata.warnings.push(DatasetWarning::FileNotRead {
                    path: path.clone(),
                    reason: "it has no column `file_name` with one of `text`, `caption` or `label`"
                        .to_owned(),
                });
                continue;
            };
            let folder = path.parent().unwrap_or(Path::new(""));
            for row in table.rows {
                metadata.rows.insert(below(folder, &row.file), row);
            }
            metadata.tables.push(KnownTable {
                path: path.clone(),
                unused: table.unused,
                has_label: table.has_label,
                has_caption: table.has_caption,
                has_split: table.has_split,
            });
        }
        Ok(metadata)
    }

    /// Whether more than half of the pictures have a label here.
    pub(crate) fn labels_most(&self, places: &[Place]) -> bool {
        let pictures = || places.iter().flat_map(|p| &p.pictures);
        let labelled = pictures().filter(|p| self.label(p).is_some()).count();
        labelled * 2 > pictures().count()
    }

    /// Keeps the pictures of one split that a column tells: the wanted one, or the only one. `None` where no column tells any.
    ///
    /// # Errors
    /// When the wanted split does not exist, or there are several and none is wanted.
    pub(crate) fn choose_split(
        &self,
        root: &Path,
        places: &mut Vec<Place>,
        wanted: Option<&str>,
        listing: &mut Listing,
    ) -> Result<Option<String>> {
        let split = |picture: &PathBuf| self.rows.get(picture)?.split.clone();
        let pictures = places.iter().flat_map(|p| &p.pictures);
        let splits: BTreeSet<String> = pictures.filter_map(split).collect();
        let Some(chosen) = split_names::choose(root, splits, wanted)? else {
            return Ok(None);
        };
        let mut without = 0;
        for place in places.iter_mut() {
            place.pictures.retain(|picture| {
                let own = split(picture);
                without += usize::from(own.is_none());
                own.as_ref() == Some(&chosen)
            });
        }
        places.retain(|place| !place.pictures.is_empty());
        if let (1.., Some(table)) = (without, self.tables.iter().find(|t| t.has_split)) {
            listing.warn(DatasetWarning::RowsWithout {
                column: "split".to_owned(),
                file: table.path.clone(),
                rows: without,
            });
        }
        Ok(Some(chosen))
    }

    /// Whether a column tells the split of a picture.
    pub(crate) fn tells_splits(&self) -> bool {
        self.rows.values().any(|row| row.split.is_some())
    }

    fn label(&self, picture: &Path) -> Option<&str> {
        self.rows.get(picture)?.label.as_deref()
    }

    /// Adds the pictures that have a label here.
    pub(crate) fn read_labels(
        &self,
        places: &[Place],
        names: &ClassNames,
        listing: &mut Listing,
    ) -> ClassOrder {
        let pictures = || places.iter().flat_map(|p| &p.pictures);
        let labels: Vec<&str> = pictures().filter_map(|p| self.label(p)).collect();
        let ids: Option<BTreeSet<i64>> = labels.iter().map(|label| label.parse().ok()).collect();
        let named = ids.as_ref().and_then(|ids| names.of_ids(ids));
        // In the order of the ids.
        for id in ids.iter().flatten() {
            let name = named.as_ref().and_then(|n| n.get(id));
            listing.named_class(&id.to_string(), name.map(String::as_str));
        }
        let mut without = 0;
        for picture in pictures() {
            let Some(row) = self.rows.get(picture).filter(|row| row.label.is_some()) else {
                without += 1;
                continue;
            };
            let label = row.label.as_deref().unwrap_or_default();
            let id: Option<i64> = ids.as_ref().and_then(|_| label.parse().ok());
            let class = match id {
                Some(id) => {
                    let name = named.as_ref().and_then(|n| n.get(&id));
                    listing.named_class(&id.to_string(), name.map(String::as_str))
                }
                None => listing.class(label),
            };
            let domain = row.domain.as_deref().map(|d| listing.domain(d));
            let source = ImageSource::File(picture.clone());
            listing.push(class, domain, row.caption.clone(), source);
        }
        if let (1.., Some(table)) = (without, self.tables.iter().find(|t| t.has_label)) {
            listing.warn(DatasetWarning::RowsWithout {
                column: "label".to_owned(),
                file: table.path.clone(),
                rows: without,
            });
        }
        listing.class_part("column of labels in the metadata");
        match ids {
            Some(_) => ClassOrder::AsAdded,
            None => ClassOrder::ByName,
        }
    }

    /// Gives captions to the samples that have none, and tells what of the tables is not used. `all` are the pictures of
    /// every split.
    pub(crate) fn give_captions(
        self,
        all: &[Place],
        used_labels: bool,
        used_splits: bool,
        listing: &mut Listing,
    ) {
        listing.give_captions(|path| self.rows.get(path)?.caption.clone());
        for warning in self.warnings {
            listing.warn(warning);
        }
        let there: HashSet<&Path> = match self.rows.is_empty() {
            true => HashSet::new(),
            false => all
                .iter()
                .flat_map(|p| p.pictures.iter().map(PathBuf::as_path))
                .collect(),
        };
        for table in self.tables {
            let mut columns = table.unused;
            if table.has_label && !used_labels {
                columns.push("label".to_owned());
            }
            if table.has_split && !used_splits {
                columns.push("split".to_owned());
            }
            if table.has_caption {
                let name = table.path.file_name().unwrap_or_default().to_string_lossy();
                listing.part(Part::new(
                    format!("captions in {name}"),
                    Meaning::Caption,
                    [],
                ));
            }
            if !columns.is_empty() {
                let path = table.path.clone();
                listing.warn(DatasetWarning::ColumnsNotUsed { path, columns });
            }
            let folder = table.path.parent().unwrap_or(Path::new(""));
            let mut missing: Vec<(&PathBuf, &Row)> = self
                .rows
                .iter()
                .filter(|(path, _)| path.starts_with(folder) && !there.contains(path.as_path()))
                .collect();
            missing.sort_by_key(|(_, row)| row.number);
            for (_, row) in missing {
                listing.warn(DatasetWarning::PictureMissing {
                    path: table.path.clone(),
                    picture: row.file.clone(),
                });
            }
        }
    }
}

/// The path that a table's file name means, without `./` in it.
fn below(folder: &Path, relative: &str) -> PathBuf {
    let parts = Path::new(relative).components();
    let parts: PathBuf = parts.filter(|c| *c != Component::CurDir).collect();
    folder.join(parts)
}
