//! Checks what compiles cells.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::Finding;
use crate::cell::{Diagnostic, answer};
use crate::dylib::Dylib;
use crate::rustc::Rustc;

/// A minimal cell: compiled, linked and run.
const PROGRAM: &str = "fn main() { print!(\"{:?}\", kensaku::candle_core::DType::F32); }\n";

pub(super) fn rustc() -> Finding {
    match Command::new("rustc").arg("--version").stdin(Stdio::null()).output() {
        Ok(said) if said.status.success() => {
            let version = String::from_utf8_lossy(&said.stdout);
            Finding::good("rustc", version.trim_start_matches("rustc "))
        }
        // rustup, for example, reports a missing toolchain.
        Ok(said) => Finding::bad("rustc", format!("does not run: {}", String::from_utf8_lossy(&said.stderr).trim())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Finding::bad("rustc", "not found on PATH: install Rust from https://rustup.rs")
        }
        Err(error) => Finding::bad("rustc", format!("does not run: {error}")),
    }
}

/// The errors contain a fix.
pub(super) fn library(dylib: &anyhow::Result<Dylib>) -> Finding {
    match dylib {
        Ok(dylib) => Finding::good("library", format!("{}, built with this rustc", dylib.library.display())),
        Err(error) => Finding::bad("library", format!("{error:#}")),
    }
}

/// Checks the linker with a small program, and measures how long that takes.
pub(super) fn program(dylib: &Dylib) -> Vec<Finding> {
    match tried(dylib) {
        Ok((linker, seconds)) => vec![
            Finding::good("linker", linker),
            Finding::good("cells", format!("a one-line program compiled and ran in {seconds:.2} s")),
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
        anyhow::bail!("linking a one-line program failed: is a C compiler (gcc or clang) installed?\n{reason}");
    }
    let ran = Command::new(&program).output()?;
    anyhow::ensure!(ran.stdout == b"F32", "running a one-line program failed ({})", ran.status);
    Ok((linker(&String::from_utf8_lossy(&compiled.stdout)), start.elapsed().as_secs_f64()))
}

/// Reads the linker from its command line, as printed by rustc.
fn linker(arguments: &str) -> String {
    let words = || arguments.split_whitespace().map(|word| word.trim_matches('"'));
    let driver = words().find(|word| Path::new(word).file_name().is_some_and(|name| name == "cc")).unwrap_or("cc");
    let chosen = words().find_map(|word| word.strip_prefix("-fuse-ld="));
    match chosen {
        Some(linker) => format!("{linker}, called by {driver}"),
        None => format!("the default of {driver}"),
    }
}

/// Checks that rustc reports types in its errors, which is how cells keep variables: the options for that are unstable.
pub(super) fn types(dylib: &Dylib) -> Finding {
    match told(dylib) {
        Ok(Some(told)) if told == TOLD => Finding::good("types", "rustc reports the types of variables"),
        Ok(told) => {
            let instead = told.unwrap_or_else(|| "nothing".to_owned());
            let text =
                format!("rustc reports {instead} instead of {TOLD}, so cells cannot keep variables: use Rust {RUST}");
            Finding::bad("types", text)
        }
        Err(error) => Finding::bad("types", format!("{error:#}")),
    }
}

/// A minimal probe of a cell, and the expected answer.
const ASKING: &str = "pub fn run() { let a = Some(vec![1u8]); let () = kensaku::nb::type_of(&a); }\n";
const TOLD: &str = "std::option::Option<std::vec::Vec<u8>>";
const RUST: &str = env!("CARGO_PKG_RUST_VERSION");

fn told(dylib: &Dylib) -> anyhow::Result<Option<String>> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("asking.rs");
    std::fs::write(&source, ASKING)?;
    let said = Rustc::new(dylib).types(&[]).arg("--out-dir").arg(folder.path()).arg(&source).output()?;
    Ok(Diagnostic::errors(&String::from_utf8_lossy(&said.stderr)).iter().find_map(answer))
}

/// Checks the index for completion and documentation.
pub(super) fn completion(dylib: &Dylib) -> Finding {
    match crate::complete::indexed(dylib) {
        Some(true) => Finding::good("completion", "includes the library, its dependencies and std"),
        Some(false) => {
            Finding::advice("completion", "lacks std: run `rustup component add rust-src`, then `kensaku install`")
        }
        None => Finding::advice("completion", "index missing: run `kensaku install`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_is_read_from_its_command_line() {
        let arguments = "LC_ALL=\"C\" PATH=\"/usr/bin\" \"cc\" \"-m64\" \"/tmp/a.o\" \"-fuse-ld=lld\" \"-o\" \"a\"";
        assert_eq!(linker(arguments), "lld, called by cc");
        assert_eq!(linker("\"cc\" \"-m64\""), "the default of cc");
    }
}
