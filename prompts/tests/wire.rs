//! The wire format: round trips, one form per content, and refusal of everything else.
#![allow(clippy::unwrap_used)]

use promptfed_prompts::{
    Caption, ClassIndex, Domain, Error, LabelSpace, Level, MAX_DECODED_BYTES, MAX_WIRE_BYTES,
    PromptSet, TemplateSet, TextProblem, WIRE_MAGIC, WIRE_VERSION,
};
use proptest::prelude::*;

type Entry = (u32, Option<Domain>, Option<Caption>);

fn pacs() -> LabelSpace {
    LabelSpace::builtin("pacs").unwrap()
}

fn templates() -> TemplateSet {
    let mut toml = "name = \"all\"\n".to_owned();
    for (level, caption) in [("class", ""), ("domain", ""), ("instance", ", {caption}")] {
        toml += &format!("[[templates]]\nlevel = \"{level}\"\npositive = \"{{label}}{caption}\"\n");
        if level != "class" {
            toml += &format!(
                "[[templates]]\nlevel = \"{level}\"\nany_domain = true\npositive = \"{{domain}} {{label}}{caption}\"\n"
            );
        }
    }
    TemplateSet::from_toml(&toml).unwrap()
}

fn build(level: Level, counts: bool, entries: &[Entry]) -> PromptSet {
    let mut builder = PromptSet::builder(&pacs(), level, &templates());
    builder.counts(counts);
    for (class, domain, caption) in entries {
        builder
            .add(ClassIndex::new(*class), domain.clone(), caption.clone())
            .unwrap();
    }
    builder.build().unwrap()
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{1,3}".boxed(),
        "[ -~]{1,60}".boxed(),
        "\\PC{1,40}".boxed(),
        "[{}\"\\\\/é猫😀]{1,10}".boxed(),
    ]
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let domain = texts().prop_map(|text| Domain::try_from(text.as_str()).ok());
    let caption = texts().prop_filter_map("not a caption", |text| {
        Caption::try_from(text.as_str()).ok()
    });
    prop::collection::vec((0..7u32, domain, caption.prop_map(Some)), 1..12)
}

fn levels() -> impl Strategy<Value = Level> {
    prop::sample::select(Level::ALL.to_vec())
}

proptest! {
    #[test]
    fn comes_back_as_it_went(level in levels(), counts: bool, entries in entries()) {
        let set = build(level, counts, &entries);
        let wire = PromptSet::from_wire(&set.to_wire(), &pacs()).unwrap();
        prop_assert_eq!(&wire, &set);
        let json = PromptSet::from_json(&set.to_json(), &pacs()).unwrap();
        prop_assert_eq!(&json, &set);
        prop_assert_eq!(json.hash(), set.hash());
        for prompt in set.prompts() {
            prop_assert!(wire.render(prompt, &pacs()).is_ok());
        }
    }

    #[test]
    fn order_does_not_matter(
        level in levels(),
        (entries, shuffled) in entries().prop_flat_map(|e| (Just(e.clone()), Just(e).prop_shuffle())),
    ) {
        let (one, other) = (build(level, true, &entries), build(level, true, &shuffled));
        prop_assert_eq!(one.to_json(), other.to_json());
        prop_assert_eq!(one.to_wire(), other.to_wire());
        prop_assert_eq!(one.hash(), other.hash());
    }

    #[test]
    fn pooling_parts_is_building_the_whole(
        level in levels(), entries in entries(), cut in any::<prop::sample::Index>(),
    ) {
        let (left, right) = entries.split_at(cut.index(entries.len()));
        let parts: Vec<_> = [left, right]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(|part| build(level, true, part))
            .collect();
        prop_assert_eq!(PromptSet::merge(&parts).unwrap(), build(level, true, &entries));
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes: Vec<u8>) {
        prop_assert!(PromptSet::from_wire(&bytes, &pacs()).is_err());
        let mut with_header = header();
        with_header.extend_from_slice(&bytes);
        prop_assert!(PromptSet::from_wire(&with_header, &pacs()).is_err());
        prop_assert!(PromptSet::from_wire(&pack(&bytes), &pacs()).is_err());
        let _ = PromptSet::from_json(&String::from_utf8_lossy(&bytes), &pacs());
    }

    #[test]
    fn damaged_bytes_never_panic(
        entries in entries(), at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>(),
    ) {
        let set = build(Level::Instance, true, &entries);
        let mut wire = set.to_wire();
        let at = at.index(wire.len());
        wire[at] = byte;
        // A changed byte may make another valid set; it must then be one that can be sent on.
        if let Ok(read) = PromptSet::from_wire(&wire, &pacs()) {
            prop_assert_eq!(PromptSet::from_wire(&read.to_wire(), &pacs()).unwrap(), read);
        }
        wire.truncate(cut.index(wire.len()));
        prop_assert!(PromptSet::from_wire(&wire, &pacs()).is_err());
    }

    #[test]
    fn changed_text_is_canonical_or_refused(
        entries in entries(), at in any::<prop::sample::Index>(), byte: u8, counts: bool,
    ) {
        let mut json = build(Level::Instance, counts, &entries).to_json().into_bytes();
        let at = at.index(json.len());
        json[at] = byte;
        if let Ok(read) = PromptSet::from_wire(&pack(&json), &pacs()) {
            let again = read.to_json();
            prop_assert_eq!(again.as_bytes(), &json[..]);
        }
    }
}

fn header() -> Vec<u8> {
    let mut bytes = WIRE_MAGIC.to_vec();
    bytes.extend_from_slice(&WIRE_VERSION.to_le_bytes());
    bytes
}

fn pack(content: &[u8]) -> Vec<u8> {
    let mut bytes = header();
    bytes.extend_from_slice(&zstd::bulk::compress(content, 1).unwrap());
    bytes
}

fn sample() -> PromptSet {
    let caption = |text: &str| Some(Caption::try_from(text).unwrap());
    build(
        Level::Instance,
        false,
        &[
            (0, None, caption("one")),
            (3, None, caption("café")),
            (4, None, caption("three")),
        ],
    )
}

fn refusal(bytes: &[u8]) -> Error {
    PromptSet::from_wire(bytes, &pacs()).unwrap_err()
}

#[test]
fn envelope_errors_are_typed() {
    let good = sample().to_wire();
    assert!(matches!(refusal(&[]), Error::NotAPromptSet { .. }));
    assert!(matches!(
        refusal(b"{\"prompts\":[]}"),
        Error::NotAPromptSet { .. }
    ));
    let mut newer = good.clone();
    newer[4] = 9;
    assert_eq!(
        refusal(&newer),
        Error::UnknownVersion {
            found: 9,
            supported: 1
        }
    );
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(refusal(&longer), Error::TrailingBytes { bytes: 1 });
    let mut twice = good.clone();
    twice.extend_from_slice(&good[6..]);
    assert!(matches!(refusal(&twice), Error::TrailingBytes { .. }));
    assert!(matches!(
        refusal(&good[..good.len() - 1]),
        Error::Compression { .. }
    ));
    assert!(matches!(refusal(&header()), Error::Compression { .. }));
    let mut skippable = header();
    skippable.extend_from_slice(&0x184D_2A50_u32.to_le_bytes());
    skippable.extend_from_slice(&0_u32.to_le_bytes());
    skippable.extend_from_slice(&good[6..]);
    assert!(matches!(refusal(&skippable), Error::Compression { .. }));
}

#[test]
fn bombs_are_refused_before_they_grow() {
    let bomb = pack(&vec![b' '; MAX_DECODED_BYTES + 1]);
    assert!(bomb.len() < 100_000);
    assert_eq!(
        refusal(&bomb),
        Error::DecodedTooLarge {
            bytes: MAX_DECODED_BYTES as u64 + 1,
            max: MAX_DECODED_BYTES
        }
    );
    // A frame header that announces 2^62 bytes: single segment, 8-byte size.
    let mut liar = header();
    liar.extend_from_slice(&[0x28, 0xB5, 0x2F, 0xFD, 0xE0]);
    liar.extend_from_slice(&(1_u64 << 62).to_le_bytes());
    assert!(matches!(refusal(&liar), Error::DecodedTooLarge { .. }));
    // One that does not announce its size: window descriptor instead.
    let mut silent = header();
    silent.extend_from_slice(&[0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58, 0x01, 0x00, 0x00]);
    assert!(matches!(refusal(&silent), Error::Compression { .. }));
    let huge = vec![0; MAX_WIRE_BYTES + 1];
    assert_eq!(
        refusal(&huge),
        Error::WireTooLarge {
            bytes: MAX_WIRE_BYTES + 1,
            max: MAX_WIRE_BYTES
        }
    );
}

#[test]
fn many_tiny_entries_are_refused_while_they_are_read() {
    let json = sample().to_json();
    let (head, _) = json.split_once("{\"class\":0").unwrap();
    let many = format!(
        "{head}{}{{\"class\":0}}]}}",
        "{\"class\":0},".repeat(1_000_000)
    );
    let error = refusal(&pack(many.as_bytes()));
    assert!(
        error
            .to_string()
            .contains("prompts[0]: not in canonical form"),
        "{error}"
    );
    // A document of any layout is a file, and read to the limit.
    let error = PromptSet::from_json(&many, &pacs()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a list of at most 1000000 entries"),
        "{error}"
    );
}

#[test]
fn the_first_entry_that_is_not_canonical_ends_the_reading() {
    let json = sample().to_json();
    let (head, rest) = json.split_once("{\"class\":0").unwrap();
    let first = format!("{{\"class\":0{}", rest.split_once('\n').unwrap().0);
    // Behind the entry at fault stands what no reader takes for JSON: whoever reads on says so.
    let refused = |second: &str| {
        let text = format!("{head}{first}\n{second},\n%%%\n");
        let told = refusal(&pack(text.as_bytes())).to_string();
        assert!(told.contains("prompts[1]"), "{second}: {told}");
        told
    };
    let repeated = first.trim_end_matches(',');
    assert!(refused(repeated).contains("not in canonical form"));
    assert!(refused("{ \"class\":1,\"caption\":\"x\"}").contains("not in canonical form"));
    assert!(refused("{\"class\":99,\"caption\":\"x\"}").contains("class 99"));
    assert!(refused("{\"class\":1,\"caption\":\" x\"}").contains("caption"));
    let templates = json.replacen("\"templates\":[\n", "\"templates\":[\n%%%,\n", 1);
    let told = refusal(&pack(templates.as_bytes())).to_string();
    assert!(told.contains("expected a value"), "{told}");
    let names = vec!["\"a\""; 1_000_001].join(",");
    let many = format!(
        "\"templates\":[\n{{\"domains\":[{names}],\"positive\":\"{{label}}\",\"negative\":\"\"}},\n"
    );
    let domains = json.replacen("\"templates\":[\n", &many, 1);
    let told = refusal(&pack(domains.as_bytes())).to_string();
    assert!(
        told.contains("templates[0]: not in canonical form"),
        "{told}"
    );
    let head = json.replacen("\"level\":\"instance\"", "\"level\":\"all\"", 1);
    let told = refusal(&pack(head.as_bytes())).to_string();
    assert!(told.contains("level"), "{told}");
    let spaced = json.replacen("{\n", "{ \n", 1);
    let told = refusal(&pack(spaced.as_bytes())).to_string();
    assert!(told.contains("(line 1)"), "{told}");
}

#[test]
fn the_pieces_of_sets_add_up_to_their_pool() {
    use promptfed_prompts::{POOL_COUNT_BYTES, POOL_FRAME_BYTES, PieceKind};
    use std::collections::BTreeMap;
    let domain = |name: &str| Some(Domain::try_from(name).unwrap());
    let parts = [
        build(
            Level::Domain,
            true,
            &[(0, None, None), (1, domain("a"), None)],
        ),
        build(
            Level::Domain,
            true,
            &[
                (0, None, None),
                (1, domain("b"), None),
                (6, domain("a"), None),
            ],
        ),
    ];
    let mut pieces = BTreeMap::new();
    let mut kinds = [0; 5];
    for part in &parts {
        for piece in part.pieces() {
            if pieces.insert(piece.key, piece.bytes).is_none() {
                kinds[match piece.kind {
                    PieceKind::Prompt => 0,
                    PieceKind::Class => 1,
                    PieceKind::Domain => 2,
                    PieceKind::Template => 3,
                    PieceKind::Counts => 4,
                }] += 1;
            }
        }
    }
    // Prompts (0), (1 a), (1 b), (6 a); classes 0, 1, 6; domains a and b; templates with and without a domain; counts.
    assert_eq!(kinds, [4, 3, 2, 2, 1]);
    let most = pieces.values().sum::<u64>() + 4 * POOL_COUNT_BYTES + POOL_FRAME_BYTES;
    let pool = PromptSet::merge(&parts).unwrap();
    let bytes = pool.to_json().len() as u64;
    assert!(bytes <= most, "{bytes} of at most {most}");
    // Only counts and the frame are estimated.
    assert!(
        most - bytes <= POOL_FRAME_BYTES + 4 * POOL_COUNT_BYTES,
        "{bytes} of at most {most}"
    );
    // With and without counts, prompts are the same pieces.
    let keys = |set: &PromptSet| -> Vec<_> {
        let prompts = set.pieces().filter(|p| p.kind != PieceKind::Counts);
        prompts.map(|p| (p.key, p.bytes)).collect()
    };
    assert_eq!(keys(&parts[0]), keys(&parts[0].clone().without_counts()));
}

#[test]
fn content_errors_name_the_entry() {
    let json = sample().to_json();
    let changed = |from: &str, to: &str| {
        assert!(json.contains(from), "{json}");
        refusal(&pack(json.replacen(from, to, 1).as_bytes()))
    };
    let says =
        |error: Error, text: &str| assert!(error.to_string().contains(text), "{text}: {error}");

    let mut bytes = json.clone().into_bytes();
    let at = json.find("café").unwrap();
    bytes[at + 3] = 0xFF;
    let error = refusal(&pack(&bytes));
    assert!(matches!(error, Error::NotUtf8 { offset, .. } if offset == at + 3));
    says(error, "prompts[1]: the bytes are not UTF-8");

    // Not composed, unsorted, reordered fields, other white space, escapes, repeated entries.
    let error = changed("café", "cafe\u{301}");
    assert!(matches!(
        error,
        Error::Text {
            problem: TextProblem::NotNormalised,
            ..
        }
    ));
    says(error, "prompts[1].caption");
    says(
        changed("café", " café"),
        "prompts[1].caption: the text is not in Unicode form NFC",
    );
    says(
        changed("café", "caf\\u00e9"),
        "prompts[1]: not in canonical form",
    );
    says(
        changed("\"class\":3", "\"class\": 3"),
        "prompts[1]: not in canonical form",
    );
    says(
        changed("\"class\":3", "\"class\":5"),
        "prompts[1]: not in canonical form",
    );
    says(
        changed(
            "\"class\":4,\"caption\":\"three\"",
            "\"class\":3,\"caption\":\"café\"",
        ),
        "prompts[2]",
    );
    says(changed("]\n}\n", "]\n}"), "not in canonical form");
    says(
        changed("\"version\":1", "\"version\":1.0"),
        "version: invalid type",
    );
    says(
        changed("\"class\":3", "\"class\":3,\"class\":3"),
        "duplicate field `class`",
    );
    says(
        changed("café", "ca\\nfé"),
        "prompts[1].caption: control character U+000A",
    );
    says(
        changed("café", &"é".repeat(201)),
        "prompts[1].caption: the text has 402 bytes",
    );
    says(
        changed("\"version\":1", "\"version\":70000"),
        "format version 70000",
    );
    says(changed("]\n}\n", "]\n}\n{}"), "trailing characters");
    let unused = "\"templates\":[\n{\"domains\":[\"a\"],\"positive\":\"{label} {caption}\",\"negative\":\"\"},";
    says(
        changed("\"templates\":[", unused),
        "templates[0]: not in canonical form",
    );

    let emoji = LabelSpace::builtin("emoji").unwrap();
    assert_eq!(
        PromptSet::from_wire(&sample().to_wire(), &emoji),
        Err(Error::WrongLabelSpace {
            found: pacs().hash(),
            expected: emoji.hash(),
            name: "emoji".to_owned()
        })
    );
}
