//! Federated generative learning: clients share text prompts instead of images or weights; a server turns the prompts into
//! training images and trains one model on them.
//!
//! This crate gathers the rooms of the project under one name; each is a crate of its own. `default-features = false` leaves out the
//! program, [`server`] and [`eval`], which have features of these names.
//!
//! ```no_run
//! use promptfed::synth::{Generator, ImageRequest, ImageSeed, engines::pocket::Pocket};
//!
//! # fn main() -> promptfed::synth::Result<()> {
//! let mut pocket = Pocket::bundled()?;
//! let request = ImageRequest::with_defaults("a red fox", ImageSeed::from_u64(7), pocket.describe());
//! pocket.generate(&[request])?[0].save_png("fox.png".as_ref())?;
//! # Ok(())
//! # }
//! ```

pub use promptfed_client as client;
pub use promptfed_data as data;
#[cfg(feature = "eval")]
pub use promptfed_eval as eval;
pub use promptfed_learn as learn;
pub use promptfed_prompts as prompts;
#[cfg(feature = "server")]
pub use promptfed_server as server;
pub use promptfed_synth as synth;
pub use promptfed_vision as vision;
