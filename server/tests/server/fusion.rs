//! Rounds whose images are chosen among those of several engines.

use std::thread::sleep;
use std::time::Duration;

use promptfed_client::{AdminClient, FederationClient};
use promptfed_prompts::ContentHash;
use promptfed_prompts::protocol::{
    FusePlan, ImageBudget, Problem, ProblemCode, QuotaPlan, QuotaSource, RoundId, RoundResults,
    RoundSpec, RoundState, RoundStatus, SourcePlan, TaskPlan,
};

use crate::support::{Fixture, class_prompts, round_spec};

/// A round of three engines, of whose images 90 are kept.
pub(crate) fn fused_round() -> RoundSpec {
    let mut spec = round_spec();
    spec.synthesis.sources = ["noise", "faint", "loud"].map(SourcePlan::new).into();
    spec.synthesis.images = ImageBudget::Total(270);
    spec.synthesis.fuse = Some(FusePlan {
        select: "random".into(),
        keep: Some(90),
        quotas: Some(QuotaPlan {
            by: QuotaSource::Transfer,
            temperature: 0.05,
            floor: 0.2,
        }),
        adjust_weights: Some(2),
        soft_labels: None,
        task: TaskPlan {
            epochs: 12,
            width: 8,
            ..TaskPlan::default()
        },
        signals: false,
    });
    spec
}

/// Asks until the state of a round is as wanted.
pub(crate) fn until(
    admin: &AdminClient,
    round: RoundId,
    wanted: impl Fn(&RoundState) -> bool,
) -> RoundStatus {
    loop {
        let status = admin.status(round).unwrap();
        if wanted(&status.state) || status.state.is_final() {
            return status;
        }
        sleep(Duration::from_millis(2));
    }
}

fn work(fixture: &Fixture, client: &FederationClient, spec: &RoundSpec) -> RoundResults {
    let round = fixture.open(spec);
    client.submit(round, &class_prompts(&[0, 1, 2])).unwrap();
    fixture.admin.close(round).unwrap();
    until(&fixture.admin, round, |_| false);
    client.results(round).unwrap()
}

#[test]
fn the_images_of_three_engines_are_fused() {
    let fixture = Fixture::start();
    let client = fixture.client("a");
    let mut spec = fused_round();
    // Enough to learn the classes from 90 images.
    spec.synthesis.fuse.as_mut().unwrap().task.epochs = 80;
    let results = work(&fixture, &client, &spec);
    assert_eq!(
        (results.images.accepted, &results.per_class[..]),
        (270, &[90, 90, 90][..])
    );
    let fusion = results.fusion.as_ref().unwrap();
    assert_eq!((fusion.made, fusion.chosen), (270, 90));
    assert_eq!(fusion.per_class, [30, 30, 30]);
    let names: Vec<&str> = fusion.sources.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["faint", "loud", "noise"]);
    let [faint, loud, noise] = fusion.sources.as_slice() else {
        panic!("{fusion:?}")
    };
    // What learned from pure noise names nobody's images.
    assert!(
        loud.chosen < faint.chosen && loud.chosen < noise.chosen,
        "{fusion:?}"
    );
    let mut weight = 0.0;
    for source in &fusion.sources {
        assert_eq!(source.made, 90);
        let of_classes: u64 = source.classes.iter().map(|part| part.chosen).sum();
        assert_eq!(of_classes, source.chosen);
        assert!(source.domains.is_empty());
        assert!(source.classes.iter().all(|part| part.score.is_some()));
        weight += source.mean_weight.unwrap_or(0.0) * source.chosen as f64;
    }
    assert!((weight - 90.0).abs() < 0.01, "{weight}");
    let score = |source: &promptfed_prompts::protocol::FusedSource| {
        source.classes.iter().filter_map(|c| c.score).sum::<f64>()
    };
    assert!(
        score(loud) < score(faint) && score(loud) < score(noise),
        "{fusion:?}"
    );
    assert!(fusion.seconds["training task models"] > 0.0);
    assert!(results.seconds.fusing > 0.0);

    let round = results.round_id.to_string();
    let folder = fixture.folder.path().join("rounds").join(round);
    let hash =
        |file: &str| ContentHash::of(&std::fs::read(folder.join("fused").join(file)).unwrap());
    assert_eq!(hash("fuse.json"), fusion.record_hash);
    assert_eq!(hash("fused.jsonl"), fusion.chosen_hash);
    let (images, supervision) =
        promptfed_synth::fuse::load_fused(&folder.join("fused"), 16).unwrap();
    assert_eq!(
        (images.len(), supervision.weights.map(|w| w.len())),
        (90, Some(90))
    );

    // The same plan chooses the same images and trains the same model; without weights it trains another.
    let again = work(&fixture, &client, &spec);
    assert_eq!(
        again.fusion.as_ref().unwrap().chosen_hash,
        fusion.chosen_hash
    );
    assert_eq!(again.model.hash, results.model.hash);
    let mut plain = spec.clone();
    plain.synthesis.fuse.as_mut().unwrap().adjust_weights = None;
    let plain = work(&fixture, &client, &plain);
    let weights = plain.fusion.unwrap().sources.into_iter();
    assert!(
        weights
            .filter(|s| s.chosen > 0)
            .all(|s| s.mean_weight == Some(1.0))
    );
    assert_ne!(plain.model.hash, results.model.hash);
}

#[test]
fn everything_kept_with_even_weights_is_the_plain_mixture() {
    let fixture = Fixture::start();
    let client = fixture.client("a");
    let mut spec = fused_round();
    spec.synthesis.images = ImageBudget::Total(90);
    spec.synthesis.fuse = None;
    let mixture = work(&fixture, &client, &spec);
    assert_eq!(mixture.fusion, None);
    spec.synthesis.fuse = Some(serde_json::from_str(r#"{"select":"all"}"#).unwrap());
    let fused = work(&fixture, &client, &spec);
    assert_eq!(fused.fusion.as_ref().unwrap().chosen, 90);
    assert_eq!(fused.images, mixture.images);
    assert_eq!(fused.per_class, mixture.per_class);
}

#[test]
fn a_source_that_fails_leaves_the_others_to_be_fused() {
    let fixture = Fixture::start();
    let client = fixture.client("a");
    let mut spec = fused_round();
    spec.synthesis.sources[0].engine = "broken".into();
    let results = work(&fixture, &client, &spec);
    let fusion = results.fusion.unwrap();
    assert_eq!((fusion.made, fusion.chosen), (180, 90));
    assert_eq!(fusion.sources.len(), 2);
    let told = results.warnings.join("\n");
    assert!(told.contains("broken was set aside"), "{told}");
    // Two cannot be told apart by the images of a third.
    assert!(told.contains("there is none"), "{told}");
    assert!(fusion.sources.iter().all(|s| s.classes[0].score.is_none()));
}

#[test]
fn a_class_of_which_nothing_is_chosen_is_told() {
    let fixture = Fixture::start();
    let client = fixture.client("a");
    let mut spec = fused_round();
    let fuse = spec.synthesis.fuse.as_mut().unwrap();
    fuse.keep = Some(2);
    fuse.adjust_weights = None;
    let results = work(&fixture, &client, &spec);
    let told = results.warnings.join("\n");
    assert!(
        told.contains("no image of \"") && told.contains("keep more images"),
        "{told}"
    );
}

#[test]
fn a_fusion_that_the_server_cannot_do_is_refused() {
    let fixture = Fixture::start();
    let refused = |change: &dyn Fn(&mut RoundSpec), part: &str| {
        let mut spec = fused_round();
        change(&mut spec);
        let url = format!("{}/v1/rounds", fixture.server.url());
        let token = format!("Bearer {}", fixture.server.admin_token());
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let request = agent.post(&url).header("Authorization", token);
        let mut answer = request.send_json(&spec).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let problem: Problem = serde_json::from_str(&text).unwrap();
        assert_eq!((problem.status, problem.code), (422, ProblemCode::Invalid));
        assert!(problem.to_string().contains(part), "{problem}");
    };
    fn fuse(spec: &mut RoundSpec) -> &mut FusePlan {
        spec.synthesis.fuse.as_mut().unwrap()
    }
    refused(&|s| fuse(s).select = "best".into(), "there are all, random");
    refused(&|s| fuse(s).select = "agreement:2".into(), "from 0 to 1");
    refused(
        &|s| fuse(s).select = "diversity".into(),
        "EfficientNet-lite0",
    );
    refused(&|s| fuse(s).keep = None, "synthesis.fuse.keep is missing");
    refused(&|s| fuse(s).keep = Some(271), "from 1 to 270");
    refused(
        &|s| s.synthesis.sources.truncate(2),
        "three sources or more",
    );
    assert!(fixture.admin.rounds().unwrap().is_empty());
}

#[test]
fn a_fusion_can_be_cancelled() {
    let fixture = Fixture::start();
    let client = fixture.client("a");
    let mut spec = fused_round();
    spec.synthesis.fuse.as_mut().unwrap().adjust_weights = Some(1000);
    let endless = fixture.open(&spec);
    client.submit(endless, &class_prompts(&[0, 1, 2])).unwrap();
    fixture.admin.close(endless).unwrap();
    let fusing = |state: &RoundState| match state {
        RoundState::Fusing { stage, total, .. } => {
            assert!(!stage.is_empty() && *total > 0, "{state:?}");
            stage == "adjusting weights"
        }
        _ => false,
    };
    let status = until(&fixture.admin, endless, fusing);
    assert!(fusing(&status.state), "{status:?}");
    fixture.admin.cancel(endless).unwrap();
    let results = work(&fixture, &client, &round_spec());
    assert_eq!(results.fusion, None);
    let status = client.status(endless).unwrap();
    assert_eq!(status.state, RoundState::Cancelled);
}
