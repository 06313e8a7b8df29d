//! How to turn images into prompts.

use std::num::NonZeroUsize;
use std::sync::Arc;

use promptfed_data::{DecodeLimits, DecodeOptions};
use promptfed_prompts::{Level, TemplateSet};

use crate::{Captioner, NoCaptioner, ReleaseRules};

/// How [`extract`](crate::extract) turns images into prompts.
#[derive(Clone, Debug)]
pub struct ExtractOptions {
    /// How much of each image its prompt tells.
    pub level: Level,
    /// The texts around class, domain and caption.
    pub templates: TemplateSet,
    /// What writes the captions of instance-level prompts; not asked at other levels. Default: none.
    pub captioner: Arc<dyn Captioner>,
    /// Whether the prompts say how many images stand behind them. Default: no.
    pub counts: bool,
    /// What is left out of the prompts. Default: nothing.
    pub release: ReleaseRules,
    /// Whether the first image that cannot be used is an error instead of being skipped. Default: no.
    pub strict: bool,
    /// Whether images are decoded even where no captioner looks at them. Default: yes. Without, extraction is as
    /// fast as listing the files, but an image that is corrupt counts as one, and a class that has only corrupt images
    /// appears in the prompts.
    pub check_images: bool,
    /// What pictures may cost.
    pub limits: DecodeLimits,
    /// Decoding threads. Default: one per core.
    pub threads: Option<NonZeroUsize>,
}

impl ExtractOptions {
    /// The defaults for a level and a template set.
    pub fn new(level: Level, templates: TemplateSet) -> Self {
        Self {
            level,
            templates,
            captioner: Arc::new(NoCaptioner),
            counts: false,
            release: ReleaseRules::default(),
            strict: false,
            check_images: true,
            limits: DecodeLimits::default(),
            threads: None,
        }
    }

    pub(crate) fn decode_options(&self) -> DecodeOptions {
        DecodeOptions {
            limits: self.limits,
            strict: self.strict,
            threads: self.threads,
        }
    }
}
