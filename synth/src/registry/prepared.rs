//! Making an engine ready, and loading it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use promptfed_nn::Precision;

use super::backend::Backend;
use super::options::EngineOptions;
use super::reference::{EngineRef, PocketWeights};
use crate::engines::a1111::A1111;
use crate::engines::pocket::{KnownWords, Pocket};
use crate::engines::remote::Remote;
use crate::engines::sd::hub::{self, FetchProgress, ModelId};
use crate::engines::sd::{Configured, LoadOptions, Settings, StableDiffusion};
use crate::service::{Address, ApiKey};
use crate::{Error, Generator, Origin, Result};

/// What preparing an engine may need.
pub struct Setup<'a> {
    /// The folder with the bundled weights, where it is known.
    pub assets: Option<&'a Path>,
    /// How networks keep their weights.
    pub precision: Precision,
    /// Decides the pauses between tries of services.
    pub seed: u64,
    /// Is told of downloads.
    pub progress: &'a mut dyn FnMut(&FetchProgress),
}

/// An engine of which everything needed is at hand; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Prepared {
    backend: Backend,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Pocket {
        folder: PathBuf,
        precision: Precision,
    },
    Sd(SdModel),
    Service {
        key: Option<ApiKey>,
        seed: u64,
    },
}

/// A Stable Diffusion model that lies in a folder.
#[derive(Clone, Debug)]
pub struct SdModel {
    /// The folder.
    pub folder: PathBuf,
    /// Where it was downloaded from.
    pub origin: Option<Origin>,
    /// How it is loaded.
    pub options: LoadOptions,
}

impl SdModel {
    /// Loads it with the settings of a job.
    ///
    /// # Errors
    /// As [`StableDiffusion::load`].
    pub fn load(&self, settings: Settings) -> Result<Configured> {
        let model = StableDiffusion::load(&self.folder, &self.options)?;
        let origin = self.origin.clone();
        Ok(Configured::new(model, Settings { origin, ..settings }))
    }
}

impl Backend {
    /// Finds the folder, downloads the model, reads the key: whatever may be missing is told now.
    ///
    /// # Errors
    /// What is missing, and what would be right.
    pub fn prepare(self, setup: &mut Setup<'_>) -> Result<Prepared> {
        let options = self.options();
        let device = || options.device.unwrap_or_default();
        let what = match self.engine() {
            EngineRef::Pocket(weights) => {
                // Opened for its errors.
                device().open()?;
                What::Pocket {
                    folder: pocket_folder(weights, setup.assets)?,
                    precision: setup.precision,
                }
            }
            EngineRef::Sd(model) => {
                let (folder, origin) = sd_folder(model, setup)?;
                What::Sd(SdModel {
                    folder,
                    origin,
                    options: LoadOptions {
                        precision: setup.precision,
                        device: device().open()?,
                        batch: options.batch.unwrap_or(1),
                        size: options.size,
                        ..LoadOptions::default()
                    },
                })
            }
            EngineRef::Remote { .. } | EngineRef::A1111 { .. } => What::Service {
                key: options.key()?.map(|source| source.read()).transpose()?,
                seed: setup.seed,
            },
        };
        Ok(Prepared {
            backend: self,
            what,
        })
    }
}

impl Prepared {
    /// What it was prepared from.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Loads the engine; for a service, asks it what it is. Setting `cancel` later ends whatever the engine waits for.
    ///
    /// # Errors
    /// Weights that cannot be used, or a service that does not answer.
    pub fn load(&self, cancel: &Arc<AtomicBool>) -> Result<Box<dyn Generator>> {
        let options = self.backend.options();
        match (&self.what, self.backend.engine()) {
            (What::Pocket { folder, precision }, _) => {
                let device = options.device.unwrap_or_default().open()?;
                Ok(Box::new(Pocket::load_on(folder, *precision, &device)?))
            }
            (What::Sd(model), _) => Ok(Box::new(model.load(Settings::default())?)),
            (What::Service { key, seed }, EngineRef::A1111 { address, model }) => {
                let asked = self.asked(address, model.as_deref(), key, *seed);
                Ok(Box::new(A1111::connect(asked, cancel)?))
            }
            (What::Service { key, seed }, EngineRef::Remote { address, model }) => {
                let asked = self.asked(address, model.as_deref(), key, *seed);
                let tell = options.tell.clone();
                Ok(Box::new(Remote::connect(asked, tell, cancel)?))
            }
            (What::Service { .. }, _) => Err(Error::Spec(format!(
                "{} is no service",
                self.backend.engine()
            ))),
        }
    }

    fn asked<'a>(
        &'a self,
        address: &'a str,
        model: Option<&'a str>,
        key: &Option<ApiKey>,
        seed: u64,
    ) -> crate::engines::ServiceEngine<'a> {
        let EngineOptions { size, ask_size, .. } = *self.backend.options();
        crate::engines::ServiceEngine {
            name: self.backend.name(),
            address,
            model,
            key: key.clone(),
            limits: self.backend.options().limits(seed),
            size,
            ask_size,
        }
    }

    /// What may be wrong with its settings, in words.
    pub fn warnings(&self) -> Vec<String> {
        let (EngineRef::Remote { address, .. } | EngineRef::A1111 { address, .. }) =
            self.backend.engine()
        else {
            return Vec::new();
        };
        let has_key = matches!(self.what, What::Service { key: Some(_), .. });
        let is_open = Address::parse(address).is_ok_and(|address| address.is_open());
        if has_key && is_open {
            return vec![format!(
                "the key of the engine {} is sent to {address} without encryption; use https, or a network that is trusted",
                self.backend.name()
            )];
        }
        Vec::new()
    }

    /// Stable Diffusion, to be loaded with a job's own settings.
    pub fn sd(&self) -> Option<&SdModel> {
        match &self.what {
            What::Sd(model) => Some(model),
            _ => None,
        }
    }

    /// The words that the engine was shown, where it says.
    ///
    /// # Errors
    /// A word list that cannot be read.
    pub fn known_words(&self) -> Result<Option<KnownWords>> {
        match &self.what {
            What::Pocket { folder, .. } => KnownWords::read(folder),
            _ => Ok(None),
        }
    }

    /// Images between two writes to disk.
    pub fn batch(&self) -> usize {
        self.given_batch().unwrap_or(match self.what {
            What::Sd(_) => 1,
            _ => 64,
        })
    }

    /// [`Self::batch`] where its settings say it.
    pub(super) fn given_batch(&self) -> Option<usize> {
        let options = self.backend.options();
        options.batch.or(match self.what {
            // A few for every request on its way, so that none waits long for the slowest.
            What::Service { .. } => Some(4 * options.limits(0).concurrent),
            _ => None,
        })
    }
}

fn pocket_folder(weights: &PocketWeights, assets: Option<&Path>) -> Result<PathBuf> {
    match weights {
        PocketWeights::Bundled(name) => {
            let assets = assets.ok_or_else(|| {
                Error::Spec(
                    "the bundled weights are not beside the program; set PROMPTFED_ASSETS to their folder, or give pocket:DIR"
                        .into(),
                )
            })?;
            Ok(assets.join("pocket").join(name))
        }
        PocketWeights::Folder(folder) if folder.is_dir() => Ok(folder.clone()),
        PocketWeights::Folder(folder) => Err(Error::Spec(format!(
            "`{}` is neither a folder nor one of the bundled pocket weights; bundled are {}",
            folder.display(),
            PocketWeights::BUNDLED.join(", ")
        ))),
    }
}

/// The folder of a model that is given by its folder or by its id on the hub; what is missing is downloaded.
fn sd_folder(model: &str, setup: &mut Setup<'_>) -> Result<(PathBuf, Option<Origin>)> {
    if Path::new(model).is_dir() {
        return Ok((model.into(), None));
    }
    let id: ModelId = model.parse().map_err(Error::Spec)?;
    let fetched = hub::fetch(&id, setup.precision, setup.progress)?;
    Ok((fetched.folder, Some(fetched.origin)))
}
