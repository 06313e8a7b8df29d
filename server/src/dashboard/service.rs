//! The server itself: its version, its disk, its memory, its load, and what it has counted.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;
use maud::html;
use promptfed_prompts::WIRE_VERSION;

use super::fault::Answer;
use super::layout::{Place, page};
use super::units::bytes;
use super::visitor::Operator;
use crate::job::most_memory;
use crate::state::AppState;

/// How the server is.
pub(super) async fn show(
    Operator(visitor): Operator,
    State(state): State<AppState>,
) -> Answer<Html<String>> {
    let folder = Arc::clone(&state.folder);
    let read = state.store(move |store| {
        let counted = (store.states()?, store.left_to_erase()?);
        Ok((counted, disk(folder.root()), resident(), load()))
    });
    let ((rounds, to_erase), disk, resident, load) = read.await?;
    let stage = state.jobs.stage();
    let metrics = state.jobs.metrics().text(&rounds, to_erase, stage);
    let unknown = || "unknown here".to_owned();
    let main = html! {
        h1 { "Server" }
        dl {
            dt { "Version" } dd { (env!("CARGO_PKG_VERSION")) ", wire " (WIRE_VERSION) }
            dt { "Job in work" } dd { (stage.unwrap_or("none")) }
            dt { "Thread that works on jobs" }
            dd { @if state.jobs.are_alive() { "works" } @else { strong.fault { "has ended: start the server again" } } }
            dt { "Disk of the data folder" }
            dd { (disk.map_or_else(unknown, |(free, all)| format!("{} free of {}", bytes(free), bytes(all)))) }
            dt { "Memory of this process" } dd { (resident.map_or_else(unknown, bytes)) }
            dt { "Memory it can have" } dd { (most_memory().map_or_else(unknown, bytes)) }
            dt { "Load over 1, 5 and 15 minutes" } dd { (load.unwrap_or_else(unknown)) }
        }
        h2 { "Counted since its start" }
        pre role="region" aria-label="Metrics" tabindex="0" { (metrics) }
    };
    Ok(page(&visitor, Place::Server, "Server", &main))
}

/// Bytes that are free for this process, and all.
#[cfg(unix)]
fn disk(folder: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Some((free, disk.f_blocks.saturating_mul(disk.f_frsize)))
}

#[cfg(not(unix))]
fn disk(_: &Path) -> Option<(u64, u64)> {
    None
}

/// Bytes of memory that the process has, where the kernel has a table of it.
fn resident() -> Option<u64> {
    let table = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = table.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn load() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    let means: Vec<&str> = text.split(' ').take(3).collect();
    (means.len() == 3).then(|| means.join(", "))
}
