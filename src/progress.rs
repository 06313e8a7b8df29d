//! Progress on the terminal's error stream; plain lines where it is not a terminal.

use crate::exit::for_terminal;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use promptfed_eval::observer::{Observer, Task};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::{io::IsTerminal, time::Duration};

/// Draws one bar per task.
pub(crate) struct Progress {
    bars: MultiProgress,
    plain: bool,
    quiet: bool,
    /// Warnings that were told.
    told: Mutex<BTreeSet<String>>,
}

impl Progress {
    /// Bars on a terminal, a line at the beginning and the end of each task elsewhere, nothing when `quiet`.
    pub(crate) fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bars = MultiProgress::with_draw_target(if quiet || !terminal {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        });
        Self {
            bars,
            plain: !quiet && !terminal,
            quiet,
            told: Mutex::default(),
        }
    }

    /// A remark beside the bars, unless quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.bars.suspend(|| eprintln!("note: {text}"));
        }
    }

    /// A bar of `total` steps; one of unknown length for 0.
    pub(crate) fn bar(&self, name: &str, total: u64) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(total));
        let template = if total == 0 {
            "{prefix:38} {spinner} {msg}"
        } else {
            "{prefix:38} {bar:24.cyan/dim} {pos:>6}/{len:<6} {elapsed:>4} {eta:>5} left  {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━╌"));
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

impl Observer for Progress {
    fn begin(&self, name: &str, total: u64) -> Box<dyn Task> {
        Box::new(Bar {
            bar: self.bar(name, total),
            name: name.to_owned(),
            plain: self.plain,
        })
    }

    fn note(&self, text: &str) {
        self.bars.suspend(|| eprintln!("note: {text}"));
    }

    fn warn(&self, text: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(text.to_owned()) {
            self.bars
                .suspend(|| eprintln!("warning: {}", for_terminal(text)));
        }
    }
}

struct Bar {
    bar: ProgressBar,
    name: String,
    plain: bool,
}

impl Task for Bar {
    fn set(&self, done: u64) {
        self.bar.set_position(done);
    }

    fn remark(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        if self.plain {
            let seconds = self.bar.elapsed().as_secs_f64();
            let remark = self.bar.message();
            eprintln!("{} {seconds:.1} s {remark}", self.name);
        }
    }
}
