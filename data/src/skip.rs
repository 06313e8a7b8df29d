//! Why pictures are left out, and the list of those that were.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::{Adjustment, DataError, Result};

/// Why a picture was not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SkipReason {
    /// The content contradicts its own format.
    Corrupt,
    /// The content ends before the picture does.
    Truncated,
    /// More pixels or bytes than [`DecodeLimits`](crate::DecodeLimits) allow, by its own header; never decoded.
    TooLarge,
    /// Channels that have no agreed range or decoder: floating point, 12-bit JPEG.
    ChannelDepth,
    /// Several pages or frames, none of which stands for the others.
    ManyPages,
    /// No JPEG, PNG, GIF, WebP, BMP, TIFF or DICOM, or a variant of them that is not supported.
    UnsupportedFormat,
    /// The file or row could not be read.
    Unreadable,
    /// No bytes at all.
    Empty,
}

impl SkipReason {
    /// All reasons, in the order reports list them.
    pub const ALL: [SkipReason; 8] = [
        SkipReason::Corrupt,
        SkipReason::Truncated,
        SkipReason::TooLarge,
        SkipReason::ChannelDepth,
        SkipReason::ManyPages,
        SkipReason::UnsupportedFormat,
        SkipReason::Unreadable,
        SkipReason::Empty,
    ];
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SkipReason::Corrupt => "corrupt",
            SkipReason::Truncated => "truncated",
            SkipReason::TooLarge => "too large",
            SkipReason::ChannelDepth => "channel depth",
            SkipReason::ManyPages => "several pages",
            SkipReason::UnsupportedFormat => "unsupported format",
            SkipReason::Unreadable => "unreadable",
            SkipReason::Empty => "empty",
        })
    }
}

/// A picture that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Index into [`Dataset::samples`](crate::Dataset::samples).
    pub sample: usize,
    /// Where it lies, for people.
    pub source: String,
    /// Why it was left out.
    pub reason: SkipReason,
    /// What exactly was found.
    pub detail: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.source, self.reason, self.detail)
    }
}

/// What came of decoding a data set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DecodeReport {
    /// Pictures delivered.
    pub decoded: usize,
    /// Pictures left out, in sample order.
    pub skipped: Vec<Skipped>,
    /// Number of delivered pictures for each [`Adjustment`] that was made.
    pub adjusted: BTreeMap<Adjustment, usize>,
}

impl DecodeReport {
    /// Number of pictures left out for each reason that occurred.
    pub fn by_reason(&self) -> BTreeMap<SkipReason, usize> {
        let mut counts = BTreeMap::new();
        for skipped in &self.skipped {
            *counts.entry(skipped.reason).or_insert(0) += 1;
        }
        counts
    }

    /// One sentence for each kind of [`Adjustment`] that was made, with its count and what to do where it is not wanted.
    pub fn notes(&self) -> impl Iterator<Item = String> + '_ {
        self.adjusted
            .iter()
            .map(|(adjustment, &count)| adjustment.told(count, self.decoded))
    }

    /// Counts `other`'s pictures too. Its skipped samples keep their indices.
    pub fn merge(&mut self, other: DecodeReport) {
        self.decoded += other.decoded;
        self.skipped.extend(other.skipped);
        for (adjustment, count) in other.adjusted {
            *self.adjusted.entry(adjustment).or_insert(0) += count;
        }
    }

    /// One line for each reason, with its count and the first few pictures by path.
    pub fn by_kind(&self) -> Vec<String> {
        const EXAMPLES: usize = 3;
        let line = |(reason, count): (SkipReason, usize)| {
            let those = self.skipped.iter().filter(|s| s.reason == reason);
            let mut examples: Vec<String> = those
                .take(EXAMPLES)
                .map(|s| format!("{}: {}", s.source, s.detail))
                .collect();
            if count > examples.len() {
                examples.push("..".to_owned());
            }
            format!("{count} pictures {reason} ({})", examples.join("; "))
        };
        self.by_reason().into_iter().map(line).collect()
    }

    /// Refuses a data set of which more pictures were left out than delivered.
    ///
    /// # Errors
    /// [`DataError::MostUnfit`] with the reasons and the first paths.
    pub fn check_most_decoded(&self) -> Result<()> {
        if self.skipped.len() <= self.decoded {
            return Ok(());
        }
        Err(DataError::MostUnfit {
            pictures: self.decoded + self.skipped.len(),
            left_out: self.skipped.len(),
            why: self.by_kind().join("; "),
        })
    }
}

impl fmt::Display for DecodeReport {
    /// `120 decoded, 3 skipped (corrupt 1, truncated 2)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} decoded", self.decoded)?;
        if self.skipped.is_empty() {
            return Ok(());
        }
        let reasons: Vec<String> = self
            .by_reason()
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        write!(
            f,
            ", {} skipped ({})",
            self.skipped.len(),
            reasons.join(", ")
        )
    }
}
