//! The private keys of rounds: files beside the database, so that neither it nor a copy of it opens what it holds.

use std::path::{Path, PathBuf};

use promptfed_files::write_secret;
use promptfed_privacy::PrivateKey;
use promptfed_prompts::protocol::{RoundId, SealingKey};

use crate::data_folder::{KEYS, close_to_others, key_name};
use crate::{Error, Result};

/// The folder of the keys: one file for each round, 64 hexadecimal digits and a line feed.
pub(super) struct Keys(PathBuf);

impl Keys {
    /// Those beside a database; the folder need not be there yet.
    pub(super) fn beside(database: &Path) -> Self {
        Self(database.with_file_name(KEYS))
    }

    /// Makes a round's key; says what its public half is. It is on the disk when this returns.
    pub(super) fn make(&self, round: RoundId) -> Result<SealingKey> {
        fs_err::create_dir_all(&self.0)?;
        close_to_others(&self.0);
        // The folder's own name too; only Unix lets a folder be synced.
        #[cfg(unix)]
        if let Some(data) = self.0.parent().filter(|data| !data.as_os_str().is_empty()) {
            fs_err::File::open(data)?.sync_all()?;
        }
        let key = PrivateKey::generate();
        // The private half is written as the public one is.
        let text = format!("{}\n", SealingKey::from_bytes(key.to_bytes()));
        write_secret(&self.file(round), text.as_bytes())?;
        Ok(key.public())
    }

    /// A round's key, which must be the one with this public half.
    pub(super) fn read(&self, round: RoundId, public: &SealingKey) -> Result<PrivateKey> {
        let file = self.file(round);
        let missing = |reason: &str| Error::RoundKey {
            round,
            file: file.clone(),
            reason: reason.to_owned(),
        };
        let text = match fs_err::read_to_string(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(missing("is not there"));
            }
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                return Err(missing("is no key"));
            }
            text => text?,
        };
        let bytes = text.trim().parse::<SealingKey>();
        let bytes = bytes.map_err(|_| missing("is no key"))?;
        let key = PrivateKey::from_bytes(bytes.as_bytes());
        if key.public() == *public {
            Ok(key)
        } else {
            Err(missing("is the key of another round"))
        }
    }

    fn file(&self, round: RoundId) -> PathBuf {
        self.0.join(key_name(round))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_again_and_no_other_is_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::beside(&folder.path().join("server.sqlite"));
        let (one, two) = (RoundId::new(1), RoundId::new(2));
        let (first, second) = (keys.make(one).unwrap(), keys.make(two).unwrap());
        assert_ne!(first, second);
        assert_eq!(keys.read(one, &first).unwrap().public(), first);
        let told = |result: Result<PrivateKey>| result.unwrap_err().to_string();
        assert!(told(keys.read(one, &second)).contains("another round"));
        for damaged in [&b"0123"[..], b"\xff\xfe"] {
            fs_err::write(keys.file(one), damaged).unwrap();
            assert!(told(keys.read(one, &first)).contains("is no key"));
        }
        fs_err::remove_file(keys.file(one)).unwrap();
        assert!(told(keys.read(one, &first)).contains("is not there"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&keys.file(two)), 0o600);
            assert_eq!(mode(&keys.0), 0o700);
        }
    }
}
