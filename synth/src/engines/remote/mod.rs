//! Servers that speak OpenAI's `images/generations`: other people's, and `promptfed synth serve`, which is told more and tells more.
//!
//! Every image is one request, with a seed of its own where the server takes one. What a server is told beside the prompt is the
//! user's to say ([`Told`]), because servers refuse what they do not know; a server of this program says itself what it takes, and
//! makes the images that its engine would make here, bit for bit.

pub mod protocol;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use promptfed_prompts::ContentHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::protocol::{Extension, GenerationRequest, Generations, Model, Models, RequestSeed};
use super::asking::{Asking, ServiceEngine, USUAL_SIZE, is_missing};
use super::received::{MAX_SIDE, RESIZING, from_base64, picture};
use crate::service::Service;
use crate::{
    EngineInfo, Error, Generator, Image, ImageRequest, Reproducible, Result, Sampler,
    SamplingDefaults,
};

/// Changes when the same request would be asked in another way.
const VERSION: &str = "1";

/// Where images are asked for, below the address.
const PATH: &str = "images/generations";

/// Models that a message names.
const NAMED: usize = 10;

/// What a server is told beside prompt and model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// `size`, as `512x512`.
    Size,
    /// `response_format`: `b64_json`, without which some servers give an address in place of the picture.
    ResponseFormat,
    /// `seed`, a whole number below 2^31.
    Seed,
    /// `negative_prompt`.
    NegativePrompt,
    /// `steps`.
    Steps,
    /// `guidance_scale`.
    Guidance,
}

impl Told {
    fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::ResponseFormat => "response-format",
            Self::Seed => "seed",
            Self::NegativePrompt => "negative-prompt",
            Self::Steps => "steps",
            Self::Guidance => "guidance",
        }
    }
}

/// A server that is asked for images.
#[derive(Debug)]
pub struct Remote {
    asking: Asking,
    info: EngineInfo,
    model: Option<String>,
    side: Side,
}

/// Who is at the other side.
#[derive(Debug)]
enum Side {
    /// A server of this program.
    Own(Box<Extension>),
    /// Another one.
    Other { told: Vec<Told>, ask_size: u32 },
}

impl Remote {
    /// Asks a server what models it has, and chooses one.
    ///
    /// # Errors
    /// A server that does not answer, has several models of which none was chosen, or not the one that was.
    pub fn connect(
        engine: ServiceEngine<'_>,
        tell: Option<Vec<Told>>,
        cancel: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let service = Service::new(engine.address, engine.key.clone(), engine.limits)?;
        let asking = Asking::new(engine.name, service, cancel);
        let models: Models = match asking.get("models") {
            Err(error) if is_missing(&error) => Models::default(),
            models => models.map_err(|error| asking.failed(error))?,
        };
        let chosen = choose(&models.data, engine.model, engine.name)?;
        let model = chosen
            .map(|model| model.id.clone())
            .or_else(|| engine.model.map(str::to_owned));
        let own = chosen.and_then(|model| model.promptfed.clone());
        let (side, info) = match own {
            Some(extension) => {
                if let Some(fault) = size_fault(extension.size) {
                    return Err(asking.fault(fault));
                }
                if tell.is_some() || engine.ask_size.is_some() {
                    return Err(asking.fault(
                        "says itself what it takes; leave `tell` and `ask-size` out of its [[backends]] table"
                            .into(),
                    ));
                }
                let info = own_info(&extension, model.as_deref(), engine.size);
                (Side::Own(extension), info)
            }
            None => {
                let told = tell.unwrap_or_else(|| usually_told(model.as_deref()));
                let size = engine.size.unwrap_or(USUAL_SIZE);
                let ask_size = engine.ask_size.unwrap_or(size);
                // Where no model is named, the address is all that tells one server from another.
                let model = model
                    .clone()
                    .unwrap_or_else(|| format!("the own one of {}", asking.service.address()));
                let info = other_info(&model, &told, size, ask_size);
                (Side::Other { told, ask_size }, info)
            }
        };
        Ok(Self {
            asking,
            info,
            model,
            side,
        })
    }

    fn tells(&self, what: Told) -> bool {
        match &self.side {
            Side::Own(_) => true,
            Side::Other { told, .. } => told.contains(&what),
        }
    }
}

/// The model of a server that is meant, where it lists any.
fn choose<'m>(models: &'m [Model], asked: Option<&str>, engine: &str) -> Result<Option<&'m Model>> {
    let names = || {
        let named: Vec<&str> = models.iter().take(NAMED).map(|m| m.id.as_str()).collect();
        let more = models.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{}{more}", named.join(", "))
    };
    let fault = |reason: String| Error::Backend {
        engine: engine.to_owned(),
        reason,
        transient: false,
    };
    match (asked, models) {
        (_, []) => Ok(None),
        (None, [only]) => Ok(Some(only)),
        (None, _) => Err(fault(format!(
            "has the models {}; name one behind the address: remote:URL#MODEL",
            names()
        ))),
        (Some(asked), _) => match models.iter().find(|model| model.id == asked) {
            Some(model) => Ok(Some(model)),
            // Other servers may take names that they do not list.
            None if models.iter().all(|model| model.promptfed.is_none()) => Ok(None),
            None => Err(fault(format!("has no model {asked:?}; it has {}", names()))),
        },
    }
}

/// What is wrong with the height and width that a server says of its images.
fn size_fault([height, width]: [u32; 2]) -> Option<String> {
    let is_fit = |side: u32| (1..=MAX_SIDE).contains(&side);
    (!is_fit(height) || !is_fit(width)).then(|| {
        format!("says that its images are of {width} x {height} pixels; up to {MAX_SIDE} x {MAX_SIDE} are taken")
    })
}

/// What OpenAI's own models take.
fn usually_told(model: Option<&str>) -> Vec<Told> {
    if model.is_some_and(|model| model.starts_with("gpt-image")) {
        return vec![Told::Size];
    }
    vec![Told::Size, Told::ResponseFormat]
}

fn own_info(extension: &Extension, model: Option<&str>, size: Option<u32>) -> EngineInfo {
    let engine = &extension.engine;
    let mut settings = engine.settings.clone();
    settings.extend(model.map(|model| ("model".to_owned(), model.to_owned())));
    settings.insert(
        "engine".into(),
        format!("{} {}", engine.name, engine.version),
    );
    if let Some(size) = size.filter(|size| [*size; 2] != extension.size) {
        let [height, width] = extension.size;
        settings.insert("ask_size".into(), format!("{width}x{height}"));
        settings.insert("size".into(), size.to_string());
        settings.insert("resizing".into(), RESIZING.into());
    }
    EngineInfo {
        name: "remote".into(),
        version: VERSION.into(),
        image_size: size.unwrap_or(extension.size[0]),
        settings,
        ..engine.clone()
    }
}

fn other_info(model: &str, told: &[Told], size: u32, ask_size: u32) -> EngineInfo {
    let tells = |what| told.contains(&what);
    let names: Vec<&str> = told.iter().map(|what| what.name()).collect();
    let settings = BTreeMap::from([
        ("model".to_owned(), model.to_owned()),
        ("told".to_owned(), names.join(" ")),
        ("size".to_owned(), size.to_string()),
        ("ask_size".to_owned(), format!("{ask_size}x{ask_size}")),
        ("resizing".to_owned(), RESIZING.to_owned()),
    ]);
    let is_guided = tells(Told::Guidance) || tells(Told::NegativePrompt);
    EngineInfo {
        name: "remote".into(),
        version: VERSION.into(),
        // Nobody tells the weights; the model's name stands for them.
        weights_hash: ContentHash::of(format!("remote model {model}").as_bytes()),
        image_size: size,
        defaults: SamplingDefaults {
            steps: if tells(Told::Steps) { 30 } else { 1 },
            guidance: if is_guided { 7.5 } else { 1.0 },
            sampler: Sampler::Service,
        },
        samplers: vec![Sampler::Service],
        reproducible: if tells(Told::Seed) {
            Reproducible::Seeded
        } else {
            Reproducible::No
        },
        settings,
        origin: None,
    }
}

impl Generator for Remote {
    fn describe(&self) -> &EngineInfo {
        &self.info
    }

    fn takes_negatives(&self) -> bool {
        match &self.side {
            Side::Own(extension) => extension.takes_negatives,
            Side::Other { .. } => self.tells(Told::NegativePrompt),
        }
    }

    fn reads_weights(&self) -> bool {
        match &self.side {
            Side::Own(extension) => extension.reads_weights,
            // Some do, and nobody tells.
            Side::Other { .. } => true,
        }
    }

    fn fault(&self, request: &ImageRequest) -> Option<String> {
        if let Some(fault) = request.guidance_fault() {
            return Some(fault);
        }
        let own = &self.info.defaults;
        let untold = |what: Told, flag: &str| {
            Some(format!(
                "this server is not told {0}; leave {flag} out, or add \"{0}\" to `tell` in its [[backends]] table if it takes it",
                what.name()
            ))
        };
        if !self.info.samplers.contains(&request.sampler) {
            return Some(format!(
                "this server has no sampler {}; choose one of {}",
                request.sampler,
                Sampler::names(&self.info.samplers)
            ));
        }
        if !self.tells(Told::Steps) && request.steps != own.steps {
            return untold(Told::Steps, "--steps");
        }
        if !self.tells(Told::Guidance) && request.guidance != own.guidance {
            return untold(Told::Guidance, "--guidance");
        }
        (!(1..=1000).contains(&request.steps))
            .then(|| format!("{} steps; ask for 1 to 1000", request.steps))
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        for (index, request) in requests.iter().enumerate() {
            if let Some(reason) = self.fault(request) {
                return Err(Error::Request { index, reason });
            }
        }
        let Self {
            asking,
            info,
            model,
            side,
        } = self;
        let size = info.image_size;
        asking.images(
            PATH,
            requests,
            |request| body(request, model.as_deref(), side),
            |asking, request, answer: Generations| read(asking, request, side, size, answer),
        )
    }
}

fn body(request: &ImageRequest, model: Option<&str>, side: &Side) -> Value {
    let mut asked = GenerationRequest {
        model: model.map(str::to_owned),
        n: Some(1),
        ..GenerationRequest::of(request.prompt.clone())
    };
    match side {
        Side::Own(_) => {
            asked.response_format = Some("b64_json".into());
            asked.seed = Some(RequestSeed::Whole(request.seed.to_string()));
            asked.negative_prompt = Some(request.negative.clone());
            asked.steps = Some(request.steps);
            asked.guidance_scale = Some(request.guidance);
            asked.sampler = Some(request.sampler.to_string());
        }
        Side::Other { told, ask_size } => {
            for what in told {
                match what {
                    Told::Size => asked.size = Some(format!("{ask_size}x{ask_size}")),
                    Told::ResponseFormat => asked.response_format = Some("b64_json".into()),
                    Told::Seed => {
                        asked.seed = Some(RequestSeed::Number(short_seed(request).into()))
                    }
                    Told::NegativePrompt => asked.negative_prompt = Some(request.negative.clone()),
                    Told::Steps => asked.steps = Some(request.steps),
                    Told::Guidance => asked.guidance_scale = Some(request.guidance),
                }
            }
        }
    }
    serde_json::to_value(asked).unwrap_or_default()
}

/// A seed that every server takes: below 2^31.
pub(super) fn short_seed(request: &ImageRequest) -> u32 {
    let [a, b, c, d, ..] = *request.seed.as_bytes();
    u32::from_le_bytes([a, b, c, d]) & 0x7fff_ffff
}

fn read(
    asking: &Asking,
    request: &ImageRequest,
    side: &Side,
    size: u32,
    answer: Generations,
) -> Result<Image> {
    let count = answer.data.len();
    let mut data = answer.data.into_iter();
    let (Some(image), None) = (data.next(), data.next()) else {
        return Err(asking.fault(format!("gave {count} images where 1 was asked for")));
    };
    if let Side::Own(extension) = side {
        let is_same = answer.promptfed.as_ref().is_some_and(|made| {
            made.weights_hash == extension.engine.weights_hash
                && made.version == extension.engine.version
        });
        if !is_same {
            return Err(asking.fault(
                "works with other weights, or another version of its engine, than when this run began; begin again in another folder"
                    .into(),
            ));
        }
        if image.seed != Some(request.seed.to_string()) {
            return Err(asking.fault("made an image of another seed than it was told".into()));
        }
    }
    if image.non_finite {
        return Ok(Image::lost(size, size));
    }
    let bytes = match (image.b64_json, image.url) {
        (Some(text), _) => from_base64(&text),
        (None, Some(url)) if url.starts_with("data:") => from_base64(&url),
        (None, Some(url)) => Ok(asking.fetch(&url)?),
        (None, None) => Err("its answer holds neither b64_json nor url".to_owned()),
    };
    let made = bytes.and_then(|bytes| picture(&bytes, size));
    let made = made.map_err(|reason| asking.fault(format!("gave no picture: {reason}")))?;
    Ok(made.with_upcast(image.upcast))
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
