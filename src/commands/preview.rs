//! What `promptfed extract` shows: on the screen, as JSON, and as the file that stays at the client.

use super::words::UnknownWords;
use anyhow::Result;
use promptfed_client::{Extraction, PreviewPrompt};
use promptfed_data::Dataset;
use promptfed_eval::report::bytes;
use promptfed_prompts::LabelSpace;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where the preview goes: where it is wanted, else beside the prompts.
pub(super) fn file(wanted: Option<&Path>, out: &Path) -> PathBuf {
    wanted.map_or_else(|| out.with_extension("preview.json"), Path::to_owned)
}

/// An extraction as it is shown.
pub(super) struct Shown<'a> {
    pub(super) extraction: &'a Extraction,
    /// What was read.
    pub(super) dataset: &'a Dataset,
    pub(super) label_space: &'a LabelSpace,
    pub(super) unknown_words: UnknownWords,
    /// The file of the prompts.
    pub(super) out: &'a Path,
    /// The file of the preview.
    pub(super) preview_file: &'a Path,
    /// Most prompts in each list of the text.
    pub(super) show: usize,
}

impl Shown<'_> {
    /// The file that stays here: every prompt with its class, domain and the images behind it, one a line; what was left out.
    pub(super) fn file(&self) -> Result<String> {
        let preview = &self.extraction.preview;
        let lines = |prompts: &[PreviewPrompt]| -> Result<String> {
            let lines = prompts.iter().map(serde_json::to_string);
            Ok(lines.collect::<Result<Vec<_>, _>>()?.join(",\n"))
        };
        let head = json!({
            "format": "promptfed preview", "version": 1, "stays": "at the client; `promptfed submit` sends the prompts alone",
            "prompts_hash": preview.hash, "level": preview.level, "label_space": self.label_space.name(),
            "images_per_class": preview.images_per_class, "left_out": self.extraction.report.left_out(),
            "withheld": self.extraction.report.withheld, "unknown_words": self.unknown_words,
        });
        let head = serde_json::to_string_pretty(&head)?;
        let head = head.trim_end_matches('}').trim_end();
        Ok(format!(
            "{head},\n  \"prompts\": [\n{}\n  ]\n}}\n",
            lines(&preview.prompts)?
        ))
    }

    pub(super) fn json(&self) -> Value {
        let (preview, report) = (&self.extraction.preview, &self.extraction.report);
        json!({
            "out": self.out.display().to_string(), "hash": preview.hash, "wire_bytes": preview.wire_bytes, "level": preview.level,
            "prompts": preview.prompts.len(), "images": report.used,
            "left_out": report.left_out(), "adjusted": report.decode.adjusted, "warnings": report.warnings(), "single_image_prompts": preview.single_image_prompts,
            "smallest_group": preview.smallest_group, "counts_released": preview.counts_released,
            "label_space": { "name": self.label_space.name(), "hash": self.label_space.hash() },
            "preview_file": self.preview_file.display().to_string(), "preview": preview.prompts,
            "withheld": report.withheld, "unknown_words": self.unknown_words, "read_as": self.dataset.parts,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut text);
        text.truncate(text.trim_end().len());
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let (preview, report) = (&self.extraction.preview, &self.extraction.report);
        let out = self.out.display();
        writeln!(text, "Read as {}.", self.dataset.taken_for())?;
        writeln!(
            text,
            "Would leave this machine (what is in brackets stays here):"
        )?;
        let (shown, hidden) = preview
            .prompts
            .split_at(self.show.min(preview.prompts.len()));
        for prompt in shown {
            writeln!(text, "  {}", line(prompt))?;
        }
        if !hidden.is_empty() {
            writeln!(text, "  ... and {} more, all in {out}", hidden.len())?;
        }
        writeln!(
            text,
            "{} prompts from {} images ({} left out), {} compressed, hash {}",
            preview.prompts.len(),
            report.used,
            report.images - report.used,
            bytes(preview.wire_bytes as u64),
            preview.hash
        )?;
        self.write_singles(text, hidden)?;
        self.write_withheld(text)?;
        writeln!(
            text,
            "Counts per class are {}.",
            if preview.counts_released {
                "part of the prompts"
            } else {
                "not part of the prompts"
            }
        )?;
        writeln!(
            text,
            "{} says what stands behind each prompt; it stays here.",
            self.preview_file.display()
        )?;
        writeln!(
            text,
            "Nothing was sent. {out} holds exactly what `promptfed submit` sends."
        )
    }

    /// Which prompts stand for one image; of those that were not shown, the first.
    fn write_singles(&self, text: &mut String, hidden: &[PreviewPrompt]) -> std::fmt::Result {
        let preview = &self.extraction.preview;
        if preview.single_image_prompts == 0 {
            return Ok(());
        }
        writeln!(
            text,
            "{} of {} prompts stand for a single image each, and describe that image alone; --min-group 2 leaves them out, a level \
             that tells less is more private",
            preview.single_image_prompts,
            preview.prompts.len(),
        )?;
        let unseen: Vec<_> = hidden.iter().filter(|prompt| prompt.images == 1).collect();
        if !unseen.is_empty() {
            writeln!(text, "Single images among those not shown:")?;
            self.write_few(text, &unseen)?;
        }
        Ok(())
    }

    fn write_withheld(&self, text: &mut String) -> std::fmt::Result {
        let withheld = &self.extraction.report.withheld;
        for class in &withheld.excluded_classes {
            writeln!(
                text,
                "Class `{}` was excluded with its {}.",
                class.class,
                plural(class.images, "image")
            )?;
        }
        for (why, prompts) in [
            ("too few images stand behind them", &withheld.small_groups),
            ("others have more images behind them", &withheld.beyond_max),
        ] {
            if !prompts.is_empty() {
                let behind = prompts.iter().map(|prompt| u64::from(prompt.images)).sum();
                writeln!(
                    text,
                    "Left out, because {why}: {}, {}",
                    plural(prompts.len() as u64, "prompt"),
                    plural(behind, "image")
                )?;
                self.write_few(text, &prompts.iter().collect::<Vec<_>>())?;
            }
        }
        for class in &withheld.vanished_classes {
            writeln!(text, "No prompt is left of class `{class}`.")?;
        }
        Ok(())
    }

    fn write_few(&self, text: &mut String, prompts: &[&PreviewPrompt]) -> std::fmt::Result {
        for prompt in prompts.iter().take(self.show) {
            writeln!(text, "  {}", line(prompt))?;
        }
        if prompts.len() > self.show {
            writeln!(
                text,
                "  ... and {} more, all in {}",
                prompts.len() - self.show,
                self.preview_file.display()
            )?;
        }
        Ok(())
    }
}

fn line(prompt: &PreviewPrompt) -> String {
    match prompt.images {
        1 => format!("{} [1 image: a single one]", prompt.positive),
        count => format!("{} [{}]", prompt.positive, plural(count.into(), "image")),
    }
}

fn plural(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}
