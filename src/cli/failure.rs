//! How a command ends when it does not succeed.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use miette::{Diagnostic, MietteHandlerOpts, Report, miette};

use super::hints;
use super::progress::INTERRUPTED;
use crate::study::StudyError;

/// Breaks long lines of diagnostics on terminals only, so that a name in a log stays in one piece.
pub fn install_reports() {
    let installed = miette::set_hook(Box::new(|_| {
        let lines = MietteHandlerOpts::new().wrap_lines(io::stderr().is_terminal());
        Box::new(lines.build())
    }));
    // Where the process has a hook already, that one decides.
    drop(installed);
}

/// A failed command: what to say, and whether the request or the work was at fault.
pub struct Failure {
    report: Report,
    status: u8,
}

impl Failure {
    /// The request or an input file is wrong.
    fn request(report: Report) -> Self {
        Self { report, status: 2 }
    }

    /// The request is wrong, in words.
    pub fn refused(problem: impl Into<String>, help: impl Into<String>) -> Self {
        let (problem, help): (String, String) = (problem.into(), help.into());
        Self::request(miette!(code = "radstream::request", help = help, "{problem}"))
    }

    /// The work failed.
    pub fn work(problem: impl Into<String>) -> Self {
        let problem: String = problem.into();
        Self {
            report: miette!(code = "radstream::work", "{problem}"),
            status: 1,
        }
    }

    /// Says it on standard error, with the options that could help, and gives the exit status.
    pub fn report(self) -> ExitCode {
        eprintln!("{}", bounded(&format!("{:?}", self.report)));
        if let Some(hint) = self.report.code().and_then(|code| hints::of(&code.to_string())) {
            eprintln!("  options: {hint}");
        }
        ExitCode::from(self.status)
    }
}

/// Longest line of a diagnostic, in characters, as far as all of it stays within [`MOST`]: a quoted file may
/// be one line of any length.
const LINE: [usize; 3] = [1200, 400, 100];

/// Most of a diagnostic, in bytes.
const MOST: usize = 4096;

/// Most lines of a diagnostic at its beginning and at its end: a label may span a whole file.
const LINES: (usize, usize) = (24, 8);

/// A diagnostic without what nobody reads of it.
fn bounded(text: &str) -> String {
    let mut cut = String::new();
    for width in LINE {
        cut = shortened_to(text, width);
        if cut.len() <= MOST {
            break;
        }
    }
    cut
}

fn shortened_to(text: &str, width: usize) -> String {
    let cut = |line: &str| match line.char_indices().nth(width) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line.to_owned(),
    };
    let mut lines: Vec<String> = text.lines().map(cut).collect();
    if lines.len() > LINES.0 + LINES.1 {
        lines.splice(LINES.0..lines.len() - LINES.1, ["  ...".to_owned()]);
    }
    lines.join("\n")
}

impl<E: Diagnostic + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::request(Report::new(error))
    }
}

impl From<StudyError> for Failure {
    fn from(error: StudyError) -> Self {
        match error {
            StudyError::Request(report) => Self::request(report),
            StudyError::Work(report) => Self { report, status: 1 },
            StudyError::Stopped { kept } => Self {
                report: miette!(code = "radstream::stopped", "{kept}"),
                status: INTERRUPTED,
            },
        }
    }
}
