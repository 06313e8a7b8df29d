//! `promptfed label-space`: the classes that a federation speaks of.

use super::data::{self, LayoutArg};
use super::out_file::{refuse_other, refuse_to_replace};
use crate::Context;
use anyhow::{Context as _, Result};
use clap::{Args as ClapArgs, Subcommand};
use promptfed_prompts::same_name::composed;
use promptfed_prompts::{ContentHash, LabelSpace, MAX_CLASS_NAME_BYTES};
use serde_json::json;
use std::path::{Path, PathBuf};

/// The classes of a federation: take them from data, show the built-in ones.
///
/// A label space is a TOML file: the classes in their order, what prompts call them, and under which other names data sets file
/// them. Clients and server share it: `promptfed round open FILE` gives it to a round, `promptfed extract --round` takes it from there.
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the classes of labelled images to a file
    From(FromArgs),
    /// List the built-in label spaces
    List,
    /// Show a label space as the file that it can be written as
    Show {
        /// A built-in name or a TOML file
        name: String,
    },
}

#[derive(ClapArgs)]
struct FromArgs {
    /// Folder, list or Parquet file of labelled images
    data: PathBuf,
    /// How the data lies on disk
    #[arg(long, value_enum, default_value = "auto")]
    layout: LayoutArg,
    /// Which split to read where several lie there (train, test, ...)
    #[arg(long)]
    split: Option<String>,
    /// Where the label space goes
    #[arg(long, value_name = "FILE", default_value = "label-space.toml")]
    out: PathBuf,
    /// Replace the file of --out where it holds something else
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    match args.command {
        Command::From(args) => {
            promptfed_files::prove_writable(&args.out)?;
            let space = of_data(&args.data, args.layout, args.split, Some(&args.out))?;
            let file = space.to_toml();
            refuse_other(
                "--out",
                &args.out,
                ContentHash::of(file.as_bytes()),
                args.force,
            )?;
            promptfed_files::write_whole(&args.out, file.as_bytes())?;
            let names: Vec<&str> = space.classes().iter().map(|c| c.name.as_str()).collect();
            if context.json {
                println!(
                    "{}",
                    json!({ "out": args.out.display().to_string(), "name": space.name(), "hash": space.hash(), "classes": names })
                );
            } else {
                println!(
                    "{}: {} classes ({}), hash {}\nSee that prompt_name says in words what each class is; then `promptfed round open {0}`, or \
                     `promptfed extract --label-space {0}`.",
                    args.out.display(),
                    names.len(),
                    few(&names),
                    space.hash()
                );
            }
        }
        Command::List => {
            let spaces = LabelSpace::builtin_names().into_iter();
            let spaces = spaces
                .map(LabelSpace::builtin)
                .collect::<Result<Vec<_>, _>>()?;
            if context.json {
                let shown = spaces.iter();
                let shown = shown
                    .map(|s| json!({ "name": s.name(), "hash": s.hash(), "classes": s.len() }));
                println!("{}", json!({ "label_spaces": shown.collect::<Vec<_>>() }));
            } else {
                for space in &spaces {
                    let names: Vec<&str> =
                        space.classes().iter().map(|c| c.name.as_str()).collect();
                    println!(
                        "{}: {} classes ({})",
                        space.name(),
                        names.len(),
                        few(&names)
                    );
                }
            }
        }
        Command::Show { name } => {
            let space = data::label_space(&name)?;
            if context.json {
                println!("{}", json!({ "hash": space.hash(), "label_space": space }));
            } else {
                println!("{}", space.to_toml().trim_end());
            }
        }
    }
    Ok(())
}

/// A built-in label space, one from a TOML file, or the classes of data.
pub(crate) fn named_or_of_data(name: &str) -> Result<LabelSpace> {
    let path = Path::new(name);
    let is_list = path.extension().is_some_and(|extension| {
        ["parquet", "txt", "csv"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    });
    let is_built_in = LabelSpace::builtin_names().contains(&name);
    if is_built_in || !(path.is_dir() || is_list) {
        return data::label_space(name);
    }
    of_data(path, LayoutArg::Auto, None, None).with_context(|| {
        format!("the classes of {name} cannot be taken as they are; `promptfed label-space from {name} --layout ..` writes them to a file to give here")
    })
}

/// The classes of data, to be written to `out`, where they are.
fn of_data(
    path: &Path,
    layout: LayoutArg,
    split: Option<String>,
    out: Option<&Path>,
) -> Result<LabelSpace> {
    let dataset = data::open(path, layout.into(), split, None)?;
    if let Some(out) = out {
        refuse_to_replace(out, path, &dataset, &[])?;
    }
    let names = dataset.class_names.iter().map(String::as_str);
    let name = name_of(path);
    // Words that nobody has seen yet are written to a file, and into no prompt.
    Ok(match out {
        Some(_) => LabelSpace::from_counted_names(name, names)?,
        None => LabelSpace::from_names(name, names)?,
    })
}

/// The name of the folder or file, as far as a label space may have it.
fn name_of(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let stem = absolute.file_stem().map(|stem| stem.to_string_lossy());
    let mut name: String = composed(&stem.unwrap_or_default())
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    name.truncate(name.floor_char_boundary(MAX_CLASS_NAME_BYTES));
    match LabelSpace::from_names(name.trim(), ["class"]) {
        Ok(space) => space.name().to_owned(),
        Err(_) => "data".to_owned(),
    }
}

fn few(names: &[&str]) -> String {
    const SHOWN: usize = 10;
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
}
