//! Flags that leave prompts out of what leaves the machine.

use clap::Args;
use promptfed_client::ReleaseRules;
use std::num::{NonZeroU32, NonZeroUsize};

/// What is left out of the prompts.
#[derive(Args, Clone, Default)]
pub(crate) struct ReleaseArgs {
    /// Leave out prompts that fewer than N images stand behind
    #[arg(long, value_name = "N")]
    min_group: Option<NonZeroU32>,
    /// Leave out a class with all its images; can be given several times
    #[arg(long, value_name = "NAME")]
    exclude_class: Vec<String>,
    /// At most N prompts: those with the most images behind them, among equals the first by class, domain and caption
    #[arg(long, value_name = "N")]
    max_prompts: Option<NonZeroUsize>,
}

impl ReleaseArgs {
    /// The rules as the library has them.
    pub(crate) fn rules(&self) -> ReleaseRules {
        ReleaseRules {
            exclude_classes: self.exclude_class.clone(),
            min_group: self.min_group,
            max_prompts: self.max_prompts,
        }
    }

    /// Each rule that is given, as a report names it.
    pub(crate) fn described(&self) -> Vec<(String, String)> {
        let number = |n: Option<String>| n.unwrap_or_else(|| "no limit".to_owned());
        let excluded = match self.exclude_class.join(", ") {
            none if none.is_empty() => "none".to_owned(),
            classes => classes,
        };
        [
            (
                "fewest images behind a prompt",
                self.min_group.map_or(1, NonZeroU32::get).to_string(),
            ),
            (
                "most prompts of a client",
                number(self.max_prompts.map(|n| n.to_string())),
            ),
            ("excluded classes", excluded),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
