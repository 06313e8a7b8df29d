//! Classifiers as safetensors files.

use std::collections::HashMap;

use candle_core::Device;
use promptfed_nn::load::Loader;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;

use super::{Classifier, ClassifierConfig};
use crate::{Error, Recipe, Result, WeightTensor, Weights};

const CONFIG: &str = "config";
const CLASS_NAMES: &str = "class_names";
const RECIPE: &str = "recipe";
const FORMAT: &str = "format";
const FORMAT_NAME: &str = "promptfed-classifier-1";

impl Classifier {
    /// The weights as a safetensors file under PyTorch's names and shapes, with the configuration,
    /// the class names and the recipe in its header. The same classifier gives the same bytes.
    ///
    /// # Errors
    /// If the file would be too large for the format.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .weights()?
            .into_iter()
            .map(|(name, tensor)| {
                let bytes = tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect();
                (name, tensor.shape, bytes)
            })
            .collect();
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| {
                Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?))
            })
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(file_error)?;
        // One entry: the order of a HashMap's entries differs from run to run.
        let header = serde_json::to_string(&Written {
            format: FORMAT_NAME,
            config: self.config(),
            class_names: self.class_names(),
            recipe: self.recipe(),
        });
        let header = header.map_err(|e| Error::File {
            reason: e.to_string(),
        })?;
        let metadata = HashMap::from([(CONFIG.to_owned(), header)]);
        safetensors::serialize(views, Some(metadata)).map_err(file_error)
    }

    /// A classifier from a file written by [`Classifier::to_safetensors`].
    ///
    /// # Errors
    /// If the bytes are not such a file; the error lists every tensor that does not fit.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        let mut loader = Loader::from_bytes(bytes, "the classifier's file", &Device::Cpu)?;
        let Header {
            config,
            class_names,
            recipe,
        } = header(loader.metadata().get(CONFIG))?;
        let mut classifier = Self::new(config, 0)?;
        if !class_names.is_empty() {
            classifier.set_class_names(&class_names)?;
        }
        classifier.recipe = recipe;
        let mut weights = Weights::new();
        for (name, tensor) in classifier.weights()? {
            let found = loader.tensor(&name, &tensor.shape)?;
            let values = found.flatten_all()?.to_vec1()?;
            let shape = tensor.shape;
            weights.insert(name, WeightTensor { shape, values });
        }
        loader.finish()?;
        classifier.load_weights(&weights)?;
        Ok(classifier)
    }
}

/// [`Header`] as it is written.
#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    config: &'a ClassifierConfig,
    class_names: &'a [String],
    recipe: Option<&'a Recipe>,
}

/// What stands in a file beside the tensors.
struct Header {
    config: ClassifierConfig,
    class_names: Vec<String>,
    /// Absent in files of earlier versions.
    recipe: Option<Recipe>,
}

fn header(header: Option<&String>) -> Result<Header> {
    let wrong = |reason: String| Error::File { reason };
    let header = header.ok_or_else(|| wrong("its header has no configuration".to_owned()))?;
    let mut header: serde_json::Value =
        serde_json::from_str(header).map_err(|e| wrong(e.to_string()))?;
    let format = header[FORMAT].as_str().unwrap_or("none").to_owned();
    if format != FORMAT_NAME {
        return Err(wrong(format!(
            "its format is {format} and not {FORMAT_NAME}"
        )));
    }
    let config = serde_json::from_value(header[CONFIG].take()).map_err(|e| wrong(e.to_string()))?;
    let names: Option<Vec<String>> =
        serde_json::from_value(header[CLASS_NAMES].take()).map_err(|e| wrong(e.to_string()))?;
    let recipe = serde_json::from_value(header[RECIPE].take()).map_err(|e| wrong(e.to_string()))?;
    Ok(Header {
        config,
        class_names: names.unwrap_or_default(),
        recipe,
    })
}

fn file_error(error: safetensors::SafeTensorError) -> Error {
    Error::File {
        reason: error.to_string(),
    }
}
