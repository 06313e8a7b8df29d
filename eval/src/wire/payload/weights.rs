//! Numbers for each trained tensor of a model.

use super::super::{Part, Payload};
use super::only;
use crate::{Error, Result};
use promptfed_learn::{WeightTensor, Weights};
use promptfed_prompts::ledger::PayloadKind;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

/// SCAFFOLD's control variates, or changes of them, as a safetensors file in f32.
#[derive(Debug, Clone, PartialEq)]
pub struct ControlVariates(pub Weights);

const WHAT: &str = "control variates";

fn fault(error: safetensors::SafeTensorError) -> Error {
    Error::Payload {
        what: WHAT,
        reason: error.to_string(),
    }
}

impl Payload for ControlVariates {
    const PARTS: usize = 1;

    fn encode(&self) -> Result<Vec<Part>> {
        let bytes: Vec<(&String, &WeightTensor, Vec<u8>)> = self
            .0
            .iter()
            .map(|(name, tensor)| {
                let bytes = tensor.values.iter().flat_map(|v| v.to_le_bytes());
                (name, tensor, bytes.collect())
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(name, tensor, bytes)| {
                let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
                Ok((name.as_str(), view.map_err(fault)?))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(vec![Part {
            kind: PayloadKind::ControlVariates,
            bytes: safetensors::serialize(views, None).map_err(fault)?,
        }])
    }

    fn decode(parts: &[Part]) -> Result<Self> {
        let file = SafeTensors::deserialize(only(parts, WHAT)?).map_err(fault)?;
        if let Some((name, view)) = file.iter().find(|(_, view)| view.dtype() != Dtype::F32) {
            return Err(Error::Payload {
                what: WHAT,
                reason: format!("{name} is {:?} and not F32", view.dtype()),
            });
        }
        let tensors = file.iter().map(|(name, view)| {
            let (values, _) = view.data().as_chunks::<4>();
            let tensor = WeightTensor {
                shape: view.shape().to_vec(),
                values: values.iter().map(|v| f32::from_le_bytes(*v)).collect(),
            };
            (name.to_owned(), tensor)
        });
        Ok(Self(tensors.collect()))
    }
}
