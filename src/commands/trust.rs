//! How a server is known, and how it protects its connections.

use clap::{Args, Command, ValueEnum};
use promptfed_client::{Fingerprint, ServerTrust};
use promptfed_server::{CertificateFiles, Limits, Transport};
use std::ffi::OsString;
use std::path::PathBuf;

/// The flags of [`TrustArgs`].
pub(super) const TRUST_FLAGS: [&str; 3] = ["ca_file", "server_fingerprint", "allow_plain_http"];

/// How a server is known, beside its address.
#[derive(Args, Clone)]
pub(crate) struct TrustArgs {
    /// Authorities that are believed, certificates in PEM, in place of the system's (or SSL_CERT_FILE's) and Mozilla's
    #[arg(long, value_name = "FILE", conflicts_with = "server_fingerprint")]
    ca_file: Option<PathBuf>,
    /// The server's own certificate, by its SHA-256 as `promptfed serve` prints it; authority, names and dates are not looked at then
    #[arg(long, env = "PROMPTFED_SERVER_FINGERPRINT", value_name = "SHA256")]
    server_fingerprint: Option<Fingerprint>,
    /// Send the token and the prompts over plain http to another machine too, where the network is trusted: they can be read on the way
    #[arg(long)]
    allow_plain_http: bool,
}

impl TrustArgs {
    pub(crate) fn trust(&self) -> ServerTrust {
        ServerTrust {
            ca_file: self.ca_file.clone(),
            fingerprint: self.server_fingerprint,
            allow_plain_http: self.allow_plain_http,
        }
    }
}

/// A command that reads no exported fingerprint where `--ca-file` is given: flags win over the environment, and clap would tell the two as
/// a conflict.
pub(crate) fn prefer_flag(command: Command, args: &[OsString]) -> Command {
    let is_it = |arg: &str| arg == "--ca-file" || arg.starts_with("--ca-file=");
    match args.iter().filter_map(|arg| arg.to_str()).any(is_it) {
        true => unread(command),
        false => command,
    }
}

fn unread(command: Command) -> Command {
    let id = "server_fingerprint";
    let is_there = command.get_arguments().any(|arg| arg.get_id() == id);
    let command = match is_there {
        true => command.mut_arg(id, |arg| arg.env(None::<&'static str>)),
        false => command,
    };
    command.mut_subcommands(unread)
}

/// A server's certificate.
#[derive(Args)]
pub(crate) struct CertificateArgs {
    /// Speak TLS with this certificate, and after it those between it and its authority, in PEM; read again when the file changes
    #[arg(
        long,
        help_heading = "Connections",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(
        long,
        help_heading = "Connections",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// Speak plain HTTP on addresses that other machines reach, where a TLS proxy stands before it or the network is trusted
    #[arg(long, help_heading = "Connections", conflicts_with = "tls_cert")]
    pub(crate) allow_plain_http: bool,
}

impl CertificateArgs {
    pub(crate) fn files(self) -> Option<CertificateFiles> {
        let (cert, key) = self.tls_cert.zip(self.tls_key)?;
        Some(CertificateFiles { cert, key })
    }
}

/// How a server protects its connections, and how many it takes.
#[derive(Args)]
pub(crate) struct ConnectionArgs {
    #[command(flatten)]
    certificate: CertificateArgs,
    /// Speak TLS with a certificate made at the first start, which clients know by its fingerprint
    #[arg(long, help_heading = "Connections", value_name = "HOW", conflicts_with_all = ["tls_cert", "allow_plain_http"])]
    tls: Option<MadeCertificate>,
    /// Connections at once; a new one takes the place of the one that has been quiet the longest
    #[arg(long, help_heading = "Connections", value_name = "N", default_value_t = Limits::default().connections as u32, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_connections: u32,
    /// Connections at once of one address; this machine's own are not counted
    #[arg(long, help_heading = "Connections", value_name = "N", default_value_t = Limits::default().connections_per_peer as u32, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_connections_per_address: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum MadeCertificate {
    SelfSigned,
}

impl ConnectionArgs {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            connections: self.max_connections as usize,
            connections_per_peer: self.max_connections_per_address as usize,
            ..Limits::default()
        }
    }

    pub(crate) fn transport(self) -> Transport {
        let allow_plain_http = self.certificate.allow_plain_http;
        match (self.certificate.files(), self.tls) {
            (Some(files), _) => Transport::Tls(files),
            (None, Some(MadeCertificate::SelfSigned)) => Transport::SelfSigned,
            (None, None) if allow_plain_http => Transport::Plain,
            (None, None) => Transport::PlainOnLoopback,
        }
    }
}
