//! `pocket`: a small flow-matching transformer in pixel space, after "Back to Basics: Let Denoising Generative Models
//! Denoise" (Li and He, 2025), with classifier-free guidance (Ho and Salimans, 2022).

use std::path::Path;

use crate::{EngineInfo, Generator, Image, ImageRequest, Result};

/// The engine with its weights in memory.
pub struct Pocket {
    info: EngineInfo,
}

impl Pocket {
    /// Loads `config.json`, `tokenizer.json` and `model.safetensors` from a folder.
    pub fn load(dir: &Path) -> Result<Self> {
        let _ = dir;
        Err(crate::Error::Spec("not yet".into()))
    }
}

impl Generator for Pocket {
    fn describe(&self) -> &EngineInfo {
        &self.info
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        let _ = requests;
        Err(crate::Error::Spec("not yet".into()))
    }
}
