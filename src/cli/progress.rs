//! Progress: a bar on terminals, a line every ten seconds elsewhere; and Ctrl-C.

use std::io::IsTerminal;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::campaign::Monitor;
use crate::report::count;
use crate::study::Watch;

/// Set by the first Ctrl-C.
static STOPPED: AtomicBool = AtomicBool::new(false);
static HANDLER: Once = Once::new();

/// Exit status of a process that Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;

/// Makes the first Ctrl-C end the run in good order; a second one ends the process.
fn heed_interrupts() {
    HANDLER.call_once(|| {
        let handler = ctrlc::set_handler(|| {
            if STOPPED.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(INTERRUPTED));
            }
            eprintln!("\nstopping in good order (press again to leave at once)");
        });
        // Without a handler Ctrl-C ends the process as usual, and the records on disk stand.
        drop(handler);
    });
}

/// Watches studies from a terminal or a log.
pub struct Terminal {
    /// Whether nothing is said.
    pub quiet: bool,
}

impl Watch for Terminal {
    fn begin(&self, what: &'static str, units: u64) -> Box<dyn Monitor> {
        heed_interrupts();
        if self.quiet {
            Box::new(Quiet)
        } else if std::io::stderr().is_terminal() {
            Box::new(Bar::new(what, units))
        } else {
            Box::new(Lines::new(what, units))
        }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    fn warn(&self, text: &str) {
        self.note(&format!("warning: {text}\n  see: radstream inspect --ranges"));
    }
}

/// Says nothing, and hears of Ctrl-C.
struct Quiet;

impl Monitor for Quiet {
    fn advance(&self, _done: u64) {}

    fn stopped(&self) -> bool {
        STOPPED.load(Ordering::SeqCst)
    }
}

/// A bar on a terminal.
struct Bar {
    bar: ProgressBar,
    pending: AtomicU64,
    /// Units from one look of the bar to the next.
    step: u64,
}

/// Most units that a bar is behind, and the parts of a stretch that it shows at least.
const BEHIND: (u64, u64) = (4096, 200);

impl Bar {
    fn new(what: &'static str, units: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(units), ProgressDrawTarget::stderr());
        let template = "{msg} [{bar:32}] {percent:>3} % | {per_sec} | {elapsed} gone, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            pending: AtomicU64::new(0),
            step: (units / BEHIND.1).clamp(1, BEHIND.0),
        }
    }
}

impl Monitor for Bar {
    fn advance(&self, done: u64) {
        // The bar's own lock is taken once in a while only.
        let pending = self.pending.fetch_add(done, Ordering::Relaxed) + done;
        if pending >= self.step
            && self
                .pending
                .compare_exchange(pending, 0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.bar.inc(pending);
        }
    }

    fn stopped(&self) -> bool {
        STOPPED.load(Ordering::SeqCst)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Plain lines in a log.
struct Lines {
    what: &'static str,
    units: u64,
    done: AtomicU64,
    started: Instant,
    /// When the last line was written, in seconds from the start.
    said: AtomicU64,
}

/// Seconds between two lines.
const EVERY: u64 = 10;

impl Lines {
    fn new(what: &'static str, units: u64) -> Self {
        Self {
            what,
            units,
            done: AtomicU64::new(0),
            started: Instant::now(),
            said: AtomicU64::new(0),
        }
    }
}

impl Monitor for Lines {
    fn advance(&self, done: u64) {
        let done = self.done.fetch_add(done, Ordering::Relaxed) + done;
        let gone = self.started.elapsed();
        let said = self.said.load(Ordering::Relaxed);
        let due = gone.as_secs() >= said + EVERY;
        let mine = due
            && self
                .said
                .compare_exchange(said, gone.as_secs(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine && done > 0 {
            let share = done as f64 / self.units.max(1) as f64;
            let left = gone.as_secs_f64() * (1.0 / share - 1.0).max(0.0);
            eprintln!(
                "{}: {:.0} % of {} units, {} s gone, about {left:.0} s left",
                self.what,
                100.0 * share,
                count(self.units),
                gone.as_secs()
            );
        }
    }

    fn stopped(&self) -> bool {
        STOPPED.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_of_a_few_units_moves_with_each() {
        let bar = Bar::new("faults one by one", 20);
        bar.advance(1);
        bar.advance(2);
        assert_eq!(bar.bar.position(), 3);
        let long = Bar::new("bits", 10_000_000);
        (0..4095).for_each(|_| long.advance(1));
        assert_eq!(long.bar.position(), 0);
        long.advance(1);
        assert_eq!(long.bar.position(), 4096);
    }
}
