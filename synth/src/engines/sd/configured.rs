//! A model with the settings that all images of a job share.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use ::image::imageops::FilterType;
use candle_core::Device;
use promptfed_data::DecodeLimits;
use promptfed_nn::load::Loader;
use promptfed_prompts::ContentHash;

use super::engine::{StableDiffusion, negative_of};
use super::request::{GivenNoise, LARGEST, Request, Start};
use crate::error::model_fault;
use crate::{EngineInfo, Error, Generator, Image, ImageRequest, ImageSeed, Origin, Result};

/// Settings of a job's images that no job of another engine has.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Height in pixels; the engine's own where `None`.
    pub height: Option<u32>,
    /// Width in pixels, likewise.
    pub width: Option<u32>,
    /// See [`Request::guidance_interval`]; the whole way where `None`.
    pub guidance_interval: Option<[f64; 2]>,
    /// The image that all images start from, and how much of the way is gone; see [`Start::Image`].
    pub image: Option<(Image, f64)>,
    /// Noise, as of [`GivenNoise::latents`], in place of that of these seeds.
    pub noise: HashMap<ImageSeed, Vec<f32>>,
    /// Whether an empty negative prompt is a text, as diffusers takes `negative_prompt=""`, rather than none.
    pub empty_negative: bool,
    /// Where the weights are from.
    pub origin: Option<Origin>,
}

/// A model whose images share their [`Settings`].
pub struct Configured {
    model: StableDiffusion,
    settings: Settings,
    info: EngineInfo,
}

impl Configured {
    /// Gives a model its settings, which its description then has too: a job with others is another job.
    pub fn new(model: StableDiffusion, settings: Settings) -> Self {
        let mut info = model.describe().clone();
        info.settings.extend(settings.describe());
        info.origin = settings.origin.clone();
        Self {
            model,
            settings,
            info,
        }
    }

    fn request(&self, request: &ImageRequest) -> Request {
        let settings = &self.settings;
        let own = self.model.request(&request.prompt, request.seed);
        let start = match &settings.image {
            Some((image, strength)) => Start::Image {
                image: image.clone(),
                strength: *strength,
            },
            None => Start::Noise,
        };
        let given = settings.noise.get(&request.seed);
        let noise = given.map(|latents| GivenNoise {
            latents: latents.clone(),
            steps: Vec::new(),
        });
        Request {
            negative: negative_of(request, settings.empty_negative),
            height: settings.height.unwrap_or(own.height),
            width: settings.width.unwrap_or(own.width),
            steps: request.steps,
            guidance: request.guidance,
            guidance_interval: settings.guidance_interval.unwrap_or(own.guidance_interval),
            sampler: request.sampler,
            start,
            noise,
            ..own
        }
    }
}

impl Generator for Configured {
    fn describe(&self) -> &EngineInfo {
        &self.info
    }

    fn cut<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.model.cut(text)
    }

    fn tokens(&self, text: &str) -> Option<Vec<u32>> {
        self.model.tokens(text)
    }

    fn takes_negatives(&self) -> bool {
        self.model.takes_negatives()
    }

    fn size(&self) -> [u32; 2] {
        let own = self.info.image_size;
        let Settings { height, width, .. } = self.settings;
        [height.unwrap_or(own), width.unwrap_or(own)]
    }

    fn fault(&self, request: &ImageRequest) -> Option<String> {
        self.model.fault_of(&self.request(request))
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        let requests: Vec<Request> = requests.iter().map(|r| self.request(r)).collect();
        self.model.make(&requests)
    }
}

impl Settings {
    /// What is recorded of them.
    fn describe(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut set = |name: &str, value: String| all.insert(name.to_owned(), value);
        if let Some(height) = self.height {
            set("height", height.to_string());
        }
        if let Some(width) = self.width {
            set("width", width.to_string());
        }
        if let Some([from, to]) = self.guidance_interval {
            set("guidance_interval", format!("{from}..{to}"));
        }
        if let Some((image, strength)) = &self.image {
            set("init_image", hash(image.values()).to_string());
            set("strength", strength.to_string());
        }
        if self.empty_negative {
            set("empty_negative", "text".to_owned());
        }
        if !self.noise.is_empty() {
            let mut noise: Vec<_> = self.noise.iter().collect();
            noise.sort_by_key(|(seed, _)| *seed.as_bytes());
            let values: Vec<f32> = noise.into_iter().flat_map(|(_, v)| v.clone()).collect();
            set("latents", hash(&values).to_string());
        }
        all
    }
}

fn hash(values: &[f32]) -> ContentHash {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    ContentHash::of(&bytes)
}

/// Reads an image to start from. Its size is `height` x `width`, or where these are `None` its own, rounded down to
/// multiples of 8.
///
/// # Errors
/// A file that cannot be read or is no image; a size out of range.
pub fn read_image(file: &Path, height: Option<u32>, width: Option<u32>) -> Result<Image> {
    let bytes = promptfed_files::read_or_pipe(file, DecodeLimits::default().max_encoded_bytes)?;
    let picture = ::image::load_from_memory(&bytes)
        .map_err(|e| model_fault(file, format!("not a readable image ({e})")))?;
    let side = |own: u32| (own / 8 * 8).max(8);
    let (own_height, own_width) = (side(picture.height()), side(picture.width()));
    let (height, width) = (height.unwrap_or(own_height), width.unwrap_or(own_width));
    if [height, width]
        .iter()
        .any(|side| !(8..=LARGEST).contains(side))
    {
        return Err(Error::Spec(format!(
            "{width} x {height} pixels; ask for 8 to {LARGEST}"
        )));
    }
    let pixels = picture
        .resize_exact(width, height, FilterType::Lanczos3)
        .into_rgb8();
    let values = pixels
        .into_raw()
        .into_iter()
        .map(|v| f32::from(v) / 127.5 - 1.0)
        .collect();
    Image::rectangle(height, width, values)
        .ok_or_else(|| model_fault(file, "its pixels do not fit its size".into()))
}

/// Reads noise to start from: the tensor `latents` [n, 4, height / 8, width / 8] of a safetensors file, one item for each
/// image.
///
/// # Errors
/// A file that cannot be read or holds no such tensor.
pub fn read_latents(file: &Path) -> Result<(Vec<Vec<f32>>, [u32; 2])> {
    // What is no file is told as wrong input; reading it would be a failure of the disk.
    promptfed_files::open_regular(file)?;
    let mut loader = Loader::open(file, &Device::Cpu)?;
    loader.ignore(|name| name != "latents");
    let shape = loader.shape("latents").unwrap_or_default().to_vec();
    let [n, 4, height, width] = shape[..] else {
        return Err(model_fault(
            file,
            format!(
                "its tensor `latents` has the shape {shape:?}; it needs [n, 4, height / 8, width / 8]"
            ),
        ));
    };
    let latents = loader.tensor("latents", &shape)?;
    loader.finish()?;
    let sides = [height, width].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    if n == 0 || height == 0 || width == 0 {
        return Err(model_fault(file, "its tensor `latents` is empty".into()));
    }
    let values = latents.flatten_all()?.to_vec1::<f32>()?;
    let each = values.chunks(4 * height * width).map(<[f32]>::to_vec);
    Ok((each.collect(), sides))
}
