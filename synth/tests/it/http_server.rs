//! A server for tests of clients, which may answer as badly as a real one: one answer a connection, by a function of the request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Position among the requests of the server, from 0.
    pub(crate) number: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
}

impl Asked {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is answered.
pub(crate) enum Reply {
    /// A status, further header lines, and a body.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// A status and a body after a pause.
    Late(Duration, u16, Vec<u8>),
    /// The beginning of an answer that promises more than comes.
    Torn(Vec<u8>),
    /// Nothing.
    Closed,
    /// Bytes without end.
    Endless,
}

impl Reply {
    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self::status(200, value.to_string())
    }

    pub(crate) fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Whole(status, Vec::new(), body.into())
    }
}

pub(crate) struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    most_at_once: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    address: std::net::SocketAddr,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let stopped = Arc::new(AtomicBool::new(false));
        let server = Self {
            url: format!("http://{address}"),
            asked: Arc::clone(&asked),
            most_at_once: Arc::clone(&most),
            stopped: Arc::clone(&stopped),
            address,
        };
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                thread::spawn(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    let _ = serve(stream, &*answer, &asked, &now);
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The most requests that were in work together.
    pub(crate) fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &dyn Fn(&Asked) -> Reply,
    all: &Mutex<Vec<Asked>>,
    now: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else {
            break;
        };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let asked = {
        let mut all = all.lock().unwrap();
        let asked = Asked {
            number: all.len(),
            method,
            path,
            authorization,
            body,
            at: Instant::now(),
        };
        all.push(asked.clone());
        asked
    };
    let reply = answer(&asked);
    let head = |status: u16, length: usize| {
        format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n")
    };
    let reply = match reply {
        Reply::Late(pause, status, body) => {
            thread::sleep(pause);
            Reply::status(status, body)
        }
        reply => reply,
    };
    now.fetch_sub(1, Ordering::SeqCst);
    match reply {
        Reply::Whole(status, headers, body) => {
            let mut text = head(status, body.len());
            for (name, value) in headers {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            stream.write_all(format!("{text}\r\n").as_bytes())?;
            stream.write_all(&body)?;
        }
        Reply::Torn(body) => {
            stream.write_all(format!("{}\r\n", head(200, body.len() + 100)).as_bytes())?;
            stream.write_all(&body)?;
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            while stream.write_all(&[b' '; 1 << 16]).is_ok() {}
        }
        Reply::Closed | Reply::Late(..) => {}
    }
    stream.shutdown(Shutdown::Write)?;
    // Until the client has seen it: closing with unread bytes would throw the answer away.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.read(&mut [0; 64]);
    Ok(())
}
