//! The one folder that holds all a server keeps.

use std::path::{Path, PathBuf};

use promptfed_files::{FileError, FolderKind, OwnFolder, write_secret};

use promptfed_prompts::protocol::RoundId;

use crate::token::Token;
use crate::{Error, Result};

/// The data folder, locked against other servers until this is dropped or the process ends.
///
/// ```text
/// .promptfed/server.lock      locked while a server runs
/// server.sqlite               clients, rounds, submissions, results; by it the folder is known as a server's
/// server.sqlite.v1            the database as it was before its tables were changed, where they were
/// admin.token                 the administrator's token, unless one was given
/// rounds/<id>/synthetic/      a round's images and manifest
/// rounds/<id>/fused/          which of them were chosen, where the plan fuses them
/// models/<id>.safetensors     a round's trained model
/// ```
pub(crate) struct DataFolder {
    folder: OwnFolder,
}

/// Name of the database.
const DATABASE: &str = "server.sqlite";

/// The file that a server holds locked while it runs, relative to its data folder.
pub const DATA_FOLDER_LOCK: &str = ".promptfed/server.lock";

/// How a server's folder is known: a folder that holds anything else is not taken.
const SERVER_FOLDER: FolderKind = FolderKind {
    what: "the data folder of a server",
    mark: DATABASE,
    lock: DATA_FOLDER_LOCK,
};

impl DataFolder {
    /// Makes the folder where it is missing, and locks it. Nothing is made in it before its database, by which it is known.
    pub(crate) fn lock(root: &Path) -> Result<Self> {
        let folder = OwnFolder::claim(root, SERVER_FOLDER).map_err(|error| match error {
            FileError::FolderInUse { folder } => Error::FolderInUse { folder },
            other => other.into(),
        })?;
        close_to_others(root);
        Ok(Self { folder })
    }

    fn root(&self) -> &Path {
        self.folder.root()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root().join(DATABASE)
    }

    pub(crate) fn synthetic(&self, round: RoundId) -> PathBuf {
        self.root()
            .join("rounds")
            .join(round.to_string())
            .join("synthetic")
    }

    pub(crate) fn fused(&self, round: RoundId) -> PathBuf {
        self.root()
            .join("rounds")
            .join(round.to_string())
            .join("fused")
    }

    pub(crate) fn model(&self, round: RoundId) -> PathBuf {
        self.root()
            .join("models")
            .join(format!("{round}.safetensors"))
    }

    /// The administrator's token of this folder, made at the first start.
    pub(crate) fn admin_token(&self) -> Result<Token> {
        let file = self.root().join("admin.token");
        if file.exists() {
            return Token::given(fs_err::read_to_string(&file)?.trim().to_owned());
        }
        let token = Token::for_admin()?;
        write_secret(&file, format!("{}\n", token.as_str()).as_bytes())?;
        Ok(token)
    }
}

/// Lets nobody but the server's user into its folder.
fn close_to_others(root: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let owner_alone = std::fs::Permissions::from_mode(0o700);
        if let Err(error) = fs_err::set_permissions(root, owner_alone) {
            tracing::warn!(%error, "the data folder may be open to other users of this machine");
        }
    }
    #[cfg(not(unix))]
    let _ = root;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn nobody_else_gets_into_the_folder() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(folder.path(), open).unwrap();
        let _data = DataFolder::lock(folder.path()).unwrap();
        let mode = fs_err::metadata(folder.path())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }

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
    fn a_folder_with_other_things_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder.path().join("photos")).unwrap();
        let error = DataFolder::lock(folder.path()).err().unwrap().to_string();
        assert!(error.contains("photos"), "{error}");
        assert!(!folder.path().join(DATA_FOLDER_LOCK).exists());
    }

    #[test]
    fn another_programs_lock_makes_no_folder_a_servers() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("server.lock");
        fs_err::write(&lock, b"pid 7").unwrap();
        let error = DataFolder::lock(folder.path()).err().unwrap().to_string();
        assert!(error.contains("server.lock"), "{error}");
        assert_eq!(fs_err::read(&lock).unwrap(), b"pid 7");
    }

    #[test]
    fn a_folder_of_which_a_kill_left_only_the_lock_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder.path().join(".promptfed")).unwrap();
        fs_err::write(folder.path().join(DATA_FOLDER_LOCK), b"").unwrap();
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
