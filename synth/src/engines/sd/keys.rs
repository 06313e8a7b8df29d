//! Keys of a file of settings that no type here reads: harmless, or refused by name.

use serde_json::{Map, Value};

use super::few::few;

/// The keys of a file that are left when its type has read its own.
pub(super) type Others = Map<String, Value>;

/// What is known of the keys that a type does not read.
pub(super) struct Keys {
    /// Keys that ask for what is not offered unless they have this value, in JSON, or are null.
    pub(super) fixed: &'static [(&'static str, &'static str)],
    /// Keys that change no image.
    pub(super) harmless: &'static [&'static str],
}

impl Keys {
    /// The first fault among `others`. Nothing is wrong with keys that begin with `_`, which are notes of who wrote the file, and
    /// with null, which asks for nothing.
    pub(super) fn fault(&self, others: &Others) -> Option<String> {
        let mut unknown = Vec::new();
        for (key, found) in others {
            let note = key.starts_with('_') || self.harmless.contains(&key.as_str());
            if note || found.is_null() {
                continue;
            }
            match self.fixed.iter().find(|(fixed, _)| fixed == key) {
                None => unknown.push(key),
                Some((_, wanted)) if !is(found, wanted) => {
                    return Some(format!("{key} is {found}; only {wanted} is offered"));
                }
                Some(_) => {}
            }
        }
        (!unknown.is_empty()).then(|| {
            format!(
                "{} is not known here, and what is made might depend on it; take it out if nothing does",
                few(unknown)
            )
        })
    }
}

/// Whether a value is the one of this JSON, whole numbers being equal to the same number with a fraction, and a list being
/// what each of its entries is.
fn is(found: &Value, wanted: &str) -> bool {
    let Ok(wanted) = serde_json::from_str::<Value>(wanted) else {
        return false;
    };
    let one = |value: &Value| {
        *value == wanted || (value.is_number() && value.as_f64() == wanted.as_f64())
    };
    match found {
        Value::Array(all) if !all.is_empty() => all.iter().all(one),
        value => one(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys {
        fixed: &[("act", "\"silu\""), ("only", "false"), ("factor", "1")],
        harmless: &["dropout"],
    };

    fn fault(text: &str) -> Option<String> {
        KEYS.fault(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn every_key_is_offered_harmless_or_refused() {
        for fine in [
            "{}",
            r#"{"act": "silu", "only": [false, false], "factor": 1.0, "dropout": 0.3}"#,
            r#"{"_class_name": "X", "act": null, "of_tomorrow": null}"#,
        ] {
            assert_eq!(fault(fine), None, "{fine}");
        }
        for (text, parts) in [
            (r#"{"act": "mish"}"#, ["act is \"mish\"", "only \"silu\""]),
            (r#"{"only": [false, true]}"#, ["only is", "only false"]),
            (r#"{"factor": 2}"#, ["factor is 2", "only 1"]),
            (
                r#"{"a": 1, "b": 0, "c": false, "d": "x", "e": []}"#,
                ["a, b, c and 2 more", "not known"],
            ),
        ] {
            let fault = fault(text).unwrap();
            assert!(parts.iter().all(|part| fault.contains(part)), "{fault}");
        }
    }
}
