//! The server of a federation: rounds, submissions, jobs and results over HTTP.
//!
//! [`Server::start`] runs one on threads of its own; [`run_blocking`] runs one until the process is told to end. All it
//! keeps lies in one folder, and what it has acknowledged survives a crash.
//!
//! ```no_run
//! use promptfed_server::{Engines, Server, ServerConfig};
//!
//! # fn main() -> promptfed_server::Result<()> {
//! let engines = Engines::new().with_pocket("assets/pocket/all");
//! let config = ServerConfig::new(([127, 0, 0, 1], 0).into(), "promptfed-data".into(), engines);
//! let server = Server::start(config)?;
//! println!("{} with the administrator's token {}", server.url(), server.admin_token());
//! server.shutdown();
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backup;
mod dashboard;
mod data_folder;
mod error;
mod http;
mod images;
mod inspect;
mod job;
mod listen;
mod metrics;
mod role;
mod server;
mod state;
mod store;
mod token;

pub use backup::{BackupReport, RoundKeys, backup, restore};
pub use data_folder::DATA_FOLDER_LOCK;
pub use error::{Error, Result};
pub use http::{api_document, app};
pub use images::{ImageServer, ImageServerConfig, new_token, serve_images};
pub use inspect::{Inspection, inspect};
pub use listen::{CertificateFiles, Limits, Transport};
pub use promptfed_synth::registry::Engines;
pub use server::{RunningServer, Server, ServerConfig, run_blocking};
pub use state::AppState;
