//! The one folder that holds all a server keeps.

use std::path::{Path, PathBuf};

use promptfed_files::{FileError, FolderKind, OwnFolder, write_secret};

use promptfed_prompts::protocol::RoundId;

use crate::store::Work;
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
/// keys/<id>.key               the private key that opens a round's prompts
/// rounds/<id>/synthetic/      a round's images and manifest
/// rounds/<id>/fused/          which of them were chosen, where the plan fuses them
/// rounds/<id>/redrawn/<class>-<draw>/   images of a class, by its number, that were made again
/// models/<id>.safetensors     a round's trained model
/// models/<id>-<training>.safetensors    that of a later training of its images
/// ```
pub(crate) struct DataFolder {
    folder: OwnFolder,
}

/// Where the images of rounds lie.
pub(crate) const ROUNDS: &str = "rounds";
/// Where the models lie, and how their names end.
pub(crate) const MODELS: &str = "models";
const MODEL_ENDING: &str = ".safetensors";

/// Where the private keys of rounds lie, and how their names end.
pub(crate) const KEYS: &str = "keys";
const KEY_ENDING: &str = ".key";

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

    pub(crate) fn root(&self) -> &Path {
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

    /// The images of a class that were made again the `draw`th time.
    pub(crate) fn redrawn(&self, round: RoundId, class: u32, draw: u32) -> PathBuf {
        self.redraws_of(round).join(format!("{class}-{draw}"))
    }

    /// The classes of which images were made again, each with the number of the time, in order.
    pub(crate) fn redraws(&self, round: RoundId) -> Result<Vec<(u32, u32)>> {
        let entries = match fs_err::read_dir(self.redraws_of(round)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let parts = name.split_once('-');
            if let Some((Ok(class), Ok(draw))) =
                parts.map(|(c, d)| (c.parse::<u32>(), d.parse::<u32>()))
            {
                found.push((class, draw));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn redraws_of(&self, round: RoundId) -> PathBuf {
        self.root()
            .join(ROUNDS)
            .join(round.to_string())
            .join("redrawn")
    }

    pub(crate) fn model(&self, work: Work) -> PathBuf {
        let name = match work.training {
            1 => work.round.to_string(),
            later => format!("{}-{later}", work.round),
        };
        self.root()
            .join(MODELS)
            .join(format!("{name}{MODEL_ENDING}"))
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

    /// A folder for the images of a round that are made again.
    pub(crate) fn prepare_redraws(&self, round: RoundId) -> Result<()> {
        Ok(fs_err::create_dir_all(self.redraws_of(round))?)
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

    /// Removes all of a round that lies in files, the key to its prompts first.
    pub(crate) fn discard_round(&self, round: RoundId) -> Result<()> {
        gone(fs_err::remove_file(
            self.root().join(KEYS).join(key_name(round)),
        ))?;
        self.discard_images(round)?;
        let entries = match fs_err::read_dir(self.root().join(MODELS)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if round_of(&entry.file_name().to_string_lossy()) == Some(round) {
                gone(fs_err::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }

    /// Removes the files of rounds that are no more: `unless_there` calls what it is given where there is no such round. One that cannot be removed is
    /// not in the way of the others.
    pub(crate) fn sweep(
        &self,
        unless_there: impl Fn(RoundId, &dyn Fn() -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let mut swept = Ok(());
        for folder in [ROUNDS, MODELS, KEYS] {
            let Ok(entries) = fs_err::read_dir(self.root().join(folder)) else {
                continue;
            };
            for entry in entries {
                let name = entry?.file_name();
                // Asked after its files were found: a round is there before they are.
                if let Some(round) = round_of(&name.to_string_lossy()) {
                    swept = swept.and(unless_there(round, &|| self.discard_round(round)));
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

/// Name of the file of a round's private key.
pub(crate) fn key_name(round: RoundId) -> String {
    format!("{round}{KEY_ENDING}")
}

/// The round that a folder of images or a file of a model or of a key is of.
pub(crate) fn round_of(name: &str) -> Option<RoundId> {
    if let Some(round) = name.strip_suffix(KEY_ENDING) {
        return round.parse().ok();
    }
    let round = match name.strip_suffix(MODEL_ENDING) {
        None => name,
        Some(model) => match model.split_once('-') {
            Some((round, training)) => training.parse::<u32>().ok().map(|_| round)?,
            None => model,
        },
    };
    round.parse().ok()
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
        let models = |round| [1, 2].map(|training| data.model(Work { round, training }));
        for round in [1, 2, 21] {
            let round = RoundId::new(round);
            data.prepare_round(round).unwrap();
            fs_err::create_dir_all(data.synthetic(round)).unwrap();
            fs_err::create_dir_all(data.redrawn(round, 0, 1)).unwrap();
            fs_err::create_dir_all(folder.path().join("keys")).unwrap();
            fs_err::write(folder.path().join("keys").join(key_name(round)), b"k").unwrap();
            fs_err::create_dir_all(folder.path().join("models")).unwrap();
            for model in models(round) {
                fs_err::write(model, b"m").unwrap();
            }
        }
        fs_err::write(folder.path().join("rounds/notes.txt"), b"mine").unwrap();
        data.sweep(|round, discard| match round.get() {
            1 => discard(),
            _ => Ok(()),
        })
        .unwrap();
        assert!(models(RoundId::new(1)).iter().all(|model| !model.exists()));
        assert!(!folder.path().join("rounds/1").exists());
        assert!(!folder.path().join("keys/1.key").exists());
        assert!(folder.path().join("keys/2.key").exists());
        assert!(data.synthetic(RoundId::new(2)).exists());
        assert_eq!(data.redraws(RoundId::new(2)).unwrap(), [(0, 1)]);
        assert!(models(RoundId::new(2)).iter().all(|model| model.exists()));
        assert!(folder.path().join("rounds/notes.txt").exists());
        data.prove_space(1 << 10).unwrap();
        data.discard_round(RoundId::new(2)).unwrap();
        data.discard_round(RoundId::new(2)).unwrap();
        assert!(models(RoundId::new(2)).iter().all(|model| !model.exists()));
        assert!(models(RoundId::new(21)).iter().all(|model| model.exists()));
    }

    #[test]
    fn files_are_known_by_their_round() {
        let known = |name| round_of(name).map(RoundId::get);
        assert_eq!(known("3"), Some(3));
        assert_eq!(known("3.safetensors"), Some(3));
        assert_eq!(known("3-12.safetensors"), Some(3));
        assert_eq!(known("3.key"), Some(3));
        for other in ["3-a.safetensors", "3-1.key", "3-12", "notes.txt", "", "-1"] {
            assert_eq!(known(other), None, "{other}");
        }
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
