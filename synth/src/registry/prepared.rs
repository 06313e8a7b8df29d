//! Making an engine ready, and loading it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use promptfed_nn::Precision;
use promptfed_prompts::ContentHash;

use super::backend::Backend;
use super::reference::{EngineRef, PocketWeights};
use crate::bundled::no_assets;
use crate::engines::ServiceEngine;
use crate::engines::a1111::A1111;
use crate::engines::pocket::{KnownWords, Pocket};
use crate::engines::remote::Remote;
use crate::engines::sd::hub::{self, FetchProgress, ModelId};
use crate::engines::sd::{Configured, LoadOptions, LongPrompts, Settings, StableDiffusion};
use crate::service::{Address, ApiKey};
use crate::{Error, Generator, Origin, Result};

/// What preparing an engine may need.
pub struct Setup<'a> {
    /// The folder with the bundled weights, where it is known.
    pub assets: Option<&'a Path>,
    /// How networks keep their weights.
    pub precision: Precision,
    /// Decides the pauses between tries of services, and nothing of the images.
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
    Service(ServiceAccess),
}

/// A service and how it is reached.
#[derive(Clone, Debug)]
struct ServiceAccess {
    protocol: Protocol,
    address: String,
    model: Option<String>,
    key: Option<ApiKey>,
    /// Decides the pauses between tries.
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Remote,
    A1111,
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
            EngineRef::Remote { address, model } => {
                What::Service(self.access(Protocol::Remote, address, model, setup)?)
            }
            EngineRef::A1111 { address, model } => {
                What::Service(self.access(Protocol::A1111, address, model, setup)?)
            }
        };
        Ok(Prepared {
            backend: self,
            what,
        })
    }

    fn access(
        &self,
        protocol: Protocol,
        address: &str,
        model: &Option<String>,
        setup: &Setup<'_>,
    ) -> Result<ServiceAccess> {
        // Parsed for its errors.
        Address::parse(address)?;
        let key = self.options().key()?;
        Ok(ServiceAccess {
            protocol,
            address: address.to_owned(),
            model: model.clone(),
            key: key.map(|source| source.read()).transpose()?,
            seed: setup.seed,
        })
    }
}

impl Prepared {
    /// What it was prepared from.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// A hash that is another one where the engine would make other images: of its settings and, without reading them, of the names, sizes
    /// and times of its files. Of a service, its address and the model that is asked of it.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn identity(&self) -> Result<ContentHash> {
        let options = self.backend.options();
        let (size, ask_size, tell) = (options.size, options.ask_size, &options.tell);
        let device = options.device.unwrap_or_default();
        let told = match &self.what {
            What::Pocket { folder, precision } => {
                format!("pocket {precision:?} {device:?} {}", files_of(folder)?)
            }
            What::Sd(model) => {
                let LoadOptions {
                    precision,
                    sampler,
                    loras,
                    tiny_decoder,
                    tile_above,
                    long_prompts,
                    ..
                } = &model.options;
                let mut told = format!(
                    "sd {precision:?} {device:?} {size:?} {sampler:?} {tile_above} {} ",
                    files_of(&model.folder)?
                );
                if *long_prompts == LongPrompts::Chunk {
                    told.push_str("chunk ");
                }
                for (file, strength) in loras {
                    told.push_str(&format!("{} {strength} ", files_of(file)?));
                }
                if let Some(folder) = tiny_decoder {
                    told.push_str(&files_of(folder)?.to_string());
                }
                told
            }
            What::Service(ServiceAccess {
                protocol,
                address,
                model,
                ..
            }) => format!("{protocol:?} {address} {model:?} {size:?} {ask_size:?} {tell:?}"),
        };
        Ok(ContentHash::of(told.as_bytes()))
    }

    /// Loads the engine; for a service, asks it what it is. Setting `cancel` later ends whatever the engine waits for.
    ///
    /// # Errors
    /// Weights that cannot be used, or a service that does not answer.
    pub fn load(&self, cancel: &Arc<AtomicBool>) -> Result<Box<dyn Generator>> {
        let options = self.backend.options();
        match &self.what {
            What::Pocket { folder, precision } => {
                let device = options.device.unwrap_or_default().open()?;
                Ok(Box::new(Pocket::load_on(folder, *precision, &device)?))
            }
            What::Sd(model) => Ok(Box::new(model.load(Settings::default())?)),
            What::Service(access) => {
                let service = ServiceEngine {
                    name: self.backend.name(),
                    address: &access.address,
                    model: access.model.as_deref(),
                    key: access.key.clone(),
                    limits: options.limits(access.seed),
                    size: options.size,
                    ask_size: options.ask_size,
                };
                match access.protocol {
                    Protocol::Remote => {
                        let tell = options.tell.clone();
                        Ok(Box::new(Remote::connect(service, tell, cancel)?))
                    }
                    Protocol::A1111 => Ok(Box::new(A1111::connect(service, cancel)?)),
                }
            }
        }
    }

    /// What may be wrong with its settings, in words.
    pub fn warnings(&self) -> Vec<String> {
        let What::Service(ServiceAccess {
            address,
            key: Some(_),
            ..
        }) = &self.what
        else {
            return Vec::new();
        };
        if !Address::parse(address).is_ok_and(|address| address.is_open()) {
            return Vec::new();
        }
        vec![format!(
            "the key of the engine {} is sent to {address} without encryption; use https, or a network that is trusted",
            self.backend.name()
        )]
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
            What::Service(_) => Some(4 * options.limits(0).concurrent),
            _ => None,
        })
    }
}

/// A hash of the names, sizes and times of a file, or of all files in a folder and the folders in it; links are not followed into folders.
///
/// # Errors
/// What cannot be listed.
pub fn files_of(path: &Path) -> Result<ContentHash> {
    let mut told = String::new();
    list(path, &mut told)?;
    Ok(ContentHash::of(told.as_bytes()))
}

fn list(path: &Path, told: &mut String) -> Result<()> {
    let about = fs_err::symlink_metadata(path)?;
    if about.is_dir() {
        let entries = fs_err::read_dir(path)?;
        let mut inside = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        inside.sort();
        return inside.iter().try_for_each(|path| list(path, told));
    }
    // Of a link, what it leads to; one that leads nowhere stands for itself.
    let about = fs_err::metadata(path).unwrap_or(about);
    let changed = about.modified().ok();
    told.push_str(&format!("{} {} {changed:?}\n", path.display(), about.len()));
    Ok(())
}

fn pocket_folder(weights: &PocketWeights, assets: Option<&Path>) -> Result<PathBuf> {
    match weights {
        PocketWeights::Bundled(name) => {
            let assets = assets.ok_or_else(no_assets)?;
            Ok(assets.join("pocket").join(name))
        }
        PocketWeights::Folder(folder) if folder.is_dir() => Ok(folder.clone()),
        PocketWeights::Folder(folder) => Err(Error::EngineSetting(format!(
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
    let id: ModelId = model.parse().map_err(Error::EngineSetting)?;
    let fetched = hub::fetch(&id, setup.precision, setup.progress)?;
    Ok((fetched.folder, Some(fetched.origin)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::EngineOptions;

    fn prepare(engine: &str, options: EngineOptions) -> Result<Prepared> {
        let mut setup = Setup {
            assets: None,
            precision: Precision::F32,
            seed: 0,
            progress: &mut |_| {},
        };
        Backend::new(engine.parse().unwrap(), options)?.prepare(&mut setup)
    }

    #[test]
    fn a_key_that_others_can_read_on_its_way_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs_err::write(&file, "sk-0123456789").unwrap();
        let with_key = || EngineOptions {
            key_file: Some(file.clone()),
            ..EngineOptions::default()
        };
        for (engine, warned) in [
            ("remote:http://example.org/v1", true),
            ("a1111:http://10.0.0.1:7860", true),
            ("remote:https://example.org/v1", false),
            ("remote:http://127.0.0.1:1/v1", false),
        ] {
            let prepared = prepare(engine, with_key()).unwrap();
            assert_eq!(prepared.warnings().len(), usize::from(warned), "{engine}");
            assert!(!format!("{prepared:?}").contains("0123456789"));
            let without = prepare(engine, EngineOptions::default()).unwrap();
            assert!(without.warnings().is_empty());
        }
    }

    #[test]
    fn what_is_missing_is_told_before_anything_is_loaded() {
        let key_of_nothing = EngineOptions {
            key_env: Some("PROMPTFED_NO_SUCH_KEY".into()),
            ..EngineOptions::default()
        };
        for (engine, options, part) in [
            ("pocket", EngineOptions::default(), "PROMPTFED_ASSETS"),
            (
                "pocket:/no/where",
                EngineOptions::default(),
                "all, photo, draw",
            ),
            ("sd:nowhere", EngineOptions::default(), "owner/name"),
            ("remote:http://h/v1?x=1", EngineOptions::default(), "query"),
            (
                "remote:http://h/v1",
                key_of_nothing,
                "PROMPTFED_NO_SUCH_KEY",
            ),
        ] {
            let told = prepare(engine, options).unwrap_err().to_string();
            assert!(told.contains(part), "{engine}: {told}");
        }
    }
}
