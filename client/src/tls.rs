//! TLS above the metered socket: whose certificates are believed.

use std::fmt;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, OtherError,
    RootCertStore, SignatureScheme, StreamOwned,
};
use rustls_native_certs::{load_certs_from_paths, load_native_certs};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use crate::request_error::RequestError;
use crate::trust::{Fingerprint, ServerTrust};

/// Largest file of authorities that is read, in bytes.
const MAX_CA_BYTES: u64 = 16 << 20;

/// The TLS settings of a client that trusts like this; `is_used` where its server speaks TLS.
pub(crate) fn config(
    trust: &ServerTrust,
    is_used: bool,
) -> Result<Arc<ClientConfig>, RequestError> {
    // Reading the system's authorities takes time; whoever has many sessions reads them once.
    static OF_SYSTEM: OnceLock<OfSystem> = OnceLock::new();
    if let Some(expected) = trust.fingerprint {
        return new_config(Believed::One(expected));
    }
    if let Some(file) = &trust.ca_file {
        return new_config(Believed::Authorities(in_file(file)?));
    }
    let known = match OF_SYSTEM.get() {
        Some(known) => known,
        None => {
            let new = OfSystem::read()?;
            OF_SYSTEM.get_or_init(|| new)
        }
    };
    match &known.fault {
        Some(reason) if is_used => Err(RequestError::CertFileVariable {
            reason: reason.clone(),
        }),
        _ => Ok(Arc::clone(&known.config)),
    }
}

/// Settings that believe the authorities of the system, or those of the environment in their place, and Mozilla's.
struct OfSystem {
    config: Arc<ClientConfig>,
    /// Why `SSL_CERT_FILE` gives no authorities, where it names a file.
    fault: Option<String>,
}

impl OfSystem {
    fn read() -> Result<Self, RequestError> {
        let (certificates, fault) = match of_system() {
            Ok(certificates) => (certificates, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        roots.add_parsable_certificates(certificates);
        Ok(Self {
            config: new_config(Believed::Authorities(roots))?,
            fault,
        })
    }
}

/// Whose certificates are believed.
enum Believed {
    Authorities(RootCertStore),
    One(Fingerprint),
}

fn new_config(believed: Believed) -> Result<Arc<ClientConfig>, RequestError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| RequestError::TlsSettings {
            reason: error.to_string(),
        })?;
    let config = match believed {
        Believed::One(expected) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned { expected, provider })),
        Believed::Authorities(roots) => builder.with_root_certificates(roots),
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

/// The authorities of the system, or of what the environment names in their place; why `SSL_CERT_FILE` gives none.
fn of_system() -> Result<Vec<CertificateDer<'static>>, String> {
    let Some(file) = std::env::var_os("SSL_CERT_FILE") else {
        return Ok(load_native_certs().certs);
    };
    let file = Path::new(&file);
    let loaded = load_certs_from_paths(Some(file), None);
    if loaded.certs.is_empty() {
        return Err(match loaded.errors.first() {
            Some(error) => error.to_string(),
            None => format!("there is no certificate in {}", file.display()),
        });
    }
    let mut certificates = loaded.certs;
    let folders = std::env::var_os("SSL_CERT_DIR").unwrap_or_default();
    for folder in std::env::split_paths(&folders) {
        if !folder.as_os_str().is_empty() {
            certificates.extend(load_certs_from_paths(None, Some(&folder)).certs);
        }
    }
    Ok(certificates)
}

/// The authorities in a file.
fn in_file(file: &Path) -> Result<RootCertStore, RequestError> {
    let fault = |reason: String| RequestError::CaFile {
        file: file.to_owned(),
        reason,
    };
    let bytes = promptfed_files::read(file, MAX_CA_BYTES)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| fault(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fault("there is no certificate in it".to_owned()));
    }
    Ok(roots)
}

/// A certificate came that is not the one expected.
#[derive(Debug)]
pub(crate) struct OtherCertificate {
    pub(crate) expected: Fingerprint,
    pub(crate) found: Fingerprint,
}

impl fmt::Display for OtherCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, found } = self;
        write!(f, "the certificate is {found} and not {expected}")
    }
}

impl std::error::Error for OtherCertificate {}

/// Believes one certificate, whose key has to sign the handshake.
#[derive(Debug)]
struct Pinned {
    expected: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = Fingerprint::of(end_entity);
        if found == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        let other = OtherCertificate {
            expected: self.expected,
            found,
        };
        Err(CertificateError::Other(OtherError(Arc::new(other))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Begins TLS where the address asks for it. ureq's own connector takes no verifier.
#[derive(Debug)]
pub(crate) struct TlsConnector(pub(crate) Arc<ClientConfig>);

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, Tls>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        socket: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(socket) = socket else {
            return Ok(None);
        };
        if !details.needs_tls() || socket.is_tls() {
            return Ok(Some(Either::A(socket)));
        }
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ureq::Error::BadUri(format!("{host} is no name of a server")))?;
        let mut connection = ClientConnection::new(Arc::clone(&self.0), name)?;
        let clock = Arc::clone(&details.current_time);
        let mut socket = TransportAdapter::new(socket.boxed(), clock);
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(Tls {
            buffers,
            stream: StreamOwned::new(connection, socket),
        })))
    }
}

/// A connection that speaks TLS.
pub(crate) struct Tls {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.sock.inner().fmt(f)
    }
}

impl Transport for Tls {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
