//! Where settings come from.

use super::finding::Finding;
use crate::config;
use anyhow::Result;
use serde_json::json;
use std::collections::BTreeMap;

const NAME: &str = "settings";

/// Variables of the environment that change what the program does, beside its own, which begin with [`OWN`].
const OTHERS: [&str; 12] = [
    "ALL_PROXY",
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "RAYON_NUM_THREADS",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
];

const OWN: &str = "PROMPTFED_";

pub(super) fn check() -> Vec<Finding> {
    let of_file = match file() {
        Ok(found) => found,
        Err(error) => Finding::error(NAME, &format!("{error:#}")),
    };
    vec![of_file, environment()]
}

fn file() -> Result<Finding> {
    let args: Vec<_> = std::env::args_os().collect();
    let Some(file) = config::file_of(&args) else {
        let text = format!(
            "no configuration file is read (there is no {} here)",
            config::DEFAULT_FILE
        );
        return Ok(Finding::ok(NAME, text));
    };
    let found = config::settings_in(&file)?;
    let told: Vec<String> = found
        .iter()
        .map(|(name, line)| format!("{name} (line {line})"))
        .collect();
    let text = format!("{} sets {}", file.display(), of(&told));
    let lines: BTreeMap<&str, usize> = found.iter().map(|(n, line)| (n.as_str(), *line)).collect();
    Ok(Finding::ok(NAME, text)
        .with("file", file.display().to_string())
        .with("lines", json!(lines)))
}

/// The names alone: some values are secrets.
fn environment() -> Finding {
    let mut names: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| {
            let upper = name.to_uppercase();
            upper.starts_with(OWN) || OTHERS.contains(&upper.as_str())
        })
        .collect();
    names.sort();
    let text = format!("the environment sets {}", of(&names));
    Finding::ok(NAME, text).with("environment", json!(names))
}

fn of(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}
