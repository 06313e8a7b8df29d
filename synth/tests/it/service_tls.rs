//! TLS of services, over real sockets, with a certificate of localhost that `golden/tls/make.sh` makes.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use promptfed_synth::service::{Fault, Limits, Retry, Service, ServiceError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// Address of the server, in the process that is told by its environment whom to believe.
const ADDRESS: &str = "PROMPTFED_TEST_TLS_ADDRESS";

fn certificate() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/golden/tls/cert.pem"]
        .iter()
        .collect()
}

/// A server that answers every request alike over TLS; with the requests that it could read.
fn start() -> (String, Arc<Mutex<Vec<String>>>, Arc<AtomicUsize>) {
    let certificates = vec![CertificateDer::from_pem_file(certificate()).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certificate().with_file_name("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = format!(
        "https://localhost:{}/v1",
        listener.local_addr().unwrap().port()
    );
    let (asked, connected) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(AtomicUsize::new(0)),
    );
    let (requests, connections) = (Arc::clone(&asked), Arc::clone(&connected));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            connections.fetch_add(1, Ordering::SeqCst);
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let mut request = vec![0; 4096];
            let Ok(n) = stream.read(&mut request) else {
                continue;
            };
            let text = String::from_utf8_lossy(&request[..n]).into_owned();
            requests.lock().unwrap().push(text);
            let body = json!({ "good": true }).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (address, asked, connected)
}

fn ask(address: &str) -> Result<Value, ServiceError> {
    let limits = Limits {
        retry: Retry {
            attempts: 3,
            ..Retry::NEVER
        },
        ..Limits::default()
    };
    Service::new(address, None, limits)?.get("models", &AtomicBool::new(false))
}

#[test]
fn who_cannot_prove_who_it_is_is_told_nothing() {
    let (address, asked, connected) = start();
    let error = ask(&address).unwrap_err();
    let told = error.to_string();
    assert!(
        matches!(error.fault, Fault::Identity(_)) && !error.is_transient(),
        "{error:?}"
    );
    assert!(told.contains("SSL_CERT_FILE"), "{told}");
    assert_eq!(connected.load(Ordering::SeqCst), 1, "tried once");
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn an_authority_of_one_s_own_is_believed() {
    let (address, asked, _) = start();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "service_tls::child", "--nocapture"])
        .env("SSL_CERT_FILE", certificate())
        .env(ADDRESS, &address)
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stderr)
    );
    let asked = asked.lock().unwrap();
    assert!(
        asked.len() == 1 && asked[0].starts_with("GET /v1/models "),
        "{asked:?}"
    );
}

#[test]
#[ignore = "runs as a child process of the test above"]
fn child() {
    let Ok(address) = std::env::var(ADDRESS) else {
        return;
    };
    assert_eq!(ask(&address).unwrap(), json!({ "good": true }));
}

#[test]
fn a_file_of_authorities_that_is_not_there_is_told_before_anything_is_sent() {
    let (address, _, connected) = start();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "service_tls::child_without_authorities",
            "--nocapture",
        ])
        .env("SSL_CERT_FILE", "none.pem")
        .env(ADDRESS, &address)
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stderr)
    );
    assert_eq!(connected.load(Ordering::SeqCst), 0);
}

#[test]
#[ignore = "runs as a child process of the test above"]
fn child_without_authorities() {
    let Ok(address) = std::env::var(ADDRESS) else {
        return;
    };
    let error = ask(&address).unwrap_err();
    assert!(matches!(error.fault, Fault::CertFile(_)), "{error:?}");
    assert_eq!(error.kind(), promptfed_files::ErrorKind::Input);
    let told = error.to_string();
    for part in ["SSL_CERT_FILE", "none.pem", "unset it"] {
        assert!(told.contains(part), "{told}");
    }
    // Where no certificate is looked at, none is missed.
    assert!(Service::new("http://127.0.0.1:1/v1", None, Limits::default()).is_ok());
}

#[test]
fn https_to_a_server_without_it_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let error = ask(&address).unwrap_err();
    assert!(
        matches!(error.fault, Fault::NotTls(_)) && !error.is_transient(),
        "{error:?}"
    );
    assert!(error.to_string().contains("begins with http://"), "{error}");
}
