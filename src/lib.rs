//! Federated generative learning: clients share text prompts instead of images or weights; a server turns the prompts into
//! training images and trains one model on them.
//!
//! This crate gathers the rooms of the project under one name; each is a crate of its own.

pub use promptfed_client as client;
pub use promptfed_data as data;
pub use promptfed_eval as eval;
pub use promptfed_learn as learn;
pub use promptfed_prompts as prompts;
pub use promptfed_server as server;
pub use promptfed_synth as synth;
