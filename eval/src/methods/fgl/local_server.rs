//! The server that rounds of a comparison are on.

use crate::Result;
use promptfed_server::{Engines, RunningServer, Server, ServerConfig};
use std::path::{Path, PathBuf};

/// A server on the loopback interface, for the rounds of one method or several.
pub struct LocalServer {
    pub(super) running: RunningServer,
    pub(super) data_dir: PathBuf,
}

impl LocalServer {
    /// Starts it, with its data in `data_dir`.
    ///
    /// # Errors
    /// If it cannot start.
    pub fn start(data_dir: &Path, engines: Engines) -> Result<Self> {
        let addr = ([127, 0, 0, 1], 0).into();
        let running = Server::start(ServerConfig::new(addr, data_dir.to_owned(), engines))?;
        Ok(Self {
            running,
            data_dir: data_dir.to_owned(),
        })
    }
}
