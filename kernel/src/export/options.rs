//! `?` on an option: allowed in cells, but not in a `main` that returns a result.

use std::process::Stdio;

use crate::cell::{Diagnostic, FROM_OPTION, file_name};
use crate::dylib::Dylib;
use crate::rustc::Rustc;

/// Nested options are found one per round; this many in one expression are enough.
const ROUNDS: usize = 10;

/// Converts the options to which `main`, at byte `main` of the program, applies `?` into results. rustc finds them with
/// the library for cells; if that is not built or lacks some crates, the program stays as it is.
pub(super) fn as_results(mut program: String, main: usize) -> String {
    let Ok(dylib) = Dylib::installed() else { return program };
    for _ in 0..ROUNDS {
        let mut places = tried(&dylib, &program).unwrap_or_default();
        places.retain(|place| *place >= main);
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            break;
        }
        places.iter().rev().for_each(|place| program.insert_str(*place, FROM_OPTION));
    }
    program
}

/// The position of each `?` on an option.
fn tried(dylib: &Dylib, program: &str) -> Option<Vec<usize>> {
    let folder = tempfile::tempdir().ok()?;
    let file = folder.path().join(file_name(0));
    std::fs::write(&file, program).ok()?;
    let mut rustc = Rustc::new(dylib).call(&[]);
    rustc.args(["--crate-name=program", "--crate-type=bin", "--emit=metadata", "--error-format=json"]);
    let output = rustc.current_dir(&folder).arg(&file).stdin(Stdio::null()).output().ok()?;
    let errors = Diagnostic::errors(&String::from_utf8_lossy(&output.stderr));
    Some(errors.iter().filter_map(Diagnostic::tried_option).collect())
}
