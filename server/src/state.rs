//! What every request handler can reach.

use std::ops::Deref;
use std::sync::Arc;

use promptfed_synth::registry::Engines;

use crate::dashboard::Visits;
use crate::data_folder::DataFolder;
use crate::http::{Decoders, LastCheck, Load};
use crate::job::Jobs;
use crate::listen::Limits;
use crate::store::Store;
use crate::token::TokenHash;
use crate::{Error, Result};

/// What every request handler can reach; cloning is cheap.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// The parts of [`AppState`].
pub struct Shared {
    store: Arc<Store>,
    pub(crate) folder: Arc<DataFolder>,
    pub(crate) engines: Engines,
    pub(crate) jobs: Jobs,
    pub(crate) admin: TokenHash,
    pub(crate) load: Arc<Load>,
    pub(crate) decoders: Arc<Decoders>,
    pub(crate) last_check: LastCheck,
    pub(crate) visits: Visits,
}

impl AppState {
    pub(crate) fn new(
        store: Arc<Store>,
        folder: Arc<DataFolder>,
        engines: Engines,
        jobs: Jobs,
        admin: TokenHash,
        limits: Limits,
    ) -> Self {
        Self(Arc::new(Shared {
            store,
            folder,
            engines,
            jobs,
            admin,
            load: Load::new(limits),
            decoders: Arc::default(),
            last_check: LastCheck::default(),
            visits: Visits::default(),
        }))
    }

    /// Does database work away from the threads that serve sockets.
    pub(crate) async fn store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = Arc::clone(&self.store);
        let result = tokio::task::spawn_blocking(move || work(&store)).await;
        result.unwrap_or_else(|panic| Err(Error::Panic(panic.to_string())))
    }
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
