//! `sd`: Stable Diffusion (Rombach et al. 2022) from folders in diffusers' layout, as their own configuration files say.

pub mod samplers;
pub mod schedule;
