//! Runs over all topics.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use promptfed_prompts::ContentHash;
use promptfed_synth::Generator;
use promptfed_synth::writers::check::Reason;
use promptfed_synth::writers::grammar::Grammar;
use promptfed_synth::writers::{Examples, Journal, Writer, WritingSpec, Written, write};

use super::{NEVER, Scripted, pets};
use crate::fixtures::pocket;

fn run(writer: &mut dyn Writer, spec: &WritingSpec) -> Written {
    write(writer, &[], spec, None, &mut |_| {}, &NEVER).unwrap()
}

fn lines(written: &Written) -> Vec<serde_json::Value> {
    let text = written.to_json_lines();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_fits_is_kept_and_the_rest_is_counted() {
    let mut writer = Scripted::new(|ask, number| {
        let opening = &ask.topic.opening;
        Some(match number {
            0 => format!("{opening}, on a hill"),
            1 => format!("{opening}, beside a guitar"),
            2 => format!("{opening}, On a Hill."),
            3 => "a photo of a sketch".to_owned(),
            4 => format!("{opening}, sleeping below the green kitchen table"),
            5 => format!("{opening}, {}", "far away ".repeat(40)),
            6 => "dog horse".to_owned(),
            n => format!("{opening}, number {n}"),
        })
    });
    let spec = WritingSpec {
        per_prompt: 3,
        ..WritingSpec::new(pets())
    };
    let written = run(&mut writer, &spec);
    assert_eq!((written.record.wanted, written.record.written), (12, 12));
    let refused = &written.record.refused;
    // Three topics; of each, two candidates name another class.
    for (reason, count) in [
        (Reason::OtherClass, 6),
        (Reason::Repeated, 3),
        (Reason::ClassMissing, 3),
        (Reason::NearCopy, 3),
        (Reason::TooLong, 3),
    ] {
        assert_eq!(refused.count(reason), count, "{reason} {refused:?}");
    }
    let lines = lines(&written);
    let of = |class: &str, domain: &str| -> Vec<&serde_json::Value> {
        lines
            .iter()
            .filter(|line| line["class"] == class && line["domain"] == domain)
            .collect()
    };
    assert_eq!(of("dog", "photo").len(), 6);
    assert_eq!(of("dog", "sketch").len(), 3);
    assert_eq!(of("horse", "photo").len(), 3);
    let images = |lines: Vec<&serde_json::Value>| -> Vec<u64> {
        lines
            .iter()
            .map(|line| line["count"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(images(of("dog", "photo")), [1, 1, 1, 1, 1, 2]);
    assert_eq!(images(of("dog", "sketch")), [1, 1, 2]);
    assert_eq!(images(of("horse", "photo")), [1, 1, 1]);
    assert_eq!(lines[0]["prompt"], "a photo of a dog, on a hill");
    let hash = ContentHash::of(written.to_json_lines().as_bytes());
    assert_eq!(written.record.written_hash, hash);
    assert_eq!(written.record.captions, 1);
}

#[test]
fn a_topic_without_enough_is_told_and_a_class_without_any_too() {
    let mut writer = Scripted::new(|ask, number| {
        (ask.class == "dog" && number < 2)
            .then(|| format!("{}, number {number}", ask.topic.opening))
    });
    let written = run(&mut writer, &WritingSpec::new(pets()));
    let told: Vec<(&str, u64, u64)> = written
        .record
        .short
        .iter()
        .map(|short| (short.opening.as_str(), short.written, short.wanted))
        .collect();
    assert_eq!(
        told,
        [
            ("a photo of a dog", 2, 8),
            ("a sketch of a dog", 2, 4),
            ("a photo of a horse", 0, 4)
        ]
    );
    assert_eq!(written.empty_classes(), ["horse"]);
    // Nobody is asked for ever.
    assert!(writer.asked.len() < 20, "{:?}", writer.asked);
    let mut writer = Scripted::new(|_, number| Some(format!("nonsense {number}")));
    let written = run(&mut writer, &WritingSpec::new(pets()));
    assert_eq!((written.record.written, written.record.asked), (0, 16 * 8));
}

#[test]
fn examples_reach_the_writer_by_class() {
    let mut spec = WritingSpec::new(pets());
    let mut examples = Examples::default();
    examples.add(promptfed_prompts::ClassIndex::new(0), "a good dog", true);
    examples.add(promptfed_prompts::ClassIndex::new(0), "a bad dog", false);
    spec.examples = examples;
    let mut writer = Scripted::new(|ask, number| {
        let told = format!(
            "{} good {} bad {}",
            ask.topic.opening,
            ask.good.len(),
            ask.bad.len()
        );
        Some(format!("{told} {number}"))
    });
    let written = run(&mut writer, &spec);
    for line in lines(&written) {
        let told = if line["class"] == "dog" {
            "good 1 bad 1"
        } else {
            "good 0 bad 0"
        };
        assert!(line["prompt"].as_str().unwrap().contains(told), "{line}");
    }
}

/// Every third candidate is refused.
fn script(ask: &super::Ask<'_>, number: u64) -> Option<String> {
    Some(match number % 3 {
        0 => "refused".to_owned(),
        _ => format!("{}, {:?}", ask.topic.opening, ask.seed_of(number)),
    })
}

#[test]
fn a_stopped_run_goes_on_and_writes_the_same() {
    let spec = WritingSpec {
        per_prompt: 9,
        limits: promptfed_synth::writers::check::Limits {
            longest: 400,
            ..Default::default()
        },
        ..WritingSpec::new(pets())
    };
    let whole = run(&mut Scripted::new(script), &spec);
    assert_eq!(whole.record.written, 36);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.jsonl.unfinished");
    for torn in [false, true] {
        let mut asked = 0;
        for stop_after in [1_usize, 2, 1, usize::MAX] {
            let mut writer = Scripted::new(script);
            let cancel = AtomicBool::new(false);
            let mut steps = 0;
            let mut journal = Journal::open(&path).unwrap();
            let progress = &mut |_| {
                steps += 1;
                cancel.store(steps >= stop_after, Ordering::Relaxed);
            };
            let written = write(
                &mut writer,
                &[],
                &spec,
                Some(&mut journal),
                progress,
                &cancel,
            )
            .unwrap();
            asked += writer.asked.len();
            if stop_after == usize::MAX {
                assert!(!written.cancelled);
                assert_eq!(written.prompts, whole.prompts);
                assert_eq!(written.record.refused, whole.record.refused);
                assert_eq!(written.record.asked, whole.record.asked);
                journal.remove().unwrap();
            } else {
                assert!(written.cancelled);
                drop(journal);
                if torn {
                    // As a kill in the middle of a line leaves it.
                    let mut text = std::fs::read(&path).unwrap();
                    text.extend_from_slice(b"{\"topic\":0,\"asked\":8,\"acc");
                    std::fs::write(&path, text).unwrap();
                }
            }
        }
        // A step that was written down is not done again; each stop throws away the one in hand.
        let steps = whole.record.asked.div_ceil(8) as usize;
        assert!(asked <= steps + 10, "{asked} {steps}");
        assert!(!path.exists());
    }
}

#[test]
fn other_settings_and_other_files_are_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unfinished");
    let cancel = AtomicBool::new(false);
    let begin = |spec: &WritingSpec, stop: bool| {
        let mut journal = Journal::open(&path).unwrap();
        let progress = &mut |_| cancel.store(stop, Ordering::Relaxed);
        let result = write(
            &mut Scripted::new(script),
            &[],
            spec,
            Some(&mut journal),
            progress,
            &cancel,
        );
        cancel.store(false, Ordering::Relaxed);
        result
            .map(|written| written.cancelled)
            .map_err(|error| error.to_string())
    };
    let mut spec = WritingSpec::new(pets());
    assert_eq!(begin(&spec, true), Ok(true));
    spec.seed = 5;
    let told = begin(&spec, false).unwrap_err();
    assert!(
        told.contains("another seed (0, asked for 5)") && told.contains("unfinished"),
        "{told}"
    );
    spec.seed = 0;
    {
        let _held = Journal::open(&path).unwrap();
        let told = Journal::open(&path).err().unwrap().to_string();
        assert!(told.contains("another run"), "{told}");
    }
    for foreign in ["a shopping list\n", "[1, 2]\n", "{\"topic\": 1}\n"] {
        std::fs::write(&path, foreign).unwrap();
        let told = begin(&spec, false).unwrap_err();
        assert!(
            told.contains("not what this command writes") || told.contains("another"),
            "{told}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), foreign);
    }
}

#[test]
fn a_grammar_for_pocket_writes_what_pocket_knows_and_reads() {
    let pocket = pocket();
    let mut grammar = Grammar::bundled().unwrap();
    let left_out = grammar
        .leave_out(|words| pocket.unknown_words(words))
        .unwrap();
    assert!(left_out.len() > 50, "{left_out:?}");
    let spec = WritingSpec {
        per_prompt: 20,
        ..WritingSpec::new(pets())
    };
    let reader: &dyn Generator = &pocket;
    let mut write_for_pocket = |seed: u64| {
        let spec = WritingSpec {
            seed,
            ..spec.clone()
        };
        write(&mut grammar, &[reader], &spec, None, &mut |_| {}, &NEVER).unwrap()
    };
    let written = write_for_pocket(0);
    assert_eq!(written.record.written, 80, "{:?}", written.record.refused);
    let texts: BTreeSet<&str> = written.prompts.iter().map(|p| p.prompt.as_str()).collect();
    assert_eq!(texts.len(), 80);
    for text in &texts {
        assert!(pocket.unknown_words(text).is_empty(), "{text}");
        assert_eq!(pocket.cut(text), None, "{text}");
    }
    assert_eq!(write_for_pocket(0).to_json_lines(), written.to_json_lines());
    assert_ne!(write_for_pocket(1).to_json_lines(), written.to_json_lines());

    // The whole grammar is refused where it says what pocket does not know, and counted.
    let mut whole = Grammar::bundled().unwrap();
    let written = write(&mut whole, &[reader], &spec, None, &mut |_| {}, &NEVER).unwrap();
    assert!(written.record.refused.count(Reason::UnknownWords) > 50);
    for prompt in &written.prompts {
        assert!(pocket.unknown_words(&prompt.prompt).is_empty());
    }
}
