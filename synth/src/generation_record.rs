//! What a picture says of itself: how it was made, in a text chunk of its PNG file.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use ::image::RgbImage;
use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};

use crate::image::{encode_png, pixel_hash};
use crate::job::ManifestRow;
use crate::{EngineInfo, Error, Image, ImageRequest, ImageSeed, Reproducible, Result, Sampler};

/// Keyword of the PNG text chunk (iTXt) that holds the record, as a JSON object.
pub const RECORD_KEYWORD: &str = "promptfed";

/// Longest picture file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// How one image was made: enough to draw it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerationRecord {
    /// Version of this program.
    pub promptfed: String,
    /// Name of the engine.
    pub engine: String,
    /// Version of the engine's own arithmetic.
    pub engine_version: String,
    /// Hash of the engine's weights, configuration and tokenizer.
    pub weights_hash: ContentHash,
    /// Where the weights are from, `owner/name@revision` on the hub, where they were downloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether the engine makes the same image again.
    pub reproducible: Reproducible,
    /// What else determined the image, as [`EngineInfo::settings`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Height in pixels.
    pub height: u32,
    /// Width in pixels.
    pub width: u32,
    /// What the image shows.
    pub prompt: String,
    /// What guidance led away from.
    pub negative: String,
    /// Index of the class in the job's label space.
    pub class: u32,
    /// Name of the class.
    pub class_name: String,
    /// Domain of the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// What the noise was drawn from.
    pub seed: ImageSeed,
    /// Integration steps.
    pub steps: u32,
    /// Guidance scale; 1 is none.
    pub guidance: f32,
    /// Integration method.
    pub sampler: Sampler,
    /// Hash of the pixels, as in the manifest.
    pub pixel_hash: ContentHash,
}

impl GenerationRecord {
    /// The record of a row's image that an engine has made, of this height and width.
    pub(crate) fn of(
        engine: &EngineInfo,
        row: &ManifestRow,
        [height, width]: [u32; 2],
        pixel_hash: ContentHash,
    ) -> Self {
        let model = engine.origin.as_ref();
        Self {
            promptfed: env!("CARGO_PKG_VERSION").to_owned(),
            engine: engine.name.clone(),
            engine_version: engine.version.clone(),
            weights_hash: engine.weights_hash,
            model: model.map(|origin| format!("{}@{}", origin.model, origin.revision)),
            reproducible: engine.reproducible,
            settings: engine.settings.clone(),
            height,
            width,
            prompt: row.prompt.clone(),
            negative: row.negative.clone(),
            class: row.class,
            class_name: row.class_name.clone(),
            domain: row.domain.clone(),
            seed: row.seed,
            steps: row.steps,
            guidance: row.guidance,
            sampler: row.sampler,
            pixel_hash,
        }
    }

    /// What an engine is asked for the image.
    pub fn request(&self) -> ImageRequest {
        ImageRequest {
            prompt: self.prompt.clone(),
            negative: self.negative.clone(),
            seed: self.seed,
            steps: self.steps,
            guidance: self.guidance,
            sampler: self.sampler,
        }
    }

    /// The record of an image that an engine of these weights has drawn again.
    #[must_use]
    pub fn redrawn(&self, engine: &EngineInfo, image: &Image) -> Self {
        Self {
            promptfed: env!("CARGO_PKG_VERSION").to_owned(),
            settings: engine.settings.clone(),
            height: image.height(),
            width: image.width(),
            pixel_hash: pixel_hash(image.width(), &image.to_rgb8()),
            ..self.clone()
        }
    }

    /// The PNG file of its image, with this record in it.
    ///
    /// # Errors
    /// What the encoder says, as of an image without pixels.
    pub fn png(&self, image: &Image) -> Result<Vec<u8>> {
        let pixels = image.to_rgb8();
        encode_png(image.height(), image.width(), &pixels, Some(&self.text()))
    }

    /// The text of the chunk: JSON, in which nothing stands that a PNG text may not hold.
    pub(crate) fn text(&self) -> String {
        // Texts and numbers have a form in JSON, whatever they are.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A picture file with the record that lies in it.
#[derive(Clone, Debug)]
pub struct RecordedImage {
    /// How it was made.
    pub record: GenerationRecord,
    /// The pixels that the file holds now.
    pixels: RgbImage,
}

/// How a picture that was drawn again differs from the file whose record it was drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Pixels that are not the same; all of them where the sizes differ.
    pub pixels: u64,
    /// Largest difference of a colour, 0 to 255.
    pub largest: u8,
}

impl RecordedImage {
    /// Reads a PNG file and the record in it.
    ///
    /// # Errors
    /// A file that cannot be read, is no whole PNG image, or holds no record or one that cannot be read.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = promptfed_files::read(file, MAX_FILE_BYTES)?;
        let fault = |reason: String| Error::Record {
            file: file.to_owned(),
            reason,
        };
        let text = text_of(&bytes).map_err(|e| {
            fault(format!(
                "it is no PNG image ({e}), and others hold no record"
            ))
        })?;
        let text = text.ok_or_else(|| {
            fault("there is none; it was made with --no-record, by another program, or saved anew by one that drops it".into())
        })?;
        let record = serde_json::from_str(&text).map_err(|e| {
            fault(format!(
                "it cannot be read ({e}); a newer version may have written it"
            ))
        })?;
        let format = ::image::ImageFormat::Png;
        let picture = ::image::load_from_memory_with_format(&bytes, format)
            .map_err(|e| fault(format!("its picture is damaged ({e})")))?;
        Ok(Self {
            record,
            pixels: picture.into_rgb8(),
        })
    }

    /// Whether the pixels are those that were recorded.
    pub fn is_intact(&self) -> bool {
        pixel_hash(self.pixels.width(), self.pixels.as_raw()) == self.record.pixel_hash
    }

    /// How an image differs from the pixels of the file.
    pub fn difference(&self, image: &Image) -> Difference {
        let pixels = image.to_rgb8();
        let size = (image.width(), image.height());
        if size != self.pixels.dimensions() {
            return Difference {
                pixels: u64::from(size.0) * u64::from(size.1),
                largest: u8::MAX,
            };
        }
        let here = self.pixels.as_raw().chunks_exact(3);
        let differences = here.zip(pixels.chunks_exact(3)).map(|(one, other)| {
            let each = one.iter().zip(other).map(|(a, b)| a.abs_diff(*b));
            each.max().unwrap_or(0)
        });
        differences.fold(
            Difference {
                pixels: 0,
                largest: 0,
            },
            |sum, one| Difference {
                pixels: sum.pixels + u64::from(one > 0),
                largest: sum.largest.max(one),
            },
        )
    }
}

/// The text of the record's chunk, which stands before the pixels.
fn text_of(bytes: &[u8]) -> Result<Option<String>, png::DecodingError> {
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info()?;
    let mut chunks = reader.info().utf8_text.iter();
    let Some(chunk) = chunks.find(|chunk| chunk.keyword == RECORD_KEYWORD) else {
        return Ok(None);
    };
    let mut chunk = chunk.clone();
    // At most 2 MiB, however much others have packed into it.
    chunk.decompress_text()?;
    chunk.get_text().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::png_pixel_hash;

    fn record(prompt: &str, pixel_hash: ContentHash) -> GenerationRecord {
        GenerationRecord {
            promptfed: "0.1.0".into(),
            engine: "pocket".into(),
            engine_version: "1".into(),
            weights_hash: ContentHash::of(b"weights"),
            model: None,
            reproducible: Reproducible::Exact,
            settings: BTreeMap::from([("precision".into(), "f32".into())]),
            height: 2,
            width: 3,
            prompt: prompt.into(),
            negative: String::new(),
            class: 4,
            class_name: "caf\u{e9}".into(),
            domain: Some("photo".into()),
            seed: ImageSeed::from_u64(5),
            steps: 6,
            guidance: 2.1,
            sampler: Sampler::Ab2,
            pixel_hash,
        }
    }

    fn written(name: &str, text: Option<&str>) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs_err::write(&file, encode_png(2, 3, &[7; 18], text).unwrap()).unwrap();
        (folder, file)
    }

    #[test]
    fn a_record_comes_back_from_its_picture() {
        let pixels = pixel_hash(3, &[7; 18]);
        // Quotes, other scripts and a zero byte, which no PNG text may hold as it is.
        let own = record("\u{732b} \"in\" a box\0\n", pixels);
        let (_folder, file) = written("a.png", Some(&own.text()));
        let read = RecordedImage::read(&file).unwrap();
        assert_eq!(read.record, own);
        assert!(read.is_intact());
        let (_folder, file) = written("b.png", Some(&record("x", own.weights_hash).text()));
        assert!(!RecordedImage::read(&file).unwrap().is_intact());
    }

    #[test]
    fn what_was_drawn_again_is_compared_pixel_by_pixel() {
        let own = record("x", pixel_hash(3, &[7; 18]));
        let (_folder, file) = written("a.png", Some(&own.text()));
        let recorded = RecordedImage::read(&file).unwrap();
        let of_bytes = |bytes: [u8; 18]| {
            let values = bytes.map(|byte| f32::from(byte) / 127.5 - 1.0);
            Image::rectangle(2, 3, values.to_vec()).unwrap()
        };
        let difference = |image: &Image| {
            let Difference { pixels, largest } = recorded.difference(image);
            (pixels, largest)
        };
        assert_eq!(difference(&of_bytes([7; 18])), (0, 0));
        let mut other = [7; 18];
        (other[3], other[4], other[17]) = (9, 4, 8);
        assert_eq!(difference(&of_bytes(other)), (2, 3));
        let turned = Image::rectangle(3, 2, vec![0.0; 18]).unwrap();
        assert_eq!(difference(&turned), (6, 255));
    }

    #[test]
    fn the_pixels_are_the_same_with_and_without_it() {
        let own = record("x", ContentHash::of(b""));
        let plain = encode_png(2, 3, &[7; 18], None).unwrap();
        let with = encode_png(2, 3, &[7; 18], Some(&own.text())).unwrap();
        assert!(with.len() > plain.len());
        assert_eq!(png_pixel_hash(&with), png_pixel_hash(&plain));
    }

    #[test]
    fn what_holds_none_is_told() {
        let (folder, plain) = written("plain.png", None);
        let (_other, odd) = written("odd.png", Some("{\"prompt\": 1}"));
        let text = folder.path().join("text.png");
        fs_err::write(&text, "no picture").unwrap();
        for (file, part) in [
            (&plain, "--no-record"),
            (&odd, "cannot be read"),
            (&text, "no PNG image"),
        ] {
            let error = RecordedImage::read(file).unwrap_err();
            assert_eq!(error.kind(), promptfed_files::ErrorKind::Input);
            let told = error.to_string();
            assert!(
                told.contains(part) && told.contains(&file.display().to_string()),
                "{told}"
            );
        }
    }
}
