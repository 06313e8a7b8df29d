//! What README.md and docs/ show is what the program takes: every `promptfed` line parses, every TOML block is read.

use crate::config;
use anyhow::{Context, Result, bail, ensure};
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use promptfed_prompts::protocol::FusePlan;
use promptfed_prompts::{LabelSpace, TemplateSet};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// A fenced block of a page.
struct Block {
    page: PathBuf,
    language: String,
    text: String,
}

/// README.md and the pages of docs/, in order.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(root.join("docs")).unwrap();
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|e| e == "md"));
    pages.push(root.join("README.md"));
    pages.sort();
    pages
}

/// The blocks of this language on all pages.
fn blocks(language: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut is_inside = false;
        for line in text.lines() {
            if let Some(of) = line.trim_start().strip_prefix("```") {
                is_inside = !is_inside;
                if is_inside {
                    blocks.push(Block {
                        page: page.clone(),
                        language: of.trim().to_owned(),
                        text: String::new(),
                    });
                }
            } else if let Some(block) = blocks.last_mut().filter(|_| is_inside) {
                block.text += line;
                block.text.push('\n');
            }
        }
        assert!(!is_inside, "{}: a block has no end", page.display());
    }
    blocks.retain(|block| block.language == language);
    assert!(!blocks.is_empty(), "no block of {language}");
    blocks
}

/// The words of a line as a shell splits it, each operator and comment by itself as its end.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut quote, mut is_word) = (None, false);
    for character in line.chars().chain([' ']) {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') => (quote, is_word) = (Some(character), true),
            (None, '#') if !is_word => break,
            (None, ' ' | ';' | '|' | '>' | '&') => {
                if is_word {
                    words.push(std::mem::take(&mut word));
                }
                if character != ' ' {
                    words.push(character.to_string());
                }
                is_word = false;
            }
            _ => {
                word.push(character);
                is_word = true;
            }
        }
    }
    words
}

/// The command lines of the program in a shell's text, one for each time that it is called; loops run with their first value.
fn calls(text: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    let mut variables: HashMap<String, String> = HashMap::new();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.replace("cargo run --release -- ", "promptfed ");
        let words = words(&line);
        if let [first, name, second, value, ..] = words.as_slice()
            && first == "for"
            && second == "in"
        {
            variables.insert(format!("${name}"), value.clone());
        }
        let is_end = |word: &String| [";", "|", ">", "&"].contains(&word.as_str());
        for part in words.split(is_end) {
            let Some(start) = part.iter().position(|word| word == "promptfed") else {
                continue;
            };
            let told = |word: &String| {
                let known = variables.iter();
                known.fold(word.clone(), |word, (name, value)| {
                    word.replace(name, value)
                })
            };
            calls.push(part[start..].iter().map(told).collect());
        }
    }
    calls
}

/// Parses what a shell's text calls the program with, as it does itself.
pub(crate) fn parse(root: &Command, text: &str) -> Result<usize> {
    let calls = calls(text);
    for call in &calls {
        let shown = call.join(" ");
        let matches = match root.clone().try_get_matches_from(call) {
            Err(error) if is_exported(&error, text) => continue,
            matches => matches.with_context(|| shown.clone())?,
        };
        crate::commands::refuse_idle(&matches).with_context(|| shown.clone())?;
    }
    Ok(calls.len())
}

/// Whether all that is missing are flags whose environment variables the text sets.
fn is_exported(error: &clap::Error, text: &str) -> bool {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return false;
    };
    let sets = |argument: &String| {
        let flag = argument.split(' ').next().unwrap_or_default();
        let name = flag
            .trim_start_matches('-')
            .replace('-', "_")
            .to_uppercase();
        text.contains(&format!("PROMPTFED_{name}="))
    };
    error.kind() == ErrorKind::MissingRequiredArgument && missing.iter().all(sets)
}

fn root() -> Command {
    let mut root = crate::command();
    root.build();
    root
}

#[test]
fn every_command_line_parses() {
    let root = root();
    let mut parsed = 0;
    for block in blocks("sh") {
        parsed += parse(&root, &block.text)
            .with_context(|| block.page.display().to_string())
            .unwrap();
    }
    // README.md alone has nine.
    assert!(parsed > 30, "{parsed}");
}

#[test]
fn a_shell_s_text_is_split_as_a_shell_does() {
    let text = "for g in all photo; do promptfed synth --engine pocket:$g \\\n  --out \"a b\"; done   # a set each\n\
                cargo run --release -- demo # all\npromptfed man | man -l -\ncargo test --release\n";
    let expected: [&[&str]; 3] = [
        &[
            "promptfed",
            "synth",
            "--engine",
            "pocket:all",
            "--out",
            "a b",
        ],
        &["promptfed", "demo"],
        &["promptfed", "man"],
    ];
    assert_eq!(calls(text), expected);
    let root = root();
    for wrong in ["promptfed synth --stepz 3", "promptfed fly"] {
        assert!(parse(&root, wrong).is_err(), "{wrong}");
    }
}

#[test]
fn every_toml_block_is_read() {
    let root = root();
    for block in blocks("toml") {
        read(&root, &block.text)
            .with_context(|| format!("{}:\n{}", block.page.display(), block.text))
            .unwrap();
    }
}

/// Reads a block as what its keys say that it is.
fn read(root: &Command, text: &str) -> Result<()> {
    let table: Table = text.parse()?;
    if table.contains_key("dependencies") {
        // Cargo's.
        return Ok(());
    }
    if table.contains_key("classes") {
        LabelSpace::from_toml(text)?;
        return Ok(());
    }
    if table.contains_key("templates") {
        TemplateSet::from_toml(text)?;
        return Ok(());
    }
    match table.get("data") {
        Some(data) => grid(root, &table, data),
        None => settings(root, &table, text),
    }
}

/// A grid of `promptfed compare`: its keys are flags.
fn grid(root: &Command, table: &Table, data: &Value) -> Result<()> {
    let compare = root.find_subcommand("compare").context("compare")?;
    let sets = data.as_array().context("[[data]]")?;
    let tables = table.get("settings").into_iter().chain(sets);
    for table in tables {
        for (key, value) in table.as_table().context("a table")? {
            if !["name", "partitions"].contains(&key.as_str()) {
                config::flags_of(compare, key, value)?;
            }
        }
    }
    Ok(())
}

/// A promptfed.toml: every table that it has gives its command flags which parse.
fn settings(root: &Command, table: &Table, text: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("promptfed.toml");
    std::fs::write(&file, text)?;
    let mut paths = Vec::new();
    commands(table, &[], &mut paths);
    if paths.is_empty() {
        // Engines alone are read with any command.
        paths.push(vec!["synth".to_owned()]);
    }
    let mut taken = 0;
    for path in &paths {
        let mut args: Vec<OsString> = vec!["promptfed".into(), "--config".into(), (&file).into()];
        args.extend(path.iter().map(OsString::from));
        let merged = config::merge(args, root)?;
        taken += merged.taken.len() + merged.backends.len();
        match root.clone().try_get_matches_from(merged.args) {
            // The rest stands on the command line.
            Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => bail!(error),
            _ => {}
        }
    }
    ensure!(taken > 0, "nothing of it is read");
    Ok(())
}

/// The commands whose flags stand in a table and those in it.
fn commands(table: &Table, above: &[&str], paths: &mut Vec<Vec<String>>) {
    let is_flag = |value: &Value| !value.is_table() && !value.is_array();
    if !above.is_empty() && table.values().any(is_flag) {
        paths.push(above.iter().map(ToString::to_string).collect());
    }
    for (name, value) in table {
        if let Value::Table(inner) = value {
            commands(inner, &[above, &[name.as_str()]].concat(), paths);
        }
    }
}

#[test]
fn the_fusion_of_a_round_is_a_plan() {
    let plans: Vec<Block> = blocks("json")
        .into_iter()
        .filter(|block| block.page.ends_with("docs/fusion.md"))
        .collect();
    assert!(!plans.is_empty());
    for block in plans {
        serde_json::from_str::<FusePlan>(&block.text).unwrap();
    }
}
