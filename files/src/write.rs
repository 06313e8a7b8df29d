//! Writing files whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::read::kind;
use crate::{FileError, Result};

/// Writes a file under another name in the same folder, waits for the disk, and moves it to its place: a full disk, a kill or a
/// power cut leaves the whole file that was there before, or none, or the whole new one. Missing parent folders are made; a link is
/// followed.
///
/// # Errors
/// [`FileError::NotWritable`] for a folder, a read-only file, and what is no regular file: a named pipe would be waited for, and nothing
/// can be moved into the place of a device. Else what the operating system says.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes, false)
}

/// [`write_whole`], into a file that only this user can read.
///
/// # Errors
/// As [`write_whole`].
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes, true)
}

fn write(path: &Path, bytes: &[u8], is_secret: bool) -> Result<()> {
    let place = place(path)?;
    let folder = folder_of(&place);
    fill_and_move(partial(folder, &place, is_secret)?, bytes, &place)?;
    // The rename itself lies in the folder; only Unix lets a folder be synced.
    #[cfg(unix)]
    fs_err::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Fills a partial file, waits for the disk, and moves it to its place.
pub(crate) fn fill_and_move(
    mut partial: tempfile::NamedTempFile,
    bytes: &[u8],
    place: &Path,
) -> Result<()> {
    let named =
        |e: std::io::Error| std::io::Error::new(e.kind(), format!("{}: {e}", place.display()));
    partial.write_all(bytes).map_err(named)?;
    partial.as_file().sync_all().map_err(named)?;
    partial.persist(place).map_err(|e| named(e.error))?;
    Ok(())
}

/// Proves before long work that its result can be written: makes the parent folders, and writes an empty file there that is taken
/// away again.
///
/// # Errors
/// As [`write_whole`].
pub fn prove_writable(path: &Path) -> Result<()> {
    let place = place(path)?;
    partial(folder_of(&place), &place, false).map(drop)
}

/// Where the file lies or will lie; its parent folder is there.
fn place(path: &Path) -> Result<PathBuf> {
    let refuse = |reason: &str| FileError::NotWritable {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    if path.file_name().is_none() {
        return Err(refuse("it names no file; give the name of a file"));
    }
    let metadata = match fs_err::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if path.is_symlink() {
                return Err(refuse(
                    "it is a link that leads nowhere; give the name of a file",
                ));
            }
            fs_err::create_dir_all(folder_of(path))?;
            return Ok(path.to_owned());
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(refuse(
                "a part of its path is a file; choose another folder",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    if metadata.is_dir() {
        return Err(refuse("it is a folder; give the name of a file"));
    }
    if !metadata.is_file() {
        return Err(refuse(&format!(
            "it is {}, and results go to regular files alone; give the name of a file",
            kind(metadata.file_type())
        )));
    }
    if metadata.permissions().readonly() {
        return Err(refuse(
            "it is there and read-only; choose another name or make it writable",
        ));
    }
    Ok(fs_err::canonicalize(path)?)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Begins of the names under which files are filled.
pub(crate) const PARTIAL_PREFIX: &str = ".promptfed-";
/// Ends of them.
pub(crate) const PARTIAL_SUFFIX: &str = ".partial";

/// A file in `folder` that is to become `place`.
pub(crate) fn partial(
    folder: &Path,
    place: &Path,
    is_secret: bool,
) -> Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL_PREFIX).suffix(PARTIAL_SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less what the user's mask takes away, as for any file that is made.
        let mode = match fs_err::metadata(place) {
            _ if is_secret => 0o600,
            Ok(there) => there.permissions().mode() & 0o777,
            Err(_) => 0o666,
        };
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    builder.tempfile_in(folder).map_err(|e| {
        let text = format!("no file can be made in {}: {e}", folder.display());
        std::io::Error::new(e.kind(), text).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names_in::names_in;

    #[test]
    fn parents_are_made_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/model");
        prove_writable(&path).unwrap();
        assert!(names_in(&folder.path().join("a/b")).is_empty());
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"two");
        assert_eq!(names_in(&folder.path().join("a/b")), ["model"]);
    }

    #[test]
    fn folders_and_paths_below_files_are_refused_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        let error = prove_writable(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is a folder"), "{error}");
        let file = folder.path().join("file");
        fs_err::write(&file, b"").unwrap();
        assert!(prove_writable(&file.join("below")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        let link = folder.path().join("link");
        fs_err::write(&real, b"old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_whole(&link, b"new").unwrap();
        assert_eq!(fs_err::read(&real).unwrap(), b"new");
        assert!(fs_err::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, what) in [
            (pipe.as_path(), "a named pipe"),
            (&link, "a device"),
            (&socket, "a socket"),
            (Path::new("/dev/null"), "a device"),
        ] {
            for told in [prove_writable(path), write_whole(path, b"x")] {
                let told = told.unwrap_err().to_string();
                assert!(
                    told.contains(what) && told.contains("regular files"),
                    "{told}"
                );
            }
        }
        assert_eq!(names_in(folder.path()), ["link", "pipe", "socket"]);
        let dangling = folder.path().join("dangling");
        std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
        let told = write_whole(&dangling, b"x").unwrap_err().to_string();
        assert!(told.contains("leads nowhere"), "{told}");
        assert!(dangling.is_symlink());
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_ordinary_files() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
        write_whole(&ours, b"").unwrap();
        fs_err::write(&theirs, b"").unwrap();
        assert_eq!(mode(&ours), mode(&theirs));
        fs_err::set_permissions(&ours, std::fs::Permissions::from_mode(0o600)).unwrap();
        write_whole(&ours, b"secret").unwrap();
        assert_eq!(mode(&ours), 0o600);
        write_secret(&theirs, b"secret").unwrap();
        assert_eq!(mode(&theirs), 0o600);
    }
}
