//! `promptfed completions` and `promptfed man`: what shells and manuals want to know of the commands.

use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use clap_complete::Shell;
use serde_json::json;
use std::path::PathBuf;

/// Print what completes commands and flags in a shell.
///
/// bash: promptfed completions bash > ~/.local/share/bash-completion/completions/promptfed; zsh: into a file _promptfed in a folder of $fpath;
/// fish: promptfed completions fish > ~/.config/fish/completions/promptfed.fish.
#[derive(ClapArgs)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write one for each command.
///
/// promptfed man | man -l - shows it; promptfed man --out ~/.local/share/man/man1 installs all pages.
#[derive(ClapArgs)]
pub(crate) struct ManArgs {
    /// Folder for the pages of all commands, in place of printing the first
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(crate) fn completions(args: CompletionsArgs, context: &Context) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "promptfed", &mut script);
    let script = String::from_utf8_lossy(&script);
    if context.json {
        println!(
            "{}",
            json!({ "shell": args.shell.to_string(), "script": script })
        );
    } else {
        println!("{}", script.trim_end());
    }
    Ok(())
}

pub(crate) fn man(args: ManArgs, context: &Context) -> Result<()> {
    let Some(out) = args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(crate::command()).render(&mut page)?;
        let page = String::from_utf8_lossy(&page);
        if context.json {
            println!("{}", json!({ "page": page }));
        } else {
            println!("{}", page.trim_end());
        }
        return Ok(());
    };
    fs_err::create_dir_all(&out)?;
    clap_mangen::generate_to(crate::command(), &out)?;
    if context.json {
        println!("{}", json!({ "out": out.display().to_string() }));
    } else {
        println!("a page for each command in {}", out.display());
    }
    Ok(())
}
