//! `promptfed enrol`: a client's first step.

use super::identity::DEFAULT_CREDENTIALS;
use super::trust::TrustArgs;
use crate::Context;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::Args as ClapArgs;
use promptfed_client::{Credentials, EnrolmentString, RequestError, new_token};
use promptfed_files::{ErrorKind, prove_writable, read_text, read_text_or_pipe, write_secret};
use promptfed_prompts::protocol::{ProblemCode, shown};
use serde_json::json;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

/// Become a client of a server, by the string that its operator handed out (`promptfed client add`).
///
/// The client makes its token here; the server is told its hash. What is written says where the server is, how it is known, and the token: the
/// other commands find it by itself in this folder, elsewhere by --credentials or PROMPTFED_CREDENTIALS. The string works once.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// File with the string; without it, it is read from standard input. It is no argument itself, which others on this machine could see
    #[arg(value_name = "FILE")]
    string: Option<PathBuf>,
    /// Where the credentials go, for this user's eyes alone
    #[arg(
        long,
        env = "PROMPTFED_CREDENTIALS",
        value_name = "FILE",
        default_value = DEFAULT_CREDENTIALS
    )]
    credentials: PathBuf,
    /// Replace the file of --credentials, as after `promptfed client rotate`
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

/// Largest text with a string in it, in bytes.
const LONGEST: u64 = 64 << 10;

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let file = args.credentials.as_path();
    if file.exists() && !args.force {
        let text = format!(
            "{} is there; --force replaces it, and another name goes beside it",
            file.display()
        );
        return Err(anyhow::Error::msg(text).context(BadInput));
    }
    prove_writable(file)?;
    let (text, place) = match &args.string {
        Some(file) => (
            read_text_or_pipe(file, LONGEST)?,
            file.display().to_string(),
        ),
        None => (of_standard_input()?, "standard input".to_owned()),
    };
    let string: EnrolmentString = text
        .parse()
        .map_err(|error| anyhow::Error::new(error).context(BadInput))
        .with_context(|| place)?;
    let trust = args.trust.trust();
    let pending = Pending::of(&string, file)?;
    let enrolment = match string.enrol(&pending.token, &trust) {
        Ok(enrolment) => enrolment,
        Err(error) => {
            if pending.may_be_taken(&error) {
                let kept = pending.file.display();
                eprintln!("note: {kept} keeps the token for another try with the same string");
            } else {
                pending.end()?;
            }
            return Err(error.into());
        }
    };
    let fingerprint = string.fingerprint().or(trust.fingerprint);
    let credentials = Credentials::new(&string, fingerprint, enrolment, pending.token.clone());
    credentials.write(file)?;
    pending.end()?;
    tell(&credentials, file, context);
    Ok(())
}

fn tell(credentials: &Credentials, file: &Path, context: &Context) {
    let Credentials {
        server,
        fingerprint,
        client_id,
        name,
        ..
    } = credentials;
    if context.json {
        let told = json!({
            "client_id": client_id, "name": name, "server": server, "fingerprint": fingerprint,
            "credentials": file.display().to_string(),
        });
        println!("{told}");
    } else {
        println!(
            "this is client {client_id} ({}) of {}, by {}",
            shown(name),
            shown(server),
            file.display()
        );
    }
}

/// A token that the server may know already. It lies beside the credentials until they are written, so that an enrolment that was cut off can be
/// done again: the server takes the same code for the same token.
struct Pending {
    file: PathBuf,
    token: String,
    /// Whether no earlier try has made it.
    is_new: bool,
}

impl Pending {
    fn of(string: &EnrolmentString, credentials: &Path) -> Result<Self> {
        let mut name = credentials.as_os_str().to_owned();
        name.push(format!(".{}", string.name()));
        let file = PathBuf::from(name);
        let is_new = !file.exists();
        let token = if is_new {
            let token = new_token(string.client())?;
            write_secret(&file, token.as_bytes())?;
            token
        } else {
            read_text(&file, LONGEST)?.trim().to_owned()
        };
        Ok(Self {
            file,
            token,
            is_new,
        })
    }

    /// Whether the server may have spent the code for the token although it did not say so, in this try or an earlier one.
    fn may_be_taken(&self, error: &RequestError) -> bool {
        match error {
            RequestError::Refused { problem, .. } => !matches!(
                problem.code,
                ProblemCode::UnknownCode | ProblemCode::SpentCode | ProblemCode::ExpiredCode
            ),
            // Of this try nothing was sent.
            RequestError::Tls { .. } => !self.is_new,
            other => !self.is_new || other.kind() != ErrorKind::Input,
        }
    }

    fn end(self) -> Result<()> {
        Ok(fs_err::remove_file(self.file)?)
    }
}

fn of_standard_input() -> Result<String> {
    let input = std::io::stdin();
    let mut text = String::new();
    if input.is_terminal() {
        eprintln!("paste the operator's string and press Enter:");
        input.read_line(&mut text)?;
    } else {
        input.take(LONGEST).read_to_string(&mut text)?;
    }
    Ok(text)
}
