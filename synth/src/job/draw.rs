//! Asking the engine for the images of a job, and what each is called in its manifest.

use std::sync::atomic::AtomicBool;

use promptfed_prompts::{ClassIndex, ContentHash, RenderedPrompt};

use super::clip_filter::Judge;
use super::cut::Reading;
use super::manifest::ManifestRow;
use super::output::Output;
use super::plan::PlannedImage;
use super::prompts::JobPrompt;
use super::screen::{self, Fault};
use super::spec::JobSpec;
use crate::image::encode_png;
use crate::service::wait;
use crate::{EngineInfo, Error, GenerationRecord, Generator, Image, ImageRequest, Result};

pub(super) struct Artist<'a> {
    pub(super) generator: &'a mut dyn Generator,
    pub(super) engine: EngineInfo,
    pub(super) spec: &'a JobSpec,
    pub(super) judge: Option<Judge<'a>>,
    pub(super) cancel: &'a AtomicBool,
}

impl Artist<'_> {
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
    pub(super) fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
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

    /// The image of one request.
    pub(super) fn generate_one(&mut self, request: &ImageRequest) -> Result<Image> {
        let images = self.generate(std::slice::from_ref(request))?;
        images.into_iter().next().ok_or_else(|| Error::Backend {
            engine: self.engine.name.clone(),
            reason: "gave no image where 1 was asked for".into(),
            transient: false,
        })
    }

    /// The PNG file of a row's image; `pixels` are its 8-bit values, and this is their hash.
    pub(super) fn png(
        &self,
        row: &ManifestRow,
        image: &Image,
        pixels: &[u8],
        pixel_hash: ContentHash,
    ) -> Result<Vec<u8>> {
        let size @ [height, width] = [image.height(), image.width()];
        let record = self
            .spec
            .records
            .then(|| GenerationRecord::of(&self.engine, row, size, pixel_hash).text());
        encode_png(height, width, pixels, record.as_deref())
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

    /// What the engine is asked for one draw of an image, the first being attempt 0.
    pub(super) fn request(&self, planned: &PlannedImage, attempt: u32) -> ImageRequest {
        let draw = self.spec.first_draw.saturating_add(attempt);
        let seed = planned.seed(self.spec.seed).attempt(draw);
        let guidance = self.spec.guidance.draw(&seed);
        self.spec.request(&planned.prompt, seed, guidance)
    }

    /// The row of an image after so many draws, without what came of them.
    pub(super) fn row(
        &self,
        planned: &PlannedImage,
        request: &ImageRequest,
        attempts: u32,
    ) -> ManifestRow {
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
