//! Other people's services over HTTP: image servers and language models.
//!
//! A [`Service`] is an address, a key that nobody prints, and [`Limits`]. It asks in JSON, waits as the service asks it to, tries
//! again what may pass, and gives up with a [`ServiceError`] that says whether trying later makes sense.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//! use promptfed_synth::service::{Limits, Service};
//!
//! # fn main() -> Result<(), promptfed_synth::service::ServiceError> {
//! let service = Service::new("http://127.0.0.1:8080/v1", None, Limits::default())?;
//! let models: serde_json::Value = service.get("models", &AtomicBool::new(false))?;
//! # Ok(())
//! # }
//! ```

mod address;
mod answer;
mod client;
mod error;
mod key;
mod limits;
mod pace;
mod pause;
pub(crate) mod tls;

pub use address::Address;
pub(crate) use answer::innermost;
pub use client::Service;
pub use error::{Fault, ServiceError};
pub use key::ApiKey;
pub use limits::{Limits, Retry};
pub(crate) use pause::wait;
