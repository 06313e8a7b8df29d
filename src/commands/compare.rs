//! `promptfed compare`: methods on the user's own data.

use super::comparison_folder::ComparisonFolder;
use super::data::{self, ReadArgs};
use super::engines::{self, EngineArgs};
use super::extract::PromptArgs;
use super::filter::FilterArgs;
use super::idle;
use super::recipe::{RecipeArgs, tell_doubts};
use super::synth::SamplingArgs;
use super::words::{Asked, UnknownWords};
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::{ArgMatches, Args as ClapArgs, ValueEnum};
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_data::{Dataset, DecodeReport, Partition, same_pictures};
use promptfed_eval::comparison::Comparison;
use promptfed_eval::methods::{
    Centralised, Chance, FedAvg, Fgl, FglConfig, Method, SILENT_CLIENTS,
};
use promptfed_eval::report::{self, bytes};
use promptfed_eval::{Experiment, ExperimentData, Setting};
use promptfed_prompts::protocol::{ImageBudget, PromptPlan};
use promptfed_synth::registry::Prepared;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Compare generative learning with federated averaging and central training on your own data.
///
/// Clients are simulated on this machine; prompts cross a real HTTP server on the loopback interface, and every byte that would
/// cross a network is counted. Models are selected on validation splits, never on the test images; where a split is too small to
/// choose by, the last epoch or round is kept, and the report says so.
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
    /// Synthetic images in all, the same number for every class
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
    /// One-shot generative learning
    Fgl,
    /// Federated averaging on real images
    Fedavg,
    /// All real images in one place
    Centralised,
    /// Guessing
    Chance,
}

/// What only the generative method reads, but for engines and captions.
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
    if !runs(MethodName::Fgl) {
        const WITHOUT: &str = "without fgl; add it to --methods";
        engines::refuse_all(matches, WITHOUT)?;
        idle::refuse(matches, &OF_FGL, WITHOUT)?;
        return idle::refuse(matches, &["level", "captioner", "model"], WITHOUT);
    }
    super::extract::refuse_idle_captions(matches)
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    if args.setting.methods.contains(&MethodName::Fgl) {
        // Told before the data is read.
        args.setting.engines.backends(context)?;
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
    data::tell_parts(&test, context);
    if args.setting.methods.contains(&MethodName::Fgl) {
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
    /// What all methods have in common.
    pub(crate) fn shared(&self) -> Result<Setting> {
        Ok(Setting {
            recipe: self.recipe.recipe(self.epochs, self.seed)?,
            seeds: (0..self.seeds).map(|i| self.seed.wrapping_add(i)).collect(),
        })
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
        for name in &self.methods {
            methods.push(match name {
                MethodName::Fgl => Box::new(self.fgl(prompts, server, prepared)?),
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

    fn fgl(&self, prompts: &PromptArgs, server: &Path, prepared: &[Prepared]) -> Result<Fgl> {
        let PromptPlan { level, templates } = prompts.wording.plan()?;
        let config = FglConfig {
            level,
            templates,
            captioner: prompts.load_captioner(level)?,
            counts: prompts.counts,
            release: prompts.release.rules(),
            synthesis: self.sampling.plan(
                engines::sources(prepared.iter().map(|engine| engine.backend().name())),
                ImageBudget::Total(self.images),
                self.filter.min_score(),
                0,
            ),
            epochs: self.synthetic_epochs,
        };
        let engines = self.filter.clip.add_to(engines::engines(prepared.to_vec()));
        Ok(Fgl::start(config, server, engines)?)
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
    // Only the generative method has engines.
    let prepared = if setting.methods.contains(&MethodName::Fgl) {
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
    let silent = silent_clients(&comparison);
    let mut told = experiment.setting.recipe.doubts(classes);
    let late: Vec<String> = comparison
        .warnings
        .iter()
        .filter(|w| !told.contains(w))
        .cloned()
        .collect();
    for warning in silent.iter().chain(&late) {
        eprintln!("warning: {warning}");
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
    table.set_header([
        "method",
        "accuracy, %",
        "macro F1",
        "up per client",
        "down per client",
        "up, all",
        "down, all",
        "seconds",
    ]);
    for method in comparison.summary() {
        table.add_row([
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
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
