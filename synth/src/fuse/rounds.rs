//! Generation in rounds: after each, the backends learn who is good at what, and which prompts gave useful images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use promptfed_files::{FolderKind, OwnFolder};
use promptfed_prompts::{ClassIndex, ContentHash, LabelSpace};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::feedback::Feedback;
use super::quotas::{Scores, apportion};
use super::record::read_fused;
use super::report::FuseReport;
use super::run::{Aids, FuseProgress, compare_values, fuse, write_json};
use super::select::Mode;
use super::signals::{Sign, Transfer};
use super::spec::{FuseSpec, QuotaSource, seed_of};
use crate::job::JobPrompt;
use crate::registry::folder_name;
use crate::{
    EngineInfo, Error, Generator, ImageBudget, JobProgress, JobSpec, PromptSource, Result, Spread,
    SyntheticSet, run,
};

/// Name of the file that says of what a folder's rounds are.
pub const ROUNDS_FILE: &str = "rounds.json";

/// Name of the file with what each backend is asked for in a round.
pub const QUOTAS_FILE: &str = "quotas.json";

/// Name of the file that says how a round ended.
const OUTCOME_FILE: &str = "outcome.json";

/// Folder of the fused set among the rounds.
pub const FUSED: &str = "fused";

/// Folder of a round's feedback: a fused set of the images that are examples for the next round.
const EXAMPLES: &str = "examples";

const ROUNDS_FOLDER: FolderKind = FolderKind {
    what: "the folder of rounds of generation",
    mark: ROUNDS_FILE,
    lock: ".promptfed/rounds.lock",
};

/// Version of the folder's form.
const FORMAT: u32 = 1;

/// The share of a class's images that the models take for one other class, from which on that one becomes a negative prompt.
const CONFUSED: f64 = 0.1;

/// Rounds of generation and the fusion at their end.
#[derive(Clone, Debug)]
pub struct RoundsSpec {
    /// Rounds, 1 or more; FuseGen: 5. One is generation without feedback.
    pub rounds: u32,
    /// Images made in each round by all backends together.
    pub images: u64,
    /// What is made; texts of all of them are held in memory.
    pub prompts: PromptSource,
    /// Images of each class whose prompts are asked for twice as often in the next round. FuseGen's 8 are of all classes.
    pub examples: u64,
    /// Whether the class that a class is most often taken for becomes its negative prompt, for engines that take them.
    pub negatives: bool,
    /// The fusion at the end. Its task models, quotas' softmax and seed serve the rounds too.
    pub fuse: FuseSpec,
}

/// A text-to-image engine under its name, by which its images and quotas are known.
pub type Backend = (String, Box<dyn Generator>);

/// How a backend's job is set up beside its prompts, number of images and seed.
pub type Setup<'a> = &'a dyn Fn(PromptSource, &EngineInfo) -> JobSpec;

/// How far the rounds are.
#[derive(Clone, Debug, PartialEq)]
pub enum RoundsProgress {
    /// A backend makes images.
    Making {
        /// The round, from 0.
        round: u32,
        /// The backend.
        backend: String,
        /// Its job.
        job: JobProgress,
    },
    /// Images are looked at.
    Fusing(FuseProgress),
}

/// What the rounds came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundsReport {
    /// What each backend was asked for, by round.
    pub quotas: Vec<Vec<RoundQuota>>,
    /// Backends that failed in a round and were set aside for the rest of it: their name, the round and why.
    pub failed: Vec<(String, u32, String)>,
    /// The fusion at the end.
    pub fused: FuseReport,
}

/// What a backend is asked for of a class and domain in a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundQuota {
    /// The backend.
    pub backend: String,
    /// The domain.
    pub domain: Option<String>,
    /// The class.
    pub class: String,
    /// How useful its images were found; nothing in the first round.
    pub score: Option<f64>,
    /// Images asked for.
    pub images: u64,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct RoundsRecord {
    format: u32,
    version: String,
    rounds: u32,
    images: u64,
    examples: u64,
    negatives: bool,
    prompts_hash: ContentHash,
    label_space_hash: ContentHash,
    backends: Vec<(String, EngineInfo)>,
    fuse: FuseSpec,
    feedback_hash: Option<ContentHash>,
}

/// A class and a domain, and what is made of them.
struct Cell {
    class: ClassIndex,
    domain: Option<String>,
    prompts: Vec<JobPrompt>,
}

/// Makes images in rounds and fuses them in `out/fused`, or goes on with the rounds that lie in `out`. Round R of a backend is a job of
/// its own in `out/round-R/backends/NAME`, so that a stop loses nothing and the same seeds give the same images; the feedback after a
/// round is a fused set in `out/round-R/examples`.
///
/// With quotas by feedback in the fusion, `aids` has what clients told of an earlier run of the same backends, and it decides from the
/// first round on; otherwise the transfer between the backends' task models decides from the second.
///
/// # Errors
/// As [`run`] and [`fuse`]; if every backend fails. One that fails is set aside until the next round; a round that is over is not
/// made again.
pub fn rounds(
    backends: &mut [Backend],
    spec: &RoundsSpec,
    setup: Setup<'_>,
    aids: Aids<'_>,
    out: &Path,
    progress: &mut dyn FnMut(RoundsProgress),
    cancel: &AtomicBool,
) -> Result<RoundsReport> {
    validate(backends, spec)?;
    let cells = cells(&spec.prompts)?;
    let record = RoundsRecord {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rounds: spec.rounds,
        images: spec.images,
        examples: spec.examples,
        negatives: spec.negatives,
        prompts_hash: spec.prompts.hash()?,
        label_space_hash: spec.prompts.label_space().hash(),
        backends: backends
            .iter()
            .map(|(name, engine)| (name.clone(), engine.describe().clone()))
            .collect(),
        fuse: spec.fuse.clone(),
        feedback_hash: aids.feedback.map(Feedback::hash).transpose()?,
    };
    let mark = out.join(ROUNDS_FILE);
    let there = mark.exists().then(|| read(&mark)).transpose()?;
    if let Some(there) = &there {
        compare_values(there, &record, &mark, "rounds")?;
    }
    let folder = OwnFolder::claim(out, ROUNDS_FOLDER)?;
    if there.is_none() {
        write_json(&folder, ROUNDS_FILE, &record)?;
    }
    let mut quotas = Vec::new();
    let mut failed = Vec::new();
    let mut sets = Vec::new();
    let mut learned = Learned::default();
    for round in 0..spec.rounds {
        let asked = share_out(backends, &cells, spec, round, &learned, aids.feedback)?;
        let of_round = format!("round-{round}");
        write_json(&folder, &format!("{of_round}/{QUOTAS_FILE}"), &asked.quotas)?;
        let done = Outcome::read(&out.join(&of_round))?;
        let mut outcome = Outcome::default();
        for ((name, engine), lines) in backends.iter_mut().zip(&asked.lines) {
            if lines.is_empty() {
                continue;
            }
            let job = Job {
                round,
                name,
                lines,
                folder: out.join(&of_round),
            };
            let mut told = |job| {
                progress(RoundsProgress::Making {
                    round,
                    backend: name.clone(),
                    job,
                });
            };
            let before = done.as_ref().and_then(|done| done.failed.get(name));
            let result = match before {
                Some(why) => Err(why.clone()),
                None => match job.run(engine.as_mut(), spec, setup, &folder, &mut told, cancel) {
                    Err(error) if error.is_of_engine() => Err(error.to_string()),
                    result => Ok(result?),
                },
            };
            match result {
                Ok(set) => sets.push(set),
                Err(why) => {
                    failed.push((name.clone(), round, why.clone()));
                    outcome.failed.insert(name.clone(), why);
                    // What it made before it failed is of use.
                    sets.extend(job.made().ok());
                }
            }
        }
        if sets
            .iter()
            .all(|set| set.images().is_ok_and(|mut images| images.next().is_none()))
        {
            let told: Vec<String> = failed
                .iter()
                .map(|(name, _, why)| format!("{name}: {why}"))
                .collect();
            return Err(Error::Fusion(format!(
                "every backend failed and nothing was made: {}",
                told.join("; ")
            )));
        }
        write_json(&folder, &format!("{of_round}/{OUTCOME_FILE}"), &outcome)?;
        quotas.push(asked.quotas);
        if round + 1 < spec.rounds {
            let examples = out.join(&of_round).join(EXAMPLES);
            let mut told = |fusing| progress(RoundsProgress::Fusing(fusing));
            learned = Learned::from(&sets, spec, aids, &examples, &cells, &mut told, cancel)?;
        }
    }
    let mut told = |fusing| progress(RoundsProgress::Fusing(fusing));
    let fused = fuse(sets, &spec.fuse, aids, &out.join(FUSED), &mut told, cancel)?;
    Ok(RoundsReport {
        quotas,
        failed,
        fused,
    })
}

fn validate(backends: &[Backend], spec: &RoundsSpec) -> Result<()> {
    spec.fuse.validate()?;
    let folders: BTreeSet<String> = backends.iter().map(|(name, _)| folder_name(name)).collect();
    let safe = |name: &str| {
        let plain = |c: char| c.is_alphanumeric() || "-_.+@:".contains(c);
        !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
    };
    let fault = if spec.rounds == 0 {
        "0 rounds make nothing; ask for 1 or more".to_owned()
    } else if spec.images == 0 {
        "0 images in a round; ask for 1 or more".to_owned()
    } else if backends.is_empty() {
        "give at least one backend".to_owned()
    } else if folders.len() < backends.len() {
        "two backends have one name; name them apart".to_owned()
    } else if let Some((name, _)) = backends.iter().find(|(name, _)| !safe(name)) {
        format!("the backend's name {name:?} is no folder's name; use letters, digits and -_.+@:")
    } else {
        return Ok(());
    };
    Err(Error::Fusion(fault))
}

fn read(file: &Path) -> Result<RoundsRecord> {
    const MAX_BYTES: u64 = 64 << 20;
    let bytes = promptfed_files::read(file, MAX_BYTES)?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Output {
        file: file.to_owned(),
        reason: format!("not the record of rounds ({error}); choose another folder"),
    })
}

/// How a round ended.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    /// Backends that failed, and why.
    failed: BTreeMap<String, String>,
}

impl Outcome {
    /// That of a round that is over.
    fn read(folder: &Path) -> Result<Option<Self>> {
        const MAX_BYTES: u64 = 1 << 20;
        let file = folder.join(OUTCOME_FILE);
        if !file.exists() {
            return Ok(None);
        }
        let bytes = promptfed_files::read(&file, MAX_BYTES)?;
        let outcome = serde_json::from_slice(&bytes).map_err(|error| Error::Output {
            file,
            reason: format!("not the outcome of a round ({error}); choose another folder"),
        })?;
        Ok(Some(outcome))
    }
}

/// The prompts by class and domain, in that order.
fn cells(source: &PromptSource) -> Result<Vec<Cell>> {
    let mut cells: BTreeMap<(u32, Option<String>), Cell> = BTreeMap::new();
    for prompt in source.read()? {
        let prompt = prompt?;
        let domain = prompt.domain.as_ref().map(|d| d.as_str().to_owned());
        let cell = cells.entry((prompt.class.get(), domain.clone()));
        let cell = cell.or_insert_with(|| Cell {
            class: prompt.class,
            domain,
            prompts: Vec::new(),
        });
        cell.prompts.push(prompt);
    }
    Ok(cells.into_values().collect())
}

/// What the rounds so far have shown.
#[derive(Default)]
struct Learned {
    /// Of every cell: the backends' scores, by name.
    scores: Vec<BTreeMap<String, f64>>,
    /// Prompts of examples.
    examples: BTreeSet<String>,
    /// The class that each class is most often taken for.
    confused: BTreeMap<u32, u32>,
}

impl Learned {
    fn from(
        sets: &[SyntheticSet],
        spec: &RoundsSpec,
        aids: Aids<'_>,
        folder: &Path,
        cells: &[Cell],
        progress: &mut dyn FnMut(FuseProgress),
        cancel: &AtomicBool,
    ) -> Result<Self> {
        let classes = spec.prompts.label_space().len() as u64;
        let looking = FuseSpec {
            select: Mode::InfluenceOfCartography {
                sign: Sign::Helpful,
            },
            keep: Some((spec.examples * classes).max(1)),
            quotas: None,
            weights: None,
            signals: true,
            ..spec.fuse.clone()
        };
        let aids = Aids {
            feedback: None,
            ..aids
        };
        let report = fuse(sets.to_vec(), &looking, aids, folder, progress, cancel)?;
        let mut examples = BTreeSet::new();
        if spec.examples > 0 {
            for row in read_fused(folder)? {
                examples.insert(row?.prompt);
            }
        }
        let transfer = report.transfer.as_ref();
        let scores = transfer.map(Transfer::scores);
        let scored = |cell: &Cell| {
            scores.as_ref().map_or_else(BTreeMap::new, |scores| {
                let of_cell = scores_of(scores, &report.domain_names, cell);
                let names = report.backends.iter().map(|backend| backend.name.clone());
                names.zip(of_cell).collect()
            })
        };
        Ok(Self {
            scores: cells.iter().map(scored).collect(),
            examples,
            confused: transfer.map(|t| t.confused(CONFUSED)).unwrap_or_default(),
        })
    }
}

fn scores_of(scores: &Scores, domain_names: &[String], cell: &Cell) -> Vec<f64> {
    let is_its = |name: &String| Some(name) == cell.domain.as_ref();
    let domain = domain_names.iter().position(is_its).unwrap_or(0);
    scores.cell(domain, cell.class.get() as usize)
}

/// What all backends are asked for in one round.
struct Asked {
    quotas: Vec<RoundQuota>,
    /// Of every backend: its prompts with their counts.
    lines: Vec<Vec<Line>>,
}

/// One prompt of a backend's job.
#[derive(Clone)]
struct Line {
    class: String,
    domain: Option<String>,
    prompt: String,
    negative: String,
    count: u64,
}

fn share_out(
    backends: &[Backend],
    cells: &[Cell],
    spec: &RoundsSpec,
    round: u32,
    learned: &Learned,
    feedback: Option<&Feedback>,
) -> Result<Asked> {
    let space = spec.prompts.label_space();
    let totals = totals(cells, spec.images);
    let told = told_by_clients(backends, cells, spec, feedback)?;
    let mut asked = Asked {
        quotas: Vec::new(),
        lines: vec![Vec::new(); backends.len()],
    };
    for (index, (cell, total)) in cells.iter().zip(totals).enumerate() {
        let known = told.as_ref().map(|told| &told[index]);
        let known = known.or(learned
            .scores
            .get(index)
            .filter(|scores| !scores.is_empty()));
        // A backend that made nothing yet is as good as the others on average.
        let scores = known.map(|known| {
            let mean = known.values().sum::<f64>() / known.len().max(1) as f64;
            let score = |(name, _): &Backend| known.get(name).copied().unwrap_or(mean);
            backends.iter().map(score).collect::<Vec<f64>>()
        });
        let shares = match &scores {
            Some(scores) => spec.fuse.softmax.shares(scores),
            None => vec![1.0 / backends.len() as f64; backends.len()],
        };
        // Whose turn it is to get the odd image changes with the cell and the round.
        let turn = (index + round as usize) % backends.len();
        let mut turned = shares.clone();
        turned.rotate_left(turn);
        let mut images = apportion(&turned, total, &vec![u64::MAX; backends.len()]);
        images.rotate_right(turn);
        for (place, ((name, engine), images)) in backends.iter().zip(images).enumerate() {
            let class = space.class_name(cell.class).unwrap_or_default();
            asked.quotas.push(RoundQuota {
                backend: name.clone(),
                domain: cell.domain.clone(),
                class: class.to_owned(),
                score: scores.as_ref().map(|scores| scores[place]),
                images,
            });
            let negative = (spec.negatives && engine.takes_negatives())
                .then(|| negative(learned, space, cell.class))
                .flatten();
            asked.lines[place].extend(lines(cell, class, images, learned, negative));
        }
    }
    Ok(asked)
}

/// The clients' scores of every cell by backend, where quotas follow them.
fn told_by_clients(
    backends: &[Backend],
    cells: &[Cell],
    spec: &RoundsSpec,
    feedback: Option<&Feedback>,
) -> Result<Option<Vec<BTreeMap<String, f64>>>> {
    let (Some(QuotaSource::Feedback), Some(feedback)) = (spec.fuse.quotas, feedback) else {
        return Ok(None);
    };
    let names: Vec<String> = backends.iter().map(|(name, _)| name.clone()).collect();
    let domains: BTreeSet<String> = cells
        .iter()
        .filter_map(|cell| cell.domain.clone())
        .collect();
    let domains: Vec<String> = domains.into_iter().collect();
    let classes = spec.prompts.label_space().classes().iter();
    let classes: Vec<String> = classes.map(|class| class.name.clone()).collect();
    let scores = feedback.scores_for(&names, &domains, &classes)?;
    let of_cell = |cell: &Cell| {
        let scores = scores_of(&scores, &domains, cell);
        names.iter().cloned().zip(scores).collect()
    };
    Ok(Some(cells.iter().map(of_cell).collect()))
}

/// Images of every cell: the same for every class, shared evenly among its prompts.
fn totals(cells: &[Cell], images: u64) -> Vec<u64> {
    let mut prompts = BTreeMap::<u32, usize>::new();
    for cell in cells {
        *prompts.entry(cell.class.get()).or_default() += cell.prompts.len();
    }
    let part = |cell: &Cell| cell.prompts.len() as f64 / prompts[&cell.class.get()] as f64;
    let parts: Vec<f64> = cells.iter().map(part).collect();
    apportion(&parts, images, &vec![u64::MAX; cells.len()])
}

/// The prompts of a cell with their counts; those of examples count twice.
fn lines(
    cell: &Cell,
    class: &str,
    images: u64,
    learned: &Learned,
    negative: Option<&str>,
) -> Vec<Line> {
    let part = |prompt: &JobPrompt| {
        let is_example = learned.examples.contains(&prompt.text.positive);
        f64::from(1 + u8::from(is_example)) * f64::from(prompt.count.unwrap_or(1).max(1))
    };
    let parts: Vec<f64> = cell.prompts.iter().map(part).collect();
    let counts = apportion(&parts, images, &vec![u64::MAX; parts.len()]);
    let lines = cell
        .prompts
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0);
    lines
        .map(|(prompt, count)| {
            let own = prompt.text.negative.trim();
            Line {
                class: class.to_owned(),
                domain: cell.domain.clone(),
                prompt: prompt.text.positive.clone(),
                negative: match negative {
                    Some(negative) if own.is_empty() => negative.to_owned(),
                    Some(negative) => format!("{own}, {negative}"),
                    None => prompt.text.negative.clone(),
                },
                count,
            }
        })
        .collect()
}

/// What images of a class should not be taken for.
fn negative<'s>(learned: &Learned, space: &'s LabelSpace, class: ClassIndex) -> Option<&'s str> {
    let other = learned.confused.get(&class.get())?;
    space.prompt_name(ClassIndex::new(*other))
}

/// Where the job of a backend lies in a round's folder.
fn job_folder(round: &Path, backend: &str) -> PathBuf {
    round.join("backends").join(folder_name(backend))
}

/// Where the jobs of all rounds in a folder lie, as far as they have begun: their backend, round and folder.
///
/// # Errors
/// A folder without rounds.
pub(crate) fn jobs_of_rounds(out: &Path) -> Result<Vec<(String, u32, PathBuf)>> {
    let record = read(&out.join(ROUNDS_FILE))?;
    let mut jobs = Vec::new();
    for round in 0..record.rounds {
        for (name, _) in &record.backends {
            let folder = job_folder(&out.join(format!("round-{round}")), name);
            if folder.exists() {
                jobs.push((name.clone(), round, folder));
            }
        }
    }
    Ok(jobs)
}

/// What each backend was asked for in each round in a folder, as far as the rounds went; nothing where there are none.
///
/// # Errors
/// A file that cannot be read.
pub fn read_quotas(out: &Path) -> Result<Vec<Vec<RoundQuota>>> {
    const MAX_BYTES: u64 = 256 << 20;
    let mut rounds = Vec::new();
    if !out.join(ROUNDS_FILE).is_file() {
        return Ok(rounds);
    }
    for round in 0.. {
        let file = out.join(format!("round-{round}")).join(QUOTAS_FILE);
        if !file.is_file() {
            break;
        }
        let bytes = promptfed_files::read(&file, MAX_BYTES)?;
        let quotas = serde_json::from_slice(&bytes).map_err(|error| Error::Output {
            file,
            reason: format!("not the quotas of a round ({error}); choose another folder"),
        })?;
        rounds.push(quotas);
    }
    Ok(rounds)
}

/// One backend's job in one round.
struct Job<'a> {
    round: u32,
    name: &'a str,
    lines: &'a [Line],
    /// Of the round.
    folder: PathBuf,
}

impl Job<'_> {
    fn out(&self) -> PathBuf {
        job_folder(&self.folder, self.name)
    }

    fn made(&self) -> Result<SyntheticSet> {
        SyntheticSet::open(&self.out(), self.name, self.round)
    }

    fn run(
        &self,
        engine: &mut dyn Generator,
        spec: &RoundsSpec,
        setup: Setup<'_>,
        folder: &OwnFolder,
        progress: &mut dyn FnMut(JobProgress),
        cancel: &AtomicBool,
    ) -> Result<SyntheticSet> {
        let path = self
            .folder
            .join(format!("{}.prompts.jsonl", folder_name(self.name)));
        let mut text = String::new();
        for line in self.lines {
            let line = json!({
                "class": line.class, "domain": line.domain, "prompt": line.prompt,
                "negative": line.negative, "count": line.count,
            });
            text.push_str(&format!("{line}\n"));
        }
        folder.write(&path, text.as_bytes())?;
        let source = PromptSource::JsonLines {
            path,
            label_space: spec.prompts.label_space().clone(),
        };
        let job = JobSpec {
            images: ImageBudget::Total {
                images: self.lines.iter().map(|line| line.count).sum(),
                spread: Spread::ByCount,
            },
            seed: seed_of(
                spec.fuse.seed,
                &format!("round {} of {}", self.round, self.name),
            ),
            ..setup(source, engine.describe())
        };
        let mut told = |done: &JobProgress| progress(*done);
        let report = run(engine, &job, &self.out(), &mut told, cancel)?;
        if report.cancelled {
            return Err(Error::Cancelled);
        }
        self.made()
    }
}
