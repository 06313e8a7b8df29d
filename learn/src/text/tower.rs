//! A small transformer on captions.

use candle_core::{Device, Tensor, Var};
use promptfed_nn::noise::standard_normal;

use super::adam::Adam;
use super::block::{Block, Linear, Norm, variable};
use super::vocabulary::MOST_TOKENS;
use crate::{Error, Result};

/// Numbers of a word inside the network.
const WIDTH: usize = 64;
const HEADS: usize = 4;
const BLOCKS: usize = 2;

/// Texts represented at once.
const BATCH: usize = 256;

/// What is added to the score of a word that is not there.
const HIDDEN: f32 = -1e9;

/// Represents texts: words and places of 64 numbers, two blocks of a transformer with four heads, the mean over the words, and a linear map.
///
/// It is computed on the CPU in f32, and trained by Adam.
pub struct TextTower {
    words: Var,
    places: Var,
    blocks: Vec<Block>,
    last: Norm,
    map: Linear,
    vocabulary: usize,
    optimiser: Adam,
}

impl TextTower {
    /// For tokens below `vocabulary` and representations of `width` numbers.
    ///
    /// # Errors
    /// A tensor that cannot be made.
    pub fn new(vocabulary: usize, width: usize, seed: u64) -> Result<Self> {
        let mut drawn = 0u64;
        let mut seeds = || {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            bytes[8..16].copy_from_slice(&drawn.to_le_bytes());
            bytes[24..].copy_from_slice(b" a tower");
            drawn += 1;
            bytes
        };
        let words = standard_normal(seeds(), vocabulary * WIDTH);
        let places = standard_normal(seeds(), MOST_TOKENS * WIDTH);
        let places = places.into_iter().map(|v| 0.1 * v).collect();
        let (words, places) = (
            variable(words, (vocabulary, WIDTH))?,
            variable(places, (MOST_TOKENS, WIDTH))?,
        );
        let blocks = (0..BLOCKS)
            .map(|_| Block::new(WIDTH, HEADS, &mut seeds))
            .collect::<candle_core::Result<Vec<_>>>()?;
        let (last, map) = (Norm::new(WIDTH)?, Linear::new(WIDTH, width, seeds())?);
        let optimiser = Adam::new(&variables(&words, &places, &blocks, &last, &map))?;
        Ok(Self {
            words,
            places,
            blocks,
            last,
            map,
            vocabulary,
            optimiser,
        })
    }

    /// What the network makes of texts in tokens, `[texts, width]`: not yet of length 1.
    ///
    /// # Errors
    /// Tokens that it does not know, or a tensor operation that fails.
    pub fn represent(&self, texts: &[Vec<u32>]) -> Result<Vec<f32>> {
        let mut representations = Vec::new();
        for texts in texts.chunks(BATCH) {
            let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            let made: Vec<f32> = self.forward(&texts)?.flatten_all()?.to_vec1()?;
            representations.extend(made);
        }
        Ok(representations)
    }

    /// What the network makes of some texts, `[n, width]`, to be differentiated.
    pub(crate) fn forward(&self, texts: &[&[u32]]) -> Result<Tensor> {
        let texts: Vec<&[u32]> = texts
            .iter()
            .map(|&text| text.get(..MOST_TOKENS).unwrap_or(text))
            .collect();
        let unknown = |token: &&u32| **token as usize >= self.vocabulary;
        if let Some(token) = texts.iter().copied().flatten().find(unknown) {
            return Err(Error::Inconsistent {
                role: "training",
                what: "words in the vocabulary",
                found: self.vocabulary,
                expected: *token as usize + 1,
            });
        }
        let (n, longest) = (
            texts.len(),
            texts.iter().map(|text| text.len()).max().unwrap_or(0),
        );
        let longest = longest.max(1);
        let (mut tokens, mut hidden, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for text in texts {
            let share = 1.0 / text.len().max(1) as f32;
            for place in 0..longest {
                let token = text.get(place);
                tokens.push(token.copied().unwrap_or(0));
                hidden.push(if token.is_some() { 0.0 } else { HIDDEN });
                shares.push(if token.is_some() { share } else { 0.0 });
            }
        }
        let device = &Device::Cpu;
        let tokens = Tensor::from_vec(tokens, n * longest, device)?;
        let hidden = Tensor::from_vec(hidden, (n, 1, 1, longest), device)?;
        let shares = Tensor::from_vec(shares, (n, 1, longest), device)?;
        let words = self.words.as_tensor().index_select(&tokens, 0)?;
        let places = self.places.as_tensor().narrow(0, 0, longest)?;
        let mut x = words.reshape((n, longest, WIDTH))?.broadcast_add(&places)?;
        for block in &self.blocks {
            x = block.forward(&x, &hidden)?;
        }
        let mean = shares.matmul(&x)?.reshape((n, WIDTH))?;
        Ok(self.map.forward(&self.last.forward(&mean)?)?)
    }

    /// A step down the slope of a loss whose gradient by what [`TextTower::forward`] made is given.
    pub(crate) fn step(&mut self, made: &Tensor, gradient: &[f32], rate: f32) -> Result<()> {
        let gradient = Tensor::from_slice(gradient, made.shape(), &Device::Cpu)?;
        let gradients = (made * gradient)?.sum_all()?.backward()?;
        let all = variables(
            &self.words,
            &self.places,
            &self.blocks,
            &self.last,
            &self.map,
        );
        self.optimiser.step(&all, &gradients, f64::from(rate))?;
        Ok(())
    }
}

fn variables<'a>(
    words: &'a Var,
    places: &'a Var,
    blocks: &'a [Block],
    last: &'a Norm,
    map: &'a Linear,
) -> Vec<&'a Var> {
    let mut all = vec![words, places];
    all.extend(blocks.iter().flat_map(Block::variables));
    all.extend(last.variables());
    all.extend(map.variables());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Vec<Vec<u32>> {
        vec![vec![1, 2, 3], vec![4], vec![1, 5, 3, 2, 2, 6]]
    }

    #[test]
    fn what_stands_beside_a_text_does_not_change_it() {
        let tower = TextTower::new(7, 5, 1).unwrap();
        let all = tower.represent(&texts()).unwrap();
        assert_eq!(all.len(), 15);
        for (i, text) in texts().into_iter().enumerate() {
            let alone = tower.represent(&[text]).unwrap();
            for (a, b) in alone.iter().zip(&all[i * 5..]) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
        let again = TextTower::new(7, 5, 1).unwrap();
        assert_eq!(again.represent(&texts()).unwrap(), all);
        let other = TextTower::new(7, 5, 2).unwrap();
        assert_ne!(other.represent(&texts()).unwrap(), all);
        assert!(tower.represent(&[vec![7]]).is_err());
        // Order is something that is said.
        let turned = tower.represent(&[vec![3, 2, 1]]).unwrap();
        assert!(turned.iter().zip(&all).any(|(a, b)| (a - b).abs() > 1e-3));
    }

    /// Along its own direction the gradient of every variable is the slope of a loss that is a weighted sum of the outputs.
    #[test]
    fn gradients_are_slopes() {
        let tower = TextTower::new(7, 5, 3).unwrap();
        let texts = texts();
        let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let weights: Vec<f32> = (0..15)
            .map(|i| ((i * 13 + 3) % 11) as f32 / 5.0 - 1.0)
            .collect();
        let weights = Tensor::from_vec(weights, (3, 5), &Device::Cpu).unwrap();
        let loss = || (tower.forward(&texts).unwrap() * &weights).unwrap();
        let sum = || loss().sum_all().unwrap();
        let gradients = sum().backward().unwrap();
        let all = variables(
            &tower.words,
            &tower.places,
            &tower.blocks,
            &tower.last,
            &tower.map,
        );
        let norm = |tensor: &Tensor| {
            let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
            let squares = values.iter().map(|v| f64::from(*v) * f64::from(*v));
            squares.sum::<f64>().sqrt()
        };
        let mut checked = 0;
        for var in &all {
            let Some(gradient) = gradients.get(var.as_tensor()) else {
                panic!("a variable without a gradient");
            };
            let slope = norm(gradient);
            if slope < 1e-2 {
                continue;
            }
            let start = var.as_tensor().copy().unwrap();
            let size = 2e-2;
            let at = |sign: f64| {
                let moved = (gradient * (sign * size / slope)).unwrap();
                var.set(&(&start + moved).unwrap()).unwrap();
                let values: Vec<f32> = loss().flatten_all().unwrap().to_vec1().unwrap();
                values.iter().map(|v| f64::from(*v)).sum::<f64>()
            };
            let difference = (at(1.0) - at(-1.0)) / (2.0 * size);
            var.set(&start).unwrap();
            assert!(
                (difference - slope).abs() / slope < 0.05,
                "{:?}: {difference} and not {slope}",
                var.dims()
            );
            checked += 1;
        }
        assert!(checked * 2 > all.len(), "{checked} of {}", all.len());
    }
}
