//! From a script to a program that links to the dylib, compiled once for each content.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use xxhash_rust::xxh3::xxh3_128;

use super::terminal::for_terminal;
use crate::cell::{CompileError, Diagnostic, Program, Source, compile_errors, file_name, script_program};
use crate::complete::Completer;
use crate::dylib::Dylib;
use crate::files;
use crate::rustc::{Rustc, joined};
use crate::session::SharedScope;

/// Programs that were compiled longer ago are removed.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Beside a program that was made of its script and the dylib alone, so that it can be run again.
const REUSABLE: &str = "reusable";

const NO_RUSTC: &str = "running rustc: is Rust installed and on PATH?";

/// The program of the script in `file`; none where it does not compile, and rustc has said why.
pub(super) fn compiled(file: &Path, dylib: &Dylib) -> Result<Option<PathBuf>> {
    let script = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let folder = programs()?.join(key(file, &script, dylib)?);
    let kept = folder.join("program");
    if folder.join(REUSABLE).exists() && kept.exists() {
        return Ok(Some(kept));
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    remove_old(&folder);
    // Two runs of one script may compile it at the same time.
    let aside = tempfile::Builder::new().prefix("compiling-").tempdir_in(&folder)?;
    let program = aside.path().join("program");
    let inputs = aside.path().join("inputs");
    let inputs_to = joined(["--emit=link,dep-info=".as_ref(), inputs.as_os_str()]);
    let compiled = match script_program(&script) {
        None => rustc(dylib, file, &program).arg(inputs_to).status().context(NO_RUSTC)?.success(),
        Some(cells) => {
            let source = aside.path().join(file_name(0));
            std::fs::write(&source, &cells.text).context("writing the program")?;
            let mut rustc = rustc(dylib, &source, &program);
            // Panics name the script.
            rustc.arg("--remap-path-prefix").arg(joined([source.as_os_str(), "=".as_ref(), file.as_os_str()]));
            let scope = "--remap-path-scope=object";
            let output = rustc.args(["--error-format=json", scope]).arg(inputs_to).output().context(NO_RUSTC)?;
            if !output.status.success() {
                let mut errors = Diagnostic::errors(&String::from_utf8_lossy(&output.stderr));
                Completer::new(dylib, SharedScope::default()).explain(&mut errors, false);
                explain(file, script, &cells, &errors, &String::from_utf8_lossy(&output.stderr));
            }
            output.status.success()
        }
    };
    if !compiled {
        return Ok(None);
    }
    std::fs::rename(&program, &kept).context("keeping the program")?;
    if std::fs::read_to_string(&inputs).is_ok_and(|inputs| reads_nothing_else(&inputs)) {
        files::write(&folder.join(REUSABLE), b"")?;
    }
    Ok(Some(kept))
}

/// rustc's errors over the lines of the script.
fn explain(file: &Path, script: String, cells: &Program, errors: &[Diagnostic], said: &str) {
    let source = Source { name: file.display().to_string(), code: script };
    let errors = compile_errors(&[source], cells, errors);
    for CompileError { rendered, .. } in &errors {
        eprintln!("{}\n", for_terminal(rendered));
    }
    if errors.is_empty() {
        // A linker's words are in no error.
        eprintln!("{said}");
    }
}

/// rustc, as it makes a program that links to the dylib.
pub(crate) fn rustc(dylib: &Dylib, source: &Path, program: &Path) -> Command {
    let mut rustc = Rustc::new(dylib).call(&[]);
    rustc.args(["--crate-name=script", "-Cprefer-dynamic", "--cap-lints=allow"]);
    // An RPATH, which comes before LD_LIBRARY_PATH.
    rustc.arg("-Clink-arg=-Wl,--disable-new-dtags");
    for folder in dylib.run_time_folders() {
        rustc.arg(joined(["-Clink-arg=-Wl,-rpath,".as_ref(), folder.as_os_str()]));
    }
    rustc.arg("-o").arg(program).arg(source);
    rustc
}

/// Names all that a program is made of. The script's place is part of it: panics tell it.
fn key(file: &Path, script: &str, dylib: &Dylib) -> Result<String> {
    let built = std::fs::metadata(&dylib.library).and_then(|facts| facts.modified())?;
    let place = std::path::absolute(file)?;
    let content = format!("{}\n{}\n{built:?}\n{}\n{script}", place.display(), file.display(), dylib.library.display());
    Ok(format!("{:032x}", xxh3_128(content.as_bytes())))
}

fn programs() -> Result<PathBuf> {
    Ok(files::cache()?.join("scripts"))
}

/// Whether rustc's list of inputs names one file and no variable of the environment.
fn reads_nothing_else(inputs: &str) -> bool {
    // After the rule of each output there is an empty one for each input.
    let files = inputs.lines().filter(|line| line.ends_with(':')).count();
    files == 1 && !inputs.contains("# env-dep:")
}

/// Removes old programs beside `folder`. What cannot be removed is tried again by the next script.
fn remove_old(folder: &Path) {
    let now = SystemTime::now();
    let others = folder.parent().and_then(|programs| std::fs::read_dir(programs).ok());
    for other in others.into_iter().flatten().flatten() {
        let changed = other.metadata().and_then(|facts| facts.modified());
        if changed.is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age > KEPT)) {
            let _ = std::fs::remove_dir_all(other.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_inputs_are_noticed() {
        let rule = "/c/program: /s/a.rs\n\n/s/a.rs:\n";
        assert!(reads_nothing_else(rule));
        assert!(!reads_nothing_else("/c/program: /s/a.rs /s/b.txt\n\n/s/a.rs:\n\n/s/b.txt:\n"));
        assert!(!reads_nothing_else(&format!("{rule}\n# env-dep:HOME=/root\n")));
    }
}
