//! A server that has one answer to each of three requests, with the heads of promptfed's server.

use crate::Work;
use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Bodies of the answers.
#[derive(Clone)]
pub(crate) struct Answers {
    pub(crate) sealing: Vec<u8>,
    pub(crate) submission: Vec<u8>,
    pub(crate) model: Vec<u8>,
}

/// Serves on a free port for as long as the program runs.
pub(crate) fn start(tls: bool, work: &Work) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let addr = listener.local_addr()?;
    let config = tls.then(|| config(work)).transpose()?;
    let answers = Arc::new(work.answers.clone());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, answers) = (config.clone(), Arc::clone(&answers));
            thread::spawn(move || {
                // A connection that ends in the middle is the client's.
                let _ = serve(stream, config, &answers);
            });
        }
    });
    Ok(addr)
}

fn config(work: &Work) -> Result<Arc<ServerConfig>> {
    let certificate = CertificateDer::from_pem_file(&work.certificate)?;
    let key = PrivateKeyDer::from_pem_file(work.certificate.with_file_name("key.pem"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(Arc::new(config))
}

fn serve(stream: TcpStream, config: Option<Arc<ServerConfig>>, answers: &Answers) -> Result<()> {
    stream.set_nodelay(true)?;
    match config {
        Some(config) => {
            let connection = ServerConnection::new(config)?;
            answer_all(StreamOwned::new(connection, stream), answers)
        }
        None => answer_all(stream, answers),
    }
}

fn answer_all(mut stream: impl Read + Write, answers: &Answers) -> Result<()> {
    let mut waiting: Vec<u8> = Vec::new();
    loop {
        let Some(end) = read_until(&mut stream, &mut waiting, |bytes| {
            let found = bytes.windows(4).position(|part| part == b"\r\n\r\n");
            found.map(|at| at + 4)
        })?
        else {
            return Ok(());
        };
        let head = String::from_utf8(waiting.drain(..end).collect())?.to_lowercase();
        let value = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim().to_owned())
        };
        if value("expect:").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            stream.flush()?;
        }
        let length = value("content-length:").map_or(Ok(0), |text| text.parse::<usize>())?;
        read_until(&mut stream, &mut waiting, |bytes| {
            (bytes.len() >= length).then_some(length)
        })?
        .context("the body is cut")?;
        waiting.drain(..length);
        let (media_type, body) = match head.split(' ').nth(1).unwrap_or_default() {
            path if path.ends_with("/sealing") => ("application/json", &answers.sealing),
            path if path.ends_with("/submission") => ("application/json", &answers.submission),
            path if path.ends_with("/model") => ("application/octet-stream", &answers.model),
            path => bail!("{path} is not served"),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\ndate: Mon, 30 Nov 2026 12:00:00 GMT\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()?;
    }
}

/// Reads into `waiting` until `end` finds where it ends; `None` at the end of the connection.
fn read_until(
    stream: &mut impl Read,
    waiting: &mut Vec<u8>,
    end: impl Fn(&[u8]) -> Option<usize>,
) -> Result<Option<usize>> {
    let mut buffer = [0; 16384];
    loop {
        if let Some(end) = end(waiting) {
            return Ok(Some(end));
        }
        if waiting.len() > MAX_HEAD_BYTES {
            bail!("a request is too long");
        }
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(None);
        }
        waiting.extend_from_slice(&buffer[..n]);
    }
}
