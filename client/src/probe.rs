//! What a server shows of itself before a token is sent.

use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use promptfed_prompts::ledger::PayloadKind;
use promptfed_prompts::protocol::{Health, Readiness};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use ureq::http::{Uri, header};

use crate::request_error::RequestError;
use crate::session::{Call, RetryPolicy, Session};
use crate::tls;
use crate::transport::{SocketBytes, metered_agent};
use crate::trust::{Fingerprint, ServerTrust};

/// How long a connection may take to come about, and each answer on it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server as it shows itself to one who has no token.
#[derive(Debug)]
pub struct ServerProbe {
    /// The certificates that it shows, its own first, believed or not; none over plain HTTP, through a proxy, or where TLS does not begin.
    pub certificates: Vec<ShownCertificate>,
    /// What it says of itself to one who trusts as was asked for, or why that does not come about.
    pub health: Result<Health, RequestError>,
    /// Whether it can work; asked where it says that it is there.
    pub readiness: Option<Result<Readiness, RequestError>>,
    /// Its clock less this machine's, in seconds, to about one; `None` where it tells no time.
    pub clock_offset: Option<i64>,
}

/// What stands in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownCertificate {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// From when on it holds, in seconds since 1970.
    pub from: i64,
    /// Until when, likewise.
    pub until: i64,
    /// Its SHA-256.
    pub fingerprint: Fingerprint,
}

/// Asks a server, once, what it says of itself. No token is sent, and nothing at all to one that is not trusted.
///
/// # Errors
/// An address that cannot be used, or settings of TLS that cannot.
pub fn probe(url: &str, trust: &ServerTrust) -> Result<ServerProbe, RequestError> {
    let once = RetryPolicy {
        attempts: 1,
        ..RetryPolicy::default()
    };
    let session = Session::without_token(url, "doctor", once, trust)?;
    let health = session.health();
    let answers = health.is_ok();
    let ready = Call::get("/ready".to_owned(), PayloadKind::Control);
    Ok(ServerProbe {
        certificates: certificates(url).unwrap_or_default(),
        readiness: answers.then(|| session.message(&ready)),
        clock_offset: match answers {
            true => clock_offset(url, trust),
            false => None,
        },
        health,
    })
}

/// The certificates of a server that speaks TLS.
fn certificates(url: &str) -> Option<Vec<ShownCertificate>> {
    let uri: Uri = url.parse().ok()?;
    if uri.scheme_str() != Some("https") {
        return None;
    }
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(443);
    let mut places = (host, port).to_socket_addrs().ok()?;
    let mut socket = places.find_map(|place| TcpStream::connect_timeout(&place, PATIENCE).ok())?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.set_write_timeout(Some(PATIENCE)).ok()?;
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).ok()?;
    }
    let shown = connection.peer_certificates()?;
    Some(shown.iter().filter_map(read).collect())
}

fn read(certificate: &CertificateDer<'_>) -> Option<ShownCertificate> {
    let (_, found) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let validity = found.validity();
    Some(ShownCertificate {
        subject: found.subject().to_string(),
        issuer: found.issuer().to_string(),
        from: validity.not_before.timestamp(),
        until: validity.not_after.timestamp(),
        fingerprint: Fingerprint::of(certificate),
    })
}

/// A server's clock less this machine's, by the date of an answer.
fn clock_offset(url: &str, trust: &ServerTrust) -> Option<i64> {
    let uri: Uri = url.parse().ok()?;
    let tls = tls::config(trust, uri.scheme_str() == Some("https")).ok()?;
    let agent = metered_agent(Arc::new(SocketBytes::default()), uri.host()?, tls);
    let address = format!("{}/health", url.trim_end_matches('/'));
    let answer = agent.get(&address).call().ok()?;
    let told = answer.headers().get(header::DATE)?.to_str().ok()?;
    let there = seconds(httpdate::parse_http_date(told).ok()?)?;
    Some(there - seconds(SystemTime::now())?)
}

fn seconds(time: SystemTime) -> Option<i64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// Looks at any certificate. Nothing is sent over such a connection.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
