//! What was left out while listing, one by one and by kind.

use std::fmt;
use std::path::PathBuf;

/// Something a reader left out or did not use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatasetWarning {
    /// A folder or class that is not in [`OpenOptions::label_space`](crate::OpenOptions::label_space).
    ClassNotListed {
        /// The class as the data calls it.
        class: String,
        /// Samples left out with it.
        samples: usize,
    },
    /// A folder in which no picture lies where the layout expects one.
    FolderIgnored {
        /// The folder.
        path: PathBuf,
    },
    /// Pictures that lie where the layout has none.
    PicturesElsewhere {
        /// The folder that holds them.
        path: PathBuf,
        /// Pictures left out.
        pictures: usize,
    },
    /// A folder that is not entered: a link to a folder that holds it, or one too deep.
    FolderNotEntered {
        /// The folder.
        path: PathBuf,
    },
    /// A named pipe, device or socket among the data.
    NotRegular {
        /// Its path.
        path: PathBuf,
    },
    /// A link that leads nowhere among the data.
    DanglingLink {
        /// Its path.
        path: PathBuf,
    },
    /// Rows or pictures without a label or split (null, empty or -1).
    RowsWithout {
        /// The column that is null.
        column: String,
        /// The Parquet file or table.
        file: PathBuf,
        /// Rows left out.
        rows: usize,
    },
    /// A table, list or names file that is not read, or not in full.
    FileNotRead {
        /// The file.
        path: PathBuf,
        /// Why, or what of it.
        reason: String,
    },
    /// Columns of a table of captions or labels that are not used.
    ColumnsNotUsed {
        /// The table.
        path: PathBuf,
        /// Their names.
        columns: Vec<String>,
    },
    /// A line of a names file that names no class of the data.
    NameNotUsed {
        /// The names file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The line, shortened.
        text: String,
    },
    /// A table names a picture that is not there.
    PictureMissing {
        /// The table.
        path: PathBuf,
        /// The picture as the table calls it.
        picture: String,
    },
}

impl DatasetWarning {
    /// What happened, for one or several, without the example; `n` counts what [`amount`](Self::amount) counts.
    fn kind(&self) -> &'static str {
        match self {
            DatasetWarning::ClassNotListed { .. } => {
                "pictures left out, whose class is not in the label space"
            }
            DatasetWarning::FolderIgnored { .. } => {
                "folders hold no pictures where this layout has them: left out"
            }
            DatasetWarning::PicturesElsewhere { .. } => {
                "pictures left out, which lie where this layout has none"
            }
            DatasetWarning::FolderNotEntered { .. } => {
                "folders not entered (links to a folder above, or too deep)"
            }
            DatasetWarning::NotRegular { .. } => "named pipes, devices or sockets left out",
            DatasetWarning::DanglingLink { .. } => "links left out, which lead nowhere",
            DatasetWarning::RowsWithout { .. } => "rows left out, which lack a label or split",
            DatasetWarning::FileNotRead { .. } => "files not read",
            DatasetWarning::ColumnsNotUsed { .. } => "tables with columns that are not used",
            DatasetWarning::NameNotUsed { .. } => "lines of names files that name no class here",
            DatasetWarning::PictureMissing { .. } => "pictures that a table names are not there",
        }
    }

    /// Samples or things that this warning speaks of.
    fn amount(&self) -> usize {
        match self {
            DatasetWarning::ClassNotListed { samples, .. } => *samples,
            DatasetWarning::PicturesElsewhere { pictures, .. } => *pictures,
            DatasetWarning::RowsWithout { rows, .. } => *rows,
            _ => 1,
        }
    }

    fn example(&self) -> String {
        match self {
            DatasetWarning::ClassNotListed { class, samples } => format!("`{class}` {samples}"),
            DatasetWarning::FolderIgnored { path }
            | DatasetWarning::FolderNotEntered { path }
            | DatasetWarning::NotRegular { path }
            | DatasetWarning::DanglingLink { path } => path.display().to_string(),
            DatasetWarning::PicturesElsewhere { path, pictures } => {
                format!("{}: {pictures}", path.display())
            }
            DatasetWarning::RowsWithout { column, file, rows } => {
                format!("{}, `{column}`: {rows}", file.display())
            }
            DatasetWarning::FileNotRead { path, reason } => {
                format!("{}: {reason}", path.display())
            }
            DatasetWarning::ColumnsNotUsed { path, columns } => {
                format!("{}: {}", path.display(), columns.join(", "))
            }
            DatasetWarning::NameNotUsed { path, line, text } => {
                format!("{}:{line}: `{text}`", path.display())
            }
            DatasetWarning::PictureMissing { path, picture } => {
                format!("{}: {picture}", path.display())
            }
        }
    }

    /// One line for each kind of warning, with its count and the first few examples, in the order of the first of each.
    pub fn by_kind(warnings: &[DatasetWarning]) -> Vec<String> {
        const EXAMPLES: usize = 3;
        let mut kinds: Vec<(&str, Vec<&DatasetWarning>)> = Vec::new();
        for warning in warnings {
            let kind = warning.kind();
            match kinds.iter_mut().find(|(known, _)| *known == kind) {
                Some((_, those)) => those.push(warning),
                None => kinds.push((kind, vec![warning])),
            }
        }
        let line = |(kind, those): (&str, Vec<&DatasetWarning>)| {
            if let [only] = those.as_slice() {
                return only.to_string();
            }
            let total: usize = those.iter().map(|w| w.amount()).sum();
            let mut examples: Vec<String> =
                those.iter().take(EXAMPLES).map(|w| w.example()).collect();
            if those.len() > EXAMPLES {
                examples.push("..".to_owned());
            }
            format!("{total} {kind} ({})", examples.join("; "))
        };
        kinds.into_iter().map(line).collect()
    }
}

impl fmt::Display for DatasetWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatasetWarning::ClassNotListed { class, samples } => {
                write!(
                    f,
                    "class `{class}` is not in the label space: {samples} samples left out"
                )
            }
            DatasetWarning::FolderIgnored { path } => {
                write!(
                    f,
                    "{} holds no pictures where this layout has them: left out",
                    path.display()
                )
            }
            DatasetWarning::PicturesElsewhere { path, pictures } => {
                write!(
                    f,
                    "{pictures} pictures directly in {} left out: this layout has none there",
                    path.display()
                )
            }
            DatasetWarning::FolderNotEntered { path } => {
                write!(
                    f,
                    "{} is not entered: it links to a folder that holds it, or lies too deep",
                    path.display()
                )
            }
            DatasetWarning::NotRegular { path } => {
                write!(
                    f,
                    "{} is a named pipe, device or socket: left out",
                    path.display()
                )
            }
            DatasetWarning::DanglingLink { path } => {
                write!(
                    f,
                    "{} is a link that leads nowhere: left out",
                    path.display()
                )
            }
            DatasetWarning::RowsWithout { column, file, rows } => {
                write!(
                    f,
                    "{}: {rows} rows without `{column}` left out",
                    file.display()
                )
            }
            DatasetWarning::FileNotRead { path, reason } => {
                write!(f, "{} is not read: {reason}", path.display())
            }
            DatasetWarning::ColumnsNotUsed { path, columns } => {
                write!(
                    f,
                    "{}: columns that are not used: {}",
                    path.display(),
                    columns.join(", ")
                )
            }
            DatasetWarning::NameNotUsed { path, line, text } => {
                write!(
                    f,
                    "{}:{line}: `{text}` names no class of this data",
                    path.display()
                )
            }
            DatasetWarning::PictureMissing { path, picture } => {
                write!(f, "{} names {picture}, which is not there", path.display())
            }
        }
    }
}
