//! The inner loops: products of image runs and weight columns, held in registers.
//!
//! Every output value is summed in one fixed order, whatever the vector length and the number of
//! threads.

use std::borrow::Cow;

use pulp::{Arch, Simd, WithSimd};

/// Tiles of the products: vectors of columns times rows. Their sums, the columns and one broadcast
/// value stay below AVX2's 16 registers; at exactly 16 the compiler spills.
const TILE_1: usize = 8;
const TILE_2: usize = 4;
const TILE_3: usize = 3;

/// A weight matrix cut into panels of columns, each panel a whole number of vectors wide.
pub(super) struct Panels<'a> {
    values: Cow<'a, [f32]>,
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

impl<'a> Panels<'a> {
    /// Panels of a row-major matrix; the matrix itself where it is one whole panel.
    pub(super) fn new(matrix: &'a [f32], columns: usize) -> Self {
        let lanes = lanes();
        let vectors = vectors_per_panel(columns, lanes);
        let width = vectors * lanes;
        let depth = matrix.len() / columns;
        let values = if columns == width {
            Cow::Borrowed(matrix)
        } else {
            Cow::Owned(cut(matrix, columns, width))
        };
        Self {
            values,
            depth,
            columns,
            width,
            vectors,
        }
    }

    /// The same panels, the values their own.
    pub(super) fn into_owned(self) -> Panels<'static> {
        let Self {
            depth,
            columns,
            width,
            vectors,
            ..
        } = self;
        Panels {
            values: Cow::Owned(self.values.into_owned()),
            depth,
            columns,
            width,
            vectors,
        }
    }
}

fn cut(matrix: &[f32], columns: usize, width: usize) -> Vec<f32> {
    let depth = matrix.len() / columns;
    let mut values = vec![0.0; columns.div_ceil(width) * depth * width];
    for (panel, block) in values.chunks_exact_mut((depth * width).max(1)).enumerate() {
        let start = panel * width;
        let valid = (columns - start).min(width);
        for (to, from) in block
            .chunks_exact_mut(width)
            .zip(matrix.chunks_exact(columns))
        {
            to[..valid].copy_from_slice(&from[start..start + valid]);
        }
    }
    values
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

/// Whether products replace what a buffer holds or are added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Replace every value.
    Replace,
    /// Add to every value.
    Add,
}

/// `output[target(y, x)] = runs(y, x) * weights` for one image, or `+=`.
pub(super) fn multiply(
    image: &[f32],
    runs: Runs,
    weights: &Panels<'_>,
    output: &mut [f32],
    target: Target,
    write: Write,
) {
    debug_assert_eq!(runs.segments * runs.segment_len, weights.depth);
    Arch::new().dispatch(Multiply {
        image,
        runs,
        weights,
        output,
        target,
        write,
    });
}

struct Multiply<'a> {
    image: &'a [f32],
    runs: Runs,
    weights: &'a Panels<'a>,
    output: &'a mut [f32],
    target: Target,
    write: Write,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let block = self.weights.depth * self.weights.width;
        for (panel, values) in self.weights.values.chunks_exact(block).enumerate() {
            let column = panel * self.weights.width;
            match self.weights.vectors {
                1 => self.panel::<S, 1, TILE_1>(simd, values, column),
                2 => self.panel::<S, 2, TILE_2>(simd, values, column),
                _ => self.panel::<S, 3, TILE_3>(simd, values, column),
            }
        }
    }
}

impl Multiply<'_> {
    #[inline(always)]
    fn panel<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        weights: &[f32],
        column: usize,
    ) {
        let (runs, target) = (self.runs, self.target);
        let rows = S::as_simd_f32s(weights).0.as_chunks::<V>().0;
        let valid = (self.weights.columns - column).min(V * S::F32_LANES);
        let pixels = runs.height * runs.width;
        for first in (0..pixels).step_by(R) {
            // Pixels beyond the last repeat it and are not stored.
            let at: [(usize, usize); R] = std::array::from_fn(|i| {
                let pixel = (first + i).min(pixels - 1);
                (pixel / runs.width, pixel % runs.width)
            });
            let mut sums = [[simd.splat_f32s(0.0); V]; R];
            for (s, rows) in rows.chunks_exact(runs.segment_len).enumerate() {
                let offset = runs.start + s * runs.segment_step;
                let values = at.map(|(y, x)| {
                    let start = offset + y * runs.row_step + x * runs.pixel_step;
                    &self.image[start..][..rows.len()]
                });
                sums = accumulate(simd, values, rows, sums);
            }
            for ((y, x), sums) in at.iter().zip(&sums).take(pixels - first) {
                let start = target.start + y * target.row_step + x * target.pixel_step;
                let to = &mut self.output[start + column..][..valid];
                match self.write {
                    Write::Replace => store(simd, sums, to),
                    Write::Add => add(simd, sums, to),
                }
            }
        }
    }
}

/// `sums` with the products of the runs and the rows added. By value: sums behind a reference
/// would be written back to memory at every step.
#[inline(always)]
fn accumulate<S: Simd, const V: usize, const R: usize>(
    simd: S,
    runs: [&[f32]; R],
    rows: &[[S::f32s; V]],
    mut sums: [[S::f32s; V]; R],
) -> [[S::f32s; V]; R] {
    for (k, row) in rows.iter().enumerate() {
        sums = outer_product(simd, runs.map(|run| run[k]), row, sums);
    }
    sums
}

#[inline(always)]
fn outer_product<S: Simd, const V: usize, const R: usize>(
    simd: S,
    left: [f32; R],
    right: &[S::f32s; V],
    mut sums: [[S::f32s; V]; R],
) -> [[S::f32s; V]; R] {
    for i in 0..R {
        let value = simd.splat_f32s(left[i]);
        for j in 0..V {
            sums[i][j] = simd.mul_add_e_f32s(value, right[j], sums[i][j]);
        }
    }
    sums
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
    let panels = Panels::new(output_gradient, columns);
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
    panels: &'a Panels<'a>,
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
                1 => self.panel::<S, 1, TILE_1>(simd, values, column),
                2 => self.panel::<S, 2, TILE_2>(simd, values, column),
                _ => self.panel::<S, 3, TILE_3>(simd, values, column),
            }
        }
    }
}

impl MultiplyTransposed<'_> {
    #[inline(always)]
    fn panel<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        gradients: &[f32],
        column: usize,
    ) {
        let len = self.runs.segment_len;
        let gradients = S::as_simd_f32s(gradients).0.as_chunks::<V>().0;
        for segment in 0..self.runs.segments {
            let mut done = 0;
            while done < len {
                if len < R {
                    self.rows::<S, V, 1>(simd, gradients, column, segment, done, done);
                    done += 1;
                } else {
                    // The last group overlaps the one before it: those rows are not stored again.
                    let first = done.min(len - R);
                    self.rows::<S, V, R>(simd, gradients, column, segment, first, done);
                    done = first + R;
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
        let runs = self.runs;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let mut lines = gradients.chunks_exact(runs.width);
        for image in self.images.chunks_exact(self.image_len) {
            for (y, line) in lines.by_ref().take(runs.height).enumerate() {
                let start = runs.start + y * runs.row_step + segment * runs.segment_step + first;
                let span = (runs.width - 1) * runs.pixel_step + R;
                let row = &image[start..start + span];
                sums = accumulate_line(simd, row, runs.pixel_step, line, sums);
            }
        }
        let columns = self.panels.columns;
        let valid = (columns - column).min(V * S::F32_LANES);
        for (i, sums) in sums.iter().enumerate().skip(from - first) {
            let row = segment * runs.segment_len + first + i;
            let to = &mut self.gradient[row * columns + column..][..valid];
            add(simd, sums, to);
        }
    }
}

/// `sums` with the products of `R` image values and the gradients at every pixel of a line added.
#[inline(always)]
fn accumulate_line<S: Simd, const V: usize, const R: usize>(
    simd: S,
    image: &[f32],
    pixel_step: usize,
    gradients: &[[S::f32s; V]],
    mut sums: [[S::f32s; V]; R],
) -> [[S::f32s; V]; R] {
    for (x, gradient) in gradients.iter().enumerate() {
        let values = &image[x * pixel_step..][..R];
        sums = outer_product(simd, std::array::from_fn(|i| values[i]), gradient, sums);
    }
    sums
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
