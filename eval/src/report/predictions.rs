//! What every model says of every test image, as a table for other programs.

use crate::Result;
use crate::comparison::Comparison;
use crate::csv_cells::single;
use crate::predictions::ModelPredictions;

const COLUMNS: [&str; 7] = [
    "method",
    "seed",
    "client",
    "image",
    "label",
    "predicted",
    "confidence",
];

/// A row for each image and model. `client` is empty where all clients have one model, `confidence` where a model names classes without
/// saying how sure it is; classes are told by name.
pub(super) fn csv(comparison: &Comparison) -> Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(COLUMNS)?;
    let predictions = &comparison.predictions;
    let name = |class: usize| {
        let name = comparison.data.classes.get(class);
        name.map_or_else(|| class.to_string(), String::clone)
    };
    for run in &predictions.runs {
        let seed = run.seed.to_string();
        for model in &run.models {
            let client = model.client.as_deref().unwrap_or_default();
            let ModelPredictions {
                classes,
                confidences,
                ..
            } = model;
            for (index, (image, class)) in predictions.images.iter().zip(classes).enumerate() {
                let confidence = confidences.as_ref().and_then(|all| all.get(index));
                table.write_record([
                    run.method.as_str(),
                    &seed,
                    client,
                    &image.source,
                    &name(image.label as usize),
                    &name(usize::from(*class)),
                    &confidence.map(|c| single(*c)).unwrap_or_default(),
                ])?;
            }
        }
    }
    Ok(table.into_inner().map_err(|error| error.into_error())?)
}
