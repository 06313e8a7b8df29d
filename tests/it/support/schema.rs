//! Whether what a command prints is what `promptfed schema` says of it: a validator of the part of JSON Schema that the schemas use. Properties that
//! a schema does not speak of are faults here, so that no schema is forgotten.

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::LazyLock;

/// The schemas of all commands, and of errors.
static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO_BIN_EXE_promptfed"))
        .args(["--no-config", "schema", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    printed["schemas"].as_object().unwrap().clone()
});

/// Checks what a command line printed.
pub(crate) fn check_printed(args: &[String], printed: &Value) {
    let command = command_of(args);
    check(&command, printed);
    check_digits(printed, "$");
}

/// Checks a value by the schema of a command, or of `error`.
pub(crate) fn check(name: &str, value: &Value) {
    let schema = &SCHEMAS[name];
    let faults = Schema { root: schema }.closed(schema, value, "$");
    assert!(
        faults.is_empty(),
        "`promptfed schema {name}` and what was printed differ: {}\n{value}",
        faults.join("; ")
    );
}

/// The command of a command line, as it is typed.
fn command_of(args: &[String]) -> String {
    let begins = |word: &str| {
        SCHEMAS
            .keys()
            .any(|name| name.split(' ').next() == Some(word))
    };
    let at = args.iter().position(|word| begins(word)).unwrap();
    let one = args[at].clone();
    let two = args.get(at + 1).map(|second| format!("{one} {second}"));
    two.filter(|two| SCHEMAS.contains_key(two)).unwrap_or(one)
}

struct Schema<'a> {
    root: &'a Value,
}

/// What a schema says of a value.
#[derive(Default)]
struct Found {
    faults: Vec<String>,
    /// The properties that it speaks of.
    known: BTreeSet<String>,
    /// Whether it speaks of any.
    names_any: bool,
}

impl Found {
    fn add(&mut self, other: Found) {
        self.faults.extend(other.faults);
        self.known.extend(other.known);
        self.names_any |= other.names_any;
    }
}

impl<'a> Schema<'a> {
    /// The faults of a value, properties that nothing speaks of among them.
    fn closed(&self, schema: &'a Value, value: &Value, at: &str) -> Vec<String> {
        let Found {
            mut faults,
            known,
            names_any,
        } = self.open(schema, value, at);
        if let (Value::Object(members), true) = (value, names_any) {
            let unknown = members.keys().filter(|key| !known.contains(*key));
            faults.extend(unknown.map(|key| format!("{at}.{key} is not in the schema")));
        }
        faults
    }

    fn open(&self, schema: &'a Value, value: &Value, at: &str) -> Found {
        let mut found = Found::default();
        if schema == &Value::Bool(false) {
            found.faults.push(format!("{at} is not in the schema"));
            return found;
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.root.pointer(reference.trim_start_matches('#'));
            let target = target.unwrap_or_else(|| panic!("{reference} leads nowhere"));
            found.add(self.open(target, value, at));
        }
        let wrong = |what: &str| format!("{at} is {value}: {what}");
        if let Some(types) = types(schema)
            && !types.iter().any(|name| is_of(name, value))
        {
            found
                .faults
                .push(wrong(&format!("no {}", types.join(" or "))));
            return found;
        }
        if let Some(values) = schema["enum"].as_array()
            && !values.contains(value)
        {
            found.faults.push(wrong("not one of the words"));
        }
        if let Some(constant) = schema.get("const")
            && constant != value
        {
            found.faults.push(wrong("another constant"));
        }
        if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
            && number < least
        {
            found.faults.push(wrong("too small"));
        }
        self.members(schema, value, at, &mut found);
        self.items(schema, value, at, &mut found);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            found.add(self.open(part, value, at));
        }
        for (key, exactly_one) in [("oneOf", true), ("anyOf", false)] {
            if let Some(choices) = schema[key].as_array() {
                self.choice(choices, exactly_one, value, at, &mut found);
            }
        }
        found
    }

    fn members(&self, schema: &'a Value, value: &Value, at: &str, found: &mut Found) {
        let Value::Object(members) = value else {
            return;
        };
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            if !members.contains_key(name) {
                found.faults.push(format!("{at}.{name} is missing"));
            }
        }
        let properties = schema["properties"].as_object();
        found.names_any |= properties.is_some();
        for (name, member) in members {
            let place = format!("{at}.{name}");
            let of_name = properties.and_then(|properties| properties.get(name));
            let Some(schema) = of_name.or_else(|| schema.get("additionalProperties")) else {
                continue;
            };
            found.known.insert(name.clone());
            found.faults.extend(self.closed(schema, member, &place));
        }
    }

    fn items(&self, schema: &'a Value, value: &Value, at: &str, found: &mut Found) {
        let Value::Array(items) = value else {
            return;
        };
        let first = schema["prefixItems"].as_array();
        for (index, item) in items.iter().enumerate() {
            let of_place = first.and_then(|first| first.get(index));
            let Some(schema) = of_place.or_else(|| schema.get("items")) else {
                continue;
            };
            let place = format!("{at}[{index}]");
            found.faults.extend(self.closed(schema, item, &place));
        }
        let length = items.len() as u64;
        let too_few = schema["minItems"]
            .as_u64()
            .is_some_and(|least| length < least);
        let too_many = schema["maxItems"]
            .as_u64()
            .is_some_and(|most| length > most);
        if too_few || too_many {
            found.faults.push(format!("{at} has {length} items"));
        }
    }

    fn choice(
        &self,
        choices: &'a [Value],
        exactly_one: bool,
        value: &Value,
        at: &str,
        found: &mut Found,
    ) {
        let looked_at = choices.iter().map(|choice| self.open(choice, value, at));
        let (fitting, others): (Vec<Found>, Vec<Found>) =
            looked_at.partition(|found| found.faults.is_empty());
        if fitting.is_empty() {
            let why: Vec<String> = others.into_iter().flat_map(|found| found.faults).collect();
            found
                .faults
                .push(format!("{at} fits no choice ({})", why.join(", ")));
        } else if exactly_one && fitting.len() > 1 {
            found
                .faults
                .push(format!("{at} fits {} choices", fitting.len()));
        }
        fitting.into_iter().for_each(|fit| found.add(fit));
    }
}

/// The types that a schema allows, where it says.
fn types(schema: &Value) -> Option<Vec<&str>> {
    match &schema["type"] {
        Value::String(one) => Some(vec![one]),
        Value::Array(several) => Some(several.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("{other} is no type of JSON"),
    }
}

/// Figures of which many are an f32 by themselves: an exact test's p is a sum of powers of 1/2, a calibration error one of f32 probabilities.
const SUMS: [&str; 3] = ["p", "p_corrected", "expected_calibration_error"];

/// Checks that no number has the digits of an f32 that was written as an f64, as 0.10000000149011612.
fn check_digits(value: &Value, at: &str) {
    match value {
        Value::Number(number) if number.is_f64() => {
            let told = number.to_string();
            let exact = number.as_f64().unwrap();
            // The rest of what f64 arithmetic leaves, as 2^-57, has few bits and is an f32 by itself.
            let has_all_bits = (exact as f32).to_bits() & 0xfff != 0;
            let is_single = has_all_bits && f64::from(exact as f32) == exact;
            let digits = told.split('e').next().unwrap().replace('.', "");
            let significant = digits.trim_start_matches(['-', '0']).len();
            // An f32 needs 9 digits at most, and few other numbers of so many are one.
            assert!(!is_single || significant < 16, "{at} is {told}");
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, item)| check_digits(item, &format!("{at}[{index}]"))),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !SUMS.contains(&name.as_str()))
            .for_each(|(name, member)| check_digits(member, &format!("{at}.{name}"))),
        _ => {}
    }
}
