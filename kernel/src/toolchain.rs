//! Replacements for `cargo`, `rustc` and `rustup`, for evcxr only.
//!
//! evcxr compiles cells with cargo, and queries all three when it starts. The replacements compile with one call
//! of rustc, whose arguments the session has prepared, and cache the answers to the queries: these only differ in
//! the session's folder.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files;

/// The session's folder; set for evcxr, not for programs that cells start.
const SESSION_VARIABLE: &str = "KENSAKU_SESSION";
/// The cache of answers.
const ANSWERS_VARIABLE: &str = "KENSAKU_ANSWERS";
/// The original `PATH` and `CARGO_HOME`.
const PATH_BEFORE: &str = "KENSAKU_PATH_BEFORE";
const CARGO_HOME_BEFORE: &str = "KENSAKU_CARGO_HOME_BEFORE";

/// Files in the session's folder: what evcxr's `cargo build` runs, and rustc's output.
pub(crate) const BUILD: &str = "build.json";
pub(crate) const DIAGNOSTICS: &str = "diagnostics.jsonl";

/// The file for the path of the library that evcxr loads.
const LIBRARY_VARIABLE: &str = "EVCXR_EXECUTION_SO_PATH";

/// Other variables that the session sets for evcxr.
const FOR_EVCXR: [&str; 3] = ["EVCXR_CONFIG_DIR", "EVCXR_TMPDIR", "RUST_SRC_PATH"];

const TOOLS: [&str; 3] = ["cargo", "rustc", "rustup"];

/// The call of rustc that compiles a cell.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) rustc: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The library that it generates.
    pub(crate) library: PathBuf,
    /// The program, and its function that runs the cell.
    pub(crate) source: PathBuf,
    pub(crate) entry: String,
    /// Another name of the library: evcxr renames it.
    pub(crate) second_name: Option<PathBuf>,
}

impl Build {
    pub(crate) fn new(rustc: &Command, library: PathBuf, source: PathBuf, entry: String) -> Self {
        let arguments = rustc.get_args().map(|argument| argument.to_string_lossy().into_owned());
        let (rustc, arguments) = (rustc.get_program().into(), arguments.collect());
        Self { rustc, arguments, library, source, entry, second_name: None }
    }
}

/// Puts the replacements into the session's folder; returns the variables by which evcxr finds them.
pub(crate) fn stand_in(session: &Path, answers: &Path) -> Result<Vec<(&'static str, OsString)>> {
    // rust-analyzer searches cargo's home first.
    let home = session.join("toolchain");
    let folder = home.join("bin");
    place_tools(session)?;
    let before = std::env::var_os("PATH").unwrap_or_default();
    let mut path = OsString::from(&folder);
    path.push(":");
    path.push(&before);
    let mut set = vec![
        (SESSION_VARIABLE, session.into()),
        (ANSWERS_VARIABLE, answers.into()),
        (PATH_BEFORE, before),
        ("PATH", path),
        ("CARGO_HOME", home.into()),
    ];
    set.extend(std::env::var_os("CARGO_HOME").map(|home| (CARGO_HOME_BEFORE, home)));
    Ok(set)
}

/// The replacement for cargo, in the session's folder.
pub(crate) const CARGO: &str = "toolchain/bin/cargo";

/// Creates missing links to this binary.
pub(crate) fn place_tools(session: &Path) -> Result<()> {
    let cargo = session.join(CARGO);
    let folder = cargo.parent().unwrap_or(session);
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let binary = std::env::current_exe().context("finding this binary")?;
    for link in TOOLS.map(|tool| folder.join(tool)).iter().filter(|link| link.symlink_metadata().is_err()) {
        std::os::unix::fs::symlink(&binary, link).context("placing the session's tools")?;
    }
    Ok(())
}

/// Reverts the variables of [`stand_in`] for `command`.
pub(crate) fn as_before(command: &mut Command) -> &mut Command {
    if let Some(path) = std::env::var_os(PATH_BEFORE) {
        command.env("PATH", path);
        match std::env::var_os(CARGO_HOME_BEFORE) {
            Some(home) => command.env("CARGO_HOME", home),
            None => command.env_remove("CARGO_HOME"),
        };
    }
    for name in [SESSION_VARIABLE, ANSWERS_VARIABLE, PATH_BEFORE, CARGO_HOME_BEFORE].iter().chain(&FOR_EVCXR) {
        command.env_remove(name);
    }
    command
}

/// Prefixes of the variables that cargo sets for the programs it runs.
const SET_BY_CARGO: [&str; 6] =
    ["CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_PRIMARY_", "OUT_DIR"];

/// Removes what cargo has set in this process about our own package.
pub(crate) fn without_package(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| SET_BY_CARGO.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

/// Where cargo keeps its downloads.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    let inside = std::env::var_os(PATH_BEFORE).is_some();
    let named = std::env::var_os(if inside { CARGO_HOME_BEFORE } else { "CARGO_HOME" });
    named.map(PathBuf::from).or_else(|| Some(std::env::home_dir()?.join(".cargo")))
}

/// The tool that this process replaces, if any.
pub(crate) fn tool() -> Option<String> {
    std::env::var_os(SESSION_VARIABLE)?;
    let called = PathBuf::from(std::env::args_os().next()?);
    let name = called.file_name()?.to_str()?;
    TOOLS.contains(&name).then(|| name.to_owned())
}

/// Runs as `tool`.
pub(crate) fn run(tool: &str) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let session = PathBuf::from(std::env::var_os(SESSION_VARIABLE).unwrap_or_default());
    let first = arguments.first().map(OsString::as_os_str).unwrap_or_default();
    let result = match tool {
        "cargo" if first == "build" => build(&session),
        // Called if rust-analyzer has lost its project; errors in a cell are reported when it is built.
        "cargo" if first == "check" => return ExitCode::SUCCESS,
        "rustup" if arguments == ["which", "cargo"] => {
            println!("{}", session.join("toolchain/bin/cargo").display());
            return ExitCode::SUCCESS;
        }
        _ => answer(&session, tool, &arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("kensaku: {error:#}");
        ExitCode::FAILURE
    })
}

/// Compiles what evcxr has written, and passes it the library's path.
fn build(session: &Path) -> Result<ExitCode> {
    let text = std::fs::read_to_string(session.join(BUILD)).context("reading the call of rustc")?;
    let build: Build = serde_json::from_str(&text)?;
    let source = std::fs::read_to_string(OWN).context("reading the cell")?;
    let compiled =
        if source.contains(CELL) { compile_cell(session, &build, &source)? } else { compile_own(&build, &source)? };
    if !compiled {
        return Ok(ExitCode::FAILURE);
    }
    if let Some(file) = std::env::var_os(LIBRARY_VARIABLE) {
        std::fs::write(file, build.library.as_os_str().as_bytes()).context("passing on the library's path")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Compiles a cell of the session, with the function that evcxr calls added. rustc's output goes to a file, as evcxr
/// would try to fix the code.
fn compile_cell(session: &Path, build: &Build, source: &str) -> Result<bool> {
    let called = called(source).context("evcxr calls no function")?;
    let mut program = std::fs::OpenOptions::new().append(true).open(&build.source).context("opening the cell")?;
    let Build { entry, .. } = build;
    writeln!(
        program,
        "#[unsafe(no_mangle)] pub extern \"C\" fn {called}(store: *mut ::std::ffi::c_void) -> *mut ::std::ffi::c_void \
         {{ ::kensaku::nb::enter({entry}); store }}"
    )?;
    let output = rustc(build, build.source.as_os_str())?;
    std::fs::write(session.join(DIAGNOSTICS), &output.stderr).context("writing the output of rustc")?;
    if !output.status.success() {
        eprintln!("the cell did not compile");
        return Ok(false);
    }
    if let Some(name) = &build.second_name {
        std::fs::hard_link(&build.library, name).context("keeping the library's name")?;
    }
    Ok(true)
}

/// Compiles evcxr's first program, which is the same in every session. Its first form does not compile, and evcxr
/// reads the errors.
fn compile_own(build: &Build, source: &str) -> Result<bool> {
    let kept = answers().join(format!("first-{:016x}", hash(&[source.as_bytes()])));
    let (library, errors) = (kept.with_extension("so"), kept.with_extension("jsonl"));
    if std::fs::copy(&library, &build.library).is_ok() {
        return Ok(true);
    }
    let said = match std::fs::read(&errors) {
        Ok(said) => said,
        Err(_) => {
            let output = rustc(build, OWN.as_ref())?;
            let (file, content) = match output.status.success() {
                true => (library, std::fs::read(&build.library)?),
                false => (errors, output.stderr.clone()),
            };
            // If this fails, the next session compiles it again.
            let _ = files::write(&file, &content);
            if output.status.success() {
                return Ok(true);
            }
            output.stderr
        }
    };
    std::io::stderr().write_all(&said)?;
    Ok(false)
}

fn rustc(build: &Build, source: &OsStr) -> Result<Output> {
    let mut rustc = Command::new(&build.rustc);
    as_before(&mut rustc).args(&build.arguments).arg(source).output().context("running rustc")
}

/// The name of the function that evcxr calls: `run_user_code_3`.
fn called(source: &str) -> Option<&str> {
    let name = &source[source.find(CALLED)?..];
    Some(&name[..name.find('(')?])
}

const CALLED: &str = "run_user_code_";

/// What evcxr gets as the code of our cells; its own first program differs.
pub(crate) const CELL: &str = "kensaku_cell!();";

/// The file with evcxr's crate.
const OWN: &str = "src/lib.rs";

/// The answer of a tool, with a placeholder for the session's folder.
#[derive(Serialize, Deserialize)]
struct Answer {
    stdout: String,
    stderr: String,
    code: u8,
}

const MARK: &str = "{session}";

fn answer(session: &Path, tool: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let folder = session.to_string_lossy().into_owned();
    let question: Vec<String> =
        arguments.iter().map(|argument| argument.to_string_lossy().replace(&folder, MARK)).collect();
    let manifest = std::fs::read("Cargo.toml").unwrap_or_default();
    let key = hash(&[tool.as_bytes(), question.join("\n").as_bytes(), &manifest]);
    let file = answers().join(format!("{tool}-{key:016x}.json"));
    let known = std::fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str::<Answer>(&text).ok());
    let answer = match known {
        Some(answer) => answer,
        None => {
            let mut real = Command::new(real(tool)?);
            let output = as_before(&mut real).args(arguments).output().with_context(|| format!("running {tool}"))?;
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&folder, MARK);
            let code = output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
            let answer = Answer { stdout: text(&output.stdout), stderr: text(&output.stderr), code };
            if output.status.success() {
                // If this fails, the next session asks again.
                let _ = files::write(&file, serde_json::to_string(&answer)?.as_bytes());
            }
            answer
        }
    };
    std::io::stdout().write_all(answer.stdout.replace(MARK, &folder).as_bytes())?;
    std::io::stderr().write_all(answer.stderr.replace(MARK, &folder).as_bytes())?;
    Ok(ExitCode::from(answer.code))
}

/// The tool itself, on the original `PATH`.
pub(crate) fn real(tool: &str) -> Result<PathBuf> {
    let path = std::env::var_os(PATH_BEFORE).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.is_file());
    found.with_context(|| format!("{tool} is not on PATH: is Rust installed?"))
}

fn answers() -> PathBuf {
    PathBuf::from(std::env::var_os(ANSWERS_VARIABLE).unwrap_or_default())
}

fn hash(parts: &[&[u8]]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    // Not seeded: the same in every process.
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_the_parts() {
        assert_eq!(hash(&[b"a", b"b"]), hash(&[b"a", b"b"]));
        assert_ne!(hash(&[b"a", b"b"]), hash(&[b"ab"]));
    }
}
