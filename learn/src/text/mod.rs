//! Representations of short texts: a vocabulary of words and a small transformer that is trained on the CPU.

mod adam;
mod block;
mod tower;
mod training;
mod vocabulary;

pub use tower::TextTower;
pub use training::TextTraining;
pub use vocabulary::Vocabulary;
