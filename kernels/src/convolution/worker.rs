//! What one thread keeps from task to task.

#[cfg(target_arch = "x86_64")]
use half::bf16;

use super::part::{Sweep, View, Window};
use crate::Values;
use crate::product::{Operand, PackedMatrix, Product, Scratch};

/// A window of images, in f32 or bf16 as a weight's products read it, and the memory for products.
#[derive(Default)]
pub(super) struct Worker {
    plain: Window<f32>,
    #[cfg(target_arch = "x86_64")]
    rounded: Window<bf16>,
    /// The task whose images the window shows.
    shown: Option<usize>,
    scratch: Scratch,
}

impl Worker {
    /// Makes the window show `view` of `images [n, height, width, channels]`, unless it does already; `task` is a number for
    /// images and view. Returns whether it did.
    pub(super) fn show(
        &mut self,
        task: usize,
        images: Values<'_>,
        size: [usize; 3],
        view: View,
        weight: &PackedMatrix,
    ) -> bool {
        if self.shown.replace(task) == Some(task) {
            return true;
        }
        match weight.reads_bf16() {
            #[cfg(target_arch = "x86_64")]
            true => self.rounded.show_rounded(images, size, view),
            _ => self.plain.show_plain(images, size, view),
        }
        false
    }

    /// The product of a sweep over what the window shows.
    ///
    /// # Panics
    /// If the sweep reaches beyond the window or does not fit the weight.
    ///
    /// # Safety
    /// As [`Product::run`].
    pub(super) unsafe fn multiply(&mut self, sweep: Sweep, product: &Product<'_>) {
        #[cfg(target_arch = "x86_64")]
        if product.weights.reads_bf16() {
            let rows = sweep.rows(self.rounded.values());
            // SAFETY: as the caller promises.
            return unsafe { product.run(Operand::Bf16(&rows), &mut self.scratch) };
        }
        let rows = sweep.rows(self.plain.values());
        // SAFETY: as the caller promises.
        unsafe { product.run(Operand::Plain(&rows), &mut self.scratch) };
    }
}
