//! A whole round in one process: a server, a client that sends prompts, the model that comes back.
//!
//! `cargo run --release --example server`

use promptfed::client::{AdminClient, ExtractOptions, FederationClient, extract};
use promptfed::data::{OpenOptions, open};
use promptfed::learn::{Classifier, Recipe};
use promptfed::prompts::protocol::{
    ImageBudget, PromptPlan, RegistrationRequest, RoundSpec, SourcePlan, SynthesisPlan,
};
use promptfed::prompts::{LabelSpace, Level, TemplateSet};
use promptfed::server::{Engines, Server, ServerConfig};
use promptfed::synth::bundled_assets;
use std::ops::ControlFlow;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let assets = bundled_assets()?;
    let server = Server::start(ServerConfig::new(
        ([127, 0, 0, 1], 0).into(),
        std::env::temp_dir().join("promptfed-server-example"),
        Engines::new().with_pocket(assets.join("pocket/all")),
    ))?;
    let admin = AdminClient::new(&server.url(), server.admin_token())?;

    // A small round: one step of sampling, two epochs of a narrow classifier.
    let (classes, templates) = (
        LabelSpace::builtin("emoji")?,
        TemplateSet::builtin("pocket")?,
    );
    let recipe = Recipe {
        width: 8,
        ..Recipe::default().with(2, 0)
    };
    let round = admin.open_round(&RoundSpec {
        name: "example".into(),
        label_space: classes.clone(),
        prompts: Some(PromptPlan {
            level: Level::Class,
            templates: templates.clone(),
            max_per_client: None,
        }),
        synthesis: SynthesisPlan {
            sources: vec![SourcePlan::new("pocket")],
            images: ImageBudget::PerPrompt(2),
            steps: Some(1),
            guidance: None,
            sampler: None,
            min_clip_score: None,
            fuse: None,
            seed: 0,
        },
        training: recipe.plan(),
        expected_clients: Some(1),
        open_results: false,
    })?;

    let registration = admin.register(&RegistrationRequest {
        name: "hospital-a".into(),
        // So that the example runs twice in one folder.
        replace_token: true,
    })?;
    let client = FederationClient::of(&server.url(), &registration)?;
    let private = open(
        &assets.join("emoji/private.parquet"),
        &OpenOptions {
            label_space: Some(classes.clone()),
            ..OpenOptions::default()
        },
    )?;
    let telling = ExtractOptions::new(Level::Class, templates);
    let prompts = extract(&private, &classes, &telling)?.prompt_set;
    let answer = client.submit(round.round_id, &prompts)?;
    println!(
        "{} bytes stored as {}",
        answer.receipt.bytes, answer.receipt.hash
    );

    client.wait(round.round_id, None, &mut |status| {
        println!("{}", status.state.name());
        ControlFlow::Continue(())
    })?;
    let model = client.model(&client.results(round.round_id)?)?;
    let classifier = Classifier::from_safetensors(&model)?;
    println!(
        "a classifier of {} classes in {} bytes; {} bytes went up and {} came down",
        classifier.class_names().len(),
        model.len(),
        client.socket_bytes().up(),
        client.socket_bytes().down()
    );
    server.shutdown();
    Ok(())
}
