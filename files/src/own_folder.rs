//! Folders that the program fills by itself: claimed before anything is written, locked while a run works, and never taken
//! from anyone.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::write::{PARTIAL_PREFIX, PARTIAL_SUFFIX, fill_and_move, partial};
use crate::{FileError, Result};

/// Name of the one sub-folder for what does not stay: a user's folder holds none of this name.
pub const SCRATCH: &str = ".promptfed";

/// A kind of folder that the program fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FolderKind {
    /// What it is, with its article, for messages: `a synthesis job`.
    pub what: &'static str,
    /// The file, relative to the folder, by which a folder that is not empty is known to be of this kind.
    pub mark: &'static str,
    /// The file, relative to the folder, that is locked while a run works. Where it is the mark, it stays.
    pub lock: &'static str,
}

/// A folder that belongs to one run until this is dropped or the process ends.
#[derive(Debug)]
pub struct OwnFolder {
    root: PathBuf,
    kind: FolderKind,
    lock: Option<File>,
}

/// How often a lock that is held is looked at again, and after how long.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(10);

impl OwnFolder {
    /// Takes the folder `root`, and makes it where it is missing. Before anything else is written, it is checked that it is
    /// empty or of this kind, and locked. Hidden files and the litter of file managers count as nothing; none is touched.
    ///
    /// # Errors
    /// [`FileError::ForeignFolder`], [`FileError::FolderInUse`], or what the operating system says.
    pub fn claim(root: &Path, kind: FolderKind) -> Result<Self> {
        check(root, kind)?;
        let place = root.join(kind.lock);
        let mut looks = 0;
        let lock = loop {
            if let Some(folder) = place.parent() {
                fs_err::create_dir_all(folder)?;
            }
            let lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&place)
                .map_err(|e| std::io::Error::new(e.kind(), format!("{}: {e}", place.display())))?;
            match lock.try_lock() {
                Ok(()) if is_at(&lock, &place) => break lock,
                // The run that held it has ended and taken it away.
                Ok(()) => {}
                // It may be somebody who looks whether it is locked.
                Err(TryLockError::WouldBlock) if looks < LOOKS => {
                    looks += 1;
                    std::thread::sleep(LOOK);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(FileError::FolderInUse {
                        folder: root.to_owned(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        };
        let folder = Self {
            root: root.to_owned(),
            kind,
            lock: Some(lock),
        };
        folder.sweep();
        Ok(folder)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path for what does not stay, in a folder that is there.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let scratch = self.root.join(SCRATCH);
        fs_err::create_dir_all(&scratch)?;
        Ok(scratch.join(name))
    }

    /// Removes what [`OwnFolder::scratch`] gave a path for, a file or a folder with all that is in it.
    ///
    /// # Errors
    /// What the operating system says, but for what is not there.
    pub fn discard(&self, name: &str) -> Result<()> {
        let path = self.root.join(SCRATCH).join(name);
        let removed = match fs_err::symlink_metadata(&path) {
            Ok(there) if there.is_dir() => fs_err::remove_dir_all(&path),
            Ok(_) => fs_err::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Writes one file of many in the folder, whole or not at all: filled in the scratch folder, so that a kill leaves nothing
    /// beside it, and moved to `path`. Unlike [`write_whole`](crate::write_whole) it does not wait until its name is on the disk:
    /// write that down, and check it when the work goes on.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let scratch = self.root.join(SCRATCH);
        fs_err::create_dir_all(&scratch)?;
        let partial = partial(&scratch, path, false)?;
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        fill_and_move(partial, bytes, path)
    }

    /// Removes what kills left half-written.
    fn sweep(&self) {
        let entries = fs_err::read_dir(self.root.join(SCRATCH));
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            if is_partial(&name.to_string_lossy()) {
                // What cannot be removed now does no harm and is tried again.
                let _ = fs_err::remove_file(entry.path());
            }
        }
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        if self.kind.lock != self.kind.mark {
            // Still locked: whoever opened it meanwhile sees that it is gone.
            let _ = fs_err::remove_file(self.root.join(self.kind.lock));
        }
        self.lock.take();
        // Stays where something is in it.
        let _ = fs_err::remove_dir(self.root.join(SCRATCH));
    }
}

/// Whether another run holds the lock file `path`.
pub fn is_locked(path: &Path) -> bool {
    // Shared: two who ask at once do not take each other for a run.
    let held = File::open(path);
    held.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Refuses a folder that is not empty and not of this kind.
fn check(root: &Path, kind: FolderKind) -> Result<()> {
    let foreign = |found: String| FileError::ForeignFolder {
        folder: root.to_owned(),
        what: kind.what,
        found,
    };
    let not_writable = |reason: &str| FileError::NotWritable {
        path: root.to_owned(),
        reason: reason.to_owned(),
    };
    if root.join(kind.mark).is_file() {
        return Ok(());
    }
    let entries = match fs_err::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(_) if root.exists() && !root.is_dir() => {
            return Err(not_writable("it is a file; give the name of a folder"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(not_writable(
                "a part of its path is a file; give the name of a folder",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !LITTER.contains(&name.as_str()) {
            found.push(name);
        }
    }
    if let Some(first) = found.iter().min() {
        return Err(foreign(match found.len() {
            1 => first.clone(),
            n => format!("{first} and {} more", n - 1),
        }));
    }
    let scratch = root.join(SCRATCH);
    if scratch.exists() && !scratch.is_dir() {
        return Err(foreign(SCRATCH.to_owned()));
    }
    // Another command's, which has written nothing else yet, or anyone's.
    for entry in fs_err::read_dir(scratch).into_iter().flatten() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let path = format!("{SCRATCH}/{name}");
        if path != kind.lock && !is_partial(&name) {
            return Err(foreign(path));
        }
    }
    Ok(())
}

/// Whether a kill left the file of this name half-written.
fn is_partial(name: &str) -> bool {
    name.starts_with(PARTIAL_PREFIX) && name.ends_with(PARTIAL_SUFFIX)
}

/// What file managers leave in folders that look empty.
const LITTER: [&str; 2] = ["Thumbs.db", "desktop.ini"];

/// Whether the open file is still the one at this path.
fn is_at(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        match (file.metadata(), fs_err::metadata(path)) {
            (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
            _ => false,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names_in::names_in;

    const JOB: FolderKind = FolderKind {
        what: "a job",
        mark: "job.json",
        lock: ".promptfed/job.lock",
    };
    const COMPARISON: FolderKind = FolderKind {
        what: "a comparison",
        mark: ".promptfed/comparison.lock",
        lock: ".promptfed/comparison.lock",
    };

    #[test]
    fn a_folder_with_anything_in_it_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["partial", "staging/photo", "images/cat/00000000.png"] {
            let root = folder.path().join(name.replace(['/', '.'], "-"));
            let path = root.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, b"mine").unwrap();
            for kind in [JOB, COMPARISON] {
                let error = OwnFolder::claim(&root, kind).unwrap_err();
                assert!(matches!(error, FileError::ForeignFolder { .. }), "{error}");
            }
            assert_eq!(fs_err::read(&path).unwrap(), b"mine");
            assert_eq!(names_in(&root).len(), 1);
        }
        let file = folder.path().join("file");
        fs_err::write(&file, b"mine").unwrap();
        let error = OwnFolder::claim(&file, JOB).unwrap_err().to_string();
        assert!(error.contains("is a file"), "{error}");
        let below = OwnFolder::claim(&file.join("below"), JOB).unwrap_err();
        assert!(below.to_string().contains("name of a folder"), "{below}");
        let taken = folder.path().join("taken");
        fs_err::create_dir(&taken).unwrap();
        fs_err::write(taken.join(SCRATCH), b"mine").unwrap();
        let error = OwnFolder::claim(&taken, JOB).unwrap_err();
        assert!(matches!(error, FileError::ForeignFolder { .. }), "{error}");
    }

    #[test]
    fn hidden_files_are_no_content_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join(".DS_Store"), b"x").unwrap();
        fs_err::write(folder.path().join("Thumbs.db"), b"x").unwrap();
        let claimed = OwnFolder::claim(folder.path(), JOB).unwrap();
        claimed
            .write(&folder.path().join("images/a"), b"1")
            .unwrap();
        claimed
            .write(&folder.path().join("job.json"), b"2")
            .unwrap();
        fs_err::write(claimed.scratch("index").unwrap(), b"x").unwrap();
        drop(claimed);
        let all = [".DS_Store", ".promptfed", "Thumbs.db", "images", "job.json"];
        assert_eq!(names_in(folder.path()), all);
        let claimed = OwnFolder::claim(folder.path(), JOB).unwrap();
        claimed.discard("index").unwrap();
        claimed.discard("index").unwrap();
        drop(claimed);
        assert_eq!(
            names_in(folder.path()),
            [".DS_Store", "Thumbs.db", "images", "job.json"]
        );
    }

    #[test]
    fn one_run_at_a_time_of_one_kind() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [JOB, COMPARISON] {
            let root = folder.path().join(kind.what.replace(' ', "-"));
            let first = OwnFolder::claim(&root, kind).unwrap();
            let error = OwnFolder::claim(&root, kind).unwrap_err();
            assert!(matches!(error, FileError::FolderInUse { .. }), "{error}");
            let other = if kind == JOB { COMPARISON } else { JOB };
            let error = OwnFolder::claim(&root, other).unwrap_err();
            assert!(matches!(error, FileError::ForeignFolder { .. }), "{error}");
            assert!(is_locked(&root.join(kind.lock)));
            drop(first);
            assert!(!is_locked(&root.join(kind.lock)));
            OwnFolder::claim(&root, kind).unwrap();
        }
    }

    #[test]
    fn what_a_kill_left_half_written_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join(SCRATCH);
        fs_err::create_dir(&scratch).unwrap();
        fs_err::write(scratch.join(".promptfed-abc.partial"), b"x").unwrap();
        fs_err::write(scratch.join("kept"), b"x").unwrap();
        let error = OwnFolder::claim(folder.path(), JOB).unwrap_err();
        assert!(matches!(error, FileError::ForeignFolder { .. }), "{error}");
        assert_eq!(names_in(&scratch).len(), 2);
        fs_err::write(folder.path().join("job.json"), b"x").unwrap();
        drop(OwnFolder::claim(folder.path(), JOB).unwrap());
        assert_eq!(names_in(&scratch), ["kept"]);
    }
}
