//! Channels in blocks of fixed width, whose sums and factors stay in registers over a group of pixels.

use pulp::{Simd, WithSimd};

use crate::values::Element;

/// Pixels that pass through a block before the next one: few enough to stay in a first-level cache.
pub(super) const GROUP: usize = 16;

/// What is done with some pixels, channel by channel.
pub(super) trait PerChannel {
    /// Does it for the channels `first..first + W` of pixels `from..to`.
    fn block<const W: usize>(&mut self, first: usize, from: usize, to: usize);
}

/// Does something for all channels of some pixels.
pub(super) struct EachBlock<'a, T> {
    pub(super) task: &'a mut T,
    pub(super) channels: usize,
    pub(super) pixels: usize,
}

impl<T: PerChannel> WithSimd for EachBlock<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut from = 0;
        while from < self.pixels {
            let to = (from + GROUP).min(self.pixels);
            let mut first = 0;
            while first + 32 <= self.channels {
                self.task.block::<32>(first, from, to);
                first += 32;
            }
            if first + 16 <= self.channels {
                self.task.block::<16>(first, from, to);
                first += 16;
            }
            if first + 8 <= self.channels {
                self.task.block::<8>(first, from, to);
                first += 8;
            }
            while first < self.channels {
                self.task.block::<1>(first, from, to);
                first += 1;
            }
            from = to;
        }
    }
}

/// The values of channels `first..first + W`.
#[inline(always)]
pub(super) fn load<T: Element, const W: usize>(values: &[T], first: usize) -> [f32; W] {
    let values = &values[first..first + W];
    std::array::from_fn(|i| values[i].widen())
}

/// Writes the values of channels `first..first + W`.
#[inline(always)]
pub(super) fn store<T: Element, const W: usize>(values: [f32; W], to: &mut [T], first: usize) {
    for (to, value) in to[first..first + W].iter_mut().zip(values) {
        *to = T::narrow(value);
    }
}
