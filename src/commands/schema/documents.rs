//! The schemas as they are written down, and what they refer to.
//!
//! Each command has a file in `outputs/`; `definitions.json` holds what several have in common. What servers answer is described where it is
//! defined, by the server's OpenAPI document, whose schemas are of the same draft.

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// The draft of JSON Schema.
pub(super) const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What begins every reference.
const DEFINITIONS: &str = "#/$defs/";

/// Commands and what they print.
const OUTPUTS: &[(&str, &str)] = &[
    ("demo", include_str!("outputs/demo.json")),
    ("extract", include_str!("outputs/extract.json")),
    (
        "label-space from",
        include_str!("outputs/label-space-from.json"),
    ),
    (
        "label-space list",
        include_str!("outputs/label-space-list.json"),
    ),
    (
        "label-space show",
        include_str!("outputs/label-space-show.json"),
    ),
    ("enrol", include_str!("outputs/enrol.json")),
    ("submit", include_str!("outputs/submit.json")),
    ("receipt", include_str!("outputs/receipt.json")),
    ("withdraw", include_str!("outputs/withdraw.json")),
    ("serve", include_str!("outputs/serve.json")),
    ("backup", include_str!("outputs/backup.json")),
    ("restore", include_str!("outputs/backup.json")),
    ("client add", include_str!("outputs/client-add.json")),
    ("client list", include_str!("outputs/client-list.json")),
    ("client revoke", include_str!("outputs/client-revoke.json")),
    ("client rotate", include_str!("outputs/client-add.json")),
    ("round open", include_str!("outputs/round-open.json")),
    ("round spec", include_str!("outputs/round-spec.json")),
    ("round show", include_str!("outputs/round-spec.json")),
    ("round list", include_str!("outputs/round-list.json")),
    ("round status", include_str!("outputs/round-status.json")),
    ("round close", include_str!("outputs/round-status.json")),
    ("round cancel", include_str!("outputs/round-job.json")),
    (
        "round submissions",
        include_str!("outputs/round-submissions.json"),
    ),
    ("round log", include_str!("outputs/round-log.json")),
    ("round retry", include_str!("outputs/round-job.json")),
    ("round exclude", include_str!("outputs/round-status.json")),
    ("round delete", include_str!("outputs/round-delete.json")),
    ("round results", include_str!("outputs/round-results.json")),
    ("round model", include_str!("outputs/round-model.json")),
    ("round images", include_str!("outputs/round-images.json")),
    ("round train", include_str!("outputs/round-training.json")),
    ("round redraw", include_str!("outputs/round-training.json")),
    (
        "round trainings",
        include_str!("outputs/round-trainings.json"),
    ),
    ("round publish", include_str!("outputs/round-training.json")),
    ("write", include_str!("outputs/write.json")),
    ("synth", include_str!("outputs/synth.json")),
    ("worker", include_str!("outputs/worker.json")),
    ("run list", include_str!("outputs/run.json")),
    ("run show", include_str!("outputs/run-show.json")),
    ("run pause", include_str!("outputs/run.json")),
    ("run resume", include_str!("outputs/run.json")),
    ("run cancel", include_str!("outputs/run.json")),
    ("run retry", include_str!("outputs/run.json")),
    ("synth serve", include_str!("outputs/synth-serve.json")),
    ("synth show", include_str!("outputs/synth-show.json")),
    ("synth remake", include_str!("outputs/synth-remake.json")),
    ("fuse", include_str!("outputs/fuse.json")),
    ("export", include_str!("outputs/export.json")),
    ("feedback", include_str!("outputs/feedback.json")),
    ("train", include_str!("outputs/train.json")),
    ("evaluate", include_str!("outputs/evaluate.json")),
    ("predict", include_str!("outputs/predict.json")),
    ("quality", include_str!("outputs/quality.json")),
    ("partition", include_str!("outputs/partition.json")),
    ("compare", include_str!("outputs/compare.json")),
    ("results", include_str!("outputs/results.json")),
    ("methods", include_str!("outputs/methods.json")),
    ("doctor", include_str!("outputs/doctor.json")),
    ("schema", include_str!("outputs/schema.json")),
    ("completions", include_str!("outputs/completions.json")),
    ("man", include_str!("outputs/man.json")),
    ("error", include_str!("outputs/error.json")),
];

/// The commands, and `error`.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    OUTPUTS.iter().map(|(name, _)| *name)
}

/// The schema of a command, with everything that it refers to; `None` of what is no command.
pub(super) fn schema(name: &str) -> Result<Option<Value>> {
    let Some((_, text)) = OUTPUTS.iter().find(|(known, _)| *known == name) else {
        return Ok(None);
    };
    let mut schema: Map<String, Value> = serde_json::from_str(text)?;
    let known = KNOWN.as_ref().map_err(|e| anyhow!("{e}"))?;
    let mut definitions = Map::new();
    let mut open = references(&Value::Object(schema.clone()));
    while let Some(name) = open.pop() {
        if definitions.contains_key(&name) {
            continue;
        }
        let definition = known.get(&name);
        let definition = definition.with_context(|| format!("there is no definition {name}"))?;
        open.extend(references(definition));
        definitions.insert(name, definition.clone());
    }
    let title = match name {
        "error" => "promptfed: an error, with --json".to_owned(),
        command => format!("promptfed {command} --json"),
    };
    schema.insert("$schema".to_owned(), DRAFT.into());
    schema.insert("title".to_owned(), title.into());
    if !definitions.is_empty() {
        schema.insert("$defs".to_owned(), definitions.into());
    }
    Ok(Some(schema.into()))
}

/// What schemas may refer to, by name.
static KNOWN: LazyLock<serde_json::Result<Map<String, Value>>> = LazyLock::new(known);

fn known() -> serde_json::Result<Map<String, Value>> {
    // There the definitions lie elsewhere.
    let api = promptfed_server::api_document().replace("#/components/schemas/", DEFINITIONS);
    let api: Value = serde_json::from_str(&api)?;
    let mut known: Map<String, Value> = serde_json::from_str(include_str!("definitions.json"))?;
    let of_server = api["components"]["schemas"].as_object();
    for (name, definition) in of_server.into_iter().flatten() {
        known.entry(name).or_insert_with(|| definition.clone());
    }
    Ok(known)
}

/// The names that a schema refers to.
fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(members) => {
            let own = members.get("$ref").and_then(Value::as_str);
            let own = own.and_then(|own| own.strip_prefix(DEFINITIONS));
            let below = members.values().flat_map(references);
            own.map(str::to_owned).into_iter().chain(below).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
