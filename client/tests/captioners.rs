//! What every captioner must do, and what each says.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use promptfed_client::{
    CAPTIONER_NAMES, CaptionInput, CaptionProblem, Captioner, Error, captioner, captioner_with,
};
use promptfed_data::{DecodedImage, ImageSource, Sample};
use promptfed_prompts::{Caption, TextProblem};
use support::{plain, synthetic};

fn sample(path: PathBuf, caption: Option<&str>) -> Sample {
    Sample {
        label: 0,
        domain: None,
        caption: caption.map(Into::into),
        source: ImageSource::File(path),
    }
}

fn row(caption: Option<&str>) -> Sample {
    Sample {
        source: ImageSource::Parquet {
            file: Path::new("x.parquet").into(),
            row_group: 0,
            row: 0,
        },
        ..sample(PathBuf::new(), caption)
    }
}

fn say(
    captioner: &dyn Captioner,
    sample: &Sample,
    image: &DecodedImage,
) -> Result<Option<Caption>, CaptionProblem> {
    captioner.caption(&CaptionInput {
        sample,
        image: Some(image),
    })
}

/// Runs every captioner there is; a new one only needs its name in `CAPTIONER_NAMES`.
#[test]
fn conformance() {
    let folder = tempfile::tempdir().unwrap();
    let images: Vec<DecodedImage> = (0..12)
        .map(synthetic)
        .chain([plain(1, 1, [0; 3]), plain(300, 2, [255; 3])])
        .collect();
    let mut samples = Vec::new();
    for (index, caption) in [
        None,
        Some("a cat"),
        Some(" \n "),
        Some("hidden\u{200B}text"),
        Some("nul\u{0}"),
        Some("猫"),
    ]
    .into_iter()
    .enumerate()
    {
        samples.push(row(caption));
        let path = folder.path().join(format!("{index}.png"));
        std::fs::write(path.with_extension("txt"), "a\tside car\n").unwrap();
        samples.push(sample(path, caption));
        samples.push(sample(folder.path().join("absent.png"), caption));
    }
    for name in CAPTIONER_NAMES {
        let captioner = captioner(name).unwrap();
        assert_eq!(
            captioner.name(),
            name,
            "a captioner's name is the one that makes it"
        );
        let all = || -> Vec<_> {
            let pairs = samples
                .iter()
                .flat_map(|sample| images.iter().map(move |i| (sample, i)));
            pairs
                .map(|(sample, image)| say(&*captioner, sample, image))
                .collect()
        };
        let first = all();
        for caption in first.iter().flatten().flatten() {
            // Already clean, so that it reaches the prompt as the captioner wrote it.
            assert_eq!(
                Caption::try_from(caption.as_str()).as_ref(),
                Ok(caption),
                "{name}"
            );
        }
        assert_eq!(first, all(), "{name} must not depend on what came before");
        let threads: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..4).map(|_| scope.spawn(all)).collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        assert!(
            threads.iter().all(|other| *other == first),
            "{name} must be the same on all threads"
        );
        for sample in &samples {
            let without = captioner.caption(&CaptionInput {
                sample,
                image: None,
            });
            if captioner.needs_pixels() {
                let problem = without.err();
                assert!(problem.is_some(), "{name} needs pixels, and must say so");
            } else {
                assert_eq!(
                    without,
                    say(&*captioner, sample, &images[0]),
                    "{name} reads no pixels"
                );
            }
        }
    }
}

#[test]
fn none_says_nothing() {
    let none = captioner("none").unwrap();
    assert_eq!(
        say(&*none, &row(Some("a cat")), &plain(8, 8, [0; 3])),
        Ok(None)
    );
}

#[test]
fn metadata_prefers_the_column_to_the_side_car() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cat.jpg");
    let metadata = captioner("metadata").unwrap();
    let of = |caption: Option<&str>| {
        let image = plain(1, 1, [0; 3]);
        say(&*metadata, &sample(path.clone(), caption), &image).map(|c| c.map(String::from))
    };
    assert_eq!(of(None), Ok(None));
    std::fs::write(path.with_extension("txt"), "\u{FEFF}from the\r\nside car\n").unwrap();
    assert_eq!(of(None), Ok(Some("from the side car".to_owned())));
    assert_eq!(of(Some("  ")), Ok(Some("from the side car".to_owned())));
    assert_eq!(
        of(Some("from the column")),
        Ok(Some("from the column".to_owned()))
    );
    std::fs::write(path.with_extension("txt"), " \n").unwrap();
    assert_eq!(of(None), Ok(None));
    std::fs::write(path.with_extension("txt"), b"un caf\xE9").unwrap();
    let problem = of(None).unwrap_err();
    assert!(matches!(problem, CaptionProblem::SideCar { .. }));
    let problem = problem.to_string();
    assert!(
        problem.contains("cat.txt") && problem.contains("Windows-1252"),
        "{problem}"
    );
    std::fs::write(path.with_extension("txt"), b"\xFF\xFEa\0 \0h\0e\0n\0").unwrap();
    assert_eq!(of(None).unwrap().unwrap().as_str(), "a hen");
    std::fs::remove_file(path.with_extension("txt")).unwrap();
    std::fs::write(path.with_extension("caption"), "a side view").unwrap();
    assert_eq!(of(None).unwrap().unwrap().as_str(), "a side view");
    std::fs::write(path.with_extension("txt"), "x ".repeat(40_000)).unwrap();
    let problem = of(None).unwrap_err().to_string();
    assert!(
        problem.contains("cat.txt") && problem.contains("65536 bytes"),
        "{problem}"
    );
    std::fs::write(path.with_extension("txt"), "x".repeat(401)).unwrap();
    assert_eq!(
        of(None),
        Err(CaptionProblem::Text(TextProblem::TooLong {
            bytes: 401,
            max: 400
        }))
    );
}

#[test]
fn a_text_file_is_not_its_own_side_car() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.txt");
    std::fs::write(&path, "not a caption").unwrap();
    let metadata = captioner("metadata").unwrap();
    assert_eq!(
        say(&*metadata, &sample(path, None), &plain(1, 1, [0; 3])),
        Ok(None)
    );
}

#[test]
fn joined_says_name_then_colours_then_tone() {
    let both = captioner("metadata+attributes").unwrap();
    let white = plain(16, 16, [255; 3]);
    let of = |caption| {
        say(&*both, &row(caption), &white)
            .unwrap()
            .unwrap()
            .as_str()
            .to_owned()
    };
    assert_eq!(
        of(Some("castle")),
        "castle, white on white background, bright"
    );
    assert_eq!(of(None), "white on white background, bright");
    let other = captioner("attributes+metadata").unwrap();
    let text = say(&*other, &row(Some("castle")), &white).unwrap().unwrap();
    assert_eq!(text.as_str(), "white on white background, bright, castle");
    let long = "x".repeat(390);
    assert!(matches!(
        say(&*both, &row(Some(&long)), &white),
        Err(CaptionProblem::Text(TextProblem::TooLong { .. }))
    ));
}

#[test]
fn unknown_names_are_refused() {
    for name in [
        "",
        "blip2",
        "+",
        "none+metadata",
        "metadata+metadata",
        "Metadata",
    ] {
        let error = captioner(name).unwrap_err();
        assert!(matches!(error, Error::UnknownCaptioner { .. }), "{name}");
        assert!(error.to_string().contains("metadata+attributes"), "{error}");
    }
}

#[test]
fn blip_looks_at_the_image_with_its_model() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vision/tests/golden/blip");
    let blip = captioner_with("blip", Some(&model)).unwrap();
    assert!(blip.needs_pixels());
    let picture = synthetic(3);
    let said = say(&*blip, &row(None), &picture).unwrap();
    assert!(said.is_some());
    assert_eq!(said, say(&*blip, &row(Some("other")), &picture).unwrap());
    let both = captioner_with("metadata+blip", Some(&model)).unwrap();
    assert_eq!(both.name(), "metadata+blip");
    for (name, model) in [("blip", None), ("metadata", Some(model.as_path()))] {
        let error = captioner_with(name, model).unwrap_err();
        assert!(matches!(error, Error::CaptionerModel { .. }), "{error}");
    }
    let error = captioner_with("blip", Some(Path::new("nowhere"))).unwrap_err();
    assert!(error.to_string().contains("config.json"), "{error}");
    let other = model.with_file_name("clip");
    let error = captioner_with("blip", Some(&other)).unwrap_err();
    assert!(error.to_string().contains("it is a CLIP model"), "{error}");
}
