//! The inner loops: products of image runs and weight columns, held in registers.
//!
//! Every output value is summed in one fixed order, whatever the vector length and the number of
//! threads.

use pulp::{Arch, Simd, WithSimd};

/// Pixels worked on at once. With up to three vectors of channels this fills AVX2's 16 registers.
const PIXELS: usize = 4;

/// A weight matrix cut into panels of columns, each panel a whole number of vectors wide.
pub(super) struct Panels {
    values: Vec<f32>,
    depth: usize,
    columns: usize,
    /// Columns per panel, the last one padded with zeros.
    width: usize,
    vectors: usize,
}

fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

/// Vectors per panel that pad `columns` least, the most of those.
fn vectors_per_panel(columns: usize, lanes: usize) -> usize {
    let needed = columns.div_ceil(lanes);
    (1..=3usize)
        .rev()
        .min_by_key(|v| needed.next_multiple_of(*v))
        .unwrap_or(1)
}

impl Panels {
    /// Panels of the matrix `value(row, column)`.
    pub(super) fn new(depth: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let lanes = lanes();
        let vectors = vectors_per_panel(columns, lanes);
        let width = vectors * lanes;
        let mut values = vec![0.0; columns.div_ceil(width) * depth * width];
        for (panel, block) in values.chunks_exact_mut((depth * width).max(1)).enumerate() {
            for (row, line) in block.chunks_exact_mut(width).enumerate() {
                for (i, v) in line.iter_mut().enumerate() {
                    let column = panel * width + i;
                    if column < columns {
                        *v = value(row, column);
                    }
                }
            }
        }
        Self {
            values,
            depth,
            columns,
            width,
            vectors,
        }
    }
}

/// Where the runs of an image and the pixels of the result lie.
///
/// The result at pixel (y, x) is the sum over `segments` of the products of a run of
/// `segment_len` values, which begins at `start + y * row_step + x * pixel_step + s * segment_step`,
/// with as many rows of the weight matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Runs {
    pub(super) start: usize,
    pub(super) row_step: usize,
    pub(super) pixel_step: usize,
    pub(super) segments: usize,
    pub(super) segment_step: usize,
    pub(super) segment_len: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Where the pixels of a result lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) start: usize,
    pub(super) row_step: usize,
    pub(super) pixel_step: usize,
}

/// `output[target(y, x)] = runs(y, x) * weights` for one image.
pub(super) fn multiply(
    image: &[f32],
    runs: Runs,
    weights: &Panels,
    output: &mut [f32],
    target: Target,
) {
    debug_assert_eq!(runs.segments * runs.segment_len, weights.depth);
    Arch::new().dispatch(Multiply {
        image,
        runs,
        weights,
        output,
        target,
    });
}

struct Multiply<'a> {
    image: &'a [f32],
    runs: Runs,
    weights: &'a Panels,
    output: &'a mut [f32],
    target: Target,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let block = self.weights.depth * self.weights.width;
        for (panel, values) in self.weights.values.chunks_exact(block).enumerate() {
            let column = panel * self.weights.width;
            match self.weights.vectors {
                1 => self.panel::<S, 1>(simd, values, column),
                2 => self.panel::<S, 2>(simd, values, column),
                _ => self.panel::<S, 3>(simd, values, column),
            }
        }
    }
}

impl Multiply<'_> {
    #[inline(always)]
    fn panel<S: Simd, const V: usize>(&mut self, simd: S, weights: &[f32], column: usize) {
        let (runs, target) = (self.runs, self.target);
        let rows = S::as_simd_f32s(weights).0.as_chunks::<V>().0;
        let valid = (self.weights.columns - column).min(V * S::F32_LANES);
        for y in 0..runs.height {
            for x in (0..runs.width).step_by(PIXELS) {
                let pixels = (runs.width - x).min(PIXELS);
                // Pixels beyond the row repeat the last one and are not stored.
                let starts: [usize; PIXELS] = std::array::from_fn(|i| {
                    runs.start + y * runs.row_step + (x + i.min(pixels - 1)) * runs.pixel_step
                });
                let mut sums = [[simd.splat_f32s(0.0); V]; PIXELS];
                for (s, rows) in rows.chunks_exact(runs.segment_len).enumerate() {
                    let offset = s * runs.segment_step;
                    let run = |i: usize| &self.image[starts[i] + offset..][..runs.segment_len];
                    accumulate(simd, [run(0), run(1), run(2), run(3)], rows, &mut sums);
                }
                for (i, sums) in sums.iter().enumerate().take(pixels) {
                    let at = target.start + y * target.row_step + (x + i) * target.pixel_step;
                    let to = &mut self.output[at + column..][..valid];
                    store(simd, sums, to);
                }
            }
        }
    }
}

#[inline(always)]
fn accumulate<S: Simd, const V: usize>(
    simd: S,
    runs: [&[f32]; PIXELS],
    rows: &[[S::f32s; V]],
    sums: &mut [[S::f32s; V]; PIXELS],
) {
    let [a, b, c, d] = runs;
    for ((((row, a), b), c), d) in rows.iter().zip(a).zip(b).zip(c).zip(d) {
        for (sums, x) in sums.iter_mut().zip([a, b, c, d]) {
            let x = simd.splat_f32s(*x);
            for (sum, w) in sums.iter_mut().zip(row) {
                *sum = simd.mul_add_e_f32s(x, *w, *sum);
            }
        }
    }
}

#[inline(always)]
fn store<S: Simd, const V: usize>(simd: S, values: &[S::f32s; V], to: &mut [f32]) {
    let (whole, rest) = S::as_mut_simd_f32s(to);
    for (to, value) in whole.iter_mut().zip(values) {
        *to = *value;
    }
    if let Some(value) = values.get(whole.len()) {
        simd.partial_store_f32s(rest, *value);
    }
}

/// `gradient[row, column] += sum over images, y, x of runs(y, x)[row] * output_gradient[y, x, column]`.
///
/// `images` holds several padded images of `image_len` values, `output_gradient` is
/// `[images, height, width, columns]`, `gradient` is `[segments * segment_len, columns]`.
pub(super) fn multiply_transposed(
    images: &[f32],
    image_len: usize,
    runs: Runs,
    output_gradient: &[f32],
    columns: usize,
    gradient: &mut [f32],
) {
    let pixels = output_gradient.len() / columns;
    let panels = Panels::new(pixels, columns, |pixel, column| {
        output_gradient[pixel * columns + column]
    });
    Arch::new().dispatch(MultiplyTransposed {
        images,
        image_len,
        runs,
        panels: &panels,
        gradient,
    });
}

struct MultiplyTransposed<'a> {
    images: &'a [f32],
    image_len: usize,
    runs: Runs,
    panels: &'a Panels,
    gradient: &'a mut [f32],
}

impl WithSimd for MultiplyTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let block = self.panels.depth * self.panels.width;
        for (panel, values) in self.panels.values.chunks_exact(block).enumerate() {
            let column = panel * self.panels.width;
            match self.panels.vectors {
                1 => self.panel::<S, 1>(simd, values, column),
                2 => self.panel::<S, 2>(simd, values, column),
                _ => self.panel::<S, 3>(simd, values, column),
            }
        }
    }
}

impl MultiplyTransposed<'_> {
    #[inline(always)]
    fn panel<S: Simd, const V: usize>(&mut self, simd: S, gradients: &[f32], column: usize) {
        let len = self.runs.segment_len;
        let pixels = S::as_simd_f32s(gradients).0.as_chunks::<V>().0;
        for segment in 0..self.runs.segments {
            let mut done = 0;
            while done < len {
                if len < PIXELS {
                    self.rows::<S, V, 1>(simd, pixels, column, segment, done, done);
                    done += 1;
                } else {
                    // The last group overlaps the one before it: its first rows are not stored again.
                    let first = done.min(len - PIXELS);
                    self.rows::<S, V, PIXELS>(simd, pixels, column, segment, first, done);
                    done = first + PIXELS;
                }
            }
        }
    }

    /// Rows `first..first + R` of a segment, of which those from `from` on are added.
    #[inline(always)]
    fn rows<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        gradients: &[[S::f32s; V]],
        column: usize,
        segment: usize,
        first: usize,
        from: usize,
    ) {
        let Self { runs, panels, .. } = *self;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let mut lines = gradients.chunks_exact(runs.width);
        for image in self.images.chunks_exact(self.image_len) {
            for (y, line) in lines.by_ref().take(runs.height).enumerate() {
                let start = runs.start + y * runs.row_step + segment * runs.segment_step + first;
                let span = (runs.width - 1) * runs.pixel_step + R;
                let row = &image[start..start + span];
                for (x, gradient) in line.iter().enumerate() {
                    let values: &[f32; R] = match row[x * runs.pixel_step..].first_chunk() {
                        Some(values) => values,
                        None => return,
                    };
                    for (sums, value) in sums.iter_mut().zip(values) {
                        let value = simd.splat_f32s(*value);
                        for (sum, g) in sums.iter_mut().zip(gradient) {
                            *sum = simd.mul_add_e_f32s(value, *g, *sum);
                        }
                    }
                }
            }
        }
        let columns = panels.columns;
        let valid = (columns - column).min(V * S::F32_LANES);
        for (i, sums) in sums.iter().enumerate().skip(from - first) {
            let row = segment * runs.segment_len + first + i;
            let to = &mut self.gradient[row * columns + column..][..valid];
            add(simd, sums, to);
        }
    }
}

#[inline(always)]
fn add<S: Simd, const V: usize>(simd: S, values: &[S::f32s; V], to: &mut [f32]) {
    let (whole, rest) = S::as_mut_simd_f32s(to);
    for (to, value) in whole.iter_mut().zip(values) {
        *to = simd.add_f32s(*to, *value);
    }
    if let Some(value) = values.get(whole.len()) {
        let sum = simd.add_f32s(simd.partial_load_f32s(rest), *value);
        simd.partial_store_f32s(rest, sum);
    }
}
