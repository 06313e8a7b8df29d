//! Servers that speak the API of AUTOMATIC1111's web UI: `sdapi/v1/txt2img`.

mod protocol;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use promptfed_prompts::ContentHash;
use serde_json::Value;

use self::protocol::{Answer, Checkpoint, Made, SamplerEntry, Settings, Txt2Img};
use super::asking::{Asking, ServiceEngine, USUAL_SIZE, is_missing};
use super::received::{RESIZING, from_base64, picture};
use super::remote::short_seed;
use crate::service::Service;
use crate::{
    EngineInfo, Error, Generator, Image, ImageRequest, Reproducible, Result, Sampler,
    SamplingDefaults,
};

/// Changes when the same request would be asked in another way.
const VERSION: &str = "1";

/// A server that is asked for images.
#[derive(Debug)]
pub struct A1111 {
    asking: Asking,
    info: EngineInfo,
    /// The checkpoint that requests ask for.
    model: Option<String>,
    /// The hash that the server gives for it.
    hash: Option<String>,
    ask_size: u32,
    /// Whether noise levels are asked for apart from samplers, as servers do since version 1.9.
    has_schedulers: bool,
}

impl A1111 {
    /// Asks a server for its checkpoint and its samplers.
    ///
    /// # Errors
    /// A server that does not answer, or does not have the checkpoint.
    pub fn connect(engine: ServiceEngine<'_>, cancel: &Arc<AtomicBool>) -> Result<Self> {
        let service = Service::new(engine.address, engine.key.clone(), engine.limits)?;
        let asking = Asking::new(engine.name, service.with_basic_credentials(), cancel);
        let failed = |error| asking.failed(error);
        let checkpoints: Vec<Checkpoint> = match asking.get("sdapi/v1/sd-models") {
            Err(error) if is_missing(&error) => Vec::new(),
            checkpoints => checkpoints.map_err(failed)?,
        };
        let settings: Settings = match asking.get("sdapi/v1/options") {
            Err(error) if is_missing(&error) => Settings::default(),
            settings => settings.map_err(failed)?,
        };
        let entries: Vec<SamplerEntry> = asking.get("sdapi/v1/samplers").map_err(failed)?;
        let wanted = engine.model.or(settings.sd_model_checkpoint.as_deref());
        let mut found = wanted.and_then(|wanted| checkpoints.iter().find(|c| c.is_called(wanted)));
        let loaded;
        if let Some(fresh) = found.filter(|c| c.hash().is_none()) {
            loaded = load(&asking, fresh)?;
            found = Some(&loaded);
        }
        if let (Some(wanted), None, false) = (engine.model, found, checkpoints.is_empty()) {
            let names: Vec<&str> = checkpoints.iter().map(|c| c.title.as_str()).collect();
            return Err(asking.fault(format!(
                "has no checkpoint {wanted:?}; it has {}",
                names.join(", ")
            )));
        }
        let model = found
            .map(|c| c.title.clone())
            .or_else(|| wanted.map(str::to_owned));
        let hash = found.and_then(Checkpoint::hash);
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let has_schedulers = !names.contains(&"DPM++ 2M Karras");
        let samplers: Vec<Sampler> = protocol::SAMPLERS
            .into_iter()
            .filter(|sampler| {
                let (name, _) = protocol::words(*sampler, has_schedulers);
                names.contains(&name)
            })
            .collect();
        let Some(first) = samplers.first().copied() else {
            return Err(asking.fault(format!(
                "has no sampler that is known here; it has {}",
                names.join(", ")
            )));
        };
        let sampler = if samplers.contains(&Sampler::EulerAncestral) {
            Sampler::EulerAncestral
        } else {
            first
        };
        let size = engine.size.unwrap_or(USUAL_SIZE);
        let ask_size = engine.ask_size.unwrap_or(size);
        let shown = model.clone().unwrap_or_else(|| "the server's own".into());
        let told = hash.clone().unwrap_or_default();
        let info = EngineInfo {
            name: "a1111".into(),
            version: VERSION.into(),
            // The server's own name and hash of its checkpoint stand for the weights.
            weights_hash: ContentHash::of(format!("a1111 model {shown} {told}").as_bytes()),
            image_size: size,
            defaults: SamplingDefaults {
                steps: 20,
                guidance: 7.0,
                sampler,
            },
            samplers,
            reproducible: Reproducible::Seeded,
            settings: BTreeMap::from([
                ("model".to_owned(), shown),
                ("size".to_owned(), size.to_string()),
                ("ask_size".to_owned(), format!("{ask_size}x{ask_size}")),
                ("resizing".to_owned(), RESIZING.to_owned()),
            ]),
            origin: None,
        };
        Ok(Self {
            asking,
            info,
            model,
            hash,
            ask_size,
            has_schedulers,
        })
    }
}

/// Has the server load a checkpoint that it has not hashed yet: title and hash change by that, and a run is known by both.
fn load(asking: &Asking, fresh: &Checkpoint) -> Result<Checkpoint> {
    let settings = Settings {
        sd_model_checkpoint: Some(fresh.title.clone()),
    };
    asking.post("sdapi/v1/options", &settings)?;
    let checkpoints: Vec<Checkpoint> = asking
        .get("sdapi/v1/sd-models")
        .map_err(|error| asking.failed(error))?;
    let found = checkpoints.into_iter().find(|c| c.is_same(fresh));
    found.ok_or_else(|| {
        asking.fault(format!(
            "no longer has the checkpoint {:?} after it was loaded",
            fresh.title
        ))
    })
}

impl Generator for A1111 {
    fn describe(&self) -> &EngineInfo {
        &self.info
    }

    fn reads_weights(&self) -> bool {
        true
    }

    fn fault(&self, request: &ImageRequest) -> Option<String> {
        if !(1..=150).contains(&request.steps) {
            return Some(format!(
                "{} steps; such a server takes 1 to 150",
                request.steps
            ));
        }
        if let Some(fault) = request.guidance_fault() {
            return Some(fault);
        }
        (!self.info.samplers.contains(&request.sampler)).then(|| {
            format!(
                "this server has no sampler {}; choose one of {}",
                request.sampler,
                Sampler::names(&self.info.samplers)
            )
        })
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        for (index, request) in requests.iter().enumerate() {
            if let Some(reason) = self.fault(request) {
                return Err(Error::Request { index, reason });
            }
        }
        let (size, hash) = (self.info.image_size, self.hash.as_deref());
        let (ask_size, has_schedulers) = (self.ask_size, self.has_schedulers);
        let model = self.model.as_deref();
        let body = |request: &ImageRequest| -> Value {
            let asked = Txt2Img::new(
                request,
                short_seed(request),
                ask_size,
                model,
                has_schedulers,
            );
            serde_json::to_value(asked).unwrap_or_default()
        };
        self.asking.images(
            "sdapi/v1/txt2img",
            requests,
            body,
            |asking, request, answer: Answer| read(asking, request, answer, size, hash),
        )
    }
}

fn read(
    asking: &Asking,
    request: &ImageRequest,
    answer: Answer,
    size: u32,
    hash: Option<&str>,
) -> Result<Image> {
    let [image] = answer.images.as_slice() else {
        return Err(asking.fault(format!(
            "gave {} images where 1 was asked for",
            answer.images.len()
        )));
    };
    let made: Made = serde_json::from_str(&answer.info).unwrap_or_default();
    if made
        .seed
        .is_some_and(|seed| seed != i64::from(short_seed(request)))
    {
        return Err(asking.fault("made an image of another seed than it was told".into()));
    }
    if let (Some(made), Some(hash)) = (&made.sd_model_hash, hash)
        && !hash.starts_with(made.as_str())
        && !made.starts_with(hash)
    {
        return Err(asking.fault(
            "works with another checkpoint than when this run began; begin again in another folder"
                .into(),
        ));
    }
    let image = from_base64(image).and_then(|bytes| picture(&bytes, size));
    image.map_err(|reason| asking.fault(format!("gave no picture: {reason}")))
}
