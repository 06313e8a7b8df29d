//! What an adapter does to one layer.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use promptfed_nn::load::{Loader, LowRank};

use super::dora::rescaled;
use super::names::Part;
use super::settings::Settings;
use crate::{Error, Result};

/// The tensors of one layer, and its name as the file writes it.
pub(super) struct Change {
    layer: String,
    /// With their names in the file.
    parts: BTreeMap<Part, (String, Tensor)>,
}

/// What a change is added to.
pub(super) struct Place<'a> {
    /// The layer's weight.
    pub(super) weight: &'a str,
    /// Opens the weights of the network once more.
    pub(super) below: &'a dyn Fn() -> Result<Loader>,
    /// Whether another adapter has changed the weight.
    pub(super) is_changed: bool,
}

impl Change {
    pub(super) fn new(layer: String) -> Self {
        Self {
            layer,
            parts: BTreeMap::new(),
        }
    }

    /// Takes a tensor, or gives back the name of the one that already is this part of the layer.
    pub(super) fn take(&mut self, part: Part, name: &str, tensor: Tensor) -> Result<(), String> {
        match self.parts.get(&part) {
            Some((other, _)) => Err(other.clone()),
            None => {
                self.parts.insert(part, (name.to_owned(), tensor));
                Ok(())
            }
        }
    }

    fn part(&self, part: Part) -> Option<&Tensor> {
        self.parts.get(&part).map(|(_, tensor)| tensor)
    }

    /// Has `loader` change the weight and the bias of the layer.
    ///
    /// # Errors
    /// What does not fit, without the layer's name.
    pub(super) fn apply(
        &self,
        scale: f32,
        settings: Option<&Settings>,
        place: &Place<'_>,
        loader: &mut Loader,
    ) -> Result<(), String> {
        let (Some(up), Some(down)) = (self.part(Part::Up), self.part(Part::Down)) else {
            return Err("it lacks one of its two matrices".into());
        };
        let rank = down.dims().first().copied().unwrap_or(1).max(1) as f64;
        let own = match (self.part(Part::Alpha), settings) {
            (Some(alpha), _) => f64::from(value(alpha)?) / rank,
            (None, Some(settings)) => settings.scale(&self.layer, rank)?,
            (None, None) => 1.0,
        };
        let scale = scale * own as f32;
        let shape = loader.shape(place.weight).unwrap_or_default().to_vec();
        check(up, down, &shape)?;
        let product = match self.parts.get(&Part::Magnitude) {
            None => LowRank::new(up.clone(), down.clone(), scale).map_err(text)?,
            Some(_) if place.is_changed => {
                return Err(
                    "it is one of DoRA, which says how long the rows of the weight are, and an adapter before it has changed them; give its file first".into(),
                );
            }
            Some((name, magnitude)) => {
                let lengths = lengths(name, magnitude, up.dims()[0])?;
                let mut below = (place.below)().map_err(text)?;
                let weight = below.tensor(place.weight, &shape).map_err(text)?;
                rescaled(&weight, up, down, scale, &lengths).map_err(text)?
            }
        };
        loader.add_low_rank(place.weight, product).map_err(text)?;
        if let Some(bias) = self.part(Part::Bias) {
            add_bias(place.weight, bias, scale, loader)?;
        }
        Ok(())
    }
}

fn text(error: impl Into<Error>) -> String {
    error.into().to_string()
}

/// The one value of a tensor.
fn value(tensor: &Tensor) -> Result<f32, String> {
    let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>());
    match values.map_err(text)?[..] {
        [value] => Ok(value),
        ref values => Err(format!("its alpha has {} values", values.len())),
    }
}

/// Whether `up` [outputs, rank, 1, ..] times `down` [rank, ..] has the size of a weight of `shape`.
fn check(up: &Tensor, down: &Tensor, shape: &[usize]) -> Result<(), String> {
    let fits = match (up.dims(), down.dims(), shape) {
        ([rows, rank, ones @ ..], [same, columns @ ..], [outputs, inputs @ ..]) => {
            rank == same
                && rows == outputs
                && ones.iter().all(|n| *n == 1)
                && columns.iter().product::<usize>() == inputs.iter().product::<usize>()
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(format!(
        "{:?} times {:?} does not fit the weight {shape:?}",
        up.dims(),
        down.dims()
    ))
}

/// The lengths of the rows, [outputs, 1].
fn lengths(name: &str, magnitude: &Tensor, outputs: usize) -> Result<Tensor, String> {
    // LyCORIS may keep lengths of columns, [1, inputs], under the name that kohya has for those of rows, [outputs, 1].
    let is_of_rows = !name.ends_with("dora_scale") || magnitude.dims().first() == Some(&outputs);
    if !is_of_rows || magnitude.elem_count() != outputs {
        return Err(format!(
            "{name} is {:?}; DoRA of the {outputs} rows of the weight is offered",
            magnitude.dims()
        ));
    }
    magnitude.reshape((outputs, 1)).map_err(text)
}

/// Adds `scale` times `bias` to the bias beside a weight.
fn add_bias(weight: &str, bias: &Tensor, scale: f32, loader: &mut Loader) -> Result<(), String> {
    let n = bias.elem_count();
    let name = format!("{}.bias", weight.strip_suffix(".weight").unwrap_or(weight));
    match loader.shape(&name) {
        Some([outputs]) if *outputs == n => {}
        Some(shape) => {
            return Err(format!(
                "its bias has {n} values and the model's is {shape:?}"
            ));
        }
        None => return Err("it has a bias and the model none".into()),
    }
    let one = Tensor::ones((1, 1), DType::F32, &Device::Cpu).map_err(text)?;
    let column = bias.reshape((n, 1)).map_err(text)?;
    let product = LowRank::new(column, one, scale).map_err(text)?;
    loader.add_low_rank(&name, product).map_err(text)
}
