//! The server of a federation: rounds, submissions, jobs and results over HTTP.
//!
//! [`Server::start`] runs one on threads of its own; [`run_blocking`] runs one until the process is told to end. All it
//! keeps lies in one folder, and what it has acknowledged survives a crash.
//!
//! ```no_run
//! use promptfed_server::{Engines, Server, ServerConfig};
//!
//! # fn main() -> promptfed_server::Result<()> {
//! let server = Server::start(ServerConfig {
//!     addr: ([127, 0, 0, 1], 0).into(),
//!     data_dir: "promptfed-data".into(),
//!     engines: Engines::new().with_pocket("assets/pocket/all"),
//!     admin_token: None,
//! })?;
//! println!("{} with the administrator's token {}", server.url(), server.admin_token());
//! server.shutdown();
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod data_folder;
mod error;
mod http;
mod images;
mod job;
mod server;
mod state;
mod store;
mod token;

pub use error::{Error, Result};
pub use http::app;
pub use images::{ImageServer, ImageServerConfig, new_token, serve_images};
pub use promptfed_synth::registry::Engines;
pub use server::{RunningServer, Server, ServerConfig, run_blocking};
pub use state::AppState;
