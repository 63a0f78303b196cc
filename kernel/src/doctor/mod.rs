//! `kensaku doctor`: checks the installation and suggests fixes.

mod build;
mod jupyter;
mod machine;

use std::io::IsTerminal;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;

use crate::dylib::Dylib;

/// The result of a check.
struct Finding {
    what: &'static str,
    state: State,
    text: String,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Good,
    /// Something optional is missing.
    Advice,
    /// Cells cannot run.
    Bad,
}

impl Finding {
    fn good(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, state: State::Good, text: text.into() }
    }

    fn advice(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, state: State::Advice, text: text.into() }
    }

    fn bad(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, state: State::Bad, text: text.into() }
    }

    fn line(&self, colours: bool) -> String {
        let (mark, colour) = match self.state {
            State::Good => ("ok", 32),
            State::Advice => ("--", 33),
            State::Bad => ("NO", 31),
        };
        let mark = if colours { format!("\u{1b}[{colour}m{mark}\u{1b}[0m") } else { mark.to_owned() };
        // Further lines are aligned with the first.
        format!("{mark}  {:<11} {}", self.what, self.text.trim_end().replace('\n', "\n                "))
    }
}

/// Prints the findings; exit code 1 if cells cannot run.
pub(crate) fn doctor() -> Result<ExitCode> {
    let dylib = Dylib::installed();
    let checks: [&dyn Fn() -> Vec<Finding>; 10] = [
        &|| vec![build::rustc()],
        &|| vec![build::library(&dylib)],
        &|| dylib.as_ref().map(build::program).unwrap_or_default(),
        &|| dylib.iter().map(build::types).collect(),
        &|| dylib.iter().map(build::completion).collect(),
        &|| jupyter::kernelspecs(),
        &|| vec![jupyter::jupyter()],
        &|| vec![machine::graphics(), machine::threads()],
        &|| vec![machine::memory()],
        &|| machine::disks(dylib.as_ref().ok()),
    ];
    let colours = std::io::stdout().is_terminal();
    let mut bad = false;
    for finding in checks.iter().flat_map(|check| check()) {
        println!("{}", finding.line(colours));
        bad |= finding.state == State::Bad;
    }
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The output of a program; `None` if it fails.
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned() {
        assert_eq!(Finding::good("rustc", "1.95.0").line(false), "ok  rustc       1.95.0");
        let two = Finding::bad("kernelspec", "is gone\nrun `kensaku install`").line(false);
        assert_eq!(two, "NO  kernelspec  is gone\n                run `kensaku install`");
        assert!(Finding::advice("GPU", "none").line(true).starts_with("\u{1b}[33m--\u{1b}[0m  GPU"));
    }
}
