//! A comparison with every part filled in, made from arithmetic alone.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::LazyLock;

use image::{ImageFormat, Rgb, RgbImage};
use promptfed_eval::comparison::{
    ClientSummary, Comparison, DataSummary, Failure, GalleryCell, MethodResult, MethodRun,
    SubmittedPrompts, SyntheticStrip,
};
use promptfed_eval::observer::Silent;
use promptfed_eval::pairs::{Pair, pairs};
use promptfed_eval::predictions::{ModelPredictions, RunPredictions, TestImage, TestPredictions};
use promptfed_learn::{EpochStats, Evaluation};
use promptfed_prompts::ContentHash;
use promptfed_prompts::ledger::{Direction, Ledger, PayloadKind};

pub(crate) const CLASSES: [&str; 10] = [
    "animal face",
    "bird",
    "fruit",
    "vegetable",
    "vehicle",
    "building",
    "clothing",
    "musical instrument",
    "flower",
    "sports ball",
];
pub(crate) const STYLES: [&str; 7] = [
    "noto", "blob", "twemoji", "emojione", "fluent", "flat", "contrast",
];

pub(crate) const TEST_IMAGES: usize = 437;

/// Drawn once for all tests.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let never = std::sync::atomic::AtomicBool::new(false);
    pairs(&methods(), &predictions(&methods()), &Silent, &never).unwrap()
});

fn methods() -> Vec<MethodResult> {
    vec![
        method(
            "fgl",
            "Clients share prompts; the server trains on synthetic images only.",
            0.476,
            generative_bytes,
            0,
        ),
        method(
            "fedavg",
            "Clients share weights; the server averages them.",
            0.553,
            model_bytes,
            30,
        ),
        method(
            "centralised",
            "All private images in one place; no federated method.",
            0.684,
            image_bytes,
            0,
        ),
        method(
            "chance",
            "The most frequent class for every image.",
            0.1,
            |_| {},
            0,
        ),
    ]
}

/// Four methods, three seeds; the generative one loses in accuracy and wins in bytes.
pub(crate) fn comparison() -> Comparison {
    let classes: Vec<String> = CLASSES.map(String::from).to_vec();
    let methods = methods();
    Comparison {
        title: "emoji, one drawing style per client".into(),
        version: "0.1.0".into(),
        settings: named(&[
            ("partition", "domain"),
            ("level", "instance"),
            ("images per prompt", "12"),
            ("epochs", "30"),
        ]),
        data: DataSummary {
            clients: STYLES
                .iter()
                .enumerate()
                .map(|(i, name)| client(i, name, classes.len()))
                .collect(),
            classes,
            test_images: TEST_IMAGES,
            test_hash: ContentHash::of(b"test"),
            partition: "domain".into(),
        },
        predictions: predictions(&methods),
        pairs: PAIRS.clone(),
        methods,
        prompts: STYLES
            .iter()
            .enumerate()
            .map(|(i, name)| submission(i, name))
            .collect(),
        gallery: gallery(),
        provenance: named(&[
            ("seeds", "1, 2, 3"),
            ("generator", "pocket"),
            (
                "generator weights",
                &ContentHash::of(b"weights").to_string(),
            ),
        ]),
        warnings: vec!["3 of 12 prompts are longer than this engine reads".into()],
        unseen_classes: Vec::new(),
        failures: vec![Failure {
            method: "fedavg".into(),
            seed: 3,
            reason: "the loss became NaN in epoch 2; lower the learning rate (5)".into(),
        }],
        tuned: Vec::new(),
        target_accuracy: None,
        seconds: 241.3,
    }
}

pub(crate) fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn client(index: usize, name: &str, classes: usize) -> ClientSummary {
    ClientSummary {
        name: name.into(),
        images_per_class: (0..classes)
            .map(|class| 4 + (class * 7 + index * 5) % 23)
            .collect(),
        hash: ContentHash::of(name.as_bytes()),
    }
}

pub(crate) fn submission(index: usize, client: &str) -> SubmittedPrompts {
    let rendered: Vec<_> = CLASSES
        .iter()
        .map(|class| {
            (
                format!("a {client} drawing of a {class}, number {index}"),
                "blurry, text".to_owned(),
            )
        })
        .collect();
    let prompts: Vec<_> = CLASSES
        .iter()
        .enumerate()
        .map(|(i, _)| serde_json::json!({"class": i, "domain": client, "count": 3 + i}))
        .collect();
    let document =
        serde_json::json!({"version": 1, "level": "domain", "prompts": prompts}).to_string();
    SubmittedPrompts {
        client: client.into(),
        hash: ContentHash::of(document.as_bytes()),
        wire_bytes: 400 + 13 * index as u64,
        document,
        rendered,
    }
}

fn method(
    name: &str,
    description: &str,
    accuracy: f64,
    bytes: fn(&mut Ledger),
    rounds: usize,
) -> MethodResult {
    let runs = (0..3u64).map(|seed| {
        let shift =
            [-0.012, 0.004, 0.015][seed as usize] * if name == "chance" { 0.0 } else { 1.0 };
        run(name, seed + 1, accuracy + shift, bytes, rounds)
    });
    MethodResult {
        name: name.into(),
        description: description.into(),
        runs: runs.collect(),
    }
}

fn run(name: &str, seed: u64, accuracy: f64, bytes: fn(&mut Ledger), rounds: usize) -> MethodRun {
    let mut ledger = Ledger::new();
    bytes(&mut ledger);
    let total = ledger.total(Direction::Up) + ledger.total(Direction::Down);
    let by_round = (1..=rounds).map(|round| {
        let share = round as f64 / rounds as f64;
        let wobble = ((round as u64 * 7 + seed * 3) % 5) as f64 * 0.006;
        (
            total / rounds as u64 * round as u64,
            0.1 + (accuracy - 0.1) * share.powf(0.4) - wobble,
        )
    });
    let epochs = if name == "chance" { 0 } else { 30 };
    MethodRun {
        seed,
        evaluation: evaluation(accuracy, seed, name != "chance"),
        ledger,
        seconds: 20.0 + 31.7 * seed as f64,
        jobs: 1,
        accuracy_by_seconds: Vec::new(),
        curve: (0..epochs)
            .map(|epoch| epoch_stats(epoch, accuracy, seed))
            .collect(),
        accuracy_by_bytes: by_round.collect(),
        model_hash: (epochs > 0).then(|| ContentHash::of(&seed.to_le_bytes())),
        selected: (epochs > 0).then_some(25 + seed as usize),
        selection: (epochs > 0).then(|| "best validation: balanced accuracy on 99 images".into()),
        synthetic: None,
    }
}

fn epoch_stats(epoch: usize, accuracy: f64, seed: u64) -> EpochStats {
    let done = (epoch as f32 + 1.0) / 30.0;
    let wobble = ((epoch as u64 * 11 + seed * 5) % 7) as f32 * 0.01;
    EpochStats {
        epoch: epoch + 1,
        learning_rate: 0.1 * (1.0 - done),
        train_loss: 2.3 - 1.6 * done.sqrt() + wobble,
        train_accuracy: done,
        validation_accuracy: Some(0.1 + (accuracy as f32) * done.sqrt() - wobble),
        validation_balanced_accuracy: Some((accuracy as f32) * done.sqrt() - wobble),
    }
}

fn evaluation(accuracy: f64, seed: u64, says_how_sure: bool) -> Evaluation {
    let n = CLASSES.len();
    let row = |label: usize| {
        let right =
            (44.0 * (accuracy + 0.05 * ((label * 3) % 7) as f64 - 0.15)).clamp(0.0, 44.0) as u64;
        let rest = 44 - right;
        let mut row: Vec<u64> = (0..n)
            .map(|p| rest * ((label * 5 + p * 3 + seed as usize) % 4) as u64 / 14)
            .collect();
        row[label] = right;
        row
    };
    let styles = STYLES.iter().enumerate();
    Evaluation {
        accuracy,
        macro_f1: accuracy - 0.01,
        expected_calibration_error: says_how_sure.then_some(0.08 + 0.01 * seed as f64),
        negative_log_likelihood: says_how_sure.then_some(1.9 - accuracy),
        confusion: (0..n).map(row).collect(),
        per_domain: styles
            .map(|(i, s)| ((*s).to_owned(), accuracy + 0.03 * i as f64 - 0.09))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// Images of which every method has the easiest right, as many as its accuracy says.
fn predictions(methods: &[MethodResult]) -> TestPredictions {
    let label = |image: usize| image % CLASSES.len();
    let images = (0..TEST_IMAGES).map(|image| TestImage {
        source: format!("{}/{image}.png", CLASSES[label(image)]),
        label: label(image) as u32,
    });
    let of_run = |method: &MethodResult, run: &MethodRun| {
        // The two numbers share no factor, so that every image is as hard as none of the others.
        let hardness = |image: usize| ((image * 271) % TEST_IMAGES) as f64 / TEST_IMAGES as f64;
        let is_right = |image: &usize| hardness(*image) < run.evaluation.accuracy;
        let named = |image: usize| match is_right(&image) {
            true => label(image),
            false => (label(image) + 1) % CLASSES.len(),
        };
        let model = ModelPredictions {
            client: None,
            classes: (0..TEST_IMAGES).map(|image| named(image) as u16).collect(),
            confidences: (method.name != "chance").then(|| {
                (0..TEST_IMAGES)
                    .map(|i| 1.0 - 0.8 * hardness(i) as f32)
                    .collect()
            }),
        };
        RunPredictions {
            method: method.name.clone(),
            seed: run.seed,
            models: vec![model],
        }
    };
    let runs = methods.iter().flat_map(|method| {
        let runs = method.runs.iter();
        runs.map(move |run| of_run(method, run))
    });
    TestPredictions {
        images: images.collect(),
        runs: runs.collect(),
    }
}

fn generative_bytes(ledger: &mut Ledger) {
    for (i, client) in STYLES.iter().enumerate() {
        ledger.record(
            client,
            Direction::Up,
            PayloadKind::Prompts,
            1_400 + 13 * i as u64,
        );
        ledger.record(client, Direction::Down, PayloadKind::RoundSpec, 2_105);
        ledger.record(client, Direction::Up, PayloadKind::Control, 96);
        ledger.record(client, Direction::Down, PayloadKind::Control, 340);
        ledger.record(client, Direction::Up, PayloadKind::HttpFraming, 801);
        ledger.record(client, Direction::Down, PayloadKind::HttpFraming, 610);
    }
}

fn model_bytes(ledger: &mut Ledger) {
    for client in STYLES {
        ledger.record(client, Direction::Up, PayloadKind::Model, 30 * 1_130_212);
        ledger.record(client, Direction::Down, PayloadKind::Model, 30 * 1_130_212);
    }
}

fn image_bytes(ledger: &mut Ledger) {
    for (i, client) in STYLES.iter().enumerate() {
        ledger.record(
            client,
            Direction::Up,
            PayloadKind::Images,
            700_000 + 1_111 * i as u64,
        );
    }
}

fn gallery() -> Vec<GalleryCell> {
    let cells =
        (0..CLASSES.len()).flat_map(|class| (0..STYLES.len()).map(move |style| (class, style)));
    cells
        .map(|(class, style)| GalleryCell {
            class: CLASSES[class].into(),
            domain: Some(STYLES[style].into()),
            private: (0..3).map(|i| png(class, style, i)).collect(),
            synthetic: vec![SyntheticStrip {
                method: "fgl".into(),
                images: (3..6).map(|i| png(class, style, i)).collect(),
            }],
        })
        .collect()
}

fn png(class: usize, style: usize, variant: usize) -> Vec<u8> {
    let image = RgbImage::from_fn(8, 8, |x, y| {
        Rgb([
            (class * 25) as u8,
            (style * 35) as u8,
            ((x as usize + variant) * (y as usize + 1) * 4 % 256) as u8,
        ])
    });
    let mut file = Cursor::new(Vec::new());
    image.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}
