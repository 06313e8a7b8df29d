//! A running `promptfed serve` or `promptfed synth serve`.

use crate::support::{program, schema};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A server with its data in a folder; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    /// `promptfed serve` with these arguments beside a free port.
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Self {
        Self::listening(
            folder,
            &[&["serve", "--addr", "127.0.0.1:0"], args].concat(),
        )
    }

    /// As [`Server::start`], with all that it and its libraries log in a file.
    #[allow(dead_code)] // each test uses a part
    pub(crate) fn logging(folder: &Path, log: &Path) -> Self {
        let mut program = program(folder);
        program
            .env("PROMPTFED_LOG", "trace")
            .stderr(std::fs::File::create(log).unwrap());
        Self::of(program, &["serve", "--addr", "127.0.0.1:0"])
    }

    /// A command that tells its `url` once it listens.
    pub(crate) fn listening(folder: &Path, command: &[&str]) -> Self {
        Self::of(program(folder), command)
    }

    fn of(mut program: Command, command: &[&str]) -> Self {
        let mut child = program
            .args(command)
            .arg("--json")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let server = Self {
            child,
            url: ready["url"].as_str().unwrap().to_owned(),
        };
        let args: Vec<String> = command.iter().map(ToString::to_string).collect();
        schema::check_printed(&args, &ready);
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
