//! Handshakes: with the wrong key, and with nobody who begins one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use promptfed_client::{AdminClient, RequestError};
use promptfed_server::{Limits, Transport};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};

use crate::tls::{Authority, ask, pinned, start};

#[test]
fn who_shows_a_certificate_without_its_key_is_refused() {
    let authority = Authority::new("one");
    let (certificate, key, fingerprint) = authority.certify("127.0.0.1", false);
    let (_, other_key, _) = authority.certify("127.0.0.1", false);
    for version in [&TLS12, &TLS13] {
        for (key, is_its_own) in [(&key, true), (&other_key, false)] {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            // This pairs what does not belong together.
            let shown = CertifiedKey::new(
                vec![certificate],
                ring::sign::any_supported_type(&key).unwrap(),
            );
            let provider = Arc::new(ring::default_provider());
            let config = rustls::ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
            let url = format!("https://{}", answering(Arc::new(config)));
            let trust = pinned(&fingerprint);
            let asked = AdminClient::with_trust(&url, "token", &trust)
                .unwrap()
                .rounds();
            if is_its_own {
                assert!(asked.unwrap().is_empty());
                continue;
            }
            let error = asked.unwrap_err();
            assert!(matches!(error, RequestError::Tls { .. }), "{error}");
            let told = error.to_string();
            assert!(told.contains("cannot be accepted"), "{told}");
        }
    }
}

/// The address of a server that answers whatever it is asked with an empty list.
fn answering(config: Arc<rustls::ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, socket);
            // Whoever does not believe it breaks the handshake off.
            if let Ok(1..) = stream.read(&mut [0; 4096]) {
                let _ = stream.write_all(EMPTY_LIST);
            }
        }
    });
    address
}

const EMPTY_LIST: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]";

#[test]
fn who_begins_no_handshake_is_disconnected() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        handshake: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = start(folder.path(), Transport::SelfSigned, limits);
    let begun = Instant::now();
    let mut silent = TcpStream::connect(server.addr()).unwrap();
    silent
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);
    // Without the limit above it would be 10 s.
    assert!(begun.elapsed() < Duration::from_secs(8));
    let fingerprint = server.fingerprint().unwrap().to_owned();
    assert_eq!(ask(&server, &pinned(&fingerprint)).unwrap(), 0);
}

#[test]
fn who_begins_no_handshake_holds_up_no_shutdown() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        handshake: Duration::from_secs(600),
        ..Limits::default()
    };
    let server = start(folder.path(), Transport::SelfSigned, limits);
    let mut silent = TcpStream::connect(server.addr()).unwrap();
    // Whoever comes later has been served: the first is connected.
    let fingerprint = server.fingerprint().unwrap().to_owned();
    assert_eq!(ask(&server, &pinned(&fingerprint)).unwrap(), 0);
    let begun = Instant::now();
    server.shutdown();
    // Requests in work would have 10 s.
    assert!(begun.elapsed() < Duration::from_secs(8));
    assert!(!matches!(silent.read(&mut [0; 1]), Ok(1..)));
}
