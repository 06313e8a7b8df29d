//! Images and words, with models in the folder layout of the transformers library: [`Clip`] scores images against texts,
//! [`Blip`] writes captions; and [`EfficientNet`], whose features tell how much images look alike.
//!
//! ```no_run
//! # fn main() -> promptfed_vision::Result<()> {
//! # let image = promptfed_data::DecodedImage { width: 1, height: 1, pixels: vec![0; 3] };
//! let clip = promptfed_vision::Clip::load("clip-vit-base-patch32".as_ref())?;
//! let styles = clip.text_features(&["a photo", "a pencil sketch"])?;
//! let scores = clip.scores(&image, &styles)?;
//! println!("a sketch with probability {}", scores[1]);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod blip;
mod clip;
mod efficient_net;
mod error;
mod folder;
mod image_encoder;
mod keys;
mod kind;
mod pixels;
mod section;
pub mod text_encoder;
mod tokenizer;
mod transformer;

pub use blip::Blip;
pub use clip::Clip;
pub use efficient_net::EfficientNet;
pub use error::{Error, Result};
pub use pixels::Pixels;
