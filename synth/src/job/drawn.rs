//! Images before they have their place in the output: fit by themselves, or given up.

use super::draw::Artist;
use super::manifest::ManifestRow;
use super::output::Output;
use super::pixel_index::PixelIndex;
use super::plan::PlannedImage;
use super::screen::Fault;
use crate::image::pixel_hash;
use crate::{Image, ImageRequest, Result};

/// An image after its draws so far. Whoever drew it knew nothing of other images, so that it may turn out to be a copy of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drawn {
    /// Its row, without the file; with the hash of its pixels where it is fit.
    pub(super) row: ManifestRow,
    /// Its PNG file, where it is fit.
    pub(super) png: Option<Vec<u8>>,
}

impl Artist<'_> {
    /// Draws the images of a batch, each again until it is fit by itself.
    pub(super) fn draw(&mut self, batch: &[PlannedImage]) -> Result<Vec<Drawn>> {
        let requests: Vec<_> = batch.iter().map(|image| self.request(image, 0)).collect();
        let images = self.generate(&requests)?;
        let mut drawn = Vec::with_capacity(batch.len());
        for ((planned, request), image) in batch.iter().zip(requests).zip(images) {
            drawn.push(self.fit(planned, request, image, Vec::new(), Vec::new())?);
        }
        Ok(drawn)
    }

    /// Writes the images of a batch and gives one row per image. Copies of earlier images are replaced image by image in the order of the
    /// plan, so that what counts as a copy does not depend on the size of the batch, nor on who drew it.
    pub(super) fn settle(
        &mut self,
        batch: &[PlannedImage],
        drawn: Vec<Drawn>,
        index: &mut PixelIndex,
        output: &Output<'_>,
    ) -> Result<Vec<ManifestRow>> {
        let each = batch.iter().zip(drawn);
        each.map(|(planned, drawn)| self.place(planned, drawn, index, output))
            .collect()
    }

    fn place(
        &mut self,
        planned: &PlannedImage,
        mut drawn: Drawn,
        index: &mut PixelIndex,
        output: &Output<'_>,
    ) -> Result<ManifestRow> {
        loop {
            let Drawn { mut row, png } = drawn;
            let (Some(png), Some(hash)) = (png, row.pixel_hash) else {
                return Ok(row);
            };
            if index.claim(&hash, planned.index)? {
                let file = output.file_of(planned.index, row.class);
                output.write(planned.index, &file, &png)?;
                row.file = Some(file);
                return Ok(row);
            }
            row.flags.push(Fault::Duplicate);
            let attempts = row.flags.len() as u32;
            if attempts >= self.spec.attempts {
                row.pixel_hash = None;
                row.rejected = Some(Fault::Duplicate);
                return Ok(row);
            }
            let request = self.request(planned, attempts);
            let image = self.generate_one(&request)?;
            drawn = self.fit(planned, request, image, row.flags, row.clip_scores)?;
        }
    }

    /// Draws an image again until it is fit by itself, or given up; `flags` and `scores` are of the draws before this one.
    fn fit(
        &mut self,
        planned: &PlannedImage,
        mut request: ImageRequest,
        mut image: Image,
        mut flags: Vec<Fault>,
        mut scores: Vec<f32>,
    ) -> Result<Drawn> {
        loop {
            let pixels = image.to_rgb8();
            let (fault, score) = self.look(planned.prompt.class, &image, &pixels)?;
            scores.extend(score);
            flags.extend(fault);
            let attempts = flags.len() as u32 + u32::from(fault.is_none());
            let mut row = self.row(planned, &request, attempts);
            let mut png = None;
            if fault.is_none() {
                let hash = pixel_hash(image.width(), &pixels);
                png = Some(self.png(&row, &image, &pixels, hash)?);
                row.pixel_hash = Some(hash);
            } else if attempts < self.spec.attempts {
                request = self.request(planned, attempts);
                image = self.generate_one(&request)?;
                continue;
            } else {
                row.rejected = fault;
            }
            row.flags = flags;
            row.upcast = image.is_upcast();
            row.clip_scores = scores;
            return Ok(Drawn { row, png });
        }
    }
}
