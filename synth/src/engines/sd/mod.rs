//! `sd`: Stable Diffusion (Rombach et al. 2022; XL: Podell et al. 2023) from folders in diffusers' layout, as their own
//! configuration files say.
//!
//! A prompt goes through [`conditioning`] (tokenizers and text encoders), [`samplers`] call the [`unet`] step by step,
//! guided where asked, and the [`vae`] or its tiny stand-in decodes the latents.

mod autoencoder;
pub mod conditioning;
mod configured;
mod engine;
mod faults;
mod few;
pub mod folder;
pub mod hub;
mod keys;
mod loading;
mod long_prompts;
pub mod lora;
mod pipeline;
mod request;
mod resnet;
pub mod samplers;
pub mod schedule;
mod text_config;
pub mod tokenizer;
pub mod unet;
pub mod vae;

pub use configured::{Configured, Settings, read_image, read_latents};
pub use engine::StableDiffusion;
pub use loading::LoadOptions;
pub use long_prompts::LongPrompts;
pub use promptfed_nn::Precision;
pub use request::{GivenNoise, Request, Start};
