//! Where the rows of a left operand lie.

use super::packed::Segments;

/// Rows gathered from images: row (image, line, pixel) is `segments` runs of `segment_len` values,
/// the first of which begins at `start + image * image_step + line * line_step + pixel * pixel_step`, the
/// next ones `segment_step` further each.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T = f32> {
    pub(crate) values: &'a [T],
    pub(crate) start: usize,
    pub(crate) images: usize,
    pub(crate) image_step: usize,
    pub(crate) lines: usize,
    pub(crate) line_step: usize,
    pub(crate) pixels: usize,
    pub(crate) pixel_step: usize,
    pub(crate) segments: usize,
    pub(crate) segment_step: usize,
    pub(crate) segment_len: usize,
}

impl<'a, T> Rows<'a, T> {
    /// The rows of a row-major matrix of `depth` columns.
    pub(crate) fn of_matrix(values: &'a [T], depth: usize) -> Self {
        Self {
            values,
            start: 0,
            images: 1,
            image_step: 0,
            lines: 1,
            line_step: 0,
            pixels: values.len().checked_div(depth).unwrap_or(0),
            pixel_step: depth,
            segments: 1,
            segment_step: 0,
            segment_len: depth,
        }
    }

    /// The same rows of other values.
    pub(crate) fn with<'b, U>(&self, values: &'b [U]) -> Rows<'b, U> {
        let Self {
            start,
            images,
            image_step,
            lines,
            line_step,
            pixels,
            pixel_step,
            segments,
            segment_step,
            segment_len,
            ..
        } = *self;
        Rows {
            values,
            start,
            images,
            image_step,
            lines,
            line_step,
            pixels,
            pixel_step,
            segments,
            segment_step,
            segment_len,
        }
    }

    /// How many rows there are.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn len(&self) -> usize {
        self.images * self.lines * self.pixels
    }

    /// Writes where every row begins to `offsets`; returns images, lines and pixels.
    ///
    /// # Panics
    /// If the rows do not fall into these segments, or reach beyond the values: who gets the offsets may read every run
    /// without a check.
    pub(crate) fn prepare(&self, segments: Segments, offsets: &mut Vec<usize>) -> [usize; 3] {
        assert_eq!(self.segments, segments.count, "segments");
        assert_eq!(self.segment_len, segments.len, "segment length");
        self.offsets(offsets);
        [self.images, self.lines, self.pixels]
    }

    /// Writes where every row begins to `offsets`.
    ///
    /// # Panics
    /// If a row reaches beyond the values: who gets the offsets may read every run without a check.
    pub(crate) fn offsets(&self, offsets: &mut Vec<usize>) {
        let steps = [self.image_step, self.line_step, self.pixel_step];
        let shape = [self.images, self.lines, self.pixels];
        starts(self.start, shape, steps, offsets);
        if let Some(last) = offsets.iter().max() {
            let run = self.segments.saturating_sub(1) * self.segment_step + self.segment_len;
            assert!(
                last + run <= self.values.len(),
                "rows reach beyond their image"
            );
        }
    }
}

/// Writes where the rows (image, line, pixel) of a shape begin: `start` and the steps from image to image, line to line and
/// pixel to pixel.
pub(super) fn starts(start: usize, shape: [usize; 3], steps: [usize; 3], to: &mut Vec<usize>) {
    let [images, lines, pixels] = shape;
    let [image_step, line_step, pixel_step] = steps;
    to.clear();
    to.reserve(images * lines * pixels);
    for image in 0..images {
        for line in 0..lines {
            let first = start + image * image_step + line * line_step;
            to.extend((0..pixels).map(|pixel| first + pixel * pixel_step));
        }
    }
}
