//! The images that influence is measured on: two parts, on neither of which the model trains. An image of one part is measured on the
//! other, since measured on its own loss every image looks helpful, wrong labels first of all.

use super::{Labelled, LastLayer};
use crate::fuse::candidates::Candidates;

/// The share of a class's images that is held out, and the most that are of all classes; a class of four or more has one in each part.
const SHARE: f64 = 0.1;
const MOST: usize = 2000;

/// The seed's purpose by which they are drawn.
const PURPOSE: &str = "held out";

/// Candidates dealt into those that a model trains on and two parts that are held out. No candidate is in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldOut {
    /// What is trained on, ascending.
    pub training: Vec<usize>,
    /// What is held out, each ascending.
    pub parts: [Vec<usize>; 2],
}

impl HeldOut {
    /// Holds out a tenth of each class, drawn at random; of a class of one image none.
    pub fn draw(candidates: &Candidates, seed: u64) -> Self {
        let mut by_class = vec![Vec::new(); candidates.class_names().len()];
        for (index, image) in candidates.images().iter().enumerate() {
            if let Some(class) = by_class.get_mut(image.class as usize) {
                class.push(index);
            }
        }
        let share = (MOST as f64 / candidates.len() as f64).min(SHARE);
        let mut dealt = Self {
            training: Vec::new(),
            parts: [Vec::new(), Vec::new()],
        };
        let mut turn = 0;
        for class in by_class {
            let drawn = candidates.drawn(seed, PURPOSE, &class);
            let held = (share * drawn.len() as f64).ceil() as usize;
            let (held, training) = drawn.split_at(held.max(2).min(drawn.len() / 2));
            for image in held {
                dealt.parts[turn].push(*image);
                turn = 1 - turn;
            }
            dealt.training.extend_from_slice(training);
        }
        dealt.training.sort_unstable();
        dealt.parts.iter_mut().for_each(|part| part.sort_unstable());
        dealt
    }

    /// The part that an image is in; none of those that are trained on.
    pub fn part_of(&self, image: usize) -> Option<usize> {
        let is_in = |part: &Vec<usize>| part.binary_search(&image).is_ok();
        self.parts.iter().position(is_in)
    }
}

/// The inverse Hessian times the gradient of the loss on each part, and on both together.
#[derive(Clone, Debug, PartialEq)]
pub struct Solutions {
    parts: [Vec<f64>; 2],
    both: Vec<f64>,
}

impl Solutions {
    /// Solves for both parts with the Hessian over `images`, as [`LastLayer::solve`]. A part without images has no gradient: what is
    /// measured on it has influence 0.
    pub fn of(
        layer: &LastLayer,
        images: Labelled<'_>,
        parts: [Labelled<'_>; 2],
        damping: f64,
        steps: usize,
    ) -> Self {
        let solved = parts.map(|part| {
            let gradient = layer.reverse_gradient(part);
            layer.solve(images, damping, &gradient, steps)
        });
        // The loss on both is the mean of the two by their numbers of images, and all that follows is linear.
        let [first, second] = parts.map(|part| part.labels.len() as f64);
        let all = (first + second).max(1.0);
        let mean = |(a, b): (&f64, &f64)| (first * a + second * b) / all;
        Self {
            both: solved[0].iter().zip(&solved[1]).map(mean).collect(),
            parts: solved,
        }
    }

    /// What the influence of an image of this part is worked out by ([`LastLayer::influence`]): the other part, or both for an image
    /// that is in neither.
    ///
    /// # Panics
    /// If the part is above 1.
    pub fn for_part(&self, part: Option<usize>) -> &[f64] {
        part.map_or(&self.both, |part| &self.parts[1 - part])
    }
}
