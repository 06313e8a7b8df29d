//! Image classifiers: the network, its training, its evaluation, and federated averaging.
//!
//! ```no_run
//! # fn main() -> promptfed_learn::Result<()> {
//! # let (images, held_out): (promptfed_data::LabelledImages, promptfed_data::LabelledImages) = unimplemented!();
//! use promptfed_learn::{Classifier, ClassifierConfig, TrainConfig, evaluate, train};
//!
//! let config = ClassifierConfig::new(images.class_names.len(), images.size);
//! let mut classifier = Classifier::new(config, 0)?;
//! train(&mut classifier, &images, None, &TrainConfig::default(), &mut |epoch| {
//!     println!("{}: loss {:.3}", epoch.epoch, epoch.train_loss);
//! })?;
//! println!("accuracy {:.3}", evaluate(&classifier, &held_out)?.accuracy);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod augment;
mod calibration;
mod classifier;
mod confusion;
mod error;
mod evaluate;
pub mod federated;
mod images;
pub mod objective;
mod onnx;
mod recipe;
mod selection;
mod supervision;
mod tally;
mod text;
mod train;
mod weights;

pub use augment::Augmentation;
pub use classifier::{Architecture, Classifier, ClassifierConfig};
pub use error::{Error, Result};
pub use evaluate::{Evaluation, evaluate, predictions};
pub use objective::Objective;
pub use recipe::Recipe;
pub use selection::{Choice, HeldOut, MIN_IN_ALL, MIN_OF_A_CLASS, Selection};
pub use supervision::Supervision;
pub use tally::Tally;
pub use text::{TextTower, TextTraining, Vocabulary};
pub use train::{
    EpochStats, Schedule, TrainConfig, TrainReport, Training, train, train_held_out, train_weighted,
};
pub use weights::{Parameters, WeightTensor, Weights};
