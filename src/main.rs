//! The `promptfed` program.
#![cfg_attr(test, allow(clippy::unwrap_used))]

// Before the others, which print with its macros.
#[macro_use]
mod output;

mod commands;
mod config;
#[cfg(test)]
mod documentation;
mod examples;
mod exit;
mod file_size_limit;
mod interrupt;
mod log;
mod progress;

use clap::{CommandFactory, FromArgMatches, Parser};
use commands::Command;
use progress::Progress;
use promptfed_synth::engines::sd::Precision;
use promptfed_synth::registry::Backend;
use std::path::PathBuf;
use std::process::ExitCode;

// Training and sampling allocate and free large buffers all the time; the system allocator gives each back to the kernel.
#[global_allocator]
static ALLOCATOR: promptfed_allocator::MiMalloc = promptfed_allocator::MiMalloc;

/// Federated generative learning: clients share text prompts instead of images or weights, a server turns the prompts
/// into training images and trains one model on them.
///
/// Try it: `promptfed demo`. With your own data: `promptfed extract` at each client, `promptfed serve` at the server,
/// `promptfed compare` to measure what it is worth against federated averaging.
#[derive(Parser)]
#[command(version, after_help = exit::HELP, max_term_width = 110)]
struct Cli {
    /// TOML file with settings; flags win over it. `promptfed.toml` in the current folder is read without being named
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Global options"
    )]
    config: Option<PathBuf>,
    /// Read no file with settings
    #[arg(
        long,
        global = true,
        conflicts_with = "config",
        help_heading = "Global options"
    )]
    no_config: bool,
    /// Print one JSON object on standard output instead of text for people
    #[arg(long, global = true, help_heading = "Global options")]
    json: bool,
    /// No progress bars, no remarks
    #[arg(long, short, global = true, help_heading = "Global options")]
    quiet: bool,
    /// How networks keep their weights and compute products: f32, bf16 or (on CUDA) f16. What is not said is bf16 where the
    /// processor multiplies it faster, and f32 elsewhere
    #[arg(long, global = true, help_heading = "Global options")]
    precision: Option<Precision>,
    /// The form of what is logged on standard error (PROMPTFED_LOG says what is)
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Global options"
    )]
    log_format: log::LogFormat,
    #[command(subcommand)]
    command: Command,
}

/// The command line, with an example in each command's help.
pub(crate) fn command() -> clap::Command {
    examples::added(Cli::command())
}

/// What every command is given beside its own arguments.
pub(crate) struct Context {
    /// Whether the result is wanted as JSON.
    pub(crate) json: bool,
    /// Where progress is shown.
    pub(crate) progress: Progress,
    /// Engines that the configuration gives names.
    pub(crate) backends: Vec<Backend>,
}

fn main() -> ExitCode {
    promptfed_allocator::keep_freed_memory();
    file_size_limit::survive();
    let args: Vec<_> = std::env::args_os().collect();
    let mut root = commands::prefer_flag(command(), &args);
    // Only a built command has its global flags in every subcommand.
    root.build();
    let mut json = args.iter().any(|arg| arg == "--json");
    let result = config::merge(args, &root)
        .map_err(|error| error.context(exit::BadInput))
        .and_then(
            |config::Settings {
                 args,
                 backends,
                 taken,
             }| {
                json |= args.iter().any(|arg| arg == "--json");
                let matches = match root.try_get_matches_from(args) {
                    Ok(matches) => matches,
                    Err(error) => exit::usage(&error, &taken, json),
                };
                commands::refuse_idle(&matches)?;
                let cli = Cli::from_arg_matches(&matches)?;
                log::start(cli.log_format, matches.subcommand_name() == Some("serve"));
                if let Some(precision) = cli.precision {
                    precision.choose();
                }
                let context = Context {
                    json: cli.json,
                    progress: Progress::new(cli.quiet),
                    backends,
                };
                cli.command.run(&context)
            },
        );
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error, json),
    }
}
