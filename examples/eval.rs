//! What a federation is worth: two methods and chance on the same clients, and the bytes that each moves.
//!
//! `cargo run --release --example eval`

use promptfed::data::{Dataset, DecodeOptions, OpenOptions, open};
use promptfed::eval::journal::Journal;
use promptfed::eval::methods::{Budget, Method, MethodSpec, Participation};
use promptfed::eval::observer::Silent;
use promptfed::eval::{Experiment, ExperimentData, Setting, report};
use promptfed::learn::Recipe;
use promptfed::prompts::LabelSpace;
use promptfed::prompts::ledger::Direction;
use promptfed::synth::bundled_assets;
use std::sync::atomic::AtomicBool;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let label_space = LabelSpace::builtin("emoji")?;
    let experiment = Experiment {
        data: ExperimentData {
            title: "emoji".into(),
            private: drawings("private", &label_space)?,
            test: drawings("test", &label_space)?,
            public: None,
            label_space,
            partition: "domain".parse()?,
            min_per_client: 1,
            decode: DecodeOptions::default(),
        },
        setting: Setting::new(
            Recipe {
                image_size: 16,
                width: 8,
                ..Recipe::default()
            },
            vec![0],
        ),
    };
    let budget = Budget {
        rounds: 2,
        local_epochs: 1,
        epochs: 2,
        participation: Participation::FULL,
    };
    let mut methods: Vec<Box<dyn Method>> = Vec::new();
    for name in ["fedavg", "centralised", "chance"] {
        let spec: MethodSpec = name.parse()?;
        methods.push(spec.method(&budget).ok_or("it needs more than a budget")?);
    }

    // What was measured once is not run again.
    let out = std::env::temp_dir().join("promptfed-eval-example");
    let journal = Journal::new(&out.join("cells"), false);
    let comparison = experiment.run(&methods, &journal, &Silent, &AtomicBool::new(false))?;
    for method in &comparison.methods {
        let ups = method
            .runs
            .iter()
            .map(|run| run.ledger.total(Direction::Up));
        println!(
            "{:12} accuracy {:.3}, {} up",
            method.name,
            method.accuracy().mean,
            report::bytes(ups.sum())
        );
    }
    Ok(())
}

/// The bundled drawings of this part.
fn drawings(part: &str, label_space: &LabelSpace) -> Result<Dataset, Box<dyn std::error::Error>> {
    let options = OpenOptions {
        label_space: Some(label_space.clone()),
        ..OpenOptions::default()
    };
    let file = bundled_assets()?.join(format!("emoji/{part}.parquet"));
    Ok(open(&file, &options)?)
}
