//! Who asks a server: a client by its credentials or its token, the administrator by a token. No secret is an argument: the users of a machine
//! see each other's command lines, and shells keep them.

use super::idle;
use super::submit::ServerArgs;
use crate::exit::BadInput;
use anyhow::{Context as _, Result};
use clap::{ArgMatches, Args};
use promptfed_client::{AdminClient, Credentials, FederationClient, Session};
use promptfed_files::read_text_or_pipe;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// Where `promptfed enrol` puts a client's credentials by itself.
pub(super) const DEFAULT_CREDENTIALS: &str = "promptfed-credentials.json";
/// Where a server that was started here keeps its administrator's token.
const DEFAULT_ADMIN_TOKEN: &str = "promptfed-server/admin.token";

const CLIENT_TOKEN: &str = "PROMPTFED_TOKEN";
const ADMIN_TOKEN: &str = "PROMPTFED_ADMIN_TOKEN";

/// The flags of [`ClientArgs`] that are not [`super::trust::TRUST_FLAGS`].
pub(super) const CLIENT_FLAGS: [&str; 3] = ["server", "credentials", "token_file"];

/// Largest file of a token in bytes.
const LONGEST_TOKEN: u64 = 4096;

/// A client of a server.
#[derive(Args, Clone)]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// This client's credentials, as `promptfed enrol` wrote them: the server's address and fingerprint, and the token; goes before
    /// PROMPTFED_TOKEN [default: promptfed-credentials.json, where it is there]
    #[arg(long, env = "PROMPTFED_CREDENTIALS", value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// File with this client's token alone, for the server of --server; goes before PROMPTFED_CREDENTIALS and PROMPTFED_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A client's session, and what is known of it.
pub(crate) struct ClientSession {
    /// The server's address.
    pub(crate) server: String,
    /// The client's name, where it is known.
    pub(crate) name: String,
    pub(crate) session: FederationClient,
}

/// How a client is known to its server.
enum Identity {
    File(PathBuf),
    Token(String),
}

impl ClientArgs {
    /// A session as this client.
    pub(super) fn connect(&self) -> Result<ClientSession> {
        self.connect_as(None)
    }

    /// As [`Self::connect`], under another name in what is printed.
    pub(super) fn connect_as(&self, name: Option<&str>) -> Result<ClientSession> {
        match self.given()?.or_else(kept) {
            Some(identity) => self.session(identity, name),
            None => {
                let text = format!(
                    "say which client this is: --credentials FILE, which `promptfed enrol` writes, --token-file FILE or {CLIENT_TOKEN}"
                );
                Err(anyhow::Error::msg(text).context(BadInput))
            }
        }
    }

    /// What was said of the client.
    fn given(&self) -> Result<Option<Identity>> {
        if let Some(file) = &self.token_file {
            return Ok(Some(Identity::Token(token_of(file)?)));
        }
        if let Some(file) = &self.credentials {
            return Ok(Some(Identity::File(file.clone())));
        }
        Ok(exported(CLIENT_TOKEN)?.map(Identity::Token))
    }

    fn session(&self, identity: Identity, name: Option<&str>) -> Result<ClientSession> {
        match identity {
            Identity::Token(token) => {
                let name = name.unwrap_or("client");
                Ok(ClientSession {
                    server: self.server.address().to_owned(),
                    name: name.to_owned(),
                    session: self.server.client(name, &token)?,
                })
            }
            Identity::File(file) => {
                let mut credentials = Credentials::read(&file)?;
                if let Some(name) = name {
                    credentials.name = name.to_owned();
                }
                self.server.check_is(&credentials, &file)?;
                Ok(ClientSession {
                    session: credentials.connect(&self.server.trust.trust())?,
                    server: credentials.server,
                    name: credentials.name,
                })
            }
        }
    }
}

/// The credentials that lie in this folder.
fn kept() -> Option<Identity> {
    let file = Path::new(DEFAULT_CREDENTIALS);
    file.is_file().then(|| Identity::File(file.to_owned()))
}

/// The administrator's token.
#[derive(Args, Clone)]
pub(crate) struct AdminArgs {
    /// File with the administrator's token; goes before PROMPTFED_ADMIN_TOKEN [default: promptfed-server/admin.token]
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

impl AdminArgs {
    /// A session as the administrator.
    pub(crate) fn connect(&self, server: &ServerArgs) -> Result<AdminClient> {
        let token = match given_admin_token(self.admin_token_file.as_deref())? {
            Some(token) => token,
            None => token_of(Path::new(DEFAULT_ADMIN_TOKEN)).with_context(|| {
                format!("no administrator's token: give --admin-token-file FILE or {ADMIN_TOKEN}")
            })?,
        };
        server.admin(&token)
    }
}

/// A client or the administrator.
#[derive(Args, Clone)]
pub(crate) struct MemberArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// File with the administrator's token, in place of a client's credentials; without any of them, PROMPTFED_ADMIN_TOKEN
    /// [default: promptfed-server/admin.token, where there are no credentials]
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

impl MemberArgs {
    /// A session as whoever is said: a client or the administrator, else whose file lies in this folder.
    pub(super) fn connect(&self) -> Result<Box<dyn Deref<Target = Session>>> {
        let admin = || -> Result<Box<dyn Deref<Target = Session>>> {
            let args = AdminArgs {
                admin_token_file: self.admin_token_file.clone(),
            };
            Ok(Box::new(args.connect(&self.client.server)?))
        };
        if self.admin_token_file.is_some() {
            return admin();
        }
        let identity = match self.client.given()? {
            Some(identity) => identity,
            None if exported(ADMIN_TOKEN)?.is_some() => return admin(),
            None => match kept() {
                Some(identity) => identity,
                None if Path::new(DEFAULT_ADMIN_TOKEN).exists() => return admin(),
                None => {
                    let text = "say who asks: --credentials FILE, which `promptfed enrol` writes, or --admin-token-file FILE";
                    return Err(anyhow::Error::msg(text).context(BadInput));
                }
            },
        };
        Ok(Box::new(self.client.session(identity, None)?.session))
    }
}

/// The administrator's token of a file, or else of the environment.
pub(super) fn given_admin_token(file: Option<&Path>) -> Result<Option<String>> {
    match file {
        Some(file) => token_of(file).map(Some),
        None => exported(ADMIN_TOKEN),
    }
}

/// The token in a file, which may be a pipe, as `<(pass show promptfed)`.
fn token_of(file: &Path) -> Result<String> {
    let text = read_text_or_pipe(file, LONGEST_TOKEN)?;
    Ok(text.trim().to_owned())
}

/// The token in an environment variable.
fn exported(name: &str) -> Result<Option<String>> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match value.into_string() {
        Ok(token) => Ok(Some(token.trim().to_owned())),
        Err(_) => {
            let text = format!("{name} is no text; copy the token into it again");
            Err(anyhow::Error::msg(text).context(BadInput))
        }
    }
}

/// Refuses one of two that say who asks.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    if idle::is_given(matches, "admin_token_file") {
        let reason = "beside --admin-token-file; give one of them";
        idle::refuse(matches, &["credentials", "token_file"], reason)?;
    }
    if idle::is_given(matches, "token_file") {
        let reason = "beside --token-file; give one of them";
        idle::refuse(matches, &["credentials"], reason)?;
    }
    Ok(())
}
