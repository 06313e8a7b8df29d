//! Agreement with the generator's rules on photographs, where they and Python are at hand. JPEG decoders differ by a
//! few counts per channel, so a few images near a boundary may differ; the test reports how many.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::process::Command;

use promptfed_client::Attributes;
use promptfed_data::{Dataset, DecodeOptions, ImageSource, OpenOptions, decode, open};
use support::shared;

const SCRIPT: &str = r"
import sys, json, numpy as np
from PIL import Image
sys.path.insert(0, sys.argv[1])
from captions import attributes
out = []
for path in sys.stdin.read().splitlines():
    centre, border, tone = attributes(np.asarray(Image.open(path).convert('RGB')))
    out.append(f'{centre} on {border} background' + (f', {tone}' if tone else ''))
print(json.dumps(out))
";

#[test]
fn photographs() {
    let (Some(foundation), Some(python)) = (shared("foundation/captions.py"), python()) else {
        return;
    };
    for set in ["imagenette", "pacs"] {
        let Some(root) = shared(&format!("data/{set}")) else {
            return;
        };
        let options = OpenOptions {
            split: Some("private".to_owned()),
            ..OpenOptions::default()
        };
        let dataset = every_nth(&open(&root, &options).unwrap(), 100);
        let paths: Vec<String> = dataset
            .samples
            .iter()
            .map(|s| s.source.to_string())
            .collect();
        let list = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(list.path(), paths.join("\n")).unwrap();
        let output = Command::new(&python)
            .args(["-c", SCRIPT])
            .arg(foundation.parent().unwrap())
            .stdin(std::fs::File::open(list.path()).unwrap())
            .output()
            .unwrap();
        let expected: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
        let mut found = BTreeMap::new();
        decode(&dataset, &DecodeOptions::default(), |index, image| {
            found.insert(index, Attributes::of(&image).to_string());
        })
        .unwrap();
        assert_eq!(found.len(), expected.len());
        let equal = found
            .iter()
            .filter(|&(&index, text)| *text == expected[index])
            .count();
        println!("{set}: {equal} of {} captions equal", expected.len());
        for (&index, text) in found
            .iter()
            .filter(|&(&index, text)| *text != expected[index])
        {
            println!("  {}: {text}, not {}", paths[index], expected[index]);
        }
        assert!(
            equal * 10 >= expected.len() * 9,
            "{set}: only {equal} of {} equal",
            expected.len()
        );
    }
}

/// An interpreter with numpy and Pillow: `PROMPTFED_PYTHON`, else `python3`.
fn python() -> Option<String> {
    let python = std::env::var("PROMPTFED_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let works = Command::new(&python)
        .args(["-c", "import numpy, PIL"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        println!("skipped: {python} with numpy and Pillow is not there (set PROMPTFED_PYTHON)");
    }
    works.then_some(python)
}

fn every_nth(dataset: &Dataset, wanted: usize) -> Dataset {
    let files: Vec<usize> = (0..dataset.len())
        .filter(|&i| matches!(dataset.samples[i].source, ImageSource::File(_)))
        .collect();
    let step = (files.len() / wanted).max(1);
    let chosen: Vec<usize> = files.into_iter().step_by(step).take(wanted).collect();
    dataset.subset(&chosen)
}
