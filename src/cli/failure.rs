//! How a command ends when it does not succeed.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use miette::{Diagnostic, MietteHandlerOpts, Report, miette};

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
    pub fn request(error: impl Diagnostic + Send + Sync + 'static) -> Self {
        Self {
            report: Report::new(error),
            status: 2,
        }
    }

    /// The request is wrong, in words.
    pub fn refused(problem: impl Into<String>, help: impl Into<String>) -> Self {
        let (problem, help): (String, String) = (problem.into(), help.into());
        Self {
            report: miette!(code = "radstream::request", help = help, "{problem}"),
            status: 2,
        }
    }

    /// The work failed.
    pub fn work(problem: impl Into<String>) -> Self {
        let problem: String = problem.into();
        Self {
            report: miette!(code = "radstream::work", "{problem}"),
            status: 1,
        }
    }

    /// The work failed, as a diagnostic says.
    pub fn work_of(error: impl Diagnostic + Send + Sync + 'static) -> Self {
        Self {
            report: Report::new(error),
            status: 1,
        }
    }

    /// A file could not be written.
    pub fn writing(path: &Path, error: &io::Error) -> Self {
        Self {
            report: miette!(
                code = "radstream::work",
                help = "expected a place that can be written to; check the path, its permissions and the free space",
                "{}: cannot be written: {error}",
                path.display()
            ),
            status: 1,
        }
    }

    /// Says it on standard error and gives the exit status.
    pub fn report(self) -> ExitCode {
        eprintln!("{:?}", self.report);
        ExitCode::from(self.status)
    }
}

impl<E: Diagnostic + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::request(error)
    }
}
