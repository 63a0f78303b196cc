//! Runs a script: its cells become one program, compiled against the same dylib.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use syn::Item;

use crate::cell::{Cell, with_value_shown};
use crate::dylib::Dylib;

/// A line that begins a cell, as editors know it.
const CELL: &str = "// %%";

/// Compiles `file`, runs it and gives its exit code.
pub(crate) fn script(file: &Path, arguments: &[String]) -> Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let dylib = Dylib::fresh()?;
    let folder = tempfile::Builder::new().prefix("kensaku-script-").tempdir()?;
    let source = folder.path().join("script.rs");
    let program = folder.path().join("script");
    std::fs::write(&source, program_text(&text)).context("writing the program")?;
    let compiled = rustc(&dylib, file, &source, &program).status().context("running rustc")?;
    if !compiled.success() {
        return Ok(ExitCode::FAILURE);
    }
    outlive_terminal_interrupts();
    let status = Command::new(&program).args(arguments).status().context("starting the program")?;
    // As a shell tells it: 128 and the signal.
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// The program of a script: itself where it has a `main`, else its cells in one.
///
/// Lines stay where they are, so that errors name those of the script.
fn program_text(text: &str) -> String {
    if has_main(text) {
        return text.to_owned();
    }
    let body: String = cells(text).into_iter().map(shown).collect();
    format!(
        "fn main() -> ::std::result::Result<(), kensaku::nb::ScriptError> {{ \
         #[allow(unused_imports)] use kensaku::prelude::*; {body}\n\
         #[allow(unreachable_code)] Ok(()) }}\n"
    )
}

fn has_main(text: &str) -> bool {
    let is_main = |item: &Item| matches!(item, Item::Fn(function) if function.sig.ident == "main");
    syn::parse_file(text).is_ok_and(|file| file.items.iter().any(is_main))
}

fn cells(text: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.starts_with(CELL) {
            cells.push(String::new());
        }
        if let Some(last) = cells.last_mut() {
            last.push_str(line);
        }
    }
    cells
}

/// What does not parse is left to rustc, whose errors say more.
fn shown(code: String) -> String {
    match Cell::parse(&code) {
        Ok(cell) => with_value_shown(&cell),
        Err(_) => code,
    }
}

fn rustc(dylib: &Dylib, file: &Path, source: &Path, program: &Path) -> Command {
    let joined = |parts: [&std::ffi::OsStr; 2]| parts.iter().copied().collect::<OsString>();
    let mut rustc = Command::new("rustc");
    rustc
        .args(["--edition=2024", "--crate-name=script", "-Cprefer-dynamic", "--cap-lints=allow"])
        .arg("--extern")
        .arg(joined(["kensaku=".as_ref(), dylib.library.as_os_str()]))
        .arg(joined(["-Ldependency=".as_ref(), dylib.dependencies.as_os_str()]))
        .arg("--remap-path-prefix")
        .arg([source.as_os_str(), "=".as_ref(), file.as_os_str()].into_iter().collect::<OsString>());
    // An RPATH, which comes before LD_LIBRARY_PATH.
    rustc.arg("-Clink-arg=-Wl,--disable-new-dtags");
    for folder in dylib.run_time_folders() {
        rustc.arg(joined(["-Clink-arg=-Wl,-rpath,".as_ref(), folder.as_os_str()]));
    }
    rustc.arg("-o").arg(program).arg(source);
    rustc
}

/// Ctrl-C is for the script; its folder is removed after it.
fn outlive_terminal_interrupts() {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // Safety: the handler does nothing.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_stays_as_it_is() {
        let text = "fn main() {\n    println!(\"a\");\n}\n";
        assert_eq!(program_text(text), text);
    }

    #[test]
    fn each_cell_shows_its_value_and_keeps_its_lines() {
        let text = "let a = 1;\na\n// %% second\na + 1\n";
        let program = program_text(text);
        assert!(program.contains("\nkensaku::nb::show!(a);\n// %% second\nkensaku::nb::show!(a + 1);\n"));
        let line = |text: &str| text.lines().position(|line| line.contains("second"));
        assert_eq!(line(&program), line(text));
    }
}
