//! Live augmentation.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::images::normalised;

/// How every image is changed at random each time that training sees it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Mirror left to right with probability one half. `true` by default.
    pub flip: bool,
    /// The largest shift in each direction, as a fraction of the image's side in `0.0..=0.5`; what
    /// moves in is the reflected picture. 0.125 by default.
    pub shift: f32,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            flip: true,
            shift: 0.125,
        }
    }
}

impl Augmentation {
    /// Every image as it is.
    pub const NONE: Self = Self {
        flip: false,
        shift: 0.0,
    };

    /// The change of sample `index` in `epoch`: the same whatever the batch or the thread.
    pub(crate) fn draw(&self, size: usize, seed: u64, epoch: usize, index: usize) -> Change {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&(epoch as u64).to_le_bytes());
        bytes[16..24].copy_from_slice(&(index as u64).to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(bytes);
        let largest = (size as f32 * self.shift) as i32;
        Change {
            flip: self.flip && rng.random(),
            down: rng.random_range(-largest..=largest),
            right: rng.random_range(-largest..=largest),
        }
    }
}

/// One draw of an augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    flip: bool,
    down: i32,
    right: i32,
}

impl Change {
    /// Writes the changed `image [size, size, 3]` as numbers in -1..=1.
    pub(crate) fn apply(self, image: &[u8], size: usize, output: &mut [f32]) {
        let columns: Vec<usize> = (0..size)
            .map(|x| {
                let x = if self.flip { size - 1 - x } else { x };
                reflect(x as i32 + self.right, size) * 3
            })
            .collect();
        for (y, line) in output.chunks_exact_mut(size * 3).enumerate() {
            let row = &image[reflect(y as i32 + self.down, size) * size * 3..][..size * 3];
            for (to, &x) in line.as_chunks_mut::<3>().0.iter_mut().zip(&columns) {
                *to = [row[x], row[x + 1], row[x + 2]].map(normalised);
            }
        }
    }
}

/// The place whose mirror image lies at `position`, the border pixel itself not repeated.
fn reflect(position: i32, size: usize) -> usize {
    let last = size as i32 - 1;
    let back = position.abs();
    (if back > last { 2 * last - back } else { back }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_leaves_the_border_out() {
        let places: Vec<usize> = (-2..6).map(|i| reflect(i, 4)).collect();
        assert_eq!(places, [2, 1, 0, 1, 2, 3, 2, 1]);
    }

    #[test]
    fn draws_differ_between_images_and_epochs_and_repeat() {
        let augmentation = Augmentation::default();
        let draw = |epoch, index| augmentation.draw(32, 1, epoch, index);
        assert_eq!(draw(2, 3), draw(2, 3));
        let distinct = |f: &dyn Fn(usize) -> Change| {
            let first = f(0);
            (1..20).any(|i| f(i) != first)
        };
        assert!(distinct(&|i| draw(0, i)));
        assert!(distinct(&|i| draw(i, 0)));
    }

    #[test]
    fn shifts_and_flips_move_pixels() {
        let size = 8;
        let image: Vec<u8> = (0..size * size * 3).map(|i| i as u8).collect();
        let mut output = vec![0.0; image.len()];
        let mut change = Change {
            flip: false,
            down: 1,
            right: -1,
        };
        change.apply(&image, size, &mut output);
        let at = |y: usize, x: usize| (y * size + x) * 3;
        assert_eq!(output[at(3, 4)], normalised(image[at(4, 3)]));
        assert_eq!(output[at(7, 0)], normalised(image[at(6, 1)]));
        change.flip = true;
        change.apply(&image, size, &mut output);
        assert_eq!(output[at(3, 2)], normalised(image[at(4, 4)]));
    }
}
