//! Reading files up to a limit: regular ones, and pipes where they are asked for.

use std::fs::{FileType, Metadata};
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::{FileError, Result, decode_text};

/// Opens a regular file, following links. A named pipe is refused instead of waited for, a device instead of read.
///
/// # Errors
/// [`FileError::NotFound`], [`FileError::NotRegular`], or what the operating system says.
pub fn open_regular(path: &Path) -> Result<fs_err::File> {
    check_regular(path, &metadata(path)?)?;
    let mut options = fs_err::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt;
        // A pipe that took the file's place since it was looked at is opened without waiting for a writer.
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    check_regular(path, &file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// As [`open_regular`], and [`FileError::TooLarge`].
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open_regular(path)?;
    let expected = file.metadata()?.len().min(limit);
    bounded(path, file, expected, limit)
}

/// [`read`], also of a pipe or a device, as `<(command)` of a shell is one; waits for what comes.
///
/// # Errors
/// As [`read`], of a folder too.
pub fn read_or_pipe(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let metadata = metadata(path)?;
    if metadata.is_file() || metadata.is_dir() {
        return read(path, limit);
    }
    bounded(path, fs_err::File::open(path)?, 0, limit)
}

fn bounded(path: &Path, file: fs_err::File, expected: u64, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
            limit,
        });
    }
    Ok(bytes)
}

/// Reads a text file of at most `limit` bytes, as [`decode_text`] understands it.
///
/// # Errors
/// As [`read`], and [`FileError::NotText`].
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    text(path, read(path, limit)?)
}

/// [`read_text`], also of a pipe or a device as [`read_or_pipe`].
///
/// # Errors
/// As [`read_or_pipe`], and [`FileError::NotText`].
pub fn read_text_or_pipe(path: &Path, limit: u64) -> Result<String> {
    text(path, read_or_pipe(path, limit)?)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    decode_text(bytes).map_err(|fault| FileError::NotText {
        path: path.to_owned(),
        line: fault.line,
        reason: fault.reason,
    })
}

/// What is known of what lies at a path, links followed.
///
/// # Errors
/// [`FileError::NotFound`], or what the operating system says.
pub fn metadata(path: &Path) -> Result<Metadata> {
    fs_err::metadata(path).map_err(|error| match error.kind() {
        // Below a file nothing lies either.
        ErrorKind::NotFound | ErrorKind::NotADirectory => FileError::NotFound {
            path: path.to_owned(),
        },
        _ => error.into(),
    })
}

fn check_regular(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(FileError::NotRegular {
        path: path.to_owned(),
        what: kind(metadata.file_type()),
    })
}

/// What something that is no regular file is, with its article.
pub(crate) fn kind(file_type: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if file_type.is_fifo() {
            return "a named pipe";
        }
        if file_type.is_socket() {
            return "a socket";
        }
        if file_type.is_char_device() || file_type.is_block_device() {
            return "a device";
        }
    }
    if file_type.is_dir() {
        "a folder"
    } else {
        "no regular file"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_their_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("five");
        fs_err::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(matches!(
            read(&path, 4),
            Err(FileError::TooLarge { limit: 4, .. })
        ));
    }

    #[test]
    fn what_is_not_there_is_told_as_that() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["none", "none/below"] {
            let path = folder.path().join(name);
            let error = read(&path, 1).unwrap_err().to_string();
            assert_eq!(error, format!("{} does not exist", path.display()));
        }
    }

    #[test]
    fn folders_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path(), 10).unwrap_err().to_string();
        assert!(error.contains("is a folder"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for (path, what) in [(&pipe, "a named pipe"), (&link, "a device")] {
            let error = read(path, 10).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_read_where_it_may_be_one() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        let mut writer = std::process::Command::new("sh")
            .args(["-c", "printf token > \"$0\""])
            .arg(&pipe)
            .spawn()
            .unwrap();
        assert_eq!(read_text_or_pipe(&pipe, 10).unwrap(), "token");
        assert!(writer.wait().unwrap().success());
        let endless = read_or_pipe(Path::new("/dev/zero"), 10);
        assert!(matches!(endless, Err(FileError::TooLarge { .. })));
        let error = read_or_pipe(folder.path(), 10).unwrap_err().to_string();
        assert!(error.contains("is a folder"), "{error}");
    }
}
