//! Prompts that are longer than the engine's text encoder takes: what is not read, and that it is told.

use std::path::Path;

use promptfed_prompts::RenderedPrompt;
use promptfed_synth::engines::pocket::Pocket;
use promptfed_synth::engines::sd::conditioning::Prompt;
use promptfed_synth::engines::sd::{LoadOptions, LongPrompts, Request, StableDiffusion};
use promptfed_synth::job::ManifestRow;
use promptfed_synth::{Generator, Guidance, ImageSeed, JobSpec, OutputFormat, PromptSource, notes};
use proptest::prelude::*;

use crate::fixtures::{label_space, pocket, rows, run_quietly};
use crate::sd_fixtures::{copy, folder, load};

/// Digits that `pocket` reads: 24 tokens without the first and the last.
const POCKET: usize = 22;
/// Digits that CLIP's encoders read: 77 tokens without the first and the last.
const CLIP: usize = 75;

/// `n` digits, each a token for every tokenizer here.
fn digits(n: usize) -> String {
    (0..n).map(|i| format!("{} ", i % 10)).collect()
}

/// What an engine reads a text as.
trait Read: Generator {
    fn ids(&self, text: &str) -> Vec<Vec<u32>>;
}

impl Read for Pocket {
    fn ids(&self, text: &str) -> Vec<Vec<u32>> {
        vec![self.token_ids(text).unwrap()]
    }
}

impl Read for StableDiffusion {
    fn ids(&self, text: &str) -> Vec<Vec<u32>> {
        self.text().token_ids(text).unwrap()
    }
}

/// Nothing is cut of `room` digits, of one more exactly that one, and other words in its place read the same.
fn assert_cuts_after(engine: &dyn Read, room: usize) {
    assert_cuts_after_each(engine, room, 0..=room);
}

/// [`assert_cuts_after`], looking at texts of these lengths that fit.
fn assert_cuts_after_each(
    engine: &dyn Read,
    room: usize,
    fitting: impl IntoIterator<Item = usize>,
) {
    for n in fitting {
        assert_eq!(engine.cut(&digits(n)), None, "{n}");
    }
    let full = digits(room);
    for tail in ["7", "7 dogs in the snow", "é 😀", "你好", "  7"] {
        let text = format!("{full}{tail}");
        assert_eq!(engine.cut(&text), Some(tail.trim_start()), "{tail}");
        assert_eq!(engine.ids(&text), engine.ids(&full), "{tail}");
    }
    assert_eq!(engine.cut(&format!("{full}   \n")), None);
    // Before the end everything counts.
    assert_ne!(
        engine.ids(&digits(room - 1)),
        engine.ids(&digits(room)),
        "the last digit is read"
    );
}

/// What is left without the cut end reads the same, unless a word is parted.
fn assert_cut_is_not_read(engine: &dyn Read, text: &str) {
    if let Some(cut) = engine.cut(text) {
        let read = text.strip_suffix(cut).unwrap();
        if read.ends_with(' ') {
            assert_eq!(engine.ids(read), engine.ids(text), "{text:?}: {cut:?}");
        }
        let more = format!("{text} dog");
        assert_eq!(engine.ids(&more), engine.ids(text), "{text:?}: {cut:?}");
        assert_eq!(engine.cut(&more), more.strip_prefix(read));
        assert!(!cut.trim().is_empty(), "{text:?}");
    } else {
        let more = format!("{text} dog");
        let read_alike = engine.ids(&more) == engine.ids(text);
        assert!(!read_alike || engine.cut(&more) == Some("dog"), "{text:?}");
    }
}

#[test]
fn an_engine_says_what_it_does_not_read() {
    assert_cuts_after(&pocket(), POCKET);
    for name in ["sd15", "sd21", "sdxl"] {
        assert_cuts_after(&load(&folder(name)).unwrap(), CLIP);
    }
}

/// A model that reads long prompts in windows.
fn chunking(name: &str) -> StableDiffusion {
    let options = LoadOptions {
        long_prompts: LongPrompts::Chunk,
        ..LoadOptions::default()
    };
    StableDiffusion::load(&folder(name), &options).unwrap()
}

#[test]
fn windows_stand_one_behind_the_other() {
    for name in ["sd15", "sdxl"] {
        let (whole, cut) = (chunking(name), load(&folder(name)).unwrap());
        let long = format!("{}7 8 9", digits(CLIP));
        let read = |model: &StableDiffusion, text: &str| model.text().encode(text).unwrap();
        // What fits reads as ever, and of what does not, its beginning.
        for text in ["", "a photo of a church", digits(CLIP).as_str()] {
            assert_eq!(whole.text().windows(text).unwrap(), 1);
            assert_eq!(whole.ids(text), cut.ids(text));
        }
        assert_eq!(whole.text().windows(&long).unwrap(), 2);
        assert_eq!(cut.text().windows(&long).unwrap(), 1);
        for (windows, window) in whole.ids(&long).iter().zip(cut.ids(&long)) {
            assert_eq!(windows.len(), 2 * window.len());
            assert_eq!(windows[..window.len()], window);
        }
        for (windows, end) in whole.ids(&long).iter().zip(cut.ids("7 8 9")) {
            assert_eq!(windows[end.len()..], end);
        }
        let (both, first) = (read(&whole, &long), read(&cut, &long));
        let rows = first.tokens.dim(0).unwrap();
        assert_eq!(both.tokens.dim(0).unwrap(), 2 * rows);
        let values = |tokens: &candle_core::Tensor| tokens.to_vec2::<f32>().unwrap();
        assert_eq!(values(&both.tokens)[..rows], values(&first.tokens));
        let second = read(&cut, "7 8 9");
        assert_eq!(values(&both.tokens)[rows..], values(&second.tokens));
        let pooled = |prompt: &Prompt| prompt.pooled.as_ref().map(|p| p.to_vec1::<f32>().unwrap());
        assert_eq!(pooled(&both), pooled(&first));
    }
}

#[test]
fn sixteen_windows_are_read() {
    let room = 16 * CLIP;
    assert_cuts_after_each(&chunking("sd15"), room, [0, CLIP, room - 1, room]);
}

#[test]
fn what_stands_behind_the_first_window_shows_in_the_image() {
    let (mut whole, mut cut) = (chunking("sd15"), load(&folder("sd15")).unwrap());
    let image = |model: &mut StableDiffusion, prompt: &str, negative: &str| {
        let request = Request {
            steps: 2,
            guidance: 3.0,
            negative: Some(negative.to_owned()),
            ..model.request(prompt, ImageSeed::from_u64(1))
        };
        let made = model.make(&[request]).unwrap();
        made[0].values().to_vec()
    };
    let long = |end: &str| format!("{}{end}", digits(CLIP));
    let (snow, beach) = (long("in the snow"), long("on a beach"));
    assert_eq!(
        image(&mut cut, &snow, "blurry"),
        image(&mut cut, &beach, "blurry")
    );
    let in_snow = image(&mut whole, &snow, "blurry");
    assert_ne!(in_snow, image(&mut whole, &beach, "blurry"));
    assert_ne!(in_snow, image(&mut whole, &snow, &long("grey")));
    // An image does not depend on what is made beside it.
    let requests = [snow.as_str(), "a church"].map(|prompt| Request {
        steps: 2,
        guidance: 3.0,
        negative: Some("blurry".to_owned()),
        ..whole.request(prompt, ImageSeed::from_u64(1))
    });
    let together = whole.make(&requests).unwrap();
    assert_eq!(together[0].values(), in_snow);
    assert_eq!(together[1].values(), image(&mut cut, "a church", "blurry"));
}

#[test]
fn of_two_encoders_the_one_that_reads_more_counts() {
    for shorter in ["tokenizer", "tokenizer_2"] {
        let (_dir, model) = copy("sdxl");
        let file = model.join(shorter).join("tokenizer_config.json");
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace("\"model_max_length\": 77", "\"model_max_length\": 40");
        assert!(text.contains("40"));
        std::fs::write(file, text).unwrap();
        assert_cuts_after(&load(&model).unwrap(), CLIP);
    }
}

#[test]
fn any_text_is_parted_where_reading_ends() {
    let (pocket, sd) = (pocket(), load(&folder("sd15")).unwrap());
    let words = "[a-z]{1,12}|[A-Z]{1,9}|[0-9]{1,3}|\\PC{1,3}|<pad>|<\\|endoftext\\|>|😀|İ|é|क़";
    let texts = prop::collection::vec(words, 0..60).prop_map(|words| words.join(" "));
    proptest!(ProptestConfig::with_cases(200), |(text in texts)| {
        assert_cut_is_not_read(&pocket, &text);
        assert_cut_is_not_read(&sd, &text);
    });
}

fn job(dir: &Path, engine: &dyn Generator, prompts: &[(&str, String, String)]) -> JobSpec {
    let path = dir.join("prompts.jsonl");
    let line = |(class, prompt, negative): &(&str, String, String)| {
        let line = serde_json::json!({"class": class, "prompt": prompt, "negative": negative});
        format!("{line}\n")
    };
    std::fs::write(&path, prompts.iter().map(line).collect::<String>()).unwrap();
    let source = PromptSource::JsonLines {
        path,
        label_space: label_space(),
    };
    JobSpec {
        steps: 1,
        ..JobSpec::new(source, &engine.describe().defaults)
    }
}

#[test]
fn a_job_tells_records_and_counts_what_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut engine = pocket();
    let prompt = |end: &str| format!("{}{end}", digits(POCKET));
    let list = [
        ("mammal", "a cat".to_owned(), String::new()),
        ("mammal", prompt("in the snow"), String::new()),
        ("vehicle", prompt("on a beach"), String::new()),
        // As long as what is read of those two.
        ("mammal", prompt("").trim().to_owned(), String::new()),
        // The same once more is no different prompt.
        ("mammal", prompt("in the snow"), String::new()),
        ("mammal", "a dog".to_owned(), prompt("blurry")),
    ];
    let spec = job(dir.path(), &engine, &list);
    let told = notes(&engine, &spec).unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("4 of 6 prompts are longer"), "{told:?}");
    assert!(told[0].contains("\"in the snow\""), "{told:?}");
    assert!(told[1].starts_with("3 of 6 prompts differ"), "{told:?}");
    assert!(told[1].contains("prompts 2 and 3"), "{told:?}");
    let report = run_quietly(&mut engine, &spec, &out).unwrap();
    assert_eq!(report.notes, told);
    assert_eq!((report.accepted, report.cut), (6, 4));
    let cuts = |rows: &[ManifestRow]| -> Vec<_> {
        let row = |row: &ManifestRow| {
            [row.cut.clone(), row.negative_cut.clone()].map(Option::unwrap_or_default)
        };
        rows.iter().map(row).collect()
    };
    let wanted = [
        ["", ""],
        ["in the snow", ""],
        ["on a beach", ""],
        ["", ""],
        ["in the snow", ""],
        ["", "blurry"],
    ];
    assert_eq!(cuts(&rows(&out)), wanted);
    // Rows of prompts that are read whole are what they were before.
    let manifest = std::fs::read_to_string(out.join("manifest.jsonl")).unwrap();
    let with: Vec<bool> = manifest.lines().map(|l| l.contains("cut\":")).collect();
    assert_eq!(with, [false, true, true, false, true, true]);
    // A finished job tells the same again.
    let again = run_quietly(&mut engine, &spec, &out).unwrap();
    assert_eq!(
        (again.resumed, again.cut, again.notes),
        (6, 4, told.clone())
    );
    // Rows of earlier versions do not say what was cut; the job is theirs all the same.
    let earlier: String = rows(&out)
        .into_iter()
        .map(|row| {
            let row = ManifestRow {
                cut: None,
                negative_cut: None,
                ..row
            };
            format!("{}\n", serde_json::to_string(&row).unwrap())
        })
        .collect();
    assert!(!earlier.contains("cut\":"), "{earlier}");
    std::fs::write(out.join("manifest.jsonl"), &earlier).unwrap();
    let again = run_quietly(&mut engine, &spec, &out).unwrap();
    assert_eq!((again.resumed, again.mended, again.notes), (6, 0, told));
    // What a row says was cut must be what is cut.
    let wrong = earlier.replacen("\"class\":", "\"cut\":\"a cat\",\"class\":", 1);
    assert_ne!(wrong, earlier);
    std::fs::write(out.join("manifest.jsonl"), wrong).unwrap();
    let refused = run_quietly(&mut engine, &spec, &out).unwrap_err();
    assert!(
        refused.to_string().contains("line 1 is not what"),
        "{refused}"
    );
}

#[test]
fn prompts_that_the_engine_cannot_tell_apart_are_told_whatever_their_case() {
    let dir = tempfile::tempdir().unwrap();
    let (pocket, sd) = (pocket(), load(&folder("sd15")).unwrap());
    for (engine, room) in [(&pocket as &dyn Generator, POCKET), (&sd, CLIP)] {
        let words = "cat ".repeat(room);
        let list = [
            ("mammal", format!("{words}in the snow"), String::new()),
            (
                "vehicle",
                format!("{}on a beach", words.to_uppercase()),
                String::new(),
            ),
            ("mammal", "a dog".to_owned(), String::new()),
        ];
        let told = notes(engine, &job(dir.path(), engine, &list)).unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].starts_with("2 of 3 prompts differ"), "{told:?}");
        assert!(told[1].contains("prompts 1 and 2"), "{told:?}");
    }
}

#[test]
fn shards_have_what_was_cut() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut engine = pocket();
    let long = |end: &str| format!("{}{end}", digits(POCKET));
    let list = [
        ("mammal", "a cat".to_owned(), String::new()),
        ("mammal", long("in the snow"), String::new()),
        ("mammal", "a dog".to_owned(), long("blurry")),
    ];
    let spec = JobSpec {
        output: OutputFormat::Parquet,
        ..job(dir.path(), &engine, &list)
    };
    run_quietly(&mut engine, &spec, &out).unwrap();
    let file = std::fs::File::open(out.join("data/train-00000.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let column = |row: &parquet::record::Row, name: &str| {
        let mut columns = row.get_column_iter();
        let (_, field) = columns.find(|(n, _)| *n == name).unwrap();
        field.to_string()
    };
    let found: Vec<_> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            let row = row.unwrap();
            [column(&row, "cut"), column(&row, "negative_cut")]
        })
        .collect();
    let (none, snow, blurry) = ("null", "\"in the snow\"", "\"blurry\"");
    assert_eq!(found, [[none, none], [snow, none], [none, blurry]]);
}

#[test]
fn what_has_no_effect_anyway_is_not_told_as_cut() {
    let dir = tempfile::tempdir().unwrap();
    let engine = pocket();
    let list = [("mammal", "a dog".to_owned(), digits(POCKET + 3))];
    let spec = job(dir.path(), &engine, &list);
    let told = notes(&engine, &spec).unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("the negative text's \"2 3 4 \""),
        "{told:?}"
    );
    let unguided = JobSpec {
        guidance: Guidance::Fixed(1.0),
        ..spec
    };
    let told = notes(&engine, &unguided).unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("guidance is 1"), "{told:?}");
}

#[test]
fn stable_diffusion_tells_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = load(&folder("turbo")).unwrap();
    let text = |end: &str| RenderedPrompt {
        positive: format!("{}{end}", digits(CLIP)),
        negative: String::new(),
    };
    let spec = |end: &str| {
        let source = PromptSource::One {
            text: text(end),
            label_space: label_space(),
        };
        JobSpec::new(source, &model.describe().defaults)
    };
    let (cut, whole) = (spec("a church at night"), spec(""));
    let report = run_quietly(&mut model, &cut, dir.path()).unwrap();
    assert_eq!(report.cut, 1);
    assert!(report.notes[0].contains("\"a church at night\""));
    assert_eq!(
        rows(dir.path())[0].cut.as_deref(),
        Some("a church at night")
    );
    assert!(notes(&model, &whole).unwrap().is_empty());
}
