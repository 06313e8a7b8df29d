//! A server that speaks `chat/completions`: it writes prompts that depend on the question alone, as a seeded model does.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A running server; it answers as long as the test runs.
pub(crate) struct LanguageModel {
    pub(crate) url: String,
    answered: Arc<AtomicUsize>,
}

impl LanguageModel {
    /// A server that answers `answers` questions and is silent after them.
    pub(crate) fn start(answers: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().flatten() {
                if count.load(Ordering::SeqCst) >= answers {
                    // Held open, so that whoever asks waits.
                    silent.push(stream);
                } else if answer(stream).is_ok() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { url, answered }
    }

    /// Questions answered so far.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let question: Value = serde_json::from_slice(&body).unwrap_or_default();
    let task = question["messages"][1]["content"]
        .as_str()
        .unwrap_or_default();
    let opening = task
        .lines()
        .find_map(|line| line.strip_prefix("Begin with these words: "));
    let opening = opening.unwrap_or_default();
    let seed = question["seed"].as_u64().unwrap_or_default();
    let places = [
        "snow", "rain", "water", "fog", "light", "sun", "building", "world",
    ];
    let prompts: Vec<String> = (0..8)
        .map(|n| {
            format!(
                "{opening}, {} {}",
                seed % 100_000 + n,
                places[(seed + n) as usize % 8]
            )
        })
        .collect();
    let content = json!(prompts).to_string();
    let body = json!({ "choices": [{ "message": { "role": "assistant", "content": content } }] })
        .to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}
