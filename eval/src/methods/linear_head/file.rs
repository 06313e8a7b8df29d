//! A linear head as a file.

use super::LinearHead;
use crate::{Error, Result};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

const WHAT: &str = "a linear head";

fn fault(reason: impl ToString) -> Error {
    Error::Payload {
        what: WHAT,
        reason: reason.to_string(),
    }
}

impl LinearHead {
    /// A safetensors file with `weight [classes, width]` and `bias [classes]` in f32.
    ///
    /// # Errors
    /// If it cannot be written down.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let bytes =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let (weight, bias) = (bytes(&self.weight), bytes(&self.bias));
        let shape = vec![self.classes(), self.width()];
        let weight = TensorView::new(Dtype::F32, shape, &weight).map_err(fault)?;
        let bias = TensorView::new(Dtype::F32, vec![self.classes()], &bias).map_err(fault)?;
        safetensors::serialize([("weight", weight), ("bias", bias)], None).map_err(fault)
    }

    /// The head of such a file.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_safetensors(file: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(file).map_err(fault)?;
        let tensor = |name: &str| -> Result<(Vec<usize>, Vec<f32>)> {
            let view = file.tensor(name).map_err(fault)?;
            if view.dtype() != Dtype::F32 {
                return Err(fault(format!("{name} is {:?} and not F32", view.dtype())));
            }
            let (words, _) = view.data().as_chunks::<4>();
            let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
            if values.iter().any(|value| !value.is_finite()) {
                return Err(fault(format!("{name} has values that are not finite")));
            }
            Ok((view.shape().to_vec(), values))
        };
        let ((shape, weight), (of_bias, bias)) = (tensor("weight")?, tensor("bias")?);
        match (shape.as_slice(), of_bias.as_slice()) {
            ([rows, width], [classes]) if rows == classes && *width > 0 && *classes > 0 => {
                Ok(Self { weight, bias })
            }
            _ => Err(fault(format!("weight is {shape:?} and bias {of_bias:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::FeatureSet;

    #[test]
    fn a_file_says_all_of_a_head() {
        let head = LinearHead {
            weight: vec![0.5, -1.0, 2.0, 0.25, 0.0, 1.0],
            bias: vec![0.1, -0.2],
        };
        let file = head.to_safetensors().unwrap();
        assert_eq!(LinearHead::from_safetensors(&file).unwrap(), head);
        assert_eq!((head.classes(), head.width()), (2, 3));
        assert!(LinearHead::from_safetensors(&file[..file.len() - 1]).is_err());
        let broken = LinearHead {
            weight: vec![f32::NAN; 2],
            bias: vec![0.0; 2],
        };
        assert!(LinearHead::from_safetensors(&broken.to_safetensors().unwrap()).is_err());
        let narrow = FeatureSet::new(2, vec![0.0; 2]).unwrap();
        assert!(head.probabilities(&narrow).is_err());
    }
}
