//! The engines: one folder each, all behind [`Generator`](crate::Generator).

pub mod a1111;
mod asking;
mod device;
pub mod pocket;
mod prompt_cache;
mod received;
pub mod remote;
pub mod sd;

pub use asking::ServiceEngine;
pub use device::DeviceKind;
