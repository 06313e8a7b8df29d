//! What is printed: results on standard output, remarks on standard error.
//!
//! The standard library's macros panic where nobody reads. These stand in their place in the whole program: a reader of results
//! that has seen enough (`| head`) ends the program with success, a full disk with an error; remarks that cannot be told are not.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

macro_rules! println {
    ($($text:tt)*) => { $crate::output::result(format_args!($($text)*)) };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::output::remark(format_args!($($text)*)) };
}

/// Whether a result was printed.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Whether there is something on standard output.
pub(crate) fn has_result() -> bool {
    TOLD.load(Ordering::Relaxed)
}

/// Prints a line of the result. It comes when the work is done, so that nothing is lost where the program ends here.
pub(crate) fn result(text: Arguments<'_>) {
    let Err(error) = told(text) else {
        return;
    };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    remark(format_args!(
        "error: standard output cannot be written to: {error}"
    ));
    std::process::exit(1);
}

/// Prints a line of a result beside which work goes on: who does not read it does not end the work.
pub(crate) fn notice(text: Arguments<'_>) {
    let _ = told(text);
}

/// Prints a line for people.
pub(crate) fn remark(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn told(text: Arguments<'_>) -> std::io::Result<()> {
    TOLD.store(true, Ordering::Relaxed);
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}
