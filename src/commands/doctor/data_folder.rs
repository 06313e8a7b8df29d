//! A server's data folder.

use super::finding::Finding;
use promptfed_server::{Inspection, inspect};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

const NAME: &str = "data-folder";

/// Looks into the folder; where nobody named it, one that is no server's is passed over.
pub(super) fn check(folder: &Path, is_named: bool) -> Option<Finding> {
    let place = folder.display();
    match inspect(folder) {
        Ok(Some(found)) => Some(judge(&found, &place.to_string())),
        Ok(None) if is_named => Some(Finding::fault(
            NAME,
            format!("{place} holds no server's data"),
            "name the folder that `promptfed serve --data-dir` has",
        )),
        Ok(None) => None,
        Err(error) => Some(Finding::error(NAME, &format!("{place}: {error}"))),
    }
}

fn judge(found: &Inspection, place: &str) -> Finding {
    let Inspection {
        in_use,
        database_version: version,
        newest_version: newest,
        is_whole,
        rounds,
        queued,
    } = found;
    let states: BTreeMap<&str, u64> = rounds.iter().map(|(s, n)| (s.as_str(), *n)).collect();
    let told: Vec<String> = states.iter().map(|(s, n)| format!("{n} {s}")).collect();
    let text = format!(
        "{place}: database version {version}, rounds: {}; {} in the queue; {}",
        match told.as_slice() {
            [] => "none".to_owned(),
            told => told.join(", "),
        },
        queued.len(),
        if *in_use {
            "a server works in it"
        } else {
            "no server works in it"
        }
    );
    let judged = if !is_whole {
        let remedy = "stop the server and restore a backup (`promptfed restore`)";
        Finding::fault(NAME, format!("{text}; the database is damaged"), remedy)
    } else if states.get("paused").is_some_and(|n| *n > 0) {
        let remedy = "`promptfed round status` says why; `round retry` goes on";
        Finding::warning(NAME, text, remedy)
    } else if version < newest {
        let remedy = format!(
            "the next start of `promptfed serve` brings it to version {newest}, and keeps a copy"
        );
        Finding::warning(NAME, text, remedy)
    } else if !queued.is_empty() && !in_use {
        Finding::warning(NAME, text, "start `promptfed serve`: jobs wait for it")
    } else {
        Finding::ok(NAME, text)
    };
    judged
        .with("in_use", *in_use)
        .with("database_version", *version)
        .with("newest_version", *newest)
        .with("rounds", json!(states))
        .with("queued", json!(queued))
}
