//! `promptfed compare`: methods on the user's own data.

use super::comparison_folder::ComparisonFolder;
use super::data::{self, ReadArgs};
use super::engines::{self, EngineArgs};
use super::extract::PromptArgs;
use super::filter::FilterArgs;
use super::fusion::{self, Choosing, FUSION_FLAGS, FusionArgs};
use super::idle;
use super::recipe::{RecipeArgs, out_of_range, tell_doubts};
use super::synth::SamplingArgs;
use super::words::{Asked, UnknownWords};
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::{ArgMatches, Args as ClapArgs, ValueEnum};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_data::{Dataset, DecodeReport, Partition, same_pictures};
use promptfed_eval::comparison::{Comparison, SyntheticCounts};
use promptfed_eval::methods::{
    Centralised, Chance, FedAvg, Fgl, FglConfig, LocalServer, Method, SILENT_CLIENTS,
};
use promptfed_eval::observer::Observer;
use promptfed_eval::report::{self, bytes};
use promptfed_eval::{Experiment, ExperimentData, Setting};
use promptfed_prompts::protocol::{ImageBudget, PromptPlan, SynthesisPlan};
use promptfed_synth::fuse::select::Mode;
use promptfed_synth::registry::Prepared;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Compare generative learning with federated averaging and central training on your own data.
///
/// Clients are simulated on this machine; prompts cross a real HTTP server on the loopback interface, and every byte that would
/// cross a network is counted. Models are selected on validation splits, never on the test images; where a split is too small to
/// choose by, the last epoch or round is kept, and the report says so. `fgl` has the first --engine alone; `fused` has all of them, and trains
/// on as many images, chosen among --generated.
#[derive(ClapArgs)]
#[command(mut_arg("split", |split| {
    split
        .long("private-split")
        .value_name("SPLIT")
        .help("Which split of --private to read (train, test, ...): a folder, or a word in the names of lists or Parquet files")
}))]
pub(crate) struct Args {
    /// The clients' images: folder, list or Parquet file
    #[arg(long, value_name = "DATA")]
    private: PathBuf,
    /// The test images
    #[arg(long, value_name = "DATA")]
    test: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    /// Which split of --test to read
    #[arg(long, value_name = "SPLIT")]
    test_split: Option<String>,
    /// Go on where pictures of --private are among the test pictures, which makes every method look better than it is
    #[arg(long)]
    allow_overlap: bool,
    /// Who holds what: iid:CLIENTS, dirichlet:CLIENTS:ALPHA, domain, or domain+dirichlet:ALPHA:CLIENTS_PER_DOMAIN
    #[arg(long, default_value = "iid:5")]
    partition: Partition,
    /// Least number of images of a client
    #[arg(long, default_value_t = 2)]
    min_per_client: usize,
    #[command(flatten)]
    prompts: PromptArgs,
    #[command(flatten)]
    setting: SettingArgs,
    /// Folder for the report and the server's data; empty, or of an earlier comparison
    #[arg(long, value_name = "DIR", default_value = "promptfed-compare")]
    out: PathBuf,
    /// Replace the report of an earlier comparison in --out
    #[arg(long)]
    force: bool,
}

/// Budgets and seeds of a comparison.
#[derive(ClapArgs, Clone)]
pub(crate) struct SettingArgs {
    /// Methods to run
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["fgl", "fedavg", "centralised", "chance"])]
    pub(crate) methods: Vec<MethodName>,
    /// Number of seeds; every method runs once with each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) engines: EngineArgs,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Synthetic images that each generative method trains on, the same number for every class
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) images: u64,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,
    /// Passes over the images of central training
    #[arg(long, default_value_t = 30, value_parser = at_least_one)]
    pub(crate) epochs: usize,
    /// Passes over the synthetic images
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) synthetic_epochs: u32,
    /// Rounds of federated averaging
    #[arg(long, default_value_t = 30, value_parser = at_least_one)]
    pub(crate) rounds: usize,
    /// Passes over a client's own images in each round of federated averaging
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) local_epochs: usize,
    /// Images that the engines of fused make together, of which --images are chosen [default: --images of each engine]
    #[arg(long, value_name = "N", help_heading = "Fusion", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) generated: Option<u64>,
    /// How fused chooses images: a mode of `promptfed fuse`
    #[arg(
        long,
        value_name = "MODE",
        default_value = "random",
        help_heading = "Fusion"
    )]
    pub(crate) fuse: Mode,
    #[command(flatten)]
    pub(crate) fusion: FusionArgs,
}

/// Reads a whole number of 1 or more.
fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|&number| number > 0)
        .ok_or_else(|| "give a whole number of 1 or more".to_owned())
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MethodName {
    /// One-shot generative learning with the first engine
    Fgl,
    /// The same with images chosen of several engines'
    Fused,
    /// Federated averaging on real images
    Fedavg,
    /// All real images in one place
    Centralised,
    /// Guessing
    Chance,
}

impl MethodName {
    fn is_generative(self) -> bool {
        matches!(self, Self::Fgl | Self::Fused)
    }
}

/// What only the generative methods read, but for engines and captions.
const OF_FGL: [&str; 12] = [
    "filter_clip",
    "min_score",
    "images",
    "steps",
    "guidance",
    "sampler",
    "synthetic_epochs",
    "templates",
    "counts",
    "min_group",
    "exclude_class",
    "max_prompts",
];

/// What only training reads.
const OF_TRAINING: [&str; 13] = [
    "precision",
    "fit",
    "architecture",
    "width",
    "batch_size",
    "learning_rate",
    "momentum",
    "weight_decay",
    "label_smoothing",
    "flip",
    "no_flip",
    "shift",
    "validation_fraction",
];

/// Refuses flags of methods that are not run.
pub(super) fn refuse_idle(matches: &ArgMatches) -> Result<()> {
    let methods: Vec<&MethodName> = matches
        .get_many("methods")
        .map_or(Vec::new(), Iterator::collect);
    let runs = |name| methods.contains(&&name);
    for (index, name) in methods.iter().enumerate() {
        if methods[..index].contains(name) {
            let name = name.to_possible_value();
            let text = format!(
                "--methods names {} twice, and every method runs once with each seed; name it once",
                name.as_ref().map_or("a method", |name| name.get_name())
            );
            return Err(anyhow::Error::msg(text).context(BadInput));
        }
    }
    if methods.iter().all(|name| **name == MethodName::Chance) {
        idle::refuse(
            matches,
            &OF_TRAINING,
            "where no method trains; add one to --methods",
        )?;
    }
    if !runs(MethodName::Fedavg) {
        let flags = ["rounds", "local_epochs"];
        idle::refuse(matches, &flags, "without fedavg; add it to --methods")?;
    }
    if !runs(MethodName::Centralised) {
        idle::refuse(
            matches,
            &["epochs"],
            "without centralised; add it to --methods",
        )?;
    }
    if runs(MethodName::Fused) {
        fusion::refuse_idle(matches, &[])?;
        if matches.get_one::<Mode>("fuse") == Some(&Mode::All) {
            let reason =
                "beside --fuse all, which trains on everything that is made; give --images";
            idle::refuse(matches, &["generated"], reason)?;
        }
    } else {
        let flags = [&["generated", "fuse"][..], &FUSION_FLAGS].concat();
        idle::refuse(matches, &flags, "without fused; add it to --methods")?;
    }
    if !methods.iter().any(|name| name.is_generative()) {
        const WITHOUT: &str = "without fgl or fused; add one to --methods";
        engines::refuse_all(matches, WITHOUT)?;
        idle::refuse(matches, &OF_FGL, WITHOUT)?;
        return idle::refuse(matches, &["level", "captioner", "model"], WITHOUT);
    }
    super::extract::refuse_idle_captions(matches)
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    if args.setting.is_generative() {
        // Told before the data is read.
        let engines = args.setting.engines.backends(context)?;
        args.setting.check_engines(engines.len())?;
    }
    let (private, label_space) = args.read.open(&args.private)?;
    let layout = args.read.layout.into();
    data::tell_parts(&private, context);
    let test = data::open(
        &args.test,
        layout,
        args.test_split.clone(),
        Some(&label_space),
    )?;
    args.read.refuse_dangling(&test)?;
    data::tell_parts(&test, context);
    if args.setting.is_generative() {
        promptfed_client::check_class_words(&private, &label_space)?;
    }
    check_overlap(&private, &test, &args)?;
    let experiment = Experiment {
        data: ExperimentData {
            title: format!("{}, {}", args.private.display(), args.partition),
            private,
            test,
            label_space,
            partition: args.partition,
            min_per_client: args.min_per_client,
            decode: args.read.decode(),
        },
        setting: args.setting.shared()?,
    };
    compare(
        &experiment,
        &args.prompts,
        &args.setting,
        &args.out,
        args.force,
        context,
    )
}

impl SettingArgs {
    fn is_generative(&self) -> bool {
        self.methods.iter().any(|name| name.is_generative())
    }

    /// Refuses several engines where one alone would work, one where several are fused, and fewer images than are chosen.
    fn check_engines(&self, engines: usize) -> Result<()> {
        let fuses = self.methods.contains(&MethodName::Fused);
        let generated = self.generated(engines);
        let text = match engines {
            0 | 1 if fuses => {
                "fused chooses among the images of several engines; name another --engine, or leave fused out of --methods".to_owned()
            }
            2.. if !fuses => {
                "a second --engine has no effect without fused, and fgl has the first alone; add fused to --methods".to_owned()
            }
            _ if fuses && generated < self.images => format!(
                "--generated {generated} are fewer than the {} of --images that are chosen; give as many or more",
                self.images
            ),
            _ => return Ok(()),
        };
        Err(anyhow::Error::msg(text).context(BadInput))
    }

    /// What all methods have in common.
    pub(crate) fn shared(&self) -> Result<Setting> {
        Ok(Setting {
            recipe: self.recipe.recipe(self.epochs, self.seed)?,
            seeds: (0..self.seeds).map(|i| self.seed.wrapping_add(i)).collect(),
        })
    }

    /// Refuses a number of images that leaves a class none, where it is known before which classes have prompts.
    fn check_images(&self, experiment: &Experiment, prompts: &PromptArgs) -> Result<()> {
        let rules = prompts.release.rules();
        let may_lose_classes = rules.min_group.is_some() || rules.max_prompts.is_some();
        if may_lose_classes || !self.is_generative() {
            return Ok(());
        }
        let data = &experiment.data;
        let (included, _) = rules.included(&data.private, &data.label_space)?;
        let labels = included.iter().map(|&i| data.private.samples[i].label);
        let classes = labels.collect::<BTreeSet<_>>().len();
        if self.images >= classes as u64 {
            return Ok(());
        }
        let text = format!(
            "--images {} leaves some of the {classes} classes no image; give {classes} or more",
            self.images
        );
        Err(anyhow::Error::msg(text).context(BadInput))
    }

    /// What the classes and domains say that the engine was never shown, told before the work begins.
    fn unknown_words(
        &self,
        prepared: &[Prepared],
        experiment: &Experiment,
        prompts: &PromptArgs,
    ) -> Result<UnknownWords> {
        let mut asked = Asked::engines(prepared)?;
        asked.label_space(&experiment.data.label_space);
        if prompts.wording.level.has_domain() {
            let domains = &experiment.data.private.domain_names;
            domains.iter().for_each(|domain| asked.domain(domain));
        }
        Ok(asked.tell())
    }

    fn methods(
        &self,
        prompts: &PromptArgs,
        server: &Path,
        prepared: &[Prepared],
    ) -> Result<Vec<Box<dyn Method>>> {
        let mut methods: Vec<Box<dyn Method>> = Vec::new();
        let server = if self.is_generative() {
            let engines = engines::engines(prepared.to_vec());
            let engines = self.filter.clip.add_to(engines)?;
            Some(Rc::new(LocalServer::start(server, engines)?))
        } else {
            None
        };
        for name in &self.methods {
            methods.push(match name {
                MethodName::Fgl | MethodName::Fused => {
                    let Some(server) = &server else { continue };
                    let synthesis = match name {
                        MethodName::Fused => self.fused_synthesis(prepared)?,
                        _ => self.synthesis(prepared.iter().take(1), self.images),
                    };
                    let name = if synthesis.fuse.is_some() {
                        "fused"
                    } else {
                        "fgl"
                    };
                    let config = self.fgl(name, prompts, synthesis)?;
                    Box::new(Fgl::new(config, Rc::clone(server)))
                }
                MethodName::Fedavg => Box::new(FedAvg {
                    rounds: self.rounds,
                    local_epochs: self.local_epochs,
                }),
                MethodName::Centralised => Box::new(Centralised {
                    epochs: self.epochs,
                }),
                MethodName::Chance => Box::new(Chance),
            });
        }
        Ok(methods)
    }

    /// So many images of these engines.
    fn synthesis<'p>(
        &self,
        prepared: impl Iterator<Item = &'p Prepared>,
        images: u64,
    ) -> SynthesisPlan {
        self.sampling.plan(
            engines::sources(prepared.map(|engine| engine.backend().name())),
            ImageBudget::Total(images),
            self.filter.min_score(),
            0,
        )
    }

    /// Images that the engines of fused make together.
    fn generated(&self, engines: usize) -> u64 {
        match (self.generated, self.fuse) {
            (Some(generated), _) => generated,
            (None, Mode::All) => self.images,
            (None, _) => self.images.saturating_mul(engines as u64).min(10_000_000),
        }
    }

    /// The images of all engines, of which as many are chosen as fgl makes.
    fn fused_synthesis(&self, prepared: &[Prepared]) -> Result<SynthesisPlan> {
        let asked = Choosing {
            select: self.fuse,
            keep: (self.fuse != Mode::All).then_some(self.images),
            image_size: self.recipe.image_size,
            seed: 0,
        };
        let plan = SynthesisPlan {
            fuse: Some(self.fusion.plan(asked)?),
            ..self.synthesis(prepared.iter(), self.generated(prepared.len()))
        };
        plan.validate().map_err(|fault| out_of_range(&fault))?;
        Ok(plan)
    }

    fn fgl(
        &self,
        name: &'static str,
        prompts: &PromptArgs,
        synthesis: SynthesisPlan,
    ) -> Result<FglConfig> {
        let PromptPlan { level, templates } = prompts.wording.plan()?;
        Ok(FglConfig {
            name,
            level,
            templates,
            captioner: prompts.load_captioner(level)?,
            counts: prompts.counts,
            release: prompts.release.rules(),
            synthesis,
            epochs: self.synthetic_epochs,
        })
    }
}

/// Runs an experiment, writes the report, prints the table.
pub(crate) fn compare(
    experiment: &Experiment,
    prompts: &PromptArgs,
    setting: &SettingArgs,
    out: &Path,
    force: bool,
    context: &Context,
) -> Result<()> {
    setting.check_images(experiment, prompts)?;
    // Only the generative methods have engines.
    let prepared = if setting.is_generative() {
        setting.engines.prepare(setting.seed, context)?
    } else {
        Vec::new()
    };
    let unknown_words = setting.unknown_words(&prepared, experiment, prompts)?;
    let classes = &experiment.data.private.class_names;
    tell_doubts(&experiment.setting.recipe, classes);
    let folder = ComparisonFolder::take(out, force)?;
    let methods = setting.methods(prompts, &folder.server()?, &prepared)?;
    let mut comparison = experiment.run(&methods, &context.progress)?;
    comparison.settings.extend(described(prompts, setting));
    if setting.methods.contains(&MethodName::Fused) {
        let generated = setting.generated(prepared.len());
        comparison.settings.extend([
            ("images made for fused".to_owned(), generated.to_string()),
            (
                "images of fused chosen by".to_owned(),
                setting.fuse.to_string(),
            ),
        ]);
    }
    let silent = silent_clients(&comparison);
    let mut told = experiment.setting.recipe.doubts(classes);
    let late: Vec<String> = comparison
        .warnings
        .iter()
        .filter(|w| !told.contains(w))
        .cloned()
        .collect();
    for warning in &silent {
        eprintln!("warning: {warning}");
    }
    // The server told of some before its first image.
    for warning in &late {
        context.progress.warn(warning);
    }
    told.extend(late);
    report::write(&comparison, &folder.report())?;
    let page = fs_err::canonicalize(folder.report())?;
    if context.json {
        println!(
            "{}",
            json!({
                "methods": comparison.summary(), "report": page.display().to_string(), "seconds": comparison.seconds,
                "version": comparison.version, "unknown_words": unknown_words, "silent_clients": silent,
                "read_as": { "private": experiment.data.private.parts, "test": experiment.data.test.parts },
                "warnings": warnings(&experiment.data).into_iter().chain(told).collect::<Vec<_>>(),
            })
        );
    } else {
        println!("{}", table(&comparison));
        println!(
            "{:.0} s in all; report: {}",
            comparison.seconds,
            page.display()
        );
    }
    Ok(())
}

/// Everything that was left out or not used in listing the images.
fn warnings(data: &ExperimentData) -> Vec<String> {
    [&data.private, &data.test]
        .into_iter()
        .flat_map(|dataset| data::warnings(dataset, &DecodeReport::default()))
        .collect()
}

/// Refuses test images that clients hold too.
fn check_overlap(private: &Dataset, test: &Dataset, args: &Args) -> Result<()> {
    let pairs = same_pictures(private, test, &args.read.decode())?;
    let Some(&(one, other)) = pairs.first() else {
        return Ok(());
    };
    let told = format!(
        "{} of the {} test pictures are among the private ones (the same pixels; {} is {})",
        pairs.len(),
        test.len(),
        test.samples[other].source,
        private.samples[one].source
    );
    if args.allow_overlap {
        eprintln!("warning: {told}: every method looks better than it is");
        return Ok(());
    }
    Err(anyhow::Error::new(BadInput).context(format!(
        "{told}; choose other test pictures (--private-split, --test-split), or go on with --allow-overlap"
    )))
}

/// Which runs had clients of whose prompts nothing was left.
fn silent_clients(comparison: &Comparison) -> Vec<String> {
    let rows = comparison.provenance.iter();
    rows.filter(|(name, _)| name.contains(SILENT_CLIENTS))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect()
}

fn described(prompts: &PromptArgs, setting: &SettingArgs) -> Vec<(String, String)> {
    let level = prompts.wording.level;
    let score = setting.filter.min_score();
    let score = score.map_or("no filter".to_owned(), |score| score.to_string());
    [
        ("prompt level", level.to_string()),
        ("templates", prompts.wording.templates.clone()),
        ("captioner", prompts.captioner(level).to_owned()),
        ("counts released", prompts.counts.to_string()),
        ("synthetic images", setting.images.to_string()),
        ("least CLIP score", score),
        ("epochs, central", setting.epochs.to_string()),
        ("epochs, synthetic", setting.synthetic_epochs.to_string()),
        ("federated rounds", setting.rounds.to_string()),
        ("local epochs", setting.local_epochs.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .chain(prompts.release.described())
    .collect()
}

fn table(comparison: &Comparison) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    let summary = comparison.summary();
    // Where every image that is made is trained on, there is nothing to tell.
    let chooses = summary
        .iter()
        .filter_map(|method| method.synthetic)
        .any(|images| images.made != images.trained_on);
    let mut header = vec![
        "method",
        "accuracy, %",
        "macro F1",
        "up per client",
        "down per client",
        "up, all",
        "down, all",
        "seconds",
    ];
    if chooses {
        header.extend(["images made", "trained on"]);
    }
    table.set_header(header);
    for method in summary {
        let mut row = vec![
            method.name.clone(),
            format!(
                "{:.1} ± {:.1}",
                100.0 * method.accuracy_mean,
                100.0 * method.accuracy_std
            ),
            format!("{:.3} ± {:.3}", method.macro_f1, method.macro_f1_std),
            bytes(method.bytes_up_per_client),
            bytes(method.bytes_down_per_client),
            bytes(method.bytes_up),
            bytes(method.bytes_down),
            format!("{:.1}", method.seconds),
        ];
        if chooses {
            let of = |count: fn(SyntheticCounts) -> u64| {
                let images = method.synthetic;
                images.map_or(String::new(), |images| count(images).to_string())
            };
            row.extend([of(|images| images.made), of(|images| images.trained_on)]);
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
