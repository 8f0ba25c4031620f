//! A progress bar on terminals, and Ctrl-C.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::campaign::Monitor;

/// Set by the first Ctrl-C.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Makes the first Ctrl-C end the run in good order; a second one ends the process.
pub fn heed_interrupts() {
    let handler = ctrlc::set_handler(|| {
        if STOPPED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\nstopping; what is finished is kept (press again to leave at once)");
    });
    // Without a handler Ctrl-C ends the process as usual, and the records on disk stand.
    drop(handler);
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    STOPPED.load(Ordering::SeqCst)
}

/// A bar that counts pairs of fault and sample.
pub struct Bar {
    bar: ProgressBar,
    pending: AtomicU64,
}

impl Bar {
    /// A bar for `total` pairs; hidden where standard error is no terminal or `quiet`.
    pub fn new(what: &'static str, total: u64, quiet: bool) -> Self {
        let shown = !quiet && std::io::stderr().is_terminal();
        let target = if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template =
            "{msg} [{bar:32}] {percent:>3} % | {per_sec} fault x input | {elapsed} gone, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        if shown {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self {
            bar,
            pending: AtomicU64::new(0),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Monitor for Bar {
    fn advance(&self, done: u64) {
        // The bar's own lock is taken once in a while only.
        let pending = self.pending.fetch_add(done, Ordering::Relaxed) + done;
        if pending >= 4096
            && self
                .pending
                .compare_exchange(pending, 0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.bar.inc(pending);
        }
    }

    fn stopped(&self) -> bool {
        interrupted()
    }
}
