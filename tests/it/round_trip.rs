//! What `synth` writes, `train` and `evaluate` read back: every form of output, every level of prompts, every odd name.

use crate::support::{json, promptfed};
use promptfed::prompts::{Caption, ClassIndex, Domain, LabelSpace, Level, PromptSet, TemplateSet};
use std::path::Path;

/// Names that differ in case, hold what file systems and lists take for something else, or are as long as names may be.
fn classes() -> Vec<String> {
    let odd = [
        "US",
        "us",
        "T-shirt/top",
        "St. Bernard",
        "\"quoted\"",
        "O'Neil, J.",
        "100 %",
        "a/b",
        "a%2fb",
        "HER2+",
        "HER2-",
        "-1",
        "CON",
        "nul.txt",
        ".hidden",
        "dots...",
        "..",
        "a b",
        "b a b",
        "a",
        "straße",
        "e\u{301}clair",
        "日本語",
        "x: y; z",
        "#1 <class>",
        "images",
    ];
    let mut names: Vec<String> = odd.map(str::to_owned).into();
    names.push("/".repeat(120));
    names.push("é".repeat(60));
    names
}

const TEMPLATES: &str = r#"
name = "plain"
[[templates]]
level = "class"
positive = "{label}"
[[templates]]
level = "domain"
positive = "{label}"
[[templates]]
level = "domain"
any_domain = true
positive = "{label}, {domain}"
[[templates]]
level = "instance"
positive = "{label}, {caption}"
[[templates]]
level = "instance"
any_domain = true
positive = "{label}, {domain}, {caption}"
"#;

/// Which prompts name a domain.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Domains {
    None,
    Some,
    All,
}

/// Every third prompt's domain, `None` first.
const DOMAINS: [Option<&str>; 3] = [None, Some("in/out, 3.5 mm"), Some("Café")];

fn domain_of(class: usize, domains: Domains) -> Option<&'static str> {
    match domains {
        Domains::None => None,
        Domains::Some => DOMAINS[class % 3],
        Domains::All => DOMAINS[1 + class % 2],
    }
}

fn prompts(space: &LabelSpace, level: Level, domains: Domains) -> PromptSet {
    let templates = TemplateSet::from_toml(TEMPLATES).unwrap();
    let mut builder = PromptSet::builder(space, level, &templates);
    for class in 0..space.len() {
        let domain = domain_of(class, domains).map(|d| Domain::try_from(d).unwrap());
        let caption =
            (level == Level::Instance).then(|| Caption::try_from("it's \"odd\", 100 %").unwrap());
        let class = ClassIndex::new(class as u32);
        builder.add(class, domain, caption).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn every_form_level_and_name_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let space = LabelSpace::from_names("odd", classes()).unwrap();
    let names: Vec<String> = space.classes().iter().map(|c| c.name.clone()).collect();
    let toml = |name: &String| format!("[[classes]]\nname = {}\n", serde_json::json!(name));
    let toml: String = names.iter().map(toml).collect();
    std::fs::write(here.join("odd.toml"), format!("name = \"odd\"\n{toml}")).unwrap();
    let cases = [
        (Level::Class, Domains::None),
        (Level::Domain, Domains::None),
        (Level::Domain, Domains::Some),
        (Level::Domain, Domains::All),
        (Level::Instance, Domains::None),
        (Level::Instance, Domains::Some),
        (Level::Instance, Domains::All),
    ];
    for (level, domains) in cases {
        let set = prompts(&space, level, domains);
        std::fs::write(here.join("prompts.json"), set.to_json()).unwrap();
        for (format, inner) in [("folder", "images"), ("parquet", "data")] {
            let case = format!("{level} {domains:?} {format}");
            let out = case.replace(' ', "-");
            json(&mut promptfed(
                here,
                &[
                    "synth",
                    "--prompts",
                    "prompts.json",
                    "--label-space",
                    "odd.toml",
                    "--steps",
                    "1",
                    "--images-per-prompt",
                    "2",
                    "--format",
                    format,
                    "--out",
                    &out,
                ],
            ));
            // Nothing else stays.
            let mut left: Vec<_> = std::fs::read_dir(here.join(&out))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            left.sort();
            let mut expected = vec!["job.json", "manifest.jsonl", inner];
            expected.extend((format == "folder").then_some("contact-sheet.png"));
            expected.sort_unstable();
            assert_eq!(left, expected, "{case}");

            if format == "folder" {
                no_two_folders_differ_in_case_alone(&here.join(&out).join("images"));
            }
            json(&mut promptfed(
                here,
                &["train", &out, "--epochs", "1", "--width", "8"],
            ));
            let inside = format!("{out}/{inner}");
            for path in [&out, &inside] {
                let tested = json(&mut promptfed(
                    here,
                    &["evaluate", "model.safetensors", path.as_str()],
                ));
                assert_eq!(tested["classes"], serde_json::json!(names), "{case} {path}");
                assert_eq!(tested["images"], 2 * names.len(), "{case} {path}");
                // Folders know classes alone.
                if path == &out || format == "parquet" {
                    let per_domain = tested["evaluation"]["per_domain"].as_object().unwrap();
                    let found: Vec<&str> = per_domain.keys().map(String::as_str).collect();
                    let expected: &[&str] = match domains {
                        Domains::None => &[],
                        Domains::Some => &["Café", "in/out, 3.5 mm", "none"],
                        Domains::All => &["Café", "in/out, 3.5 mm"],
                    };
                    assert_eq!(found, expected, "{case} {path}");
                }
                let confusion = tested["evaluation"]["confusion"].as_array().unwrap();
                for (name, row) in names.iter().zip(confusion) {
                    let row = row.as_array().unwrap();
                    let images: u64 = row.iter().map(|n| n.as_u64().unwrap()).sum();
                    assert_eq!(images, 2, "{case} {path} {name}");
                }
            }
            // Read without a model, the classes have the same names.
            for path in [&out, &inside] {
                let dealt = json(&mut promptfed(
                    here,
                    &[
                        "partition",
                        path.as_str(),
                        "--partition",
                        "iid:1",
                        "--label-space",
                        "odd.toml",
                    ],
                ));
                assert_eq!(dealt["classes"], serde_json::json!(names), "{case} {path}");
                let samples = dealt["clients"][0].as_array().unwrap().len();
                assert_eq!(samples, 2 * names.len(), "{case} {path}");
            }
        }
    }
}

fn no_two_folders_differ_in_case_alone(images: &Path) {
    let mut names: Vec<String> = std::fs::read_dir(images)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.to_lowercase().to_uppercase())
        .collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}
