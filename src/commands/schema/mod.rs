//! `promptfed schema`: what commands print with --json, as JSON Schema.

mod documents;

use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::Args as ClapArgs;
use serde_json::{Map, json};

/// Print the JSON Schema (draft 2020-12) of what a command prints with --json.
///
/// Without a command: the names of all, and with --json their schemas. `error` is what a command prints that failed. Later versions may add
/// properties to objects; what is listed as required stays.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// The command as it is typed (synth, round open), or error
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let name = args.command.join(" ");
    if !name.is_empty() {
        println!("{}", serde_json::to_string_pretty(&schema(&name)?)?);
        return Ok(());
    }
    if !context.json {
        println!("{}", documents::names().collect::<Vec<_>>().join("\n"));
        return Ok(());
    }
    let mut schemas = Map::new();
    for name in documents::names() {
        schemas.insert(name.to_owned(), schema(name)?);
    }
    println!("{}", json!({ "schemas": schemas }));
    Ok(())
}

fn schema(name: &str) -> Result<serde_json::Value> {
    documents::schema(name)?.ok_or_else(|| {
        let known = documents::names().collect::<Vec<_>>().join(", ");
        let text = format!("there is no schema of {name:?}; there are those of {known}");
        anyhow::Error::msg(text).context(BadInput)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;
    use promptfed_prompts::ledger::PayloadKind;
    use std::collections::BTreeSet;

    /// The commands that do something by themselves, as they are typed.
    fn commands(command: &Command, path: &str, found: &mut BTreeSet<String>) {
        for below in command.get_subcommands() {
            if below.get_name() == "help" {
                continue;
            }
            let path = format!("{path} {}", below.get_name())
                .trim_start()
                .to_owned();
            if !below.is_subcommand_required_set() {
                found.insert(path.clone());
            }
            commands(below, &path, found);
        }
    }

    #[test]
    fn every_command_has_a_schema_and_every_schema_a_command() {
        let mut root = crate::command();
        root.build();
        let mut typed = BTreeSet::new();
        commands(&root, "", &mut typed);
        typed.insert("error".to_owned());
        let known: BTreeSet<String> = documents::names().map(str::to_owned).collect();
        assert_eq!(known, typed);
        for name in typed {
            let schema = schema(&name).unwrap();
            assert_eq!(schema["$schema"], documents::DRAFT, "{name}");
        }
    }

    #[test]
    fn kinds_of_bytes_are_those_that_ledgers_tell() {
        let schema = schema("compare").unwrap();
        let kinds = serde_json::to_value(PayloadKind::ALL).unwrap();
        assert_eq!(schema["$defs"]["PayloadKind"]["enum"], kinds);
    }

    #[test]
    fn what_is_no_command_is_answered_with_what_there_is() {
        let told = format!("{:#}", schema("paint").unwrap_err());
        assert!(
            told.contains("paint") && told.contains("round open"),
            "{told}"
        );
    }
}
