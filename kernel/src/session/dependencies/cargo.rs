//! Calls of cargo for a session's project.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::dylib::Dylib;
use crate::toolchain;
use crate::units::{Graph, as_question};
use crate::wrapper::HELD_VARIABLE;

/// How cargo is called.
#[derive(Debug)]
pub(super) struct Cargo {
    program: PathBuf,
    rustc: PathBuf,
    platform: String,
    /// The folder of the dylib's crates.
    held: PathBuf,
    project: PathBuf,
    target: PathBuf,
}

/// cargo's progress.
pub(super) enum Step<'a> {
    /// `Downloading crates ...`
    Word(&'a str),
    /// Compiling `regex v1.2.3`.
    Compiling(&'a str),
    /// The message of a finished unit, built now or before, or of a build script that has run.
    Built(&'a Value),
}

impl Cargo {
    pub(super) fn new(dylib: &Dylib, project: &Path, target: PathBuf) -> Result<Self> {
        // From the toolchain that built the dylib: rustup might choose another in this folder.
        let beside = dylib.sysroot().map(|sysroot| sysroot.join("bin/cargo")).filter(|cargo| cargo.is_file());
        Ok(Self {
            program: beside.map_or_else(|| toolchain::real("cargo"), Ok)?,
            rustc: dylib.compiler(),
            platform: dylib.platform().to_owned(),
            held: dylib.dependencies.clone(),
            project: project.to_owned(),
            target,
        })
    }

    /// The unit graph of a build. Tries offline first: that is fast and keeps the versions already downloaded.
    pub(super) fn graph(&self, mut progress: impl FnMut(Step)) -> Result<Graph> {
        if let Ok(graph) = Graph::ask(self.build().arg("--offline")) {
            return Ok(graph);
        }
        let mut told = String::new();
        watch(as_question(&mut self.build()), |line| match line {
            Line::Output(line) => told.push_str(line),
            Line::Step(step) => progress(step),
        })?;
        Graph::read(told.as_bytes())
    }

    /// Builds the graph of [`Cargo::graph`] and returns cargo's messages.
    pub(super) fn run(&self, mut progress: impl FnMut(Step)) -> Result<Vec<Value>> {
        let mut cargo = self.build();
        cargo.args(["--offline", "--message-format=json"]).env(HELD_VARIABLE, &self.held);
        cargo.env("RUSTC_WRAPPER", std::env::current_exe().context("finding this binary")?);
        let (mut messages, mut errors) = (Vec::new(), Vec::new());
        let ended = watch(&mut cargo, |line| match line {
            // Lines that are not JSON are printed by macros.
            Line::Output(line) => match serde_json::from_str::<Value>(line) {
                Ok(message) if message["reason"] == "compiler-message" => {
                    let message = &message["message"];
                    let text = message["rendered"].as_str().filter(|_| message["level"] == "error");
                    errors.extend(text.map(str::to_owned));
                }
                Ok(message) => {
                    progress(Step::Built(&message));
                    messages.push(message);
                }
                Err(_) => {}
            },
            Line::Step(step) => progress(step),
        });
        match ended {
            Ok(()) => Ok(messages),
            Err(_) if !errors.is_empty() => bail!("does not compile\n{}", shortened(&errors)),
            Err(error) => Err(error),
        }
    }

    fn build(&self) -> Command {
        let mut cargo = Command::new(&self.program);
        toolchain::without_package(toolchain::as_before(&mut cargo))
            .current_dir(&self.project)
            // Explicit, to tell units for the target platform from those for build scripts.
            .args(["build", "--release", "--target", &self.platform])
            .env("RUSTC", &self.rustc)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
            .env("CARGO_TERM_QUIET", "false")
            .env("CARGO_TERM_VERBOSE", "false")
            // Each change of a crate changes its identity, so nothing can be reused.
            .env("CARGO_INCREMENTAL", "0")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .stdin(Stdio::null());
        cargo
    }
}

enum Line<'a> {
    Output(&'a str),
    Step(Step<'a>),
}

/// Runs `cargo`, passes on its output line by line, and fails with its errors.
fn watch(cargo: &mut Command, mut heard: impl FnMut(Line)) -> Result<()> {
    let mut running = cargo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("running cargo")?;
    let output = running.stdout.take().context("cargo has no stdout")?;
    let words = running.stderr.take().context("cargo has no stderr")?;
    let mut said: Vec<String> = Vec::new();
    // Read concurrently: either pipe may fill up.
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let to = sender.clone();
        scope.spawn(move || lines_of(output).for_each(|line| drop(to.send((true, line)))));
        scope.spawn(move || lines_of(words).for_each(|line| drop(sender.send((false, line)))));
        for (is_output, line) in lines {
            match line.trim_start().split_once(' ') {
                _ if is_output => heard(Line::Output(&line)),
                Some(("Compiling", what)) => heard(Line::Step(Step::Compiling(what))),
                Some(("Updating" | "Downloading" | "Downloaded" | "Blocking", _)) => {
                    heard(Line::Step(Step::Word(line.trim())));
                }
                Some(("Locking" | "Adding" | "Finished", _)) => {}
                _ => said.push(line),
            }
        }
    });
    let status = running.wait()?;
    ensure!(status.success(), "{}", error(&said));
    Ok(())
}

fn lines_of(pipe: impl Read) -> impl Iterator<Item = String> {
    BufReader::new(pipe).lines().map_while(Result::ok)
}

/// cargo's output from its first error on, without lines about the session's project.
fn error(said: &[String]) -> String {
    let ours = format!("package `{} v0.0.0", super::project::NAME);
    let errors = said.iter().skip_while(|line| !line.starts_with("error"));
    let lines: Vec<&str> = errors.map(String::as_str).filter(|line| !line.contains(&ours)).collect();
    let text = lines.join("\n");
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    if text.is_empty() { "cargo failed without a message".to_owned() } else { text.to_owned() }
}

/// How many errors are shown.
const SHOWN: usize = 3;

fn shortened(errors: &[String]) -> String {
    // The last one is only a count.
    let errors: Vec<&String> = errors.iter().filter(|error| error.contains("-->")).collect();
    let shown: Vec<&str> = errors.iter().take(SHOWN).map(|error| error.trim_end()).collect();
    let mut text = shown.join("\n\n");
    if errors.len() > SHOWN {
        text.push_str(&format!("\n\n.. and {} more", errors.len() - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_cargos_own() {
        let said = [
            "warning: unused",
            "error: no matching package named `x` found",
            "location searched: crates.io index",
            "required by package `kensaku-session v0.0.0 (/tmp/s)`",
        ];
        let said = said.map(str::to_owned);
        assert_eq!(error(&said), "no matching package named `x` found\nlocation searched: crates.io index");
        assert_eq!(error(&[]), "cargo failed without a message");
    }

    #[test]
    fn three_errors_are_enough() {
        let errors: Vec<String> = (0..5).map(|n| format!("error: {n}\n --> a.rs\n")).collect();
        let text = shortened(&errors);
        assert!(text.contains("error: 2") && !text.contains("error: 3") && text.ends_with(".. and 2 more"), "{text}");
    }
}
