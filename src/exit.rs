//! Exit codes, and how an error is told.

use crate::config::Taken;
use crate::interrupt::Interrupted;
use crate::output;
use clap::error::{ContextKind, ContextValue};
use serde_json::json;
use std::fmt;
use std::process::ExitCode;

/// The part of the help that documents the exit codes.
pub(crate) const HELP: &str = "\
Exit codes:
  0    success; also where whoever reads the output has seen enough (| head)
  1    the work failed: a file could not be read or written, no usable image was made, training diverged, ...
  2    the command line is wrong
  3    the input is wrong: data, prompts, label space or configuration file
  4    the server, the model hub, an image service or a language model's could not be reached or refused
  130  `synth`, `write`, `compare` or `demo` was stopped by ctrl-c and can go on; other commands end by the signal

Environment:
  PROMPTFED_LOG     what is logged to standard error, e.g. info or promptfed_server=debug (default: warn)
  PROMPTFED_ASSETS  folder with the bundled weights and drawings

Every flag can stand in promptfed.toml: [synth] steps = 8 is promptfed synth --steps 8. A flag of the command line wins over the
environment, the environment over the file, the file over what is built in. With --json an error is an object too: {\"error\": {\"message\", \"exit_code\"}}.";

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
        tell_json(&in_one_line(&error.to_string()), 2);
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
fn tell_json(message: &str, code: u8) {
    if !output::has_result() {
        let told = json!({ "error": { "message": message, "exit_code": code } });
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
    let (message, code) = (parts.join(": "), code(error));
    eprintln!("error: {message}");
    if json {
        tell_json(&message, code);
    }
    ExitCode::from(code)
}

fn code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<BadInput>().is_some() {
        return 3;
    }
    if error.downcast_ref::<Interrupted>().is_some() {
        return 130;
    }
    error.chain().find_map(code_of).unwrap_or(1)
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
            "give a token of this server: a client's with --token or PROMPTFED_TOKEN, the administrator's with --admin-token-file or PROMPTFED_ADMIN_TOKEN"
        }
        ProblemCode::NameTaken => {
            "choose another name, or give this client a new token with --replace-token"
        }
        _ => return error.to_string(),
    };
    format!(
        "{method} {url}: {} ({}): {remedy}",
        problem.message, problem.status
    )
}

/// A round that failed is work that failed, wherever the server stands.
fn code_of_request(error: &promptfed_client::RequestError) -> u8 {
    use promptfed_prompts::protocol::RoundState;
    match error {
        promptfed_client::RequestError::RoundEnded {
            state: RoundState::Failed { .. },
            ..
        } => 1,
        // Nothing was sent.
        promptfed_client::RequestError::Invalid(_)
        | promptfed_client::RequestError::Token { .. }
        | promptfed_client::RequestError::Address { .. } => 3,
        _ => 4,
    }
}

/// A file that is not what it should be is wrong input; what the system itself refuses is work that failed.
fn code_of_file(error: &promptfed_files::FileError) -> Option<u8> {
    use promptfed_files::FileError;
    matches!(
        error,
        FileError::NotText { .. }
            | FileError::NotRegular { .. }
            | FileError::TooLarge { .. }
            | FileError::ForeignFolder { .. }
            | FileError::FolderInUse { .. }
    )
    .then_some(3)
}

/// The exit code of an error that one of the libraries defines, where it is not 1.
fn code_of(error: &(dyn std::error::Error + 'static)) -> Option<u8> {
    use promptfed_eval::Error as Eval;
    use promptfed_eval::quality::QualityError;
    use promptfed_learn::Error as Learn;
    use promptfed_synth::Error as Synth;
    use promptfed_synth::service::{Fault, ServiceError};
    if error.is::<promptfed_prompts::Error>()
        || error.is::<promptfed_data::DataError>()
        || error.is::<promptfed_client::Error>()
    {
        return Some(3);
    }
    if let Some(error) = error.downcast_ref::<promptfed_client::RequestError>() {
        return Some(code_of_request(error));
    }
    if let Some(error) = error.downcast_ref() {
        return code_of_file(error);
    }
    // Transparent variants hide the error they pass on from the chain.
    match error.downcast_ref::<Eval>() {
        Some(
            Eval::Classes { .. }
            | Eval::NoImages { .. }
            | Eval::NoSeeds
            | Eval::NoRounds
            | Eval::Data(_)
            | Eval::Prompts(_)
            | Eval::Client(_),
        ) => return Some(3),
        Some(Eval::Request(error)) => return Some(code_of_request(error)),
        Some(Eval::Learn(error)) => return code_of(error),
        _ => {}
    }
    if let Some(Learn::OneValue { .. }) = error.downcast_ref::<Learn>() {
        return Some(3);
    }
    if let Some(error) = error.downcast_ref::<QualityError>() {
        return (!matches!(error, QualityError::Tensor(_))).then_some(3);
    }
    match error.downcast_ref::<promptfed_server::Error>() {
        Some(promptfed_server::Error::FolderInUse { .. }) => return Some(3),
        Some(promptfed_server::Error::File(error)) => return code_of_file(error),
        _ => {}
    }
    match error.downcast_ref::<Synth>() {
        Some(Synth::File(error)) => code_of_file(error),
        Some(
            Synth::Prompts(_)
            | Synth::Data(_)
            | Synth::Fusion(_)
            | Synth::ChangedSet { .. }
            | Synth::Spec(_)
            | Synth::WithoutCuda
            | Synth::NoCard(_)
            | Synth::PromptLine { .. }
            | Synth::Grammar { .. }
            | Synth::UnfinishedWriting { .. }
            | Synth::WriterSetting(_)
            | Synth::Model(_)
            | Synth::Components { .. }
            | Synth::Clip(_)
            | Synth::NoClip
            | Synth::EngineSetting(_)
            | Synth::Service(ServiceError {
                fault: Fault::Address(_),
                ..
            })
            | Synth::UnknownEngine { .. }
            | Synth::Request { .. }
            | Synth::Output { .. }
            | Synth::DifferentJob { .. },
        ) => Some(3),
        Some(
            Synth::Cancelled
            | Synth::Service(ServiceError {
                fault: Fault::Cancelled,
                ..
            }),
        ) => Some(130),
        Some(Synth::Hub { .. } | Synth::Service(_) | Synth::Backend { .. }) => Some(4),
        Some(Synth::AllSetAside { faults }) => {
            let mut codes = faults.iter().map(|(_, fault)| code_of(fault).unwrap_or(1));
            let first = codes.next()?;
            codes.all(|code| code == first).then_some(first)
        }
        _ => None,
    }
}
