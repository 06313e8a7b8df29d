//! Prompts and images are added to a job: what was made stays, and what is new follows.

use std::path::Path;

use promptfed_prompts::LabelSpace;
use promptfed_synth::job::{JobRecord, ManifestRow};
use promptfed_synth::{
    Error, ImageBudget, JobSpec, OutputFormat, PromptSource, Spread, load_images,
};

use crate::fixtures::{Painter, files, label_space, rows, run_quietly, spec_for};

/// A job over a file of these prompts, all of class `mammal` but for those that begin with "bus".
fn job(dir: &Path, prompts: &[&str], images: ImageBudget) -> JobSpec {
    let path = dir.join("prompts.jsonl");
    let line = |prompt: &&str| {
        let class = if prompt.starts_with("bus") {
            "vehicle"
        } else {
            "mammal"
        };
        format!(
            "{}\n",
            serde_json::json!({"class": class, "prompt": prompt})
        )
    };
    std::fs::write(&path, prompts.iter().map(line).collect::<String>()).unwrap();
    JobSpec {
        prompts: PromptSource::JsonLines {
            path,
            label_space: label_space(),
        },
        images,
        ..spec_for(&Painter::new())
    }
}

fn prompts_of(rows: &[ManifestRow]) -> Vec<&str> {
    rows.iter().map(|row| row.prompt.as_str()).collect()
}

#[test]
fn added_prompts_follow_and_every_earlier_row_stays() {
    for output in [OutputFormat::Folder, OutputFormat::Parquet] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let per_prompt = ImageBudget::PerPrompt(2);
        let run = |prompts: &[&str], images| {
            let spec = JobSpec {
                output,
                ..job(dir.path(), prompts, images)
            };
            run_quietly(&mut Painter::new(), &spec, &out)
        };
        run(&["a cat", "bus 1"], per_prompt).unwrap();
        let before = rows(&out);
        let pictures = files(&out);
        // In the middle, at the end, and one that is there already.
        let longer = ["a cat", "a dog", "bus 1", "a cat", "a fox"];
        let report = run(&longer, per_prompt).unwrap();
        assert_eq!(
            (report.planned, report.accepted, report.resumed),
            (10, 10, 4)
        );
        let after = rows(&out);
        assert_eq!(after[..4], before);
        assert_eq!(
            prompts_of(&after[4..]),
            ["a dog", "a dog", "a cat", "a cat", "a fox", "a fox"]
        );
        if output == OutputFormat::Folder {
            let now = files(&out);
            for (file, bytes) in pictures
                .iter()
                .filter(|(file, _)| file.extension().is_some_and(|e| e == "png"))
                .filter(|(file, _)| file.starts_with("images"))
            {
                assert_eq!(now[file], *bytes);
            }
        }
        assert_eq!(load_images(&out, 8).unwrap().len(), 10);
        assert_eq!(JobRecord::read(&out).unwrap().prompts, 5);
        // More images of each, and the same job again.
        let more = run(&longer, ImageBudget::PerPrompt(3)).unwrap();
        assert_eq!((more.planned, more.accepted, more.resumed), (15, 15, 10));
        assert_eq!(rows(&out)[..10], after);
        assert_eq!(run(&longer, ImageBudget::PerPrompt(3)).unwrap().resumed, 15);
        assert_eq!(load_images(&out, 8).unwrap().len(), 15);
    }
}

#[test]
fn a_plan_that_asks_for_less_than_was_made_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let run = |prompts: &[&str], images| {
        let spec = job(dir.path(), prompts, images);
        run_quietly(&mut Painter::new(), &spec, &out)
    };
    run(&["a cat", "bus 1"], ImageBudget::PerPrompt(2)).unwrap();
    let before = files(&out);
    let total = |images| ImageBudget::Total {
        images,
        spread: Spread::ClassBalanced,
    };
    for (prompts, images, part) in [
        (&["a cat"][..], ImageBudget::PerPrompt(2), "2 of its images"),
        (
            &["a dog", "bus 1"],
            ImageBudget::PerPrompt(2),
            "2 of its images",
        ),
        (
            &["a cat", "bus 1"],
            ImageBudget::PerPrompt(1),
            "2 of its images",
        ),
        // The share of the first prompt shrinks from 2 to 1.
        (&["a cat", "a dog", "bus 1"], total(4), "1 of its images"),
    ] {
        match run(prompts, images) {
            Err(Error::DifferentJob { field, .. }) => assert!(field.contains(part), "{field}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(files(&out), before);
    }
    run(&["a cat", "a dog", "bus 1"], total(8)).unwrap();
    assert_eq!(rows(&out).len(), 8);
}

#[test]
fn a_stopped_job_goes_on_in_its_order_also_with_repeated_prompts() {
    let dir = tempfile::tempdir().unwrap();
    let list = ["a cat", "bus 1", "a cat", "a dog", "a cat"];
    let spec = job(dir.path(), &list, ImageBudget::PerPrompt(3));
    let whole = dir.path().join("whole");
    run_quietly(&mut Painter::new(), &spec, &whole).unwrap();
    let parts = dir.path().join("parts");
    for limit in 1..=15 {
        let part = JobSpec {
            limit: Some(limit),
            ..spec.clone()
        };
        run_quietly(&mut Painter::new(), &part, &parts).unwrap();
    }
    crate::fixtures::assert_same_files(&parts, &whole);
}

#[test]
fn other_templates_and_names_are_another_list() {
    use promptfed_prompts::{ClassIndex, Level, PromptSet, TemplateSet};
    let space = |name: &str| LabelSpace::from_names("pets", [name, "dog"]).unwrap();
    let source = |templates: &str, label_space: LabelSpace| {
        let templates = TemplateSet::from_toml(templates).unwrap();
        let mut builder = PromptSet::builder(&label_space, Level::Class, &templates);
        builder.add(ClassIndex::new(0), None, None).unwrap();
        PromptSource::Set {
            prompts: builder.build().unwrap(),
            label_space,
        }
    };
    let toml = |negative: &str| {
        format!(
            "name = \"t\"\n[[templates]]\nlevel = \"class\"\npositive = \"a {{label}}\"\nnegative = \"{negative}\"\n"
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let base = JobSpec {
        prompts: source(&toml("blurry"), space("cat")),
        ..spec_for(&Painter::new())
    };
    run_quietly(&mut Painter::new(), &base, dir.path()).unwrap();
    let others = [
        ("prompts_hash", source(&toml("dark"), space("cat"))),
        ("label_space_hash", source(&toml("blurry"), space("kitten"))),
    ];
    for (part, prompts) in others {
        let other = JobSpec {
            prompts,
            ..base.clone()
        };
        match run_quietly(&mut Painter::new(), &other, dir.path()) {
            Err(Error::DifferentJob { field, .. }) => assert!(
                field.contains(part) || field.contains("class_names"),
                "{field}"
            ),
            other => panic!("{other:?}"),
        }
    }
}
