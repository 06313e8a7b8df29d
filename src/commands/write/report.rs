//! What is told of written prompts.

use anyhow::Result;
use promptfed_synth::writers::Written;
use serde_json::json;
use std::path::Path;

/// Topics with too few prompts that are told one by one.
const TOLD: usize = 8;

/// A finished run and where it went.
pub(super) struct Report<'a> {
    pub(super) written: &'a Written,
    pub(super) out: &'a Path,
    pub(super) record_file: &'a Path,
}

impl Report<'_> {
    /// The record as a file.
    pub(super) fn record(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(&self.written.record)?;
        text.push('\n');
        Ok(text)
    }

    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "out": self.out.display().to_string(),
            "record_file": self.record_file.display().to_string(),
            "record": self.written.record,
        })
    }

    pub(super) fn text(&self) -> String {
        let record = &self.written.record;
        let mut text = format!(
            "{} of {} prompts in {}, {} of {} candidates refused; the record is {}",
            record.written,
            record.wanted,
            self.out.display(),
            record.refused.total(),
            record.asked,
            self.record_file.display()
        );
        for line in self.refused() {
            text.push_str(&format!("\n  {line}"));
        }
        if !record.short.is_empty() {
            let mut short: Vec<String> = record
                .short
                .iter()
                .take(TOLD)
                .map(|short| format!("{:?} {} of {}", short.opening, short.written, short.wanted))
                .collect();
            if record.short.len() > TOLD {
                short.push(format!("{} more", record.short.len() - TOLD));
            }
            text.push_str(&format!("\nfewer than asked for: {}", short.join(", ")));
        }
        text
    }

    /// One line for every reason, with its count and an example.
    fn refused(&self) -> Vec<String> {
        let by_count = self.written.record.refused.by_count().into_iter();
        let lines = by_count.map(|(reason, count, examples)| {
            let example = examples.first().map_or(String::new(), |example| {
                let detail = if example.detail.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", example.detail)
                };
                format!(": {:?}{detail}", example.text)
            });
            format!("{count} refused, since each {reason}{example}")
        });
        lines.collect()
    }

    /// The error of a run that wrote nothing.
    pub(super) fn nothing(&self) -> anyhow::Error {
        let why = self.refused();
        let why = if why.is_empty() {
            "the writer gave nothing".to_owned()
        } else {
            why.join("; ")
        };
        anyhow::Error::msg(format!("no prompt was written that can be used: {why}"))
    }

    /// The error of classes without a prompt, which images made of these would never show.
    pub(super) fn empty_classes(&self) -> Option<anyhow::Error> {
        let empty = self.written.empty_classes();
        if empty.is_empty() {
            return None;
        }
        Some(anyhow::Error::msg(format!(
            "no prompt was written for {}, so that no image would show them; use another writer or generator, or allow more --candidates",
            empty.join(", ")
        )))
    }
}
