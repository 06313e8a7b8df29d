//! Neural-network layers with one meaning on CPU and CUDA, and the loading of their weights.
//!
//! Feature maps are NHWC: `[batch, height, width, channels]`. The layers that training depends on
//! have a CPU kernel with a backward pass; on CUDA the same functions run as compositions of
//! candle operations. Weights are exchanged in PyTorch's names, shapes and layouts.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod activation;
pub mod attention;
pub mod batch_norm;
pub mod conv2d;
pub mod convolution;
mod cpu;
pub mod cross_entropy;
pub mod depthwise;
mod error;
mod fused;
pub mod group_norm;
pub mod layer_norm;
pub mod linear;
pub mod load;
pub mod noise;
mod path;
pub mod pool;
mod pool_thread;
mod precision;

pub use activation::Activation;
pub use cpu::instructions;
pub use error::{Error, Result, WeightProblem};
pub use path::Path;
pub use pool_thread::on_pool_thread;
pub use precision::Precision;
