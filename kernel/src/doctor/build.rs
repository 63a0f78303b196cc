//! What compiles cells.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use super::{Finding, output_of};
use crate::dylib::Dylib;

/// A cell in small: compiled, linked and run.
const PROGRAM: &str = "fn main() { print!(\"{:?}\", kensaku::candle_core::DType::F32); }\n";

pub(super) fn rustc() -> Finding {
    match output_of("rustc", &["--version"]) {
        Some(version) => Finding::good("rustc", version.trim_start_matches("rustc ")),
        None => Finding::bad("rustc", "is not on PATH: install Rust, https://rustup.rs"),
    }
}

/// Its errors say what to do.
pub(super) fn library(dylib: &anyhow::Result<Dylib>) -> Finding {
    match dylib {
        Ok(dylib) => Finding::good("library", format!("{}, built by this rustc", dylib.library.display())),
        Err(error) => Finding::bad("library", format!("{error:#}")),
    }
}

/// The linker by what it did, and how long a small program takes.
pub(super) fn program(dylib: &Dylib) -> Vec<Finding> {
    match tried(dylib) {
        Ok((linker, seconds)) => vec![
            Finding::good("linker", linker),
            Finding::good("cells", format!("a program of one line compiled and ran in {seconds:.2} s")),
        ],
        Err(error) => vec![Finding::bad("linker", format!("{error:#}"))],
    }
}

fn tried(dylib: &Dylib) -> anyhow::Result<(String, f64)> {
    let folder = tempfile::tempdir()?;
    let (source, program) = (folder.path().join("trial.rs"), folder.path().join("trial"));
    std::fs::write(&source, PROGRAM)?;
    let start = Instant::now();
    let compiled = crate::run::rustc(dylib, &source, &program).args(["--print", "link-args"]).output()?;
    if !compiled.status.success() {
        let reason = String::from_utf8_lossy(&compiled.stderr).into_owned();
        anyhow::bail!("a program of one line cannot be linked: is a C compiler installed (gcc or clang)?\n{reason}");
    }
    let ran = Command::new(&program).output()?;
    anyhow::ensure!(ran.stdout == b"F32", "a program of one line does not run ({})", ran.status);
    Ok((linker(&String::from_utf8_lossy(&compiled.stdout)), start.elapsed().as_secs_f64()))
}

/// From the linker's command line, as rustc tells it.
fn linker(arguments: &str) -> String {
    let words = || arguments.split_whitespace().map(|word| word.trim_matches('"'));
    let driver = words().find(|word| Path::new(word).file_name().is_some_and(|name| name == "cc")).unwrap_or("cc");
    let chosen = words().find_map(|word| word.strip_prefix("-fuse-ld="));
    match chosen {
        Some(linker) => format!("{linker}, by {driver}"),
        None => format!("that of {driver}"),
    }
}

/// Documentation and completion of std's own names come from its source.
pub(super) fn standard_library_source() -> Finding {
    let root = output_of("rustc", &["--print", "sysroot"]).unwrap_or_default();
    match Path::new(&root).join("lib/rustlib/src/rust/library/std").exists() {
        true => Finding::good("rust-src", "is there"),
        false => Finding::advice("rust-src", "no documentation of std in cells: `rustup component add rust-src`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_is_read_from_its_command_line() {
        let arguments = "LC_ALL=\"C\" PATH=\"/usr/bin\" \"cc\" \"-m64\" \"/tmp/a.o\" \"-fuse-ld=lld\" \"-o\" \"a\"";
        assert_eq!(linker(arguments), "lld, by cc");
        assert_eq!(linker("\"cc\" \"-m64\""), "that of cc");
    }
}
