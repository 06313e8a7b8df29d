//! What workers made, as objects that are never overwritten.

use std::path::Path;

use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use promptfed_prompts::ContentHash;
use tokio::runtime::Runtime;

use super::{Fence, MadeObject, ShardId};
use crate::{Error, Result};

/// The objects of one queue: one for each lease under which a shard was drawn, named after both. What lies under a key never changes.
pub struct Objects {
    store: LocalFileSystem,
    runtime: Runtime,
}

impl Objects {
    /// Those in a folder, which is made where it is missing. An object is on the disk before it counts as put.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        fs_err::create_dir_all(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(fault)?;
        Ok(Self {
            store: store.with_fsync(true),
            runtime: tokio::runtime::Builder::new_current_thread().build()?,
        })
    }

    /// Puts what was made of a shard under a lease. The same bytes once more change nothing.
    ///
    /// # Errors
    /// Other bytes under the same key, and what the store says.
    pub fn put(&self, shard: ShardId, fence: Fence, bytes: Vec<u8>) -> Result<MadeObject> {
        let key = key(shard, fence);
        let hash = ContentHash::of(&bytes);
        let made = MadeObject { fence, hash };
        let once = PutOptions::from(PutMode::Create);
        let put = self.store.put_opts(&key, PutPayload::from(bytes), once);
        match self.runtime.block_on(put) {
            Ok(_) => Ok(made),
            Err(object_store::Error::AlreadyExists { .. }) => match self.get(shard, made)? {
                Some(_) => Ok(made),
                None => Err(Error::Store(format!(
                    "{key} is there with other bytes; two workers have the same lease, or the object was changed"
                ))),
            },
            Err(error) => Err(fault(error)),
        }
    }

    /// The bytes of an object; `None` where they are not there or not those that were put.
    ///
    /// # Errors
    /// What the store says.
    pub fn get(&self, shard: ShardId, made: MadeObject) -> Result<Option<Vec<u8>>> {
        let key = key(shard, made.fence);
        let got = self
            .runtime
            .block_on(async { self.store.get(&key).await?.bytes().await });
        match got {
            Ok(bytes) => Ok((ContentHash::of(&bytes) == made.hash).then(|| bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(fault(error)),
        }
    }

    /// Removes the object of a lease, where it is there.
    ///
    /// # Errors
    /// What the store says.
    pub fn remove(&self, shard: ShardId, fence: Fence) -> Result<()> {
        let key = key(shard, fence);
        match self.runtime.block_on(self.store.delete(&key)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(fault(error)),
        }
    }
}

/// The key of what is made of a shard under a lease.
fn key(shard: ShardId, fence: Fence) -> Key {
    Key::from(format!("{shard:010}-{fence}.safetensors"))
}

fn fault(error: object_store::Error) -> Error {
    Error::Store(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_put_once_and_read_only_if_whole() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::in_folder(folder.path()).unwrap();
        let made = objects.put(64, 1, b"first".to_vec()).unwrap();
        assert_eq!(objects.put(64, 1, b"first".to_vec()).unwrap(), made);
        let told = objects.put(64, 1, b"second".to_vec()).unwrap_err();
        assert!(told.to_string().contains("other bytes"), "{told}");
        let other = objects.put(64, 2, b"second".to_vec()).unwrap();
        assert_eq!(objects.get(64, made).unwrap().unwrap(), b"first");
        assert_eq!(objects.get(64, other).unwrap().unwrap(), b"second");

        let file = folder.path().join("0000000064-1.safetensors");
        fs_err::write(&file, b"fir").unwrap();
        assert_eq!(objects.get(64, made).unwrap(), None);
        objects.remove(64, 1).unwrap();
        objects.remove(64, 1).unwrap();
        assert!(!file.exists());
        assert_eq!(objects.get(64, made).unwrap(), None);
        assert_eq!(objects.get(64, other).unwrap().unwrap(), b"second");
    }
}
