//! What a grid's file says.

use crate::commands::compare::{Args, idle};
use crate::commands::idle::is_given;
use crate::config::flags_of;
use crate::exit::BadInput;
use anyhow::{Context as _, Result, bail};
use clap::{Arg, ArgMatches, Args as _, Command, FromArgMatches};
use promptfed_eval::report::grid_folder;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The longest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// What may stand beside a grid on the command line: the rest stands in its file.
const BESIDE: [&str; 11] = [
    "grid",
    "data_root",
    "out",
    "force",
    "resume",
    "retry_failed",
    "jobs",
    "config",
    "json",
    "quiet",
    "precision",
];

/// What is said of a whole grid.
const OF_ALL: [&str; 6] = [
    "data-root",
    "out",
    "force",
    "resume",
    "retry-failed",
    "jobs",
];

/// Flags that name data sets.
const OF_DATA: [&str; 3] = ["private", "test", "public"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grid {
    #[serde(default)]
    settings: toml::Table,
    data: Vec<DataSet>,
}

#[derive(Deserialize)]
struct DataSet {
    name: String,
    partitions: Vec<String>,
    /// Flags of its own.
    #[serde(flatten)]
    flags: toml::Table,
}

/// A comparison of a grid.
pub(super) struct Cell {
    pub(super) data: String,
    pub(super) partition: String,
    pub(super) folder: PathBuf,
    pub(super) args: Args,
}

/// Refuses flags that stand beside a grid and belong into its file.
pub(in crate::commands::compare) fn refuse_beside(matches: &ArgMatches) -> Result<()> {
    let command = command();
    let mut arguments = command.get_arguments();
    let beside = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        !BESIDE.contains(&id) && is_given(matches, id)
    };
    if let Some(first) = arguments.find(beside) {
        let name = first.get_long().unwrap_or_default();
        let text = format!(
            "--{name} stands beside a grid, on the command line or in promptfed.toml; write it into the grid's file, under [settings] or in a [[data]] table"
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    Ok(())
}

/// What a cell's flags are read by.
fn command() -> Command {
    let mut command = Args::augment_args(Command::new("compare").no_binary_name(true));
    command.build();
    command
}

/// The comparisons of a file, everything in it checked as far as the command line checks it.
///
/// Data sets with relative paths lie below `root`.
pub(super) fn cells(file: &Path, out: &Path, root: &Path) -> Result<Vec<Cell>> {
    let place = || file.display().to_string();
    let text = promptfed_files::read_text(file, MAX_BYTES)?;
    let grid: Grid = toml::from_str(&text).with_context(place)?;
    let mut command = command();
    let mut cells = Vec::new();
    let mut folders = BTreeSet::new();
    for DataSet {
        name,
        partitions,
        flags,
    } in &grid.data
    {
        if partitions.is_empty() {
            bail!(
                "{}: {name} has no partitions; name at least one, as \"iid:5\"",
                file.display()
            );
        }
        for partition in partitions {
            let place = || format!("{}: {name}, {partition}", file.display());
            let folder = out.join(grid_folder(name, partition));
            if !folders.insert(folder.clone()) {
                bail!(
                    "{}: another has the folder {} too; give each data set a name of its own, and name each partition once",
                    place(),
                    folder.display()
                );
            }
            let mut keys = grid.settings.keys().chain(flags.keys());
            if let Some(key) = keys.find(|key| OF_ALL.contains(&key.as_str())) {
                bail!(
                    "{}: `{key}` is said of the whole grid; give --{key} on the command line",
                    place()
                );
            }
            let mut line: Vec<OsString> = Vec::new();
            for (key, value) in grid
                .settings
                .iter()
                .filter(|(key, _)| !flags.contains_key(*key))
            {
                line.extend(flags_of(&command, key, &below(root, key, value)).with_context(place)?);
            }
            for (key, value) in flags {
                line.extend(flags_of(&command, key, &below(root, key, value)).with_context(place)?);
            }
            line.push(format!("--partition={partition}").into());
            let matches = command
                .try_get_matches_from_mut(line)
                .map_err(|error| anyhow::Error::msg(crate::exit::in_one_line(&error.to_string())))
                .with_context(place)?;
            idle::refuse_idle(&matches).with_context(place)?;
            let args = Args::from_arg_matches(&matches)?;
            cells.push(Cell {
                data: name.clone(),
                partition: partition.clone(),
                folder,
                args,
            });
        }
    }
    if cells.is_empty() {
        bail!(
            "{}: has no [[data]]; write a table for each data set",
            file.display()
        );
    }
    Ok(cells)
}

/// A flag's value: the path of a data set below the folder of all.
fn below(root: &Path, key: &str, value: &toml::Value) -> toml::Value {
    match value {
        toml::Value::String(path) if OF_DATA.contains(&key) => {
            toml::Value::String(root.join(path).to_string_lossy().into_owned())
        }
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promptfed_eval::methods::MethodName;
    use promptfed_prompts::LabelSpace;

    /// Files of `eval/grids/`, in order.
    fn committed() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/grids");
        let entries = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
        files.sort();
        files
    }

    /// Data sets by the folder or the beginning of the file below the folder of all.
    const DATA_SETS: [&str; 8] = [
        "domainnet",
        "emoji",
        "imagenet",
        "imagenette",
        "office_caltech10",
        "pacs",
        "tinynet10",
        "wbc_sites",
    ];

    #[test]
    fn every_committed_grid_is_one() {
        let files = committed();
        assert!(files.len() >= 5, "{files:?}");
        for file in files {
            let cells = cells(&file, Path::new("out"), Path::new("root")).unwrap();
            for Cell { data, args, .. } in cells {
                let place = format!("{}, {data}", file.display());
                let paths = [&args.private, &args.test, &args.public];
                for path in paths.into_iter().flatten() {
                    let below = path.strip_prefix("root").expect(&place);
                    let name = below.iter().next().unwrap().to_str().unwrap();
                    assert!(DATA_SETS.contains(&name), "{place}: {name}");
                }
                assert!(args.private.is_some() && args.test.is_some(), "{place}");
                if let Some(file) = args.read.label_space_file() {
                    let text = std::fs::read_to_string(file).expect(&place);
                    LabelSpace::from_toml(&text).expect(&place);
                }
                let needs_public = args.setting.methods.iter().any(|m| m.name.needs_public());
                assert!(args.public.is_some() || !needs_public, "{place}");
            }
        }
    }

    #[test]
    fn the_grid_of_every_method_has_every_method_on_every_data_set() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("eval/grids/32px.toml");
        for Cell { data, args, .. } in cells(&file, Path::new("out"), Path::new("root")).unwrap() {
            for name in MethodName::ALL {
                let is_there = args.setting.methods.iter().any(|m| m.name == name);
                assert!(is_there, "{data}: {name}");
            }
        }
    }

    #[test]
    fn only_relative_paths_of_data_lie_below_the_root() {
        let of = |key: &str, path: &str| {
            let value = below(Path::new("all"), key, &toml::Value::String(path.to_owned()));
            value.as_str().unwrap().to_owned()
        };
        assert_eq!(
            Path::new(&of("private", "pets/private")),
            Path::new("all/pets/private")
        );
        assert_eq!(of("label-space", "pets.toml"), "pets.toml");
        assert_eq!(of("test", "/pets/test"), "/pets/test");
    }
}
