//! `sd`: Stable Diffusion (Rombach et al. 2022; XL: Podell et al. 2023) from folders in diffusers' layout, as their own
//! configuration files say.

pub mod folder;
mod resnet;
pub mod samplers;
pub mod schedule;
pub mod text_encoder;
pub mod tokenizer;
pub mod unet;
pub mod vae;
