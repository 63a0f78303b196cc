//! Compiles a script to a program that links to the dylib, once per content.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use xxhash_rust::xxh3::xxh3_128;

use super::terminal::for_terminal;
use crate::cell::{CompileError, Script, Source, compile_errors, script};
use crate::complete::Completer;
use crate::dylib::Dylib;
use crate::files;
use crate::rustc::{Rustc, joined};
use crate::session::SharedScope;

/// Programs unused for longer than this are removed.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The file that marks a program as depending on its script and the dylib only, so that it can be reused.
const REUSABLE: &str = "reusable";

const NO_RUSTC: &str = "running rustc: is Rust installed and on PATH?";

/// The program of the script in `file`; `None` if it does not compile, after printing the errors.
pub(super) fn compiled(file: &Path, dylib: &Dylib) -> Result<Option<PathBuf>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let code = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned();
    let programs = programs()?;
    let folder = programs.join(key(file, &code, dylib)?);
    let kept = folder.join("program");
    if folder.join(REUSABLE).exists() && kept.exists() {
        // Marks it as used. If that fails, it is removed and compiled again some day.
        let _ = std::fs::File::open(&folder).and_then(|folder| folder.set_modified(SystemTime::now()));
        return Ok(Some(kept));
    }
    let source = Source { name: file.display().to_string(), code };
    let place = std::path::absolute(file)?;
    let place = place.parent().unwrap_or(Path::new("/"));
    let mut made = match script(&source, place, &[]) {
        Err(error) => {
            say(&[error]);
            return Ok(None);
        }
        Ok(made) => made,
    };
    files::private_folder(&programs)?;
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    // Two runs may compile the same script at the same time.
    let ours = std::fs::Permissions::from_mode(0o700);
    let aside = tempfile::Builder::new().prefix("compiling-").permissions(ours).tempdir_in(&folder)?;
    remove_old(&programs, &folder);
    let program = aside.path().join("program");
    let inputs = aside.path().join("inputs");
    let inputs_to = joined(["--emit=link,dep-info=".as_ref(), inputs.as_os_str()]);
    let mut options = Vec::new();
    let compiled = loop {
        let Some(cells) = &made else {
            break rustc(dylib, file, &program).arg(inputs_to).status().context(NO_RUSTC)?.success();
        };
        let mut rustc = rustc(dylib, &written(cells, aside.path())?, &program);
        rename(&mut rustc, cells, aside.path(), file);
        let output = rustc.arg("--error-format=json").arg(&inputs_to).output().context(NO_RUSTC)?;
        if output.status.success() {
            break true;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let tried = cells.tried_options(&cells.errors(&said));
        if tried.iter().all(|place| options.contains(place)) {
            explain(source, cells, dylib, &said);
            break false;
        }
        // Tries again with the newly found options.
        options.extend(tried);
        made = script(&source, place, &options).unwrap_or_default();
    };
    if !compiled {
        return Ok(None);
    }
    std::fs::rename(&program, &kept).context("storing the program")?;
    let own = made.map_or(1, |script| script.files().len());
    if std::fs::read_to_string(&inputs).is_ok_and(|inputs| reads_nothing_else(&inputs, own)) {
        files::write(&folder.join(REUSABLE), b"")?;
    }
    Ok(Some(kept))
}

/// Writes the files of the script's program and returns the path of the main file.
fn written(script: &Script, folder: &Path) -> Result<PathBuf> {
    let files = script.files();
    for (name, text) in &files {
        std::fs::write(folder.join(name), text).context("writing the program")?;
    }
    let [(first, _), _] = files;
    Ok(folder.join(first))
}

/// Makes panics name the script. rustc identifies files by name, so the items' file gets another path to the same
/// script.
fn rename(rustc: &mut Command, script: &Script, folder: &Path, file: &Path) {
    let folder_of_file = file.parent().unwrap_or(Path::new("")).join("./");
    let another = joined([folder_of_file.as_os_str(), file.file_name().unwrap_or_default()]);
    for ((name, _), shown) in script.files().iter().zip([another.as_os_str(), file.as_os_str()]) {
        let made = folder.join(name);
        rustc.arg("--remap-path-prefix").arg(joined([made.as_os_str(), "=".as_ref(), shown]));
    }
    rustc.arg("--remap-path-scope=object");
}

/// Prints rustc's errors with the lines of the script.
fn explain(source: Source, script: &Script, dylib: &Dylib, said: &str) {
    let mut errors = script.errors(said);
    Completer::new(dylib, SharedScope::default()).explain(&mut errors, false);
    let errors = compile_errors(&[source], &script.program, &errors);
    say(&errors);
    if errors.is_empty() {
        // A linker's output is not in the errors.
        eprintln!("{said}");
    }
}

fn say(errors: &[CompileError]) {
    for CompileError { rendered, .. } in errors {
        eprintln!("{}\n", for_terminal(rendered));
    }
}

/// The call of rustc for a program that links to the dylib.
pub(crate) fn rustc(dylib: &Dylib, source: &Path, program: &Path) -> Command {
    let mut rustc = Rustc::new(dylib).call(&[]);
    rustc.args(["--crate-name=script", "-Cprefer-dynamic", "--cap-lints=allow"]);
    // Like other commands, it ends on a broken pipe without a panic. Other nightly features stay disabled.
    rustc.env("RUSTC_BOOTSTRAP", "1").args(["-Zon-broken-pipe=kill", "-Zallow-features="]);
    // An RPATH, which precedes LD_LIBRARY_PATH.
    rustc.arg("-Clink-arg=-Wl,--disable-new-dtags");
    for folder in dylib.run_time_folders() {
        rustc.arg(joined(["-Clink-arg=-Wl,-rpath,".as_ref(), folder.as_os_str()]));
    }
    rustc.arg("-o").arg(program).arg(source);
    rustc
}

/// Hashes the inputs of a program: the script and its path, which panics show, the dylib, and this binary.
fn key(file: &Path, script: &str, dylib: &Dylib) -> Result<String> {
    let built = |file: &Path| std::fs::metadata(file).and_then(|facts| facts.modified());
    let (dylib, binary) = (&dylib.library, std::env::current_exe()?);
    let times = [built(dylib)?, built(&binary)?];
    let place = std::path::absolute(file)?;
    let content = format!("{}\n{}\n{times:?}\n{}\n{script}", place.display(), file.display(), dylib.display());
    Ok(format!("{:032x}", xxh3_128(content.as_bytes())))
}

fn programs() -> Result<PathBuf> {
    Ok(files::cache()?.join("scripts"))
}

/// Whether rustc's list of inputs only names the program's `own` files, and no environment variable.
fn reads_nothing_else(inputs: &str, own: usize) -> bool {
    // The rules of the outputs are followed by an empty rule for each input.
    let files = inputs.lines().filter(|line| line.ends_with(':')).count();
    files == own && !inputs.contains("# env-dep:")
}

/// Removes old programs except `own`. If that fails, the next script tries again.
fn remove_old(programs: &Path, own: &Path) {
    let now = SystemTime::now();
    let others = std::fs::read_dir(programs).into_iter().flatten().flatten();
    for other in others.filter(|other| other.path() != own) {
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
    fn changed_inputs_are_detected() {
        let rule = "/c/program: /s/a.rs\n\n/s/a.rs:\n";
        assert!(reads_nothing_else(rule, 1));
        assert!(!reads_nothing_else("/c/program: /s/a.rs /s/b.txt\n\n/s/a.rs:\n\n/s/b.txt:\n", 1));
        assert!(!reads_nothing_else(&format!("{rule}\n# env-dep:HOME=/root\n"), 1));
    }

    #[test]
    fn programs_unused_for_long_are_removed() -> Result<()> {
        let programs = tempfile::tempdir()?;
        let [old, own, new] = ["old", "own", "new"].map(|name| programs.path().join(name));
        for (folder, age) in [(&old, KEPT * 2), (&own, KEPT * 2), (&new, KEPT / 2)] {
            std::fs::create_dir(folder)?;
            std::fs::File::open(folder)?.set_modified(SystemTime::now() - age)?;
        }
        remove_old(programs.path(), &own);
        assert_eq!([old, own, new].map(|folder| folder.exists()), [false, true, true]);
        Ok(())
    }
}
