//! What the tests share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use promptfed_prompts::{
    ClassIndex, ContentHash, Domain, LabelSpace, Level, PromptSet, TemplateSet,
};
use promptfed_synth::engines::pocket::Pocket;
use promptfed_synth::job::{ManifestRow, read_manifest};
use promptfed_synth::{
    EngineInfo, Generator, Image, ImageRequest, JobReport, JobSpec, PromptSource, Reproducible,
    Result, Sampler, SamplingDefaults, run,
};

pub(crate) fn weights() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "assets", "pocket", "all"]
        .iter()
        .collect()
}

pub(crate) fn pocket() -> Pocket {
    // The golden numbers are f32 whatever the processor prefers.
    Pocket::load_with(&weights(), promptfed_nn::Precision::F32).unwrap()
}

pub(crate) fn golden(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name]
        .iter()
        .collect();
    std::fs::read(path).unwrap()
}

/// An engine for tests of jobs: an 8 x 8 picture of its request's seed, prompt and settings, made in no time. `spoil` may
/// change what comes out.
pub(crate) struct Painter {
    info: EngineInfo,
    spoil: fn(&ImageRequest, &mut [f32]),
}

impl Painter {
    pub(crate) fn new() -> Self {
        Self::spoiling(|_, _| {})
    }

    pub(crate) fn spoiling(spoil: fn(&ImageRequest, &mut [f32])) -> Self {
        let defaults = SamplingDefaults {
            steps: 4,
            guidance: 2.0,
            sampler: Sampler::Euler,
        };
        let info = EngineInfo {
            name: "painter".into(),
            version: "1".into(),
            weights_hash: ContentHash::of(b"painter"),
            image_size: 8,
            defaults,
            samplers: Vec::new(),
            reproducible: Reproducible::Exact,
            settings: Default::default(),
            origin: None,
        };
        Self { info, spoil }
    }
}

impl Generator for Painter {
    fn describe(&self) -> &EngineInfo {
        &self.info
    }

    fn fault(&self, request: &ImageRequest) -> Option<String> {
        (request.steps > 1000).then(|| "too many steps; ask for 1 to 1000".to_owned())
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        let paint = |request: &ImageRequest| {
            let hash = ContentHash::of(format!("{request:?}").as_bytes());
            let mut values: Vec<f32> = (0..192)
                .map(|i| {
                    f32::from(hash.as_bytes()[i % 32].wrapping_mul(i as u8 / 32 + 1)) / 127.5 - 1.0
                })
                .collect();
            (self.spoil)(request, &mut values);
            Image::new(8, values).unwrap()
        };
        Ok(requests.iter().map(paint).collect())
    }
}

pub(crate) fn label_space() -> LabelSpace {
    LabelSpace::builtin("emoji").unwrap()
}

/// Prompts of all classes in two domains, with counts.
pub(crate) fn prompts() -> PromptSource {
    let label_space = label_space();
    let mut builder = PromptSet::builder(
        &label_space,
        Level::Domain,
        &TemplateSet::builtin("pocket").unwrap(),
    );
    builder.counts(true);
    for class in 0..label_space.len() as u32 {
        for domain in ["fluent", "noto"] {
            for _ in 0..=class {
                builder
                    .add(
                        ClassIndex::new(class),
                        Some(Domain::try_from(domain).unwrap()),
                        None,
                    )
                    .unwrap();
            }
        }
    }
    PromptSource::Set {
        prompts: builder.build().unwrap(),
        label_space,
    }
}

pub(crate) fn spec_for(generator: &dyn Generator) -> JobSpec {
    JobSpec::new(prompts(), &generator.describe().defaults)
}

/// Runs a job to its end without watching it.
pub(crate) fn run_quietly(
    generator: &mut dyn Generator,
    spec: &JobSpec,
    out_dir: &Path,
) -> Result<JobReport> {
    run(
        generator,
        spec,
        out_dir,
        &mut |_| {},
        &AtomicBool::new(false),
    )
}

/// The rows of a job's manifest.
pub(crate) fn rows(dir: &Path) -> Vec<ManifestRow> {
    read_manifest(dir).unwrap().map(Result::unwrap).collect()
}

/// All files below a folder with their bytes.
pub(crate) fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                all.insert(
                    path.strip_prefix(dir).unwrap().to_owned(),
                    std::fs::read(&path).unwrap(),
                );
            }
        }
    }
    all
}

/// Fails with the names of the files that differ, not with their bytes.
pub(crate) fn assert_same_files(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let differing: Vec<_> = a
        .iter()
        .filter(|(name, bytes)| b[*name] != **bytes)
        .map(|(name, _)| name)
        .collect();
    assert!(differing.is_empty(), "{differing:?}");
}
