//! A server with an engine that draws noise, and small rounds for it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use promptfed_client::{AdminClient, FederationClient};
use promptfed_prompts::protocol::{
    ClassifierArchitecture, GuidancePlan, ImageBudget, PictureFit, RegistrationRequest, RoundId,
    RoundSpec, SourcePlan, SynthesisPlan, TrainingPlan,
};
use promptfed_prompts::{
    Caption, ClassIndex, ContentHash, LabelSpace, Level, PromptSet, TemplateSet,
};
use promptfed_server::{Engines, Limits, RunningServer, Server, ServerConfig};
use promptfed_synth::{
    EngineInfo, Generator, Image, ImageRequest, Reproducible, Sampler, SamplingDefaults,
};
use tempfile::TempDir;

pub(crate) const CLASSES: [&str; 3] = ["cat", "dog", "fox"];
const SIZE: u32 = 16;

/// An engine whose images are noise around a colour that depends on the prompt.
struct Noise {
    info: EngineInfo,
    /// Share of noise in an image, 0 to 1.
    share: f32,
    pause: Duration,
    made: Arc<AtomicU64>,
}

impl Generator for Noise {
    fn describe(&self) -> &EngineInfo {
        &self.info
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> promptfed_synth::Result<Vec<Image>> {
        Ok(requests.iter().map(|request| self.draw(request)).collect())
    }
}

impl Noise {
    fn draw(&self, request: &ImageRequest) -> Image {
        std::thread::sleep(self.pause);
        self.made.fetch_add(1, Ordering::SeqCst);
        let colour = ContentHash::of(request.prompt.as_bytes());
        let mut noise = blake3::Hasher::new()
            .update(request.seed.as_bytes())
            .finalize_xof();
        let mut bytes = vec![0; (SIZE * SIZE * 3) as usize];
        noise.fill(&mut bytes);
        let values = bytes.iter().enumerate().map(|(i, byte)| {
            let base = f32::from(colour.as_bytes()[i % 3]) / 127.5 - 1.0;
            (1.0 - self.share) * base + self.share * (f32::from(*byte) / 127.5 - 1.0)
        });
        Image::new(SIZE, values.collect()).unwrap()
    }
}

/// Engines `noise`, `faint` and `loud`, of which the second shows its classes best and the last not at all (with a pause for each image),
/// `broken` (cannot be loaded) and `panicking`.
pub(crate) fn engines(pause: Duration, made: &Arc<AtomicU64>) -> Engines {
    let noise = |name: &'static str, share: f32| {
        let made = Arc::clone(made);
        move || noise(name, share, pause, &made)
    };
    Engines::new()
        .with("noise", noise("noise", 0.3))
        .with("faint", noise("faint", 0.1))
        .with("loud", noise("loud", 1.0))
        .with("broken", || {
            Err(std::io::Error::new(std::io::ErrorKind::NotFound, "weights are missing").into())
        })
        .with("panicking", || panic!("an engine that panics"))
}

fn noise(
    name: &str,
    share: f32,
    pause: Duration,
    made: &Arc<AtomicU64>,
) -> promptfed_synth::Result<Box<dyn Generator>> {
    noise_of(name, share, pause, made, b"none")
}

/// An engine of noise with these weights, which change nothing but their hash.
pub(crate) fn noise_of(
    name: &str,
    share: f32,
    pause: Duration,
    made: &Arc<AtomicU64>,
    weights: &[u8],
) -> promptfed_synth::Result<Box<dyn Generator>> {
    let defaults = SamplingDefaults {
        steps: 1,
        guidance: 1.0,
        sampler: Sampler::Euler,
    };
    let info = EngineInfo {
        name: name.into(),
        version: "1".into(),
        weights_hash: ContentHash::of(weights),
        image_size: SIZE,
        defaults,
        samplers: vec![Sampler::Euler],
        reproducible: Reproducible::Exact,
        settings: Default::default(),
        origin: None,
    };
    Ok(Box::new(Noise {
        info,
        share,
        pause,
        made: Arc::clone(made),
    }))
}

pub(crate) fn config(folder: &Path, addr: SocketAddr, engines: Engines) -> ServerConfig {
    ServerConfig::new(addr, folder.to_owned(), engines)
}

/// A running server in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) server: RunningServer,
    pub(crate) admin: AdminClient,
    pub(crate) made: Arc<AtomicU64>,
}

impl Fixture {
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Duration::ZERO)
    }

    pub(crate) fn start_in(folder: TempDir, pause: Duration) -> Self {
        Self::start_with(folder, pause, Limits::default())
    }

    /// A server that grants no more than this.
    pub(crate) fn limited(limits: Limits) -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), Duration::ZERO, limits)
    }

    fn start_with(folder: TempDir, pause: Duration, limits: Limits) -> Self {
        let made = Arc::new(AtomicU64::new(0));
        let addr = ([127, 0, 0, 1], 0).into();
        let config = config(folder.path(), addr, engines(pause, &made));
        let server = Server::start(ServerConfig { limits, ..config }).unwrap();
        let admin = AdminClient::new(&server.url(), server.admin_token()).unwrap();
        Self {
            folder,
            server,
            admin,
            made,
        }
    }

    /// Ends the server and hands its folder over to another one.
    pub(crate) fn stop(self) -> TempDir {
        self.server.shutdown();
        self.folder
    }

    pub(crate) fn client(&self, name: &str) -> FederationClient {
        client(&self.admin, &self.server.url(), name)
    }

    pub(crate) fn open(&self, spec: &RoundSpec) -> RoundId {
        self.admin.open_round(spec).unwrap().round_id
    }
}

pub(crate) fn client(admin: &AdminClient, url: &str, name: &str) -> FederationClient {
    let request = RegistrationRequest {
        name: name.into(),
        replace_token: false,
    };
    FederationClient::of(url, &admin.register(&request).unwrap()).unwrap()
}

pub(crate) fn label_space() -> LabelSpace {
    LabelSpace::from_names("pets", CLASSES).unwrap()
}

pub(crate) fn round_spec() -> RoundSpec {
    RoundSpec {
        name: "test".into(),
        label_space: label_space(),
        prompts: None,
        synthesis: SynthesisPlan {
            sources: vec![SourcePlan::new("noise")],
            images: ImageBudget::PerPrompt(8),
            steps: Some(1),
            guidance: Some(GuidancePlan::Fixed(1.0)),
            sampler: Some("euler".into()),
            min_clip_score: None,
            fuse: None,
            seed: 11,
        },
        training: TrainingPlan {
            epochs: 2,
            batch_size: 8,
            learning_rate: 0.05,
            momentum: 0.9,
            label_smoothing: 0.1,
            weight_decay: 5e-4,
            flip: true,
            shift: 0.125,
            image_size: SIZE,
            fit: PictureFit::Crop,
            width: 4,
            architecture: ClassifierArchitecture::Small,
            validation_fraction: 0.25,
            seed: 5,
        },
        expected_clients: None,
        open_results: false,
    }
}

/// One class-level prompt for each of these classes.
pub(crate) fn class_prompts(classes: &[u32]) -> PromptSet {
    let templates = TemplateSet::builtin("fgl").unwrap();
    let mut builder = PromptSet::builder(&label_space(), Level::Class, &templates);
    for class in classes {
        builder.add(ClassIndex::new(*class), None, None).unwrap();
    }
    builder.build().unwrap()
}

/// One instance-level prompt for each caption.
pub(crate) fn captioned_prompts(captions: &[&str]) -> PromptSet {
    let templates = TemplateSet::builtin("fgl").unwrap();
    let mut builder = PromptSet::builder(&label_space(), Level::Instance, &templates);
    for (i, caption) in captions.iter().enumerate() {
        let class = ClassIndex::new((i % CLASSES.len()) as u32);
        builder
            .add(class, None, Some(Caption::try_from(*caption).unwrap()))
            .unwrap();
    }
    builder.build().unwrap()
}
