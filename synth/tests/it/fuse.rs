//! Fusing sets: which images are chosen, and what is left on disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use promptfed_learn::Recipe;
use promptfed_prompts::{ContentHash, LabelSpace};
use promptfed_synth::fuse::select::Mode;
use promptfed_synth::fuse::{
    Aids, COST_FILE, FUSE_FILE, FUSED_FILE, Feedback, FuseReport, FuseSpec, FusedRow, QuotaSource,
    REPORT_FILE, SoftLabels, TASK_MODELS, TaskSpec, WeightAdjustment, discard_other, fuse,
    is_fused, load_fused, open_fused, open_fused_as, read_fused, read_task_models,
};
use promptfed_synth::{
    EngineInfo, Error, Generator, Image, ImageBudget, ImageRequest, JobSpec, Reproducible, Result,
    Sampler, SamplingDefaults, SyntheticSet, open_images, run,
};

use crate::fixtures::{files, label_space, prompts, rows};

/// An engine that paints a square whose place and colour say the class, on a ground that says the domain; but in the domain `weak` most
/// are those of the next class.
pub(crate) struct Squares {
    info: EngineInfo,
    weak: &'static str,
}

impl Squares {
    pub(crate) fn new(name: &str, weak: &'static str) -> Self {
        let defaults = SamplingDefaults {
            steps: 1,
            guidance: 2.0,
            sampler: Sampler::Euler,
        };
        let info = EngineInfo {
            name: name.into(),
            version: "1".into(),
            weights_hash: ContentHash::of(name.as_bytes()),
            image_size: 8,
            defaults,
            samplers: Vec::new(),
            reproducible: Reproducible::Exact,
            settings: Default::default(),
            origin: None,
        };
        Self { info, weak }
    }
}

/// Whether such an engine paints another class than asked for.
fn is_wrong(prompt: &str, weak: &str, seed: &[u8; 32]) -> bool {
    prompt.contains(weak) && seed[0] < 190
}

fn class_of(prompt: &str) -> usize {
    let space = label_space();
    let name = |class: u32| {
        let class = promptfed_prompts::ClassIndex::new(class);
        prompt.contains(space.prompt_name(class).unwrap())
    };
    (0..space.len() as u32).position(name).unwrap()
}

impl Generator for Squares {
    fn describe(&self) -> &EngineInfo {
        &self.info
    }

    fn generate(&mut self, requests: &[ImageRequest]) -> Result<Vec<Image>> {
        let paint = |request: &ImageRequest| {
            let seed = request.seed.as_bytes();
            let mut class = class_of(&request.prompt);
            if is_wrong(&request.prompt, self.weak, seed) {
                class = (class + 1) % 10;
            }
            let ground = if request.prompt.contains("noto") {
                -0.9
            } else {
                0.75
            };
            let colour = [class % 3, class / 3 % 3, class / 9].map(|c| c as f32 * 0.8 - 0.7);
            let mut values = Vec::new();
            for y in 0..8 {
                for x in 0..8 {
                    let inside = (class % 4 < 2) == (x < 4) && class.is_multiple_of(2) == (y < 4);
                    for (channel, colour) in colour.iter().enumerate() {
                        let noise = f32::from(seed[(y * 8 + x + channel * 5) % 32]) / 900.0;
                        values.push(noise + if inside { *colour } else { ground });
                    }
                }
            }
            Image::new(8, values).unwrap()
        };
        Ok(requests.iter().map(paint).collect())
    }
}

fn make(engine: &mut dyn Generator, folder: &Path, seed: u64, images: u32) {
    let spec = JobSpec {
        images: ImageBudget::PerPrompt(images),
        seed,
        ..JobSpec::new(prompts(), &engine.describe().defaults)
    };
    let never = AtomicBool::new(false);
    run(engine, &spec, folder, &mut |_| {}, &never).unwrap();
}

/// The domain that each engine is bad at.
const WEAK: [(&str, &str); 3] = [
    ("good at noto", "fluent"),
    ("good at fluent", "noto"),
    ("good at both", "nothing"),
];

/// Two engines, each bad at the other's domain, and with `both` one that is good at both.
fn backends(folder: &Path, images: u32, both: bool) -> Vec<SyntheticSet> {
    let mut sets = Vec::new();
    for (name, weak) in &WEAK[..2 + usize::from(both)] {
        let folder = folder.join(name);
        make(&mut Squares::new(name, weak), &folder, 5, images);
        sets.push(SyntheticSet::open(&folder, *name, 0).unwrap());
    }
    sets
}

pub(crate) fn spec(mode: &str, keep: Option<u64>) -> FuseSpec {
    let recipe = Recipe {
        image_size: 8,
        width: 6,
        validation_fraction: 0.0,
        ..Recipe::default()
    };
    let mut recipe = recipe.with(12, 0);
    recipe.training.batch_size = 32;
    recipe.training.augmentation.flip = false;
    FuseSpec {
        task: TaskSpec {
            recipe,
            ..TaskSpec::default()
        },
        ..FuseSpec::new(mode.parse::<Mode>().unwrap(), keep)
    }
}

fn fuse_quietly(sets: Vec<SyntheticSet>, spec: &FuseSpec, out: &Path) -> Result<FuseReport> {
    let never = AtomicBool::new(false);
    fuse(sets, spec, Aids::default(), out, &mut |_| {}, &never)
}

fn fused(out: &Path) -> Vec<FusedRow> {
    read_fused(out).unwrap().map(Result::unwrap).collect()
}

/// The files that must be the same for the same seeds.
pub(crate) fn lasting(out: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut files = files(out);
    files.remove(Path::new(COST_FILE));
    files
}

#[test]
fn one_set_and_everything_is_that_set() {
    let dir = tempfile::tempdir().unwrap();
    let set = backends(dir.path(), 1, false).remove(0);
    let folder = set.folder().to_owned();
    let out = dir.path().join("fused");
    let report = fuse_quietly(vec![set], &spec("all", None), &out).unwrap();
    assert_eq!((report.made, report.chosen), (20, 20));
    assert!(is_fused(&out) && !is_fused(&folder));
    let (mut plain, fused) = (open_images(&folder).unwrap(), open_fused(&out).unwrap());
    plain.parts.clone_from(&fused.parts);
    let place = |dataset: promptfed_data::Dataset| {
        let mut dataset = dataset;
        for sample in &mut dataset.samples {
            if let promptfed_data::ImageSource::File(file) = &mut sample.source {
                *file = std::fs::canonicalize(&file).unwrap();
            }
        }
        dataset
    };
    assert_eq!(place(plain), place(fused));
    let as_pacs = open_fused_as(&out, &LabelSpace::builtin("pacs").unwrap());
    assert!(as_pacs.unwrap().is_empty());
}

#[test]
fn the_order_of_the_sets_changes_no_byte_and_neither_does_a_stop_at_any_stage() {
    let dir = tempfile::tempdir().unwrap();
    let sets = backends(dir.path(), 4, false);
    let spec = FuseSpec {
        quotas: Some(QuotaSource::Transfer),
        weights: Some(WeightAdjustment { iterations: 3 }),
        signals: true,
        ..spec("influence+cartography", Some(60))
    };
    let out = |name: &str| dir.path().join(name);
    let report = fuse_quietly(sets.clone(), &spec, &out("a")).unwrap();
    let reversed: Vec<SyntheticSet> = sets.iter().rev().cloned().collect();
    fuse_quietly(reversed, &spec, &out("b")).unwrap();
    assert_eq!(lasting(&out("a")), lasting(&out("b")));

    let mut stops = 0;
    for allowed in 0.. {
        let cancel = AtomicBool::new(false);
        let mut told = 0;
        let mut progress = |_| {
            told += 1;
            cancel.store(told > allowed, Ordering::Relaxed);
        };
        let result = fuse(
            sets.clone(),
            &spec,
            Aids::default(),
            &out("c"),
            &mut progress,
            &cancel,
        );
        match result {
            Err(Error::Cancelled) => stops += 1,
            Ok(again) => {
                assert_eq!(again, report);
                break;
            }
            Err(error) => panic!("{error}"),
        }
        assert!(!out("c").join(FUSED_FILE).exists());
    }
    assert!(stops >= 3, "{stops}");
    assert_eq!(lasting(&out("a")), lasting(&out("c")));
    assert!(!out("c").join(".promptfed").exists());

    // Done is done.
    let before = files(&out("a"));
    assert_eq!(fuse_quietly(sets, &spec, &out("a")).unwrap(), report);
    assert_eq!(before, files(&out("a")));
}

#[test]
fn every_chosen_image_has_its_lineage_and_no_copy() {
    let dir = tempfile::tempdir().unwrap();
    let sets = backends(dir.path(), 4, false);
    let out = dir.path().join("fused");
    let spec = FuseSpec {
        signals: true,
        ..spec("easy", Some(50))
    };
    fuse_quietly(sets.clone(), &spec, &out).unwrap();
    let chosen = fused(&out);
    assert_eq!(chosen.len(), 50);
    for row in &chosen {
        let set = sets.iter().find(|set| set.job() == row.job).unwrap();
        let made = &rows(set.folder())[row.row as usize];
        assert_eq!((&row.prompt, row.class), (&made.prompt, made.class));
        assert_eq!(
            (row.pixel_hash, &row.domain),
            (made.pixel_hash, &made.domain)
        );
        assert_eq!((row.backend.as_str(), row.weight), (set.backend(), 1.0));
        assert_eq!(row.asked_by, set.record().prompts_hash);
        assert!(row.confidence.is_some() && row.variability.is_some() && row.influence.is_some());
    }
    let pictures = files(&out);
    assert!(
        pictures
            .keys()
            .all(|f| f.extension().is_none_or(|e| e != "png"))
    );
    let models = read_task_models(&out.join(TASK_MODELS)).unwrap();
    let names: Vec<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["good at fluent", "good at noto"]);
    let data = open_fused(&out).unwrap();
    assert_eq!((data.len(), data.weights), (50, None));
    assert_eq!(data.domain_names, ["fluent", "noto"]);
}

/// The share of images that are of a backend that is bad at their domain.
fn wrongly_dealt(chosen: &[FusedRow]) -> f64 {
    let is_wrong = |row: &&FusedRow| {
        let weak = WEAK
            .iter()
            .find(|(name, _)| *name == row.backend)
            .unwrap()
            .1;
        row.domain.as_deref() == Some(weak)
    };
    chosen.iter().filter(is_wrong).count() as f64 / chosen.len() as f64
}

#[test]
fn quotas_by_transfer_and_by_feedback_keep_each_domain_from_who_is_bad_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let sets = backends(dir.path(), 12, true);
    let by = |name: &str, quotas| {
        let out = dir.path().join(name);
        let spec = FuseSpec {
            quotas,
            ..spec("random", Some(200))
        };
        let report = fuse_quietly(sets.clone(), &spec, &out).unwrap();
        (wrongly_dealt(&fused(&out)), report)
    };
    let (mixed, report) = by("mixed", None);
    assert!((0.25..0.42).contains(&mixed), "{mixed}");
    assert!(report.transfer.is_none() && report.quotas.is_empty());
    let (dealt, report) = by("dealt", Some(QuotaSource::Transfer));
    assert!(dealt < 0.15, "{dealt}");
    assert_eq!(report.quotas.iter().map(|q| q.kept).sum::<u64>(), 200);

    // Clients with right pictures of both domains.
    let client = dir.path().join("client");
    make(&mut Squares::new("client", "nothing"), &client, 77, 6);
    let private = promptfed_synth::load_images(&client, 8).unwrap();
    let models = read_task_models(&dir.path().join("dealt").join(TASK_MODELS)).unwrap();
    let feedback = Feedback::of_models(&models, &private).unwrap();
    let out = dir.path().join("asked");
    let spec = FuseSpec {
        quotas: Some(QuotaSource::Feedback),
        ..spec("random", Some(200))
    };
    let aids = Aids {
        feedback: Some(&feedback),
        ..Aids::default()
    };
    let never = AtomicBool::new(false);
    fuse(sets.clone(), &spec, aids, &out, &mut |_| {}, &never).unwrap();
    let asked = wrongly_dealt(&fused(&out));
    assert!(asked < 0.15, "{asked}");
    let without = fuse_quietly(sets, &spec, &dir.path().join("without")).unwrap_err();
    assert!(
        without.to_string().contains("need the clients' feedback"),
        "{without}"
    );
}

#[test]
fn wrong_images_are_the_least_useful_and_weigh_less() {
    let dir = tempfile::tempdir().unwrap();
    let mut sets = Vec::new();
    let (mut good, mut bad) = (Squares::new("good", "nothing"), Squares::new("bad", "noto"));
    for engine in [&mut good, &mut bad] {
        let name = engine.info.name.clone();
        let folder = dir.path().join(&name);
        make(engine, &folder, 5, 30);
        sets.push(SyntheticSet::open(&folder, name, 0).unwrap());
    }
    let made: BTreeMap<(ContentHash, u64), bool> = sets
        .iter()
        .flat_map(|set| {
            let weak = if set.backend() == "bad" {
                "noto"
            } else {
                "nothing"
            };
            rows(set.folder()).into_iter().map(move |row| {
                let wrong = is_wrong(&row.prompt, weak, row.seed.as_bytes());
                ((set.job(), row.index), wrong)
            })
        })
        .collect();
    let wrong = |row: &FusedRow| made[&(row.job, row.row)];
    let all = made.values().filter(|wrong| **wrong).count() as f64 / made.len() as f64;

    let share = |mode: &str| {
        let out = dir.path().join(mode.replace('+', "-"));
        fuse_quietly(sets.clone(), &spec(mode, Some(600)), &out).unwrap();
        let chosen = fused(&out);
        chosen.iter().filter(|row| wrong(row)).count() as f64 / chosen.len() as f64
    };
    // By chance either would be within a tenth of the share of all.
    let (helpful, largest) = (share("influence"), share("influence-largest"));
    assert!(helpful < 0.75 * all, "{helpful} of {all}");
    assert!(largest > 1.2 * all, "{largest} of {all}");
    let agreed = share("agreement:0.4");
    assert!(agreed < 0.2 * all, "{agreed} of {all}");

    let out = dir.path().join("weighed");
    let weighed = FuseSpec {
        weights: Some(WeightAdjustment { iterations: 4 }),
        ..spec("all", None)
    };
    let report = fuse_quietly(sets, &weighed, &out).unwrap();
    let mean = |of: bool| {
        let weights = fused(&out).into_iter().filter(|row| wrong(row) == of);
        let weights: Vec<f32> = weights.map(|row| row.weight).collect();
        weights.iter().sum::<f32>() / weights.len() as f32
    };
    assert!(
        mean(true) < 0.7 * mean(false),
        "{} {}",
        mean(true),
        mean(false)
    );
    let data = open_fused(&out).unwrap();
    let weights = data.weights.unwrap();
    let sum: f64 = weights.iter().map(|w| f64::from(*w)).sum();
    assert!((sum - weights.len() as f64).abs() < 1e-2 && report.weights[0] > 0.0);
}

#[test]
fn soft_labels_are_the_other_backends_votes_and_one_backend_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let sets = backends(dir.path(), 12, true);
    let out = dir.path().join("soft");
    let mut soft = FuseSpec {
        soft_labels: Some(SoftLabels { share: 0.6 }),
        ..spec("random", Some(150))
    };
    soft.task.recipe = soft.task.recipe.with(40, 0);
    fuse_quietly(sets.clone(), &soft, &out).unwrap();
    let chosen = fused(&out);
    let own = |row: &FusedRow| row.targets.as_ref().unwrap()[row.class as usize];
    for row in &chosen {
        let targets = row.targets.as_ref().unwrap();
        let sum: f64 = targets.iter().map(|p| f64::from(*p)).sum();
        assert!(targets.len() == 10 && (sum - 1.0).abs() < 1e-5);
        assert!(own(row) > 0.4 - 1e-5 && own(row) <= 1.0 + 1e-5);
    }
    // The others say of wrong images that they are wrong.
    let mean = |wrong: bool| {
        let of = chosen.iter().filter(|row| {
            let weak = WEAK.iter().find(|(name, _)| *name == row.backend);
            (weak.unwrap().1 == row.domain.as_deref().unwrap()) == wrong
        });
        let own: Vec<f32> = of.map(own).collect();
        own.iter().sum::<f32>() / own.len() as f32
    };
    assert!(mean(true) < mean(false), "{} {}", mean(true), mean(false));

    // They travel with their images, whatever classes they are opened with.
    let data = open_fused(&out).unwrap();
    let targets = data.targets.unwrap();
    assert_eq!(targets.len(), chosen.len());
    let (images, supervision) = load_fused(&out, 8).unwrap();
    supervision.check(images.len(), 10).unwrap();
    let names: Vec<String> = data.class_names.iter().rev().take(7).cloned().collect();
    let fewer = LabelSpace::from_names("fewer", names.iter().map(String::as_str)).unwrap();
    let relabelled = open_fused_as(&out, &fewer).unwrap();
    let kept = relabelled.targets.unwrap();
    assert!(kept.len() == relabelled.samples.len() && kept.len() < targets.len());
    for (targets, sample) in kept.iter().zip(&relabelled.samples) {
        assert!((targets.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        assert!(targets.len() == 7 && targets[sample.label as usize] > 0.4 - 1e-4);
    }

    let alone = dir.path().join("alone");
    let report = fuse_quietly(vec![sets[0].clone()], &soft, &alone).unwrap();
    assert!(report.notes.iter().any(|note| note.contains("one backend")));
    for row in fused(&alone) {
        let targets = row.targets.unwrap();
        assert_eq!(targets.iter().sum::<f32>(), 1.0);
        assert_eq!(targets[row.class as usize], 1.0);
    }

    // A line that lost its soft label is told.
    let file = out.join(FUSED_FILE);
    let mut rows = chosen;
    rows[3].targets = None;
    let lines = rows
        .iter()
        .map(|row| serde_json::to_string(row).unwrap() + "\n");
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let told = open_fused(&out).unwrap_err().to_string();
    assert!(told.contains("soft label"), "{told}");
}

#[test]
fn what_moved_or_changed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let sets = backends(dir.path(), 1, false);
    let out = dir.path().join("fused");
    fuse_quietly(sets.clone(), &spec("random", Some(20)), &out).unwrap();

    // Both in one folder may move together.
    let together = tempfile::tempdir().unwrap();
    let moved = together.path().join("all");
    let copied = std::process::Command::new("cp")
        .args(["-r".as_ref(), dir.path().as_os_str(), moved.as_os_str()])
        .status()
        .unwrap();
    assert!(copied.success());
    assert_eq!(open_fused(&moved.join("fused")).unwrap().len(), 20);

    let folder = sets[0].folder();
    let away = dir.path().join("away");
    std::fs::rename(folder, &away).unwrap();
    let error = open_fused(&out).unwrap_err().to_string();
    assert!(
        error.contains("is not there") && error.contains("bring the folder back"),
        "{error}"
    );
    std::fs::rename(&away, folder).unwrap();
    assert_eq!(open_fused(&out).unwrap().len(), 20);

    // The job goes on.
    make(&mut Squares::new("good at noto", "fluent"), folder, 5, 2);
    let error = open_fused(&out).unwrap_err();
    assert!(matches!(error, Error::ChangedSet { .. }), "{error}");
    assert!(error.to_string().contains("fuse again"), "{error}");
}

#[test]
fn a_place_for_fusions_is_cleared_of_those_of_other_sets_and_of_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let sets = backends(dir.path(), 1, false);
    let out = dir.path().join("fused");
    discard_other(&out, &sets).unwrap();
    fuse_quietly(sets.clone(), &spec("random", Some(20)), &out).unwrap();
    let there = lasting(&out);
    discard_other(&out, &sets).unwrap();
    assert_eq!(lasting(&out), there);
    // The job goes on, as that of an engine does that was set aside.
    let folder = sets[0].folder();
    make(&mut Squares::new("good at noto", "fluent"), folder, 5, 2);
    let sets = vec![
        SyntheticSet::open(folder, sets[0].backend(), 0).unwrap(),
        sets[1].clone(),
    ];
    assert!(fuse_quietly(sets.clone(), &spec("random", Some(20)), &out).is_err());
    discard_other(&out, &sets).unwrap();
    fuse_quietly(sets.clone(), &spec("random", Some(20)), &out).unwrap();
    let other = dir.path().join("mine");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("note"), "x").unwrap();
    discard_other(&other, &sets).unwrap();
    assert!(other.join("note").exists());
}

#[test]
fn what_cannot_be_fused_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let sets = backends(dir.path(), 1, false);
    let out = dir.path().join("fused");
    let told = |sets: Vec<SyntheticSet>, spec: &FuseSpec| {
        let error = fuse_quietly(sets, spec, &out).unwrap_err().to_string();
        assert!(!out.exists(), "{error}");
        error
    };
    let twice = vec![sets[0].clone(), sets[0].clone()];
    assert!(told(twice, &spec("all", None)).contains("the same job"));
    assert!(told(Vec::new(), &spec("all", None)).contains("at least one"));
    assert!(told(sets.clone(), &spec("random", None)).contains("how many"));
    assert!(told(sets.clone(), &spec("all", Some(3))).contains("keeps everything"));
    assert!(told(sets.clone(), &spec("diversity", Some(3))).contains("EfficientNet"));
    let same_name = vec![
        sets[0].clone(),
        SyntheticSet::open(sets[1].folder(), sets[0].backend(), 0).unwrap(),
    ];
    assert!(told(same_name, &spec("all", None)).contains("NAME=FOLDER"));
    let error = SyntheticSet::open(dir.path(), "x", 0)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("not the folder of a synthesis job"),
        "{error}"
    );

    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("mine"), "x").unwrap();
    let error = fuse_quietly(sets.clone(), &spec("all", None), &out).unwrap_err();
    assert!(matches!(error, Error::File(_)), "{error}");
    assert_eq!(files(&out).len(), 1);

    let out = dir.path().join("other");
    fuse_quietly(sets.clone(), &spec("random", Some(5)), &out).unwrap();
    let error = fuse_quietly(sets, &spec("random", Some(6)), &out)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("spec.keep") && error.contains("another folder"),
        "{error}"
    );

    // A damaged line, and a line that is of nothing that is there.
    let path = out.join(FUSED_FILE);
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, whole.replacen("{", "", 1)).unwrap();
    assert!(
        open_fused(&out)
            .unwrap_err()
            .to_string()
            .contains("line 1 is damaged")
    );
    let first = whole.lines().next().unwrap();
    let row: FusedRow = serde_json::from_str(first).unwrap();
    let astray = FusedRow { row: 9999, ..row };
    std::fs::write(&path, serde_json::to_string(&astray).unwrap() + "\n").unwrap();
    assert!(
        open_fused(&out)
            .unwrap_err()
            .to_string()
            .contains("row 9999")
    );
    std::fs::write(out.join(FUSE_FILE), "{}").unwrap();
    assert!(
        open_fused(&out)
            .unwrap_err()
            .to_string()
            .contains("not the record")
    );
    assert!(out.join(REPORT_FILE).exists());
}
