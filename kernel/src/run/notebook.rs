//! Runs the cells of a notebook in order and writes the notebook with their outputs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};

use super::outputs::Outputs;
use super::terminal::Terminal;
use crate::dylib::Dylib;
use crate::session::{Failure, Interrupter, Session};

/// Runs `file`; the first failed cell ends the run. The executed notebook goes to `output`, or
/// beside the build: running a notebook leaves no file in the repository.
pub(crate) fn notebook(file: &Path, output: Option<PathBuf>) -> Result<ExitCode> {
    let mut notebook = read(file)?;
    let output = match output {
        Some(output) => output,
        None => default_output(file)?,
    };
    let dylib = Dylib::fresh()?;
    let shown = Shown(Arc::new(Mutex::new((Terminal::new(), Outputs::default(), 0))));
    let interrupter = Interrupter::default();
    interrupt_on_signal(interrupter.clone())?;
    let events = shown.clone();
    let mut session = Session::start(&dylib, &[], interrupter, Arc::new(move |event| events.event(&event)))?;

    let result = run_cells(&mut session, &notebook, &shown);
    let code = match &result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    };
    put_outputs(&mut notebook, shown.take_cells());
    write(&output, &notebook)?;
    println!("wrote {}", output.display());
    Ok(code)
}

/// What is printed, what is kept, and the number of the cell that runs.
#[derive(Clone)]
struct Shown(Arc<Mutex<(Terminal, Outputs, usize)>>);

impl Shown {
    fn lock(&self) -> MutexGuard<'_, (Terminal, Outputs, usize)> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn event(&self, event: &crate::session::Event) {
        let (terminal, outputs, count) = &mut *self.lock();
        terminal.event(event);
        outputs.add(event, *count);
    }

    fn begin_cell(&self, count: usize, total: usize, code: &str) {
        let mut shown = self.lock();
        shown.0.begin_cell(count, total, code);
        shown.1.begin_cell();
        shown.2 = count;
    }

    fn end_cell(&self, result: &Result<(), Failure>) {
        let mut shown = self.lock();
        match result {
            Ok(()) => shown.0.end_cell(),
            Err(failure) => {
                shown.0.failure(failure);
                shown.1.add_failure(failure);
            }
        }
    }

    fn take_cells(&self) -> Vec<Vec<Value>> {
        std::mem::take(&mut self.lock().1).take_cells()
    }
}

fn run_cells(session: &mut Session, notebook: &Value, shown: &Shown) -> Result<(), Failure> {
    let cells: Vec<String> = code_cells(notebook).map(source).collect();
    for (index, code) in cells.iter().enumerate() {
        let count = index + 1;
        shown.begin_cell(count, cells.len(), code);
        let result = session.run(code, &format!("cell [{count}]"));
        shown.end_cell(&result);
        result?;
    }
    Ok(())
}

fn read(file: &Path) -> Result<Value> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
    let notebook: Value = serde_json::from_str(&text).with_context(|| format!("{name} is not a notebook"))?;
    ensure!(notebook["nbformat"] == 4, "{name}: only notebooks of format 4 can be run");
    ensure!(notebook["cells"].is_array(), "{name} has no cells");
    let language = &notebook["metadata"]["kernelspec"]["language"];
    if let Some(other) = language.as_str().filter(|language| *language != "rust") {
        bail!("{name} is written in {other}, not in Rust");
    }
    Ok(notebook)
}

/// `target/notebooks/` where this binary was built by cargo, else the current folder.
fn default_output(file: &Path) -> Result<PathBuf> {
    let name = file.file_stem().and_then(|stem| stem.to_str()).context("the file has no name")?;
    let binary = std::env::current_exe().context("finding this binary")?;
    let profile = binary.parent().filter(|folder| folder.ends_with("release") || folder.ends_with("debug"));
    Ok(match profile.and_then(Path::parent) {
        Some(target) => target.join("notebooks").join(format!("{name}.ipynb")),
        None => PathBuf::from(format!("{name}.executed.ipynb")),
    })
}

fn is_code(cell: &Value) -> bool {
    cell["cell_type"] == "code"
}

fn code_cells(notebook: &Value) -> impl Iterator<Item = &Value> {
    notebook["cells"].as_array().into_iter().flatten().filter(|cell| is_code(cell))
}

/// A cell's source: a string or a list of lines.
fn source(cell: &Value) -> String {
    match &cell["source"] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// Cells that did not run lose their old outputs.
fn put_outputs(notebook: &mut Value, outputs: Vec<Vec<Value>>) {
    let cells = notebook["cells"].as_array_mut().into_iter().flatten();
    let mut outputs = outputs.into_iter().enumerate();
    for cell in cells.filter(|cell| is_code(cell)) {
        let (count, outputs) = match outputs.next() {
            Some((index, outputs)) => (json!(index + 1), outputs),
            None => (Value::Null, Vec::new()),
        };
        cell["execution_count"] = count;
        cell["outputs"] = json!(outputs);
    }
}

fn write(file: &Path, notebook: &Value) -> Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    let mut text = Vec::new();
    // As nbformat writes it.
    let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
    notebook.serialize(&mut serde_json::Serializer::with_formatter(&mut text, format))?;
    text.push(b'\n');
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

/// Ctrl-C interrupts the cell, as the stop button does.
fn interrupt_on_signal(interrupter: Interrupter) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("kensaku-signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                interrupter.interrupt();
            }
        });
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_strings_or_lines() {
        assert_eq!(source(&json!({ "source": ["a\n", "b"] })), "a\nb");
        assert_eq!(source(&json!({ "source": "a\nb" })), "a\nb");
    }

    #[test]
    fn outputs_go_to_the_code_cells() {
        let mut notebook = json!({ "cells": [
            { "cell_type": "markdown", "source": "text" },
            { "cell_type": "code", "source": "1", "outputs": ["old"], "execution_count": 9 },
            { "cell_type": "code", "source": "2", "outputs": ["old"], "execution_count": 9 },
        ]});
        put_outputs(&mut notebook, vec![vec![json!("new")]]);
        assert_eq!(notebook["cells"][1]["outputs"], json!(["new"]));
        assert_eq!(notebook["cells"][1]["execution_count"], 1);
        assert_eq!(notebook["cells"][2]["outputs"], json!([]));
        assert_eq!(notebook["cells"][2]["execution_count"], Value::Null);
        assert!(notebook["cells"][0].get("outputs").is_none());
    }
}
