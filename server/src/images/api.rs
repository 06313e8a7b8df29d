//! The paths of an image server.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use promptfed_prompts::protocol::GUIDANCE;
use promptfed_synth::engines::remote::protocol::{
    Generated, GenerationRequest, Generations, MadeBy, Model, Models, RequestSeed,
};
use promptfed_synth::{Image, ImageRequest, ImageSeed, Sampler};
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::worker::EngineThread;
use crate::listen::collected;
use crate::token::TokenHash;

/// Largest request that is read, in bytes.
const MAX_REQUEST_BYTES: usize = 256 << 10;
/// Longest prompt or negative prompt, in characters.
const MAX_PROMPT: usize = 32_000;
/// Time for a request to arrive.
const ARRIVAL: Duration = Duration::from_secs(30);

/// What every handler can reach.
pub(super) struct Shared {
    pub(super) token: TokenHash,
    /// Never empty.
    pub(super) engines: Vec<EngineThread>,
    pub(super) default_model: String,
    pub(super) max_images: u32,
}

type Answer<T> = Result<T, Refusal>;

pub(super) fn app(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/images/generations", post(generations))
        .route("/v1/models", get(models))
        .route("/v1/models/{model}", get(model))
        .route("/health", get(health))
        .fallback(async || Refusal::no_path())
        .with_state(shared)
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

async fn models(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Answer<Json<Models>> {
    shared.admit(&headers)?;
    Ok(Json(Models {
        object: "list".into(),
        data: shared.engines.iter().map(described).collect(),
    }))
}

async fn model(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Answer<Json<Model>> {
    shared.admit(&headers)?;
    shared.engine(&name).map(|engine| Json(described(engine)))
}

fn described(engine: &EngineThread) -> Model {
    Model {
        id: engine.name.clone(),
        object: "model".into(),
        created: 0,
        owned_by: "promptfed".into(),
        promptfed: Some(Box::new(engine.about.clone())),
    }
}

async fn generations(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    request: Request,
) -> Answer<Json<Generations>> {
    // Before the body is read.
    shared.admit(&headers)?;
    let asked = read(request.into_body()).await?;
    let name = asked.model.as_deref().unwrap_or(&shared.default_model);
    let engine = shared.engine(name)?;
    let requests = shared.requests(&asked, engine)?;
    let seeds: Vec<ImageSeed> = requests.iter().map(|request| request.seed).collect();
    let images = engine.images(requests).await?;
    let data = images
        .iter()
        .zip(seeds)
        .map(|(image, seed)| generated(image, seed))
        .collect::<Answer<Vec<_>>>()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(Json(Generations {
        created: now.map_or(0, |now| now.as_secs()),
        data,
        promptfed: Some(MadeBy {
            version: engine.about.engine.version.clone(),
            weights_hash: engine.about.engine.weights_hash,
        }),
    }))
}

fn generated(image: &Image, seed: ImageSeed) -> Answer<Generated> {
    let png = image.to_png().map_err(|error| {
        tracing::error!(%error, "an image could not be encoded");
        Refusal::failed()
    })?;
    Ok(Generated {
        b64_json: Some(STANDARD.encode(png)),
        url: None,
        seed: Some(seed.to_string()),
        non_finite: !image.is_finite(),
        upcast: image.is_upcast(),
    })
}

async fn read(body: Body) -> Answer<GenerationRequest> {
    let bytes = tokio::time::timeout(ARRIVAL, collected(body, MAX_REQUEST_BYTES))
        .await
        .map_err(|_| Refusal::slow())?
        .map_err(|_| Refusal::too_large(MAX_REQUEST_BYTES))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Refusal::invalid(format!("the request cannot be read: {error}")))
}

impl Shared {
    fn admit(&self, headers: &HeaderMap) -> Answer<()> {
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match shown {
            Some(token) if self.token.matches(token.trim()) => Ok(()),
            _ => Err(Refusal::token()),
        }
    }

    fn engine(&self, name: &str) -> Answer<&EngineThread> {
        let found = self.engines.iter().find(|engine| engine.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.engines.iter().map(|e| e.name.as_str()).collect();
            Refusal::no_model(name, &names.join(", "))
        })
    }

    /// The images of a request. Of several, the first has the request's seed and the others those of further draws of it.
    fn requests(
        &self,
        asked: &GenerationRequest,
        engine: &EngineThread,
    ) -> Answer<Vec<ImageRequest>> {
        let about = &engine.about;
        let defaults = about.engine.defaults;
        let n = asked.n.unwrap_or(1);
        if !(1..=self.max_images).contains(&n) {
            return Err(Refusal::invalid(format!(
                "n is {n}; ask for 1 to {} images",
                self.max_images
            )));
        }
        check_texts(asked)?;
        check_form(asked, about.size)?;
        let steps = asked.steps.unwrap_or(defaults.steps);
        if !(1..=1000).contains(&steps) {
            return Err(Refusal::invalid(format!(
                "steps is {steps}; ask for 1 to 1000"
            )));
        }
        let guidance = asked.guidance_scale.unwrap_or(defaults.guidance);
        if !GUIDANCE.contains(&f64::from(guidance)) {
            return Err(Refusal::invalid(format!(
                "guidance_scale is {guidance}; ask for {} (none) to {}",
                GUIDANCE.start(),
                GUIDANCE.end()
            )));
        }
        let sampler = match &asked.sampler {
            Some(name) => name.parse::<Sampler>().map_err(Refusal::invalid)?,
            None => defaults.sampler,
        };
        let seed = seed(asked.seed.as_ref())?;
        let request = |i| ImageRequest {
            prompt: asked.prompt.clone(),
            negative: asked.negative_prompt.clone().unwrap_or_default(),
            seed: seed.attempt(i),
            steps,
            guidance,
            sampler,
        };
        Ok((0..n).map(request).collect())
    }
}

fn check_texts(asked: &GenerationRequest) -> Answer<()> {
    if asked.prompt.trim().is_empty() {
        return Err(Refusal::invalid(
            "the prompt is empty; say what the image shows",
        ));
    }
    let texts = [Some(&asked.prompt), asked.negative_prompt.as_ref()];
    if texts
        .into_iter()
        .flatten()
        .any(|text| text.chars().count() > MAX_PROMPT)
    {
        return Err(Refusal::invalid(format!(
            "the prompt is longer than {MAX_PROMPT} characters; shorten it"
        )));
    }
    Ok(())
}

fn check_form(asked: &GenerationRequest, [height, width]: [u32; 2]) -> Answer<()> {
    let own = format!("{width}x{height}");
    match asked.size.as_deref() {
        None | Some("auto") => {}
        Some(size) if size == own => {}
        Some(size) => {
            return Err(Refusal::invalid(format!(
                "size is {size:?}; this engine makes {own}"
            )));
        }
    }
    match asked.response_format.as_deref() {
        None | Some("b64_json") => Ok(()),
        Some(format) => Err(Refusal::invalid(format!(
            "response_format is {format:?}; this server gives b64_json"
        ))),
    }
}

/// The seed of a request; one that nobody can foresee where it has none.
fn seed(asked: Option<&RequestSeed>) -> Answer<ImageSeed> {
    match asked {
        Some(seed) => seed.image_seed().ok_or_else(|| {
            Refusal::invalid("seed is neither a whole number nor 64 hexadecimal digits")
        }),
        None => {
            let mut bytes = [0; 8];
            OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
                tracing::error!(%error, "the operating system gives no random numbers");
                Refusal::failed()
            })?;
            Ok(ImageSeed::from_u64(u64::from_le_bytes(bytes)))
        }
    }
}
