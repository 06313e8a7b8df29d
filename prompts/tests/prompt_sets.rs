//! Building, merging, rendering, and reading by hand-edited JSON.
#![allow(clippy::unwrap_used)]

use promptfed_prompts::{
    Caption, ClassIndex, Domain, Error, LabelSpace, Level, PromptSet, PromptSetBuilder,
    TemplateSet, TextProblem,
};

fn pacs() -> LabelSpace {
    LabelSpace::builtin("pacs").unwrap()
}

fn pocket(level: Level) -> PromptSetBuilder {
    PromptSet::builder(&pacs(), level, &TemplateSet::builtin("pocket").unwrap())
}

fn domain(text: &str) -> Option<Domain> {
    Some(Domain::try_from(text).unwrap())
}

fn caption(text: &str) -> Option<Caption> {
    Some(Caption::try_from(text).unwrap())
}

fn set(level: Level, counts: bool) -> PromptSet {
    let mut builder = pocket(level);
    builder.counts(counts);
    for (class, style, text) in [
        (6, "sketch", "white on white background"),
        (0, "photo", "brown on green background"),
        (0, "photo", "brown on green background"),
        (0, "cartoon", "brown on green background"),
        (0, "photo", "black on green background"),
    ] {
        builder
            .add(ClassIndex::new(class), domain(style), caption(text))
            .unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn levels_tell_what_they_say() {
    let counts = |level| -> Vec<u32> {
        set(level, true)
            .prompts()
            .iter()
            .map(|prompt| prompt.count.unwrap())
            .collect()
    };
    assert_eq!(counts(Level::Class), [4, 1]);
    assert_eq!(counts(Level::Domain), [1, 3, 1]);
    assert_eq!(counts(Level::Instance), [1, 1, 2, 1]);
    let class = set(Level::Class, false);
    assert!(
        class
            .prompts()
            .iter()
            .all(|p| p.domain.is_none() && p.caption.is_none())
    );
    assert!(class.prompts().iter().all(|p| p.count.is_none()));
    assert!(
        set(Level::Domain, false)
            .prompts()
            .iter()
            .all(|p| p.caption.is_none())
    );
}

#[test]
fn renders_with_its_own_templates() {
    let set = set(Level::Instance, false);
    let texts: Vec<_> = set
        .prompts()
        .iter()
        .map(|prompt| set.render(prompt, &pacs()).unwrap().positive)
        .collect();
    assert_eq!(
        texts,
        [
            "a cartoon of a dog, brown on green background",
            "a photo of a dog, black on green background",
            "a photo of a dog, brown on green background",
            "a sketch of a person, white on white background",
        ]
    );
    let other = LabelSpace::builtin("emoji").unwrap();
    assert!(matches!(
        set.render(&set.prompts()[0], &other),
        Err(Error::WrongLabelSpace { .. })
    ));
}

#[test]
fn only_used_templates_travel() {
    let set = set(Level::Domain, false);
    let domains: Vec<_> = set
        .templates()
        .map(|(domain, _)| domain.unwrap().as_str())
        .collect();
    assert_eq!(domains, ["cartoon", "photo", "sketch"]);
}

#[test]
fn the_builder_refuses_and_goes_on() {
    let mut builder = pocket(Level::Instance);
    let class = ClassIndex::new(0);
    assert!(matches!(
        builder.add(ClassIndex::new(7), domain("photo"), caption("x")),
        Err(Error::ClassOutOfRange {
            class: 7,
            classes: 7,
            ..
        })
    ));
    assert!(matches!(
        builder.add(class, domain("photo"), None),
        Err(Error::MissingCaption { .. })
    ));
    assert!(matches!(
        pocket(Level::Domain).add(class, None, None),
        Err(Error::NoTemplate { .. })
    ));
    builder.add(class, domain("photo"), caption("x")).unwrap();
    assert_eq!(builder.build().unwrap().len(), 1);
    assert_eq!(pocket(Level::Class).build(), Err(Error::NoPrompts));
}

#[test]
fn pooling_adds_counts() {
    let one = set(Level::Domain, true);
    let pool = PromptSet::merge(&[one.clone(), one.clone()]).unwrap();
    let counts: Vec<_> = pool
        .prompts()
        .iter()
        .map(|prompt| prompt.count.unwrap())
        .collect();
    assert_eq!(counts, [2, 6, 2]);
    let silent = set(Level::Domain, false);
    let mixed = PromptSet::merge(&[one.clone(), silent.clone()]).unwrap();
    assert_eq!(mixed, silent);
    assert_eq!(one.clone().without_counts(), silent);
    assert_eq!(
        PromptSet::merge(&[silent.clone(), silent.clone()]).unwrap(),
        silent
    );
    assert_eq!(PromptSet::merge(&[]), Err(Error::NoPrompts));
}

#[test]
fn pooling_refuses_what_differs() {
    let one = set(Level::Domain, true);
    let says = |other: PromptSet, what: &str| {
        let error = PromptSet::merge(&[one.clone(), other]).unwrap_err();
        assert!(matches!(error, Error::MergeMismatch { index: 1, .. }));
        assert!(error.to_string().contains(what), "{error}");
    };
    says(set(Level::Class, true), "the level differs");
    let own = TemplateSet::from_toml(
        "name = \"own\"\n[[templates]]\nlevel = \"domain\"\nany_domain = true\npositive = \"{domain} {label}\"",
    )
    .unwrap();
    let with = |space: &LabelSpace| {
        let mut builder = PromptSet::builder(space, Level::Domain, &own);
        builder
            .add(ClassIndex::new(0), domain("photo"), None)
            .unwrap();
        builder.build().unwrap()
    };
    says(with(&pacs()), "the template for domain `photo` differs");
    says(
        with(&LabelSpace::builtin("emoji").unwrap()),
        "the label space differs",
    );
}

#[test]
fn counts_that_overflow_are_refused_in_a_set_and_full_in_a_pool() {
    let json = set(Level::Class, true)
        .to_json()
        .replace("\"count\":4", "\"count\":4294967295");
    let full = PromptSet::from_json(&json, &pacs()).unwrap();
    let pooled = PromptSet::merge(&[full.clone(), full.clone()]).unwrap();
    assert_eq!(pooled.len(), full.len());
    assert!(pooled.prompts().iter().any(|p| p.count == Some(u32::MAX)));
    let (before, entry) = json
        .trim_end()
        .rsplit_once('\n')
        .unwrap()
        .0
        .rsplit_once('[')
        .unwrap();
    let entry = entry.trim().trim_end_matches(']').trim();
    let twice = format!("{before}[{entry},{entry}]}}");
    assert!(matches!(
        PromptSet::from_json(&twice, &pacs()),
        Err(Error::CountOverflow { .. })
    ));
}

#[test]
fn a_file_edited_by_hand_is_read() {
    let set = set(Level::Instance, false);
    let mut value: serde_json::Value = serde_json::from_str(&set.to_json()).unwrap();
    let prompts = value["prompts"].as_array_mut().unwrap();
    prompts.reverse();
    prompts.push(prompts[0].clone());
    prompts[0]["caption"] = "  white  on\twhite background".into();
    let text = serde_json::to_string_pretty(&value).unwrap();
    assert_eq!(PromptSet::from_json(&text, &pacs()).unwrap(), set);

    value["prompts"]
        .as_array_mut()
        .unwrap()
        .retain(|prompt| prompt["class"] == 0);
    let fewer = PromptSet::from_json(&value.to_string(), &pacs()).unwrap();
    assert_eq!(fewer.len(), 3);
    assert_eq!(fewer.templates().count(), 2);
}

#[test]
fn errors_name_the_entry() {
    let json = set(Level::Instance, true).to_json();
    let check = |from: &str, to: &str, says: &str| {
        assert!(json.contains(from), "{json}");
        let error = PromptSet::from_json(&json.replacen(from, to, 1), &pacs()).unwrap_err();
        assert!(error.to_string().contains(says), "{says}: {error}");
        error
    };
    check("\"version\":1", "\"version\":2", "format version 2");
    check(
        "promptfed prompts",
        "parrot prompts",
        "its format is `parrot prompts`",
    );
    check("\"class\":6", "\"class\":7", "prompts[3].class: class 7");
    check(
        "\"class\":6",
        "\"class\":-1",
        "prompts[3].class: invalid value",
    );
    check(
        "\"class\":6",
        "\"class\":6,\"size\":2",
        "prompts[3].size: unknown field",
    );
    check("\"count\":2", "\"count\":0", "prompts[2].count: counts");
    check(",\"count\":2", "", "prompts[2].count: counts");
    check(
        "{\"class\":6",
        "7,{\"class\":6",
        "expected a prompt: an object with `class`",
    );
    check(
        ",\"caption\":\"white on white background\"",
        "",
        "prompts[3]: an instance-level",
    );
    check(
        "\"level\":\"instance\"",
        "\"level\":\"domain\"",
        "templates[0]: {caption} has no value",
    );
    check("\"sketch\"", "\"engraving\"", "prompts[3]: no template");
    check(
        "white on",
        "white\\u0007on",
        "prompts[3].caption: control character U+0007",
    );
    check(
        "white on",
        "white\\u202Eon",
        "prompts[3].caption: invisible",
    );
    check("white on", "white\\ud800on", "prompts[3].caption: ");
    check(
        "{label}, {caption}",
        "{label}, {text}",
        "templates[0].positive: unknown placeholder {text}",
    );
    let long = check(
        "white on",
        &"w".repeat(400),
        "prompts[3].caption: the text has",
    );
    assert!(matches!(
        long,
        Error::Text {
            problem: TextProblem::TooLong { max: 400, .. },
            ..
        }
    ));

    let emoji = LabelSpace::builtin("emoji").unwrap();
    let wrong = PromptSet::from_json(&json, &emoji).unwrap_err();
    assert!(wrong.to_string().contains(&emoji.hash().to_string()));
    assert!(wrong.to_string().contains(&pacs().hash().to_string()));

    let class = set(Level::Class, false).to_json();
    let above = class.replacen("{\"class\":0}", "{\"class\":0,\"domain\":\"photo\"}", 1);
    let error = PromptSet::from_json(&above, &pacs()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("prompts[0].domain: a prompt of level `class`"),
        "{error}"
    );
}

#[test]
fn slips_of_an_edited_file_are_told_with_their_line() {
    let json = set(Level::Instance, false).to_json();
    let line_of = |text: &str, json: &str| {
        let at = json.find(text).unwrap();
        1 + json[..at].matches('\n').count()
    };
    for (from, to, at, told) in [
        ("white on", "white\\u0007on", "u0007", "control character"),
        ("\"class\":6", "\"class\":99", ":99", "class 99 is not in"),
        (
            "{label}, {caption}",
            "{label}, {text}",
            "{text}",
            "unknown placeholder",
        ),
    ] {
        let edited = json.replacen(from, to, 1);
        let error = PromptSet::from_json(&edited, &pacs())
            .unwrap_err()
            .to_string();
        let line = format!("line {}, in ", line_of(at, &edited));
        assert!(error.starts_with(&line) && error.contains(told), "{error}");
    }
    // The entry is that of the file, whatever its order.
    let mut lines: Vec<&str> = json.lines().collect();
    let first = lines.iter().position(|l| *l == "\"prompts\":[").unwrap() + 1;
    let last = lines.iter().rposition(|l| l.contains("\"class\"")).unwrap();
    let unknown = lines[last].replacen("\"domain\":\"", "\"domain\":\"mini", 1) + ",";
    lines[last - 1] = lines[last - 1].trim_end_matches(',');
    lines.remove(last);
    lines.insert(first, &unknown);
    let error = PromptSet::from_json(&lines.join("\n"), &pacs())
        .unwrap_err()
        .to_string();
    let told = format!("line {}, in prompts[0]: no template", first + 1);
    assert!(error.starts_with(&told), "{error}");
}

#[test]
fn messages_do_not_repeat_hostile_text() {
    let json = set(Level::Class, false).to_json();
    let key = format!("\\u202E\\u0007{}", "x".repeat(1_000_000));
    for (from, to) in [
        ("\"class\":0", format!("\"class\":0,\"{key}\":1")),
        ("promptfed prompts", key.clone()),
        ("\"level\":\"class\"", format!("\"level\":\"{key}\"")),
        ("\"label_space\":\"", format!("\"label_space\":\"{key}")),
    ] {
        let message = PromptSet::from_json(&json.replacen(from, &to, 1), &pacs())
            .unwrap_err()
            .to_string();
        assert!(message.len() < 1_500, "{from}");
        assert!(!message.contains(['\u{202E}', '\u{7}']), "{message}");
    }
}
