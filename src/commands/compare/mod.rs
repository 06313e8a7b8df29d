//! `promptfed compare`: methods on the user's own data.

mod differences;
mod grid;
mod idle;
mod measured;
mod overlap;
mod ranks;
mod setting;
mod simulation;
mod table;
mod tuning;

pub(in crate::commands) use idle::refuse_idle;
pub(in crate::commands) use measured::compare;
pub(in crate::commands) use setting::SettingArgs;
pub(in crate::commands) use simulation::SimulationArgs;

use super::comparison_folder::Earlier;
use super::data::{self, ReadArgs};
use super::extract::PromptArgs;
use crate::Context;
use crate::exit::BadInput;
use anyhow::Result;
use clap::Args as ClapArgs;
use overlap::Overlaps;
use promptfed_data::{Dataset, Partition};
use promptfed_eval::feature_cache::FeatureCache;
use promptfed_eval::{Experiment, ExperimentData, Resources};
use std::num::NonZeroUsize;
use std::path::PathBuf;

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
    /// Several comparisons from one TOML file: [settings] with flags of this command, and a [[data]] table for each data set with its `name`,
    /// its `partitions`, and flags of its own
    #[arg(value_name = "GRID.toml")]
    grid: Option<PathBuf>,
    /// The folder in which a grid's data sets with relative paths lie [default: the current folder]
    #[arg(long, value_name = "DIR", requires = "grid")]
    data_root: Option<PathBuf>,
    /// The clients' images: folder, list or Parquet file
    #[arg(long, value_name = "DATA", required_unless_present = "grid")]
    private: Option<PathBuf>,
    /// The test images
    #[arg(long, value_name = "DATA", required_unless_present = "grid")]
    test: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArgs,
    /// Images that everybody may have, for methods that look at them; what they show is read by creamfl alone
    #[arg(long, value_name = "DATA")]
    public: Option<PathBuf>,
    /// Which split of --test to read
    #[arg(long, value_name = "SPLIT")]
    test_split: Option<String>,
    /// Go on where pictures of --private or --public are among the test pictures, which makes every method look better than it is
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
    #[command(flatten)]
    earlier: EarlierArgs,
    /// Methods and seeds that run at the same time, each with its share of the threads; what they come to is the same, their seconds are not those
    /// of a run alone [default: one for each 8 cores]
    #[arg(long, value_name = "N", value_parser = at_most_256)]
    jobs: Option<NonZeroUsize>,
}

fn at_most_256(text: &str) -> Result<NonZeroUsize, String> {
    let jobs = text
        .parse()
        .ok()
        .filter(|jobs: &NonZeroUsize| jobs.get() <= 256);
    jobs.ok_or_else(|| "give a whole number from 1 to 256".to_owned())
}

/// What comparisons of one command share.
#[derive(Default)]
pub(in crate::commands) struct Shared {
    resources: Resources,
    features: FeatureCache,
    overlaps: Overlaps,
}

impl Shared {
    /// For so many runs at the same time, and no more than can go beside one another: one run has all threads. To be called before anything is
    /// computed.
    fn new(jobs: Option<NonZeroUsize>, beside: usize) -> Self {
        let jobs = jobs.unwrap_or_else(Resources::default_jobs);
        let beside = NonZeroUsize::new(beside).unwrap_or(NonZeroUsize::MIN);
        let resources = Resources::of(jobs.min(beside));
        resources.limit_program();
        Self {
            resources,
            ..Self::default()
        }
    }
}

/// What becomes of an earlier comparison in the same folder.
#[derive(ClapArgs, Clone, Default)]
pub(crate) struct EarlierArgs {
    /// Replace an earlier comparison in --out, and what it measured
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    /// Add methods and seeds to the comparison in --out: what it has measured is not run again (one that was interrupted goes on without this)
    #[arg(long)]
    resume: bool,
    /// With --resume: run again what failed
    #[arg(long, requires = "resume")]
    retry_failed: bool,
}

impl EarlierArgs {
    fn earlier(&self) -> Earlier {
        match (self.force, self.resume) {
            (true, _) => Earlier::Replaced,
            (_, true) => Earlier::Continued,
            _ => Earlier::Refused,
        }
    }
}

impl Args {
    /// The images are listed, and refused where they do not suit.
    fn experiment(&self, shared: &Shared, context: &Context) -> Result<Experiment> {
        if self.setting.is_generative() {
            // Told before the data is read.
            let engines = self.setting.engines.backends(context)?;
            self.setting.check_engines(engines.len())?;
        }
        let (Some(private_path), Some(test_path)) = (&self.private, &self.test) else {
            let text = "give the clients' images with --private, and the test images with --test";
            return Err(anyhow::Error::msg(text).context(BadInput));
        };
        let (private, label_space) = self.read.open(private_path)?;
        let layout = self.read.layout.into();
        data::tell_parts(&private, context);
        let split = self.test_split.clone();
        let test = data::open(test_path, layout, split, Some(&label_space))?;
        self.read.refuse_dangling(&test)?;
        data::tell_parts(&test, context);
        if self.setting.is_generative() {
            promptfed_client::check_class_words(&private, &label_space)?;
        }
        self.check_overlap("private", [&private, &test], shared)?;
        let public = self.public()?;
        if let Some(public) = &public {
            self.check_overlap("public", [public, &test], shared)?;
        }
        Ok(Experiment {
            data: ExperimentData {
                title: format!("{}, {}", private_path.display(), self.partition),
                private,
                test,
                public,
                label_space,
                partition: self.partition,
                min_per_client: self.min_per_client,
                decode: self.read.decode(),
            },
            setting: self.setting.shared()?,
        })
    }

    /// The public images, where a method looks at them.
    fn public(&self) -> Result<Option<Dataset>> {
        let methods = &self.setting.methods;
        let needs = methods.iter().find(|method| method.name.needs_public());
        match (&self.public, needs) {
            (Some(public), _) => {
                let public = data::open(public, self.read.layout.into(), None, None)?;
                self.read.refuse_dangling(&public)?;
                Ok(Some(public))
            }
            (None, None) => Ok(None),
            (None, Some(method)) => {
                let text = format!(
                    "{method} looks at public images; give some with --public, or leave it out of --methods"
                );
                Err(anyhow::Error::msg(text).context(BadInput))
            }
        }
    }

    /// Refuses test images that are among those that are learned from.
    fn check_overlap(&self, role: &str, both: [&Dataset; 2], shared: &Shared) -> Result<()> {
        let [images, test] = both;
        let pairs = shared.overlaps.find(images, test, &self.read.decode())?;
        let Some(&(one, other)) = pairs.first() else {
            return Ok(());
        };
        let told = format!(
            "{} of the {} test pictures are among the {role} ones (the same pixels; {} is {})",
            pairs.len(),
            test.len(),
            test.samples[other].source,
            images.samples[one].source
        );
        if self.allow_overlap {
            eprintln!("warning: {told}: every method looks better than it is");
            return Ok(());
        }
        Err(anyhow::Error::new(BadInput).context(format!(
            "{told}; choose other test pictures (--private-split, --test-split), or go on with --allow-overlap"
        )))
    }
}

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    if let Some(file) = &args.grid {
        return grid::run(file, &args, context);
    }
    let shared = Shared::new(args.jobs, args.setting.runs_beside());
    let experiment = args.experiment(&shared, context)?;
    compare(
        &experiment,
        &args.prompts,
        &args.setting,
        &args.out,
        &args.earlier,
        &shared,
        context,
    )
}
