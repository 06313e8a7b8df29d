//! What a report tells of how a round's images were made.

use super::SILENT_CLIENTS;
use promptfed_prompts::protocol::{FusionSummary, GuidancePlan, RoundResults, SourceSummary};

/// `silent` is the number of clients that released nothing.
pub(super) fn provenance(results: &RoundResults, silent: usize) -> Vec<(String, String)> {
    let silent = (silent > 0).then(|| (SILENT_CLIENTS, silent.to_string()));
    let of_sources = |name, value: fn(&SourceSummary) -> Option<String>| {
        let values: Vec<String> = results
            .sources
            .iter()
            .map(|source| value(source).unwrap_or_else(|| format!("{}: set aside", source.name)))
            .collect();
        (name, values.join("; "))
    };
    let engine = |source: &SourceSummary| {
        let engine = source.engine.as_ref()?;
        Some(format!("{} {}", engine.name, engine.version))
    };
    let weights = |source: &SourceSummary| {
        let engine = source.engine.as_ref()?;
        Some(engine.weights_hash.to_string())
    };
    let sampling = |source: &SourceSummary| {
        let sampling = source.sampling.as_ref()?;
        Some(format!(
            "{}, {} steps, guidance {}",
            sampling.sampler,
            sampling.steps,
            guidance(sampling.guidance)
        ))
    };
    [
        of_sources("engine", engine),
        of_sources("engine weights", weights),
        of_sources("engine sampling", sampling),
        ("pooled prompts", results.pooled.hash.to_string()),
        ("synthesis seed", results.seeds.synthesis.to_string()),
        ("training seed", results.seeds.training.to_string()),
        (
            "images",
            format!(
                "{} of {} planned",
                results.images.accepted, results.images.planned
            ),
        ),
    ]
    .into_iter()
    .chain(results.fusion.iter().flat_map(fusion_provenance))
    .chain(silent)
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn fusion_provenance(fusion: &FusionSummary) -> [(&'static str, String); 4] {
    let parts: Vec<String> = fusion
        .sources
        .iter()
        .map(|source| format!("{}: {} of {}", source.name, source.chosen, source.made))
        .collect();
    [
        (
            "images trained on",
            format!("{} of {}", fusion.chosen, fusion.made),
        ),
        ("images trained on by engine", parts.join("; ")),
        ("fusion", fusion.record_hash.to_string()),
        ("chosen images", fusion.chosen_hash.to_string()),
    ]
}

fn guidance(plan: GuidancePlan) -> String {
    // The engine computes in f32; as f64 a 2.2 would read 2.200000047683716.
    match plan {
        GuidancePlan::Fixed(scale) => (scale as f32).to_string(),
        GuidancePlan::Uniform { low, high } => {
            format!("{} to {}, drawn per image", low as f32, high as f32)
        }
    }
}
