//! `promptfed write`: prompts to more prompts.

mod report;
mod writer;

use self::report::Report;
use self::writer::WriterArgs;
use crate::commands::engines::EngineArgs;
use crate::commands::synth::prompts_file;
use crate::exit::BadInput;
use crate::{Context, interrupt};
use anyhow::{Context as _, Result, bail};
use clap::{ArgMatches, Args as ClapArgs};
use promptfed_files::{prove_writable, write_whole};
use promptfed_synth::writers::check::Limits;
use promptfed_synth::writers::{Examples, Journal, WritingSpec, write};
use promptfed_synth::{Generator, weights_note};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Write more prompts for the classes and domains of a prompt file.
///
/// A grammar, or a language model, varies what clients released; every text is checked before it is kept: it names its class
/// and no other, keeps the template's words and language, is read to its end, and is no near copy of a client's caption. The
/// result is a file for `promptfed synth --prompts`; beside it lies a record of settings, seed, hashes and of what was
/// refused and why. No writer is told a client's caption. With a language model the work can be stopped and started again.
///
/// Try it: `promptfed extract photos/`, `promptfed write prompts.json --out written.jsonl`, `promptfed synth --prompts
/// written.jsonl --label-space NAME --out images`.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// prompts.json of `promptfed extract`, or a .jsonl file as `promptfed synth` reads it, whose prompts are then the
    /// beginnings of what is written
    #[arg(value_name = "PROMPTS")]
    prompts: PathBuf,
    /// Classes of the prompts: a built-in name or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    label_space: Option<String>,
    #[command(flatten)]
    writer: WriterArgs,
    /// Prompts to write for each prompt
    #[arg(long, value_name = "N", default_value_t = 4)]
    per_prompt: u32,
    /// Seed of what is written
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where the written prompts go: a .jsonl file
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace --out where it is there
    #[arg(long)]
    force: bool,
    /// The generator that will read the prompts, whose words and length they keep to; may be given several times. Named
    /// as for `promptfed synth`; none for one that cannot be asked here [default: pocket]
    #[arg(long, value_name = "NAME[:ARG]")]
    engine: Vec<String>,
    /// Longest prompt in characters, up to 400
    #[arg(long, value_name = "N", default_value_t = Limits::default().longest as u16, value_parser = clap::value_parser!(u16).range(1..=400))]
    max_characters: u16,
    /// Candidates to ask the writer for, for each prompt wanted, before fewer are enough
    #[arg(long, value_name = "N", default_value_t = 8)]
    candidates: u32,
}

/// Refuses flags that the writer has no use for.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    writer::refuse_idle(matches)
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    check_out(&args)?;
    let prompts = prompts_file(&args.prompts, args.label_space.as_deref())?;
    if let Some(note) = weights_note(&prompts)? {
        eprintln!("warning: {note}");
    }
    let examples = match args.writer.examples() {
        Some(file) => Examples::read(file, prompts.label_space())?,
        None => Examples::default(),
    };
    let spec = WritingSpec {
        per_prompt: args.per_prompt,
        candidates: args.candidates,
        seed: args.seed,
        limits: Limits {
            longest: args.max_characters.into(),
            ..Limits::default()
        },
        examples,
        ..WritingSpec::new(prompts)
    };
    let cancel = interrupt::flag();
    let readers = readers(&args, context, &cancel)?;
    let readers: Vec<&dyn Generator> = readers.iter().map(AsRef::as_ref).collect();
    let mut writer = args.writer.open(args.seed, &readers, &cancel)?;
    let mut journal = args
        .writer
        .is_slow()
        .then(|| Journal::open(&beside(&args.out, ".unfinished")))
        .transpose()?;

    let bar = context.progress.bar("prompts", 1);
    let written = write(
        writer.as_mut(),
        &readers,
        &spec,
        journal.as_mut(),
        &mut |progress| {
            bar.set_length(progress.wanted);
            bar.set_position(progress.written);
            bar.set_message(format!("{} refused", progress.refused));
        },
        &cancel,
    )?;
    bar.finish_and_clear();
    if written.cancelled {
        return Err(anyhow::Error::msg(interrupt::Interrupted));
    }
    let record_file = beside(&args.out, ".record.json");
    let report = Report {
        written: &written,
        out: &args.out,
        record_file: &record_file,
    };
    if written.prompts.is_empty() {
        return Err(report.nothing());
    }
    write_whole(&record_file, report.record()?.as_bytes())?;
    write_whole(&args.out, written.to_json_lines().as_bytes())?;
    if let Some(journal) = journal {
        journal.remove()?;
    }
    if context.json {
        println!("{}", report.json());
    } else {
        println!("{}", report.text());
    }
    match report.empty_classes() {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// The generators whose words and length the prompts keep to.
fn readers(
    args: &Args,
    context: &Context,
    cancel: &Arc<AtomicBool>,
) -> Result<Vec<Box<dyn Generator>>> {
    if args.engine == ["none"] {
        return Ok(Vec::new());
    }
    let engines = EngineArgs::of(args.engine.clone());
    let mut readers = Vec::new();
    for backend in engines.backends(context)? {
        if backend.engine().is_service() {
            let text = format!(
                "--engine {}: what another machine's generator knows and reads cannot be asked here; give none",
                backend.engine()
            );
            bail!(anyhow::Error::msg(text).context(BadInput));
        }
    }
    for prepared in engines.prepare(args.seed, context)? {
        readers.push(prepared.load(cancel)?);
    }
    Ok(readers)
}

/// Refuses a result that could not be used, or would take the place of something.
fn check_out(args: &Args) -> Result<()> {
    let is_lines = args
        .out
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("jsonl") || e.eq_ignore_ascii_case("ndjson"));
    let refuse = |reason: &str| -> Result<()> {
        bail!(anyhow::Error::msg(format!("{}: {reason}", args.out.display())).context(BadInput))
    };
    if !is_lines {
        return refuse(
            "promptfed synth reads written prompts by their ending; give a name that ends with .jsonl",
        );
    }
    let place = |path: &Path| fs_err::canonicalize(path).ok();
    if place(&args.out).is_some() && place(&args.out) == place(&args.prompts) {
        return refuse("it is the file whose prompts are read; give the result another name");
    }
    if args.out.try_exists().context("--out")? && !args.force {
        return refuse("it is there; give --force to replace it, or another name");
    }
    for file in [&args.out, &beside(&args.out, ".record.json")] {
        prove_writable(file)?;
    }
    Ok(())
}

/// The name of a file beside another: with an ending more.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
