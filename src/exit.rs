//! Exit codes, and how an error is told.

use crate::config::Taken;
use crate::interrupt::Interrupted;
use crate::output;
use clap::error::{ContextKind, ContextValue};
use promptfed_files::ErrorKind;
use promptfed_prompts::protocol::shown;
use serde_json::json;
use std::fmt;
use std::process::ExitCode;

/// The part of the help that documents the exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
  0    success; also where whoever reads the output has seen enough (| head)
  1    the work failed: a file could not be read or written, no usable image was made, training diverged, ...
  2    the command line is wrong
  3    the input is wrong or not there: data, prompts, label space, model or configuration file
  4    the server, the model hub, an image service or a language model's could not be reached or refused
  130  `synth`, `worker`, `write`, `compare` or `demo` was stopped by ctrl-c and can go on; other commands end by the signal

Environment:
  PROMPTFED_LOG     what is logged to standard error, e.g. info or promptfed_server=debug (default: warn;
                    `serve` also tells of rounds, submissions and jobs)
  PROMPTFED_ASSETS  folder with the bundled weights and drawings
  PROMPTFED_TOKEN   a client's token, and PROMPTFED_ADMIN_TOKEN the administrator's, where no file is named

Every flag can stand in promptfed.toml: [synth] steps = 8 is promptfed synth --steps 8. A flag of the command line wins over the
environment, the environment over the file, the file over what is built in.

With --json an error is an object too: {\"error\": {\"message\", \"kind\", \"exit_code\"}}. promptfed schema has the form of every object.";

/// Marks an error as the fault of the input.
#[derive(Debug)]
pub(crate) struct BadInput;

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad input")
    }
}

impl std::error::Error for BadInput {}

/// Tells of a command line that is wrong, with the flags of a configuration file that have to do with it, and ends the program; also where help is
/// asked for.
pub(crate) fn usage(error: &clap::Error, taken: &[Taken], json: bool) -> ! {
    if error.exit_code() == 0 {
        error.exit();
    }
    // What cannot be told is not.
    let _ = error.print();
    let about = [ContextKind::InvalidArg, ContextKind::PriorArg];
    let about = about.into_iter().filter_map(|kind| match error.get(kind)? {
        ContextValue::String(argument) => Some(argument.clone()),
        _ => None,
    });
    for argument in about {
        if let Some(taken) = taken.iter().find(|taken| taken.is(&argument)) {
            eprintln!("note: {taken}");
        }
    }
    if json {
        tell_json(&in_one_line(&error.to_string()), USAGE);
    }
    std::process::exit(error.exit_code());
}

/// What clap says, without what follows from it.
pub(crate) fn in_one_line(text: &str) -> String {
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage"));
    let told: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    told.join(" ").trim_start_matches("error: ").to_owned()
}

/// The error as the one object on standard output, unless a result is there already.
fn tell_json(message: &str, (kind, code): (&str, u8)) {
    if !output::has_result() {
        let told = json!({ "error": { "message": message, "kind": kind, "exit_code": code } });
        // Who does not read it changes no exit code.
        output::notice(format_args!("{told}"));
    }
}

/// Prints `error` in one line on standard error and, where `json` is asked for, as an object on standard output; returns its exit code.
pub(crate) fn report(error: &anyhow::Error, json: bool) -> ExitCode {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = match cause.downcast_ref() {
            Some(error) => of_request(error),
            None => cause.to_string(),
        };
        // Library errors that already end with their cause's words are not told twice.
        let told = parts.last().is_some_and(|last| last.ends_with(&text));
        if !told && text != BadInput.to_string() {
            parts.push(text);
        }
    }
    let (message, told) = (parts.join(": "), told_as(kind(error)));
    eprintln!("error: {}", for_terminal(&message));
    if json {
        tell_json(&message, told);
    }
    ExitCode::from(told.1)
}

/// Text that may be of others, as a server's, without what a terminal would obey; its lines stay.
pub(crate) fn for_terminal(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(shown).collect();
    lines.join("\n")
}

/// What kind of failure ended a command.
fn kind(error: &anyhow::Error) -> ErrorKind {
    if error.downcast_ref::<BadInput>().is_some() {
        return ErrorKind::Input;
    }
    if error.downcast_ref::<Interrupted>().is_some() {
        return ErrorKind::Interrupted;
    }
    error.chain().find_map(kind_of).unwrap_or(ErrorKind::Failed)
}

/// The exit code of a wrong command line.
const USAGE: (&str, u8) = ("usage", 2);

/// What a kind of failure is called in JSON, and its exit code.
fn told_as(kind: ErrorKind) -> (&'static str, u8) {
    match kind {
        ErrorKind::Failed => ("failed", 1),
        ErrorKind::Input => ("input", 3),
        ErrorKind::Refused => ("refused", 4),
        ErrorKind::Interrupted => ("interrupted", 130),
    }
}

/// A server's refusal, with the remedy in the words of the command line.
fn of_request(error: &promptfed_client::RequestError) -> String {
    use promptfed_client::RequestError::Refused;
    use promptfed_prompts::protocol::ProblemCode;
    let Refused {
        method,
        url,
        problem,
    } = error
    else {
        return error.to_string();
    };
    let remedy = match problem.code {
        ProblemCode::Unauthenticated => {
            "give a token that this server knows: a client's by --credentials (`promptfed enrol` writes them), --token-file or PROMPTFED_TOKEN, the administrator's by --admin-token-file or PROMPTFED_ADMIN_TOKEN"
        }
        ProblemCode::NameTaken => {
            "leave these names out or choose others; `promptfed client rotate` prints new strings for clients that are registered"
        }
        _ => return error.to_string(),
    };
    format!(
        "{method} {url}: {} ({}): {remedy}",
        problem.message, problem.status
    )
}

/// The kind of an error that one of the libraries defines; `None` of others, which only say where it happened.
fn kind_of(error: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    fn of<E: std::error::Error + 'static>(
        error: &(dyn std::error::Error + 'static),
        kind: fn(&E) -> ErrorKind,
    ) -> Option<ErrorKind> {
        error.downcast_ref().map(kind)
    }
    of(error, promptfed_eval::Error::kind)
        .or_else(|| of(error, promptfed_eval::quality::QualityError::kind))
        .or_else(|| of(error, promptfed_server::Error::kind))
        .or_else(|| of(error, promptfed_client::Error::kind))
        .or_else(|| of(error, promptfed_client::RequestError::kind))
        .or_else(|| of(error, promptfed_client::ReceiptError::kind))
        .or_else(|| of(error, promptfed_synth::Error::kind))
        .or_else(|| of(error, promptfed_synth::service::ServiceError::kind))
        .or_else(|| of(error, promptfed_learn::Error::kind))
        .or_else(|| of(error, promptfed_vision::Error::kind))
        .or_else(|| of(error, promptfed_data::DataError::kind))
        .or_else(|| of(error, promptfed_files::FileError::kind))
        .or_else(|| of(error, ErrorKind::of_io))
        // Texts that are no prompts, templates, label space or settings.
        .or_else(|| of(error, |_: &promptfed_prompts::Error| ErrorKind::Input))
        .or_else(|| of(error, |_: &toml::de::Error| ErrorKind::Input))
}
