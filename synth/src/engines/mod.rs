//! The engines: one folder each, all behind [`Generator`](crate::Generator).

mod device;
pub mod pocket;
mod prompt_cache;
pub mod sd;

pub use device::DeviceKind;
