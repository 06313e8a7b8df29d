//! `promptfed methods`: what `compare` knows.

use crate::Context;
use anyhow::Result;
use clap::Args as ClapArgs;
use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use promptfed_eval::methods::{MethodName, SettingOf};
use serde_json::{Value, json};

/// List the methods that `compare` knows: what each shares, and what it can be told.
///
/// `compare --methods fedprox:mu=0.1,fedprox:mu=1` runs one method twice, told different things.
#[derive(ClapArgs)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, context: &Context) -> Result<()> {
    if context.json {
        let methods: Vec<Value> = MethodName::ALL.into_iter().map(described).collect();
        println!("{}", json!({ "methods": methods }));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["method", "what it is", "what crosses", "settings"]);
    for name in MethodName::ALL {
        let settings: Vec<String> = name.settings().iter().map(in_words).collect();
        table.add_row([
            name.name(),
            name.about(),
            name.shares(),
            &settings.join("\n"),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn in_words(setting: &SettingOf) -> String {
    let default = match setting.one_of() {
        [] => setting.default.map_or(String::new(), |v| format!("={v}")),
        words => format!("={}", words.join("|")),
    };
    format!("{}{default}: {}", setting.name, setting.about)
}

fn described(name: MethodName) -> Value {
    let settings = name.settings().iter().map(
        |setting| json!({ "name": setting.name, "default": setting.default, "one_of": setting.one_of(), "about": setting.about }),
    );
    json!({ "name": name.name(), "about": name.about(), "shares": name.shares(), "makes_images": name.is_generative(), "settings": settings.collect::<Vec<_>>() })
}
