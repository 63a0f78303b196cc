//! Runs the cells of a notebook in order and writes the notebook with their outputs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Run;
use super::outputs::Outputs;
use super::terminal::Terminal;
use crate::dylib::Dylib;
use crate::ipynb;
use crate::session::{Failure, Interrupter, Session, SharedScope};

/// Runs `file`; the first failed cell ends the run. The executed notebook goes to `output`, a file
/// or a folder, or beside the build: running a notebook leaves no file in the repository.
pub(super) fn notebook(run: &Run) -> Result<ExitCode> {
    let file = run.file.as_path();
    let mut notebook = ipynb::read(file)?;
    let output = match &run.output {
        Some(folder) if folder.is_dir() => folder.join(file.file_name().unwrap_or_default()),
        Some(output) => output.clone(),
        None => default_output(file)?,
    };
    let dylib = Dylib::fresh()?;
    let shown = Shown(Arc::new(Mutex::new((Terminal::new(), Outputs::default(), 0))));
    let interrupter = Interrupter::default();
    interrupt_on_signal(interrupter.clone())?;
    let events = shown.clone();
    let mut session =
        Session::start(&dylib, interrupter, Arc::new(move |event| events.event(&event)), SharedScope::default())?;

    let result = run_cells(&mut session, &notebook, &shown);
    let code = match &result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    };
    ipynb::put_outputs(&mut notebook, shown.take_cells());
    ipynb::write(&output, &notebook)?;
    shown.lock().0.line(&format!("wrote {}", output.display()));
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
    let cells: Vec<String> = ipynb::cells(notebook).filter(|cell| ipynb::is_code(cell)).map(ipynb::source).collect();
    for (index, code) in cells.iter().enumerate() {
        let count = index + 1;
        shown.begin_cell(count, cells.len(), code);
        let result = session.run(code, &format!("cell [{count}]"));
        shown.end_cell(&result);
        result?;
    }
    Ok(())
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

/// Ctrl-C interrupts the cell, as the stop button does.
fn interrupt_on_signal(interrupter: Interrupter) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = std::thread::Builder::new().name("kensaku-signals".to_owned());
    signals.spawn(move || runtime.block_on(interrupter.at_signals()))?;
    Ok(())
}
