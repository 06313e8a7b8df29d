//! Drawing the images of a batch, again where a draw is unfit.

use std::sync::atomic::AtomicBool;

use promptfed_prompts::{ClassIndex, RenderedPrompt};

use super::clip_filter::Judge;
use super::cut::Reading;
use super::manifest::ManifestRow;
use super::output::Output;
use super::pixel_index::PixelIndex;
use super::plan::PlannedImage;
use super::prompts::JobPrompt;
use super::screen::{self, Fault};
use super::spec::JobSpec;
use crate::image::{encode_png, pixel_hash};
use crate::service::wait;
use crate::{EngineInfo, Error, Generator, Image, ImageRequest, Result};

pub(super) struct Artist<'a> {
    pub(super) generator: &'a mut dyn Generator,
    pub(super) engine: EngineInfo,
    pub(super) spec: &'a JobSpec,
    pub(super) judge: Option<Judge<'a>>,
    pub(super) cancel: &'a AtomicBool,
}

impl Artist<'_> {
    /// Draws a batch, writes its accepted images, and gives one row per image.
    ///
    /// Unfit draws are replaced image by image in the order of the plan, so that what counts as a duplicate does not
    /// depend on the size of the batch.
    pub(super) fn draw(
        &mut self,
        batch: &[PlannedImage],
        index: &mut PixelIndex,
        output: &Output<'_>,
    ) -> Result<Vec<ManifestRow>> {
        let requests: Vec<_> = batch.iter().map(|image| self.request(image, 0)).collect();
        let images = self.generate(&requests)?;
        let mut rows = Vec::with_capacity(batch.len());
        for ((planned, request), image) in batch.iter().zip(requests).zip(images) {
            rows.push(self.settle(planned, request, image, index, output)?);
        }
        Ok(rows)
    }

    /// Whether this job writes such a row. One that was edited could name any class, and any file to write to.
    pub(super) fn writes(&self, row: &ManifestRow, output: &Output<'_>) -> bool {
        let prompt = JobPrompt {
            class: ClassIndex::new(row.class),
            domain: None,
            text: RenderedPrompt {
                positive: row.prompt.clone(),
                negative: row.negative.clone(),
            },
            count: None,
        };
        let planned = PlannedImage::new(row.index, prompt);
        let request = self.request(&planned, row.attempts.saturating_sub(1));
        let file = || output.file_of(row.index, row.class);
        let written = self.row(&planned, &request, row.attempts);
        let own = ManifestRow {
            // Rows of earlier versions do not say what was cut.
            cut: row.cut.as_ref().and(written.cut),
            negative_cut: row.negative_cut.as_ref().and(written.negative_cut),
            domain: row.domain.clone(),
            file: row.file.as_ref().map(|_| file()),
            pixel_hash: row.pixel_hash,
            upcast: row.upcast,
            clip_scores: row.clip_scores.clone(),
            flags: row.flags.clone(),
            rejected: row.rejected,
            remade: row.remade,
            ..written
        };
        own == *row
    }

    /// The images of rows, drawn once more.
    pub(super) fn draw_again(&mut self, rows: &[ManifestRow]) -> Result<Vec<Image>> {
        let request = |row: &ManifestRow| ImageRequest {
            prompt: row.prompt.clone(),
            negative: row.negative.clone(),
            seed: row.seed,
            steps: row.steps,
            guidance: row.guidance,
            sampler: row.sampler,
        };
        let requests: Vec<_> = rows.iter().map(request).collect();
        self.generate(&requests)
    }

    /// As many images as requests, of the engine's size, or an error. What may pass is tried again.
    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        let images = self.persist(requests)?;
        let fault = |reason| {
            Err(Error::Backend {
                engine: self.engine.name.clone(),
                reason,
                transient: false,
            })
        };
        if images.len() != requests.len() {
            return fault(format!(
                "gave {} images where {} were asked for; nothing of them was kept",
                images.len(),
                requests.len()
            ));
        }
        let [height, width] = self.generator.size();
        match images
            .iter()
            .find(|image| (image.height(), image.width()) != (height, width))
        {
            None => Ok(images),
            Some(image) => fault(format!(
                "gave an image of {} x {} pixels where {width} x {height} were asked for; nothing of this batch was kept",
                image.width(),
                image.height()
            )),
        }
    }

    fn persist(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let made = self.generator.generate(requests);
            let may_pass = matches!(
                made,
                Err(Error::Backend {
                    transient: true,
                    ..
                })
            );
            if !may_pass || attempt >= self.spec.retry.attempts {
                return made;
            }
            if !wait(self.spec.retry.pause(attempt, self.spec.seed), self.cancel) {
                return Err(Error::Cancelled);
            }
        }
    }

    fn generate_one(&mut self, request: &ImageRequest) -> Result<Image> {
        let images = self.generate(std::slice::from_ref(request))?;
        images.into_iter().next().ok_or_else(|| Error::Backend {
            engine: self.engine.name.clone(),
            reason: "gave no image where 1 was asked for".into(),
            transient: false,
        })
    }

    fn settle(
        &mut self,
        planned: &PlannedImage,
        mut request: ImageRequest,
        mut image: Image,
        index: &mut PixelIndex,
        output: &Output<'_>,
    ) -> Result<ManifestRow> {
        let (mut flags, mut scores) = (Vec::new(), Vec::new());
        loop {
            let pixels = image.to_rgb8();
            let hash = pixel_hash(image.width(), &pixels);
            let (mut fault, score) = self.look(planned.prompt.class, &image, &pixels)?;
            scores.extend(score);
            // Last, so that only accepted images are claimed.
            if fault.is_none() && !index.claim(&hash, planned.index)? {
                fault = Some(Fault::Duplicate);
            }
            flags.extend(fault);
            let attempts = flags.len() as u32 + u32::from(fault.is_none());
            let mut row = self.row(planned, &request, attempts);
            if fault.is_none() {
                let file = output.file_of(planned.index, row.class);
                let png = encode_png(image.height(), image.width(), &pixels)?;
                output.write(planned.index, &file, &png)?;
                row.file = Some(file);
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
            return Ok(row);
        }
    }

    /// What is wrong with an image of a class by itself, and the score that a filter gave it; `pixels` are its 8-bit values.
    pub(super) fn look(
        &self,
        class: ClassIndex,
        image: &Image,
        pixels: &[u8],
    ) -> Result<(Option<Fault>, Option<f32>)> {
        let fault = screen::fault(image, pixels);
        let (None, Some(judge)) = (fault, &self.judge) else {
            return Ok((fault, None));
        };
        let score = judge.score(class, image.height(), image.width(), pixels)?;
        let fault = (!judge.passes(score)).then_some(Fault::OffClass);
        Ok((fault, Some(score)))
    }

    fn request(&self, planned: &PlannedImage, attempt: u32) -> ImageRequest {
        let seed = planned.seed(self.spec.seed).attempt(attempt);
        let guidance = self.spec.guidance.draw(&seed);
        self.spec.request(&planned.prompt, seed, guidance)
    }

    fn row(&self, planned: &PlannedImage, request: &ImageRequest, attempts: u32) -> ManifestRow {
        let class = planned.prompt.class;
        let class_name = self
            .spec
            .prompts
            .label_space()
            .class_name(class)
            .unwrap_or_default();
        let heeds_negatives = self.spec.heeds_negatives(self.generator);
        let reading = Reading::of(self.generator, &planned.prompt.text, heeds_negatives);
        let cut = reading.positive.cut.map(str::to_owned);
        let negative_cut = reading.negative.cut.map(str::to_owned);
        ManifestRow {
            index: planned.index,
            prompt: request.prompt.clone(),
            negative: request.negative.clone(),
            cut,
            negative_cut,
            class: class.get(),
            class_name: class_name.to_owned(),
            domain: planned
                .prompt
                .domain
                .as_ref()
                .map(|d| d.as_str().to_owned()),
            seed: request.seed,
            steps: request.steps,
            guidance: request.guidance,
            sampler: request.sampler,
            engine: self.engine.name.clone(),
            engine_version: self.engine.version.clone(),
            weights_hash: self.engine.weights_hash,
            file: None,
            pixel_hash: None,
            attempts,
            upcast: false,
            clip_scores: Vec::new(),
            clip_hash: self.spec.filter.as_ref().map(|f| f.rule().clip_hash),
            flags: Vec::new(),
            rejected: None,
            remade: false,
        }
    }
}
