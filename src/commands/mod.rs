//! The commands, one file each.

mod agreed;
mod backup;
mod changed_recipe;
mod client;
mod compare;
mod comparison_folder;
mod data;
mod demo;
mod doctor;
mod domain;
mod engines;
mod enrol;
mod evaluate;
mod export;
mod extract;
mod feedback;
mod filter;
mod fuse;
mod fusion;
mod identity;
mod idle;
mod invitations;
mod label_space;
mod methods;
mod model;
mod out_file;
mod partition;
mod precision;
mod predict;
mod preview;
mod quality;
mod receipt;
mod recipe;
mod release;
mod results;
mod round;
mod round_images;
mod round_open;
mod round_train;
mod round_view;
mod run;
mod schema;
mod serve;
mod sets;
mod shell;
mod submit;
mod synth;
mod train;
mod trust;
mod withdraw;
mod words;
mod worker;
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
    /// Client: join a server's federation, by the string of its operator
    Enrol(enrol::Args),
    /// Client: send extracted prompts to a server's round
    Submit(submit::Args),
    /// Client: show the receipt of a submission, and check that the server holds it still
    Receipt(receipt::Args),
    /// Client: take back what was submitted to a round that is open
    Withdraw(withdraw::Args),
    /// Server: accept prompts, synthesise, train, hand out the model
    Serve(serve::Args),
    /// Server administration: copy a server's data folder while the server works
    Backup(backup::BackupArgs),
    /// Server administration: put a copy of a data folder where a server can use it
    Restore(backup::RestoreArgs),
    /// Server administration: invite clients, list them, end or replace their tokens
    Client(client::Args),
    /// Rounds of a server: open, watch, close, fetch the results and the model
    Round(round::Args),
    /// Write more prompts for the classes and domains of a prompt file
    Write(write::Args),
    /// Turn prompts into a labelled set of training images
    Synth(synth::Args),
    /// Draw images of a job that `synth --workers` runs, as one of several processes
    Worker(worker::Args),
    /// Jobs of `synth` in folders: list them, have them pause, go on, end
    Run(run::Args),
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
    /// Write the results of a grid of comparisons as one page of Markdown
    Results(results::Args),
    /// List the methods that `compare` knows: what each shares, and what it can be told
    Methods(methods::Args),
    /// Say whether this machine, and a server, can do their work
    Doctor(doctor::Args),
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
        "doctor" => doctor::refuse_idle(matches)?,
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
        "submit" | "withdraw" => identity::refuse_idle(matches)?,
        "receipt" => {
            identity::refuse_idle(matches)?;
            receipt::refuse_idle(matches)?;
        }
        "client" => {
            if let Some((_, matches)) = matches.subcommand() {
                identity::refuse_idle(matches)?;
            }
        }
        "round" => {
            if let Some((command, matches)) = matches.subcommand() {
                identity::refuse_idle(matches)?;
                if command == "open" {
                    round_open::refuse_idle(matches)?;
                }
            }
        }
        _ => {}
    }
    if [
        "enrol",
        "submit",
        "receipt",
        "withdraw",
        "client",
        "backup",
        "restore",
        "round",
        "run",
        "partition",
        "label-space",
        "export",
        "results",
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
            Self::Enrol(args) => enrol::run(args, context),
            Self::Submit(args) => submit::run(args, context),
            Self::Receipt(args) => receipt::run(args, context),
            Self::Withdraw(args) => withdraw::run(args, context),
            Self::Serve(args) => serve::run(args, context),
            Self::Backup(args) => backup::backup(args, context),
            Self::Restore(args) => backup::restore(args, context),
            Self::Client(args) => client::run(args, context),
            Self::Round(args) => round::run(args, context),
            Self::Write(args) => write::run(args, context),
            Self::Synth(args) => synth::run(args, context),
            Self::Worker(args) => worker::run(&args, context),
            Self::Run(args) => run::run(&args, context),
            Self::Fuse(args) => fuse::run(args, context),
            Self::Export(args) => export::run(args, context),
            Self::Feedback(args) => feedback::run(args, context),
            Self::Train(args) => train::run(args, context),
            Self::Evaluate(args) => evaluate::run(args, context),
            Self::Predict(args) => predict::run(args, context),
            Self::Quality(args) => quality::run(args, context),
            Self::Partition(args) => partition::run(args, context),
            Self::Compare(args) => compare::run(args, context),
            Self::Results(args) => results::run(args, context),
            Self::Methods(args) => methods::run(args, context),
            Self::Doctor(args) => doctor::run(&args, context),
            Self::Schema(args) => schema::run(args, context),
            Self::Completions(args) => shell::completions(args, context),
            Self::Man(args) => shell::man(args, context),
        }
    }
}
