//! The settings of runs, and those in which they differ.

use std::collections::BTreeMap;

use promptfed_prompts::protocol::{RoundResults, RoundSpec};
use serde_json::{Value, json};

/// What a setting is called where a run has none.
const NONE: &str = "none";

/// All that decides a run beside its prompts, which not everybody sees: names as the plan has them, and values.
pub(super) fn settings(
    spec: &RoundSpec,
    results: &RoundResults,
) -> serde_json::Result<BTreeMap<String, String>> {
    let space = &spec.label_space;
    let training = results.plan.as_ref().unwrap_or(&spec.training);
    let redrawn = results.redrawn.iter();
    let redrawn: BTreeMap<_, _> = redrawn.map(|class| (&class.class, class.draw)).collect();
    let all = json!({
        "label_space": { "name": space.name(), "classes": space.len(), "hash": space.hash() },
        "synthesis": serde_json::to_value(&spec.synthesis)?,
        "training": serde_json::to_value(training)?,
        "redrawn": redrawn,
        "dropped": results.dropped,
        "versions": serde_json::to_value(&results.versions)?,
    });
    let mut flat = BTreeMap::new();
    flatten("", &all, &mut flat);
    Ok(flat)
}

fn flatten(path: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                flatten(&below(key), value, flat);
            }
        }
        Value::Array(entries) => {
            for (i, value) in entries.iter().enumerate() {
                flatten(&below(&(i + 1).to_string()), value, flat);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            flat.insert(path.to_owned(), text.clone());
        }
        other => {
            flat.insert(path.to_owned(), other.to_string());
        }
    }
}

/// The settings that are not the same in all runs, by name, with the value of each run.
pub(super) fn differing(runs: &[&BTreeMap<String, String>]) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for name in runs.iter().flat_map(|run| run.keys()) {
        let value = |run: &&BTreeMap<String, String>| {
            let value = run.get(name).map(String::as_str);
            value.unwrap_or(NONE).to_owned()
        };
        let values: Vec<String> = runs.iter().map(value).collect();
        if values.iter().any(|value| *value != values[0]) {
            rows.insert(name.clone(), values);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_left_out_and_what_one_lacks_is_told() {
        let flat = |value: Value| {
            let mut flat = BTreeMap::new();
            flatten("", &value, &mut flat);
            flat
        };
        let one = flat(json!({"a": {"b": 1, "c": "x"}, "d": [{"e": true}], "f": null}));
        let other = flat(json!({"a": {"b": 2, "c": "x"}, "d": [{"e": true}, {"e": false}]}));
        let rows: Vec<_> = differing(&[&one, &other, &one]).into_iter().collect();
        let row =
            |name: &str, values: [&str; 3]| (name.to_owned(), values.map(str::to_owned).to_vec());
        assert_eq!(
            rows,
            [
                row("a.b", ["1", "2", "1"]),
                row("d.2.e", ["none", "false", "none"])
            ]
        );
        assert!(differing(&[&one]).is_empty() && differing(&[]).is_empty());
    }
}
