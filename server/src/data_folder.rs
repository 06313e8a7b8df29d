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
/// tls/                        a certificate of its own, its key and its fingerprint, where it was asked for one
/// rounds/<id>/synthetic/      a round's images and manifest
/// rounds/<id>/fused/          which of them were chosen, where the plan fuses them
/// models/<id>.safetensors     a round's trained model
/// ```
pub(crate) struct DataFolder {
    folder: OwnFolder,
}

/// Where the images of rounds lie.
pub(crate) const ROUNDS: &str = "rounds";
/// Where the models lie, and how their names end.
pub(crate) const MODELS: &str = "models";
pub(crate) const MODEL_ENDING: &str = ".safetensors";

/// Name of the database.
pub(crate) const DATABASE: &str = "server.sqlite";

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
            .join(ROUNDS)
            .join(round.to_string())
            .join("synthetic")
    }

    pub(crate) fn fused(&self, round: RoundId) -> PathBuf {
        self.root()
            .join(ROUNDS)
            .join(round.to_string())
            .join("fused")
    }

    pub(crate) fn model(&self, round: RoundId) -> PathBuf {
        self.root()
            .join(MODELS)
            .join(format!("{round}{MODEL_ENDING}"))
    }

    /// The folder of a certificate that the server makes for itself.
    pub(crate) fn tls(&self) -> PathBuf {
        self.root().join("tls")
    }

    /// A folder for all of a round's images, that others may not look into.
    pub(crate) fn prepare_round(&self, round: RoundId) -> Result<()> {
        let rounds = self.root().join(ROUNDS);
        fs_err::create_dir_all(rounds.join(round.to_string()))?;
        close_to_others(&rounds);
        Ok(())
    }

    /// Lets nobody but the server's user read a round's images.
    pub(crate) fn close_images(&self, round: RoundId) -> Result<()> {
        let mut folders = vec![self.root().join(ROUNDS).join(round.to_string())];
        while let Some(folder) = folders.pop() {
            close_to_others(&folder);
            for entry in fs_err::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else {
                    close_to_others(&entry.path());
                }
            }
        }
        Ok(())
    }

    /// Removes a round's images.
    pub(crate) fn discard_images(&self, round: RoundId) -> Result<()> {
        gone(fs_err::remove_dir_all(
            self.root().join(ROUNDS).join(round.to_string()),
        ))
    }

    /// Removes all of a round that lies in files.
    pub(crate) fn discard_round(&self, round: RoundId) -> Result<()> {
        self.discard_images(round)?;
        gone(fs_err::remove_file(self.model(round)))
    }

    /// Removes the files of rounds that are no more. One that cannot be removed is not in the way of the others.
    pub(crate) fn sweep(&self, is_there: impl Fn(RoundId) -> Result<bool>) -> Result<()> {
        let mut swept = Ok(());
        for folder in [ROUNDS, MODELS] {
            let Ok(entries) = fs_err::read_dir(self.root().join(folder)) else {
                continue;
            };
            for entry in entries {
                let name = entry?.file_name();
                let name = name.to_string_lossy();
                let number = name.strip_suffix(MODEL_ENDING).unwrap_or(&name);
                // Asked after its files were found: a round is there before they are.
                if let Ok(round) = number.parse::<RoundId>()
                    && !is_there(round)?
                {
                    swept = swept.and(self.discard_round(round));
                }
            }
        }
        swept
    }

    /// Proves that the disk takes files: writes one of some size and takes it away again.
    pub(crate) fn prove_space(&self, bytes: usize) -> Result<()> {
        let file = self.root().join(DATA_FOLDER_LOCK).with_file_name("space");
        let written = fs_err::write(&file, vec![0x55; bytes]);
        gone(fs_err::remove_file(&file))?;
        Ok(written?)
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

/// What is not there needs no removal.
fn gone(removed: std::io::Result<()>) -> Result<()> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Lets nobody but the server's user into a folder of its, or read a file.
pub(crate) fn close_to_others(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        let owner_alone = std::fs::Permissions::from_mode(mode);
        if let Err(error) = fs_err::set_permissions(path, owner_alone) {
            tracing::warn!(%error, "the data folder may be open to other users of this machine");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
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
    fn only_what_belongs_to_no_round_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::lock(folder.path()).unwrap();
        for round in [1, 2] {
            let round = RoundId::new(round);
            data.prepare_round(round).unwrap();
            fs_err::create_dir_all(data.synthetic(round)).unwrap();
            fs_err::create_dir_all(folder.path().join("models")).unwrap();
            fs_err::write(data.model(round), b"m").unwrap();
        }
        fs_err::write(folder.path().join("rounds/notes.txt"), b"mine").unwrap();
        data.sweep(|round| Ok(round == RoundId::new(2))).unwrap();
        assert!(!data.model(RoundId::new(1)).exists());
        assert!(!folder.path().join("rounds/1").exists());
        assert!(data.synthetic(RoundId::new(2)).exists() && data.model(RoundId::new(2)).exists());
        assert!(folder.path().join("rounds/notes.txt").exists());
        data.prove_space(1 << 10).unwrap();
        data.discard_round(RoundId::new(2)).unwrap();
        data.discard_round(RoundId::new(2)).unwrap();
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
