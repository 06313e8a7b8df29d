//! The disks that are written to.

use super::finding::Finding;
use promptfed_eval::report::bytes;
use promptfed_files::prove_writable;
use std::path::Path;

const NAME: &str = "disk";

/// Free space below which a job may end for want of it: the images of a large round.
const SCARCE: u64 = 5_000_000_000;

/// Free space below which nothing goes on.
const NONE: u64 = 200_000_000;

/// Looks at the disk of the folder in which commands leave what no flag places elsewhere.
pub(super) fn check_current() -> Finding {
    let here = Path::new(".");
    match prove_writable(&here.join("doctor")) {
        Ok(()) => check("the current folder", here),
        Err(error) => Finding::warning(
            NAME,
            format!("the current folder takes no files ({error})"),
            "go to a folder of your own, or give --out to commands",
        ),
    }
}

/// Looks at the disk of a folder, which is called `what`.
pub(super) fn check(what: &str, folder: &Path) -> Finding {
    let place = folder.display();
    if !folder.is_dir() {
        return Finding::fault(
            NAME,
            format!("{what} {place} is no folder"),
            "name one that is there with --data-dir",
        );
    }
    if let Err(error) = prove_writable(&folder.join("doctor")) {
        return Finding::fault(
            NAME,
            format!("{what} {place} takes no files ({error})"),
            "let the user of this program write there (chown, chmod, a file system that is not read-only), or choose another folder",
        );
    }
    let Some(free) = free(folder) else {
        return Finding::ok(NAME, format!("{what} {place} takes files"));
    };
    let text = format!("{what} {place} takes files, {} are free", bytes(free));
    let remedy = "remove what is no longer needed (`promptfed round delete`, old outputs), or choose a folder on another disk";
    let found = match free {
        0..NONE => Finding::fault(NAME, text, remedy),
        NONE..SCARCE => Finding::warning(NAME, text, remedy),
        _ => Finding::ok(NAME, text),
    };
    found
        .with("folder", place.to_string())
        .with("free_bytes", free)
}

/// Bytes that this user can still write on the disk of a folder; `None` where the system does not say.
fn free(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(folder).ok()?;
        disk.f_bavail.checked_mul(disk.f_frsize)
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}
