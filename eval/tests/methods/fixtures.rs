//! A data set of painted squares on the disk, and experiments on it.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use image::RgbImage;
use promptfed_data::{Dataset, DecodeOptions, Layout, OpenOptions, open};
use promptfed_eval::comparison::{Comparison, MethodResult};
use promptfed_eval::journal::Journal;
use promptfed_eval::methods::{Budget, FrozenNetwork, Method, MethodSpec, Participation};
use promptfed_eval::observer::Silent;
use promptfed_eval::{Experiment, ExperimentData, Setting};
use promptfed_learn::Recipe;
use promptfed_prompts::LabelSpace;

pub(crate) const ROUNDS: u32 = 8;
const CLASSES: [&str; 3] = ["cat", "dog", "fox"];

/// Private and test pictures in a folder of their own, a folder for each class.
pub(crate) struct Painted {
    folder: tempfile::TempDir,
}

impl Painted {
    /// So many pictures of each class.
    pub(crate) fn new(private: u32, test: u32) -> Self {
        Self::of(&[private; 3], test)
    }

    /// So many private pictures of each class, and test pictures of all.
    pub(crate) fn of(private: &[u32; 3], test: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (class, name) in CLASSES.iter().enumerate() {
            for (split, first, count) in [("private", 0, private[class]), ("test", 1000, test)] {
                let place = folder.path().join(split).join(name);
                std::fs::create_dir_all(&place).unwrap();
                for i in first..first + count {
                    paint(class as u32, i)
                        .save(place.join(format!("{i}.png")))
                        .unwrap();
                }
            }
        }
        Self { folder }
    }

    fn open(&self, split: &str) -> Dataset {
        let options = OpenOptions {
            layout: Layout::Auto,
            label_space: Some(self.label_space()),
            split: None,
        };
        open(&self.folder.path().join(split), &options).unwrap()
    }

    pub(crate) fn class_names(&self) -> Vec<String> {
        CLASSES.map(str::to_owned).into()
    }

    fn label_space(&self) -> LabelSpace {
        LabelSpace::from_toml(
            "name = \"pets\"\n[[classes]]\nname = \"cat\"\n[[classes]]\nname = \"dog\"\n[[classes]]\nname = \"fox\"\n",
        )
        .unwrap()
    }

    /// The private files' bytes.
    pub(crate) fn private_bytes(&self) -> u64 {
        fn of(folder: &Path) -> u64 {
            let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
            let bytes = entries.map(|entry| {
                let about = entry.metadata().unwrap();
                if about.is_dir() {
                    of(&entry.path())
                } else {
                    about.len()
                }
            });
            bytes.sum()
        }
        of(&self.folder.path().join("private"))
    }
}

/// A square whose place and colour say the class, on noise.
fn paint(class: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(16, 16, |x, y| {
        let noise = (x * 7 + y * 13 + seed * 29 + x * y * seed) % 60;
        let inside = x / 8 == class % 2 && y / 8 == class / 2;
        let mut pixel = [noise as u8; 3];
        if inside {
            pixel[class as usize] += 180;
        }
        image::Rgb(pixel)
    })
}

pub(crate) fn recipe() -> Recipe {
    let mut recipe = Recipe {
        image_size: 16,
        width: 4,
        ..Recipe::default()
    };
    recipe.training.batch_size = 4;
    recipe.training.learning_rate = 0.05;
    recipe.training.augmentation.flip = false;
    recipe
}

pub(crate) fn spec(text: &str) -> MethodSpec {
    text.parse().unwrap()
}

pub(crate) fn experiment(painted: &Painted, partition: &str) -> Experiment {
    Experiment {
        data: ExperimentData {
            title: "painted squares".into(),
            private: painted.open("private"),
            test: painted.open("test"),
            public: Some(painted.open("private")),
            label_space: painted.label_space(),
            partition: partition.parse().unwrap(),
            min_per_client: 1,
            decode: DecodeOptions::default(),
        },
        setting: Setting::new(recipe(), vec![5]),
    }
}

pub(crate) fn methods(texts: &[&str]) -> Vec<Box<dyn Method>> {
    methods_with(texts, Participation::FULL)
}

/// Methods whose rounds not all clients take part in.
pub(crate) fn methods_with(texts: &[&str], participation: Participation) -> Vec<Box<dyn Method>> {
    let budget = Budget {
        rounds: ROUNDS as usize,
        local_epochs: 2,
        epochs: 16,
        participation,
    };
    let method = |text: &&str| {
        let spec = spec(text);
        let method = spec.method(&budget);
        method.or_else(|| spec.on_features(&NETWORK)).unwrap()
    };
    texts.iter().map(method).collect()
}

/// The network that comes along.
pub(crate) static NETWORK: LazyLock<FrozenNetwork> =
    LazyLock::new(|| FrozenNetwork::load(&network_folder()).unwrap());

pub(crate) fn network_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/efficientnet-lite0")
}

/// One seed of each method.
pub(crate) fn run(painted: &Painted, partition: &str, texts: &[&str]) -> Vec<MethodResult> {
    compare(&experiment(painted, partition), texts).methods
}

/// The comparison of an experiment that nothing is known of yet.
pub(crate) fn compare(experiment: &Experiment, texts: &[&str]) -> Comparison {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::new(folder.path(), false);
    let comparison = run_with(experiment, texts, &journal);
    assert!(comparison.failures.is_empty(), "{:?}", comparison.failures);
    comparison
}

/// The same with a journal.
pub(crate) fn run_with(experiment: &Experiment, texts: &[&str], journal: &Journal) -> Comparison {
    let never = AtomicBool::new(false);
    experiment
        .run(&methods(texts), journal, &Silent, &never)
        .unwrap()
}

/// What must not depend on when and beside what it was measured.
pub(crate) fn timeless(mut comparison: Comparison) -> serde_json::Value {
    comparison.seconds = 0.0;
    for run in comparison.methods.iter_mut().flat_map(|m| &mut m.runs) {
        (run.seconds, run.jobs) = (0.0, 1);
    }
    serde_json::to_value(comparison).unwrap()
}
