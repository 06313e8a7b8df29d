//! `promptfed demo`: the whole loop on bundled drawings.

use super::compare::{EarlierArgs, SettingArgs, Shared, SimulationArgs, compare};
use super::data;
use super::engines::EngineArgs;
use super::extract::{PromptArgs, WordingArgs};
use super::filter::FilterArgs;
use super::fusion::FusionArgs;
use super::recipe::RecipeArgs;
use super::release::ReleaseArgs;
use super::synth::SamplingArgs;
use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use promptfed_data::{Dataset, DecodeOptions, Layout, OpenOptions, Partition};
use promptfed_eval::methods::MethodName;
use promptfed_eval::{Experiment, ExperimentData};
use promptfed_prompts::{LabelSpace, Level};
use promptfed_synth::fuse::select::Mode;
use std::path::PathBuf;

/// Run the whole loop on bundled drawings and compare it with federated averaging.
///
/// Seven clients each hold emoji of one drawing style. They send prompts over HTTP to a server that this command starts; the
/// server makes images of them with the bundled `pocket` generator and trains a classifier on those images alone (`fgl`). `fused` trains on as
/// many, chosen among those of all three bundled generators by quotas for each class and style that their own images settle. Beside them, on
/// the same clients and with the same classifier: federated averaging, central training on all real drawings, and chance.
/// `promptfed compare` does the same with your own data and all settings.
#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Fewer images, epochs and rounds: a look in under 90 seconds on 2 cores
    #[arg(long)]
    quick: bool,
    /// The first of the seeds
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of seeds; every method runs once with each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// How much each prompt tells: class, domain or instance
    #[arg(long, default_value_t = Level::Domain)]
    level: Level,
    /// A text-to-image engine, as for `promptfed synth`; fgl has the first, fused all, where there are three or more [default: pocket,
    /// pocket:photo, pocket:draw]
    #[arg(long, value_name = "NAME[:ARG]")]
    engine: Vec<String>,
    /// Folder for the report and the server's data; empty, or of an earlier demo
    #[arg(long, value_name = "DIR", default_value = "promptfed-demo")]
    out: PathBuf,
    #[command(flatten)]
    earlier: EarlierArgs,
}

/// The bundled generators; the first serves fgl.
const ENGINES: [&str; 3] = ["pocket", "pocket:photo", "pocket:draw"];

/// What `--quick` changes.
struct Budget {
    images: u64,
    /// Of all engines together, for fused.
    generated: u64,
    synthetic_epochs: u32,
    epochs: usize,
    rounds: usize,
    width: usize,
}

// How level, sampler and budgets were chosen, on the private drawings: docs/demo.md.
const FULL: Budget = Budget {
    images: 700,
    generated: 1400,
    synthetic_epochs: 30,
    epochs: 20,
    rounds: 20,
    width: 24,
};

const QUICK: Budget = Budget {
    images: 140,
    generated: 210,
    synthetic_epochs: 40,
    epochs: 8,
    rounds: 8,
    width: 16,
};

pub(crate) fn run(args: Args, context: &Context) -> Result<()> {
    let drawings = data::assets()?.join("emoji");
    let label_space = LabelSpace::builtin("emoji")?;
    let open = |file: &str| -> Result<Dataset> {
        let options = OpenOptions {
            layout: Layout::Parquet,
            label_space: Some(label_space.clone()),
            split: None,
        };
        let mut drawings = promptfed_data::open(&drawings.join(file), &options)?;
        // Their column of licences is for readers of the file.
        drawings.warnings.clear();
        Ok(drawings)
    };
    let (private, test) = (open("private.parquet")?, open("test.parquet")?);
    let budget = if args.quick { QUICK } else { FULL };
    let engines = if args.engine.is_empty() {
        ENGINES.map(str::to_owned).into()
    } else {
        args.engine
    };
    let mut methods = vec![MethodName::Fgl];
    if engines.len() >= 3 {
        methods.push(MethodName::Fused);
    }
    methods.extend([
        MethodName::Fedavg,
        MethodName::Centralised,
        MethodName::Chance,
    ]);
    let prompts = PromptArgs {
        wording: WordingArgs {
            level: args.level,
            templates: None,
        },
        captioner: None,
        model: None,
        counts: false,
        release: ReleaseArgs::default(),
    };
    let setting = SettingArgs {
        methods: methods.into_iter().map(Into::into).collect(),
        seeds: args.seeds,
        seed: args.seed,
        engines: EngineArgs::of(engines),
        filter: FilterArgs::default(),
        images: budget.images,
        sampling: SamplingArgs::default(),
        recipe: RecipeArgs {
            width: budget.width,
            batch_size: 32,
            learning_rate: 0.05,
            ..RecipeArgs::default()
        },
        epochs: budget.epochs,
        synthetic_epochs: budget.synthetic_epochs,
        rounds: budget.rounds,
        local_epochs: 1,
        participation: 1.0,
        dropout: 0.0,
        tune: None,
        simulation: SimulationArgs::default(),
        quality: false,
        generated: Some(budget.generated),
        fuse: Mode::Random,
        fusion: FusionArgs::by_transfer(),
    };
    let experiment = Experiment {
        data: ExperimentData {
            title: "emoji, one drawing style per client".to_owned(),
            private,
            test,
            public: None,
            label_space,
            partition: Partition::DomainPerClient,
            min_per_client: 1,
            decode: DecodeOptions::default(),
        },
        setting: setting.shared()?,
    };
    compare(
        &experiment,
        &prompts,
        &setting,
        &args.out,
        &args.earlier,
        &Shared::default(),
        context,
    )
}
