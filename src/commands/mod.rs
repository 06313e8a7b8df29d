//! The commands, one file each.

mod agreed;
mod backup;
mod client;
mod compare;
mod comparison_folder;
mod data;
mod demo;
mod domain;
mod engines;
mod evaluate;
mod export;
mod extract;
mod feedback;
mod filter;
mod fuse;
mod fusion;
mod idle;
mod label_space;
mod methods;
mod model;
mod out_file;
mod partition;
mod precision;
mod predict;
mod preview;
mod quality;
mod recipe;
mod register;
mod release;
mod round;
mod round_open;
mod round_view;
mod schema;
mod serve;
mod sets;
mod shell;
mod submit;
mod synth;
mod train;
mod trust;
mod words;
mod write;

pub(crate) use self::trust::prefer_flag;
use crate::Context;
use anyhow::Result;
use clap::{ArgMatches, Subcommand};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the whole loop on bundled drawings and compare it with federated averaging
    Demo(demo::Args),
    /// Client: turn private images into prompts, and show what would leave the machine
    Extract(extract::Args),
    /// The classes of a federation: take them from data, show the built-in ones
    LabelSpace(label_space::Args),
    /// Client: send extracted prompts to a server's round
    Submit(submit::Args),
    /// Server: accept prompts, synthesise, train, hand out the model
    Serve(serve::Args),
    /// Server administration: copy a server's data folder while the server works
    Backup(backup::BackupArgs),
    /// Server administration: put a copy of a data folder where a server can use it
    Restore(backup::RestoreArgs),
    /// Server administration: give clients their tokens
    Register(register::Args),
    /// Server administration: clients and their tokens
    Client(client::Args),
    /// Rounds of a server: open, watch, close, fetch the results and the model
    Round(round::Args),
    /// Write more prompts for the classes and domains of a prompt file
    Write(write::Args),
    /// Turn prompts into a labelled set of training images
    Synth(synth::Args),
    /// Choose images of several synthetic sets by what they teach, and weigh them
    Fuse(fuse::Args),
    /// Write a fused set (folder or Parquet shards) or a classifier (ONNX) for other programs
    Export(export::Args),
    /// Client: score generators by private images, a handful of numbers for `fuse`
    Feedback(feedback::Args),
    /// Train the classifier on labelled images, real or synthetic
    Train(train::Args),
    /// Test a trained classifier on labelled images
    Evaluate(evaluate::Args),
    /// Name what pictures show with a trained classifier
    Predict(predict::Args),
    /// Measure a synthetic set beside real images: fidelity, variety, near copies
    Quality(quality::Args),
    /// Deal a data set to clients and show who holds what
    Partition(partition::Args),
    /// Compare generative learning with federated averaging and central training on your own data
    Compare(compare::Args),
    /// List the methods that `compare` knows: what each shares, and what it can be told
    Methods(methods::Args),
    /// Print the JSON Schema of what a command prints with --json
    Schema(schema::Args),
    /// Print what completes commands and flags in a shell
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(shell::ManArgs),
}

/// Refuses flags that would have no effect beside the others of a command line, and tells of those that mean something else there.
///
/// # Errors
/// Names them and what would give them an effect.
pub(crate) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    let Some((command, matches)) = matches.subcommand() else {
        return Ok(());
    };
    match command {
        "extract" => extract::refuse_idle(matches)?,
        "compare" => compare::refuse_idle(matches)?,
        "synth" => synth::refuse_idle(matches)?,
        "fuse" => fusion::refuse_idle(matches, &["image_size"])?,
        "feedback" => feedback::refuse_idle(matches)?,
        "quality" => idle::refuse(
            matches,
            &["precision"],
            "here, where features are always computed in f32",
        )?,
        "write" => {
            write::refuse_idle(matches)?;
            idle::refuse(
                matches,
                &["precision"],
                "here, where a language model computes as its file says",
            )?;
        }
        "register" => register::refuse_idle(matches)?,
        "client" => {
            if let Some((_, matches)) = matches.subcommand() {
                register::refuse_idle(matches)?;
            }
        }
        "round" => {
            if let Some((command, matches)) = matches.subcommand() {
                register::refuse_idle(matches)?;
                if command == "open" {
                    round_open::refuse_idle(matches)?;
                }
            }
        }
        _ => {}
    }
    if [
        "submit",
        "register",
        "client",
        "backup",
        "restore",
        "round",
        "partition",
        "label-space",
        "export",
        "methods",
        "schema",
        "completions",
        "man",
    ]
    .contains(&command)
    {
        let computing = matches.subcommand().map_or(matches, |(_, inner)| inner);
        idle::refuse(computing, &["precision"], "here, where no network computes")?;
    }
    precision::tell_half_on_cpu(matches);
    Ok(())
}

impl Command {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        match self {
            Self::Demo(args) => demo::run(args, context),
            Self::Extract(args) => extract::run(args, context),
            Self::LabelSpace(args) => label_space::run(args, context),
            Self::Submit(args) => submit::run(args, context),
            Self::Serve(args) => serve::run(args, context),
            Self::Backup(args) => backup::backup(args, context),
            Self::Restore(args) => backup::restore(args, context),
            Self::Register(args) => register::run(args, context),
            Self::Client(args) => client::run(args, context),
            Self::Round(args) => round::run(args, context),
            Self::Write(args) => write::run(args, context),
            Self::Synth(args) => synth::run(args, context),
            Self::Fuse(args) => fuse::run(args, context),
            Self::Export(args) => export::run(args, context),
            Self::Feedback(args) => feedback::run(args, context),
            Self::Train(args) => train::run(args, context),
            Self::Evaluate(args) => evaluate::run(args, context),
            Self::Predict(args) => predict::run(args, context),
            Self::Quality(args) => quality::run(args, context),
            Self::Partition(args) => partition::run(args, context),
            Self::Compare(args) => compare::run(args, context),
            Self::Methods(args) => methods::run(args, context),
            Self::Schema(args) => schema::run(args, context),
            Self::Completions(args) => shell::completions(args, context),
            Self::Man(args) => shell::man(args, context),
        }
    }
}
