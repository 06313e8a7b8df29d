//! The one folder that holds all a server keeps.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use promptfed_prompts::protocol::RoundId;

use crate::token::Token;
use crate::{Error, Result};

/// The data folder, locked against other servers until this is dropped or the process ends.
///
/// ```text
/// server.lock                 locked while a server runs
/// server.sqlite               clients, rounds, submissions, results
/// admin.token                 the administrator's token, unless one was given
/// rounds/<id>/synthetic/      a round's images and manifest
/// models/<id>.safetensors     a round's trained model
/// ```
pub(crate) struct DataFolder {
    root: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder where it is missing, and locks it.
    pub(crate) fn lock(root: &Path) -> Result<Self> {
        for folder in [root.to_owned(), root.join("rounds"), root.join("models")] {
            fs_err::create_dir_all(folder)?;
        }
        let file = root.join("server.lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&file)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                root: root.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(Error::FolderInUse {
                folder: root.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("server.sqlite")
    }

    pub(crate) fn synthetic(&self, round: RoundId) -> PathBuf {
        self.root
            .join("rounds")
            .join(round.to_string())
            .join("synthetic")
    }

    pub(crate) fn model(&self, round: RoundId) -> PathBuf {
        self.root
            .join("models")
            .join(format!("{round}.safetensors"))
    }

    /// The administrator's token of this folder, made at the first start.
    pub(crate) fn admin_token(&self) -> Result<Token> {
        let file = self.root.join("admin.token");
        if file.exists() {
            return Token::given(fs_err::read_to_string(&file)?.trim().to_owned());
        }
        let token = Token::for_admin()?;
        write_durably(&file, format!("{}\n", token.as_str()).as_bytes())?;
        Ok(token)
    }
}

/// Writes a file that only this user can read; after a crash it is there as a whole or not at all.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs_err::rename(&partial, path)?;
    // The rename itself lies in the folder; only Unix lets a folder be synced.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        fs_err::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_serves_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::lock(folder.path()).unwrap();
        assert!(matches!(
            DataFolder::lock(folder.path()),
            Err(Error::FolderInUse { .. })
        ));
        drop(first);
        DataFolder::lock(folder.path()).unwrap();
    }

    #[test]
    fn the_admin_token_stays_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::lock(folder.path()).unwrap();
        let token = data.admin_token().unwrap();
        assert_eq!(data.admin_token().unwrap().as_str(), token.as_str());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let metadata = fs_err::metadata(folder.path().join("admin.token")).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        }
    }
}
