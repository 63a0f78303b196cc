//! Runs the cells of a notebook in order and writes the notebook with their outputs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Run;
use super::outputs::Outputs;
use super::signals::{self, Stop};
use super::terminal::Terminal;
use crate::dylib::Dylib;
use crate::ipynb::{self, Task};
use crate::session::{Event, Failure, Interrupter, Session, SharedScope};
use crate::{files, jupyter};

/// Runs `file` in its folder; the first failed cell ends the run. The executed notebook is written to `output`, a file
/// or a folder, by default next to the build, so that no file is left in the repository.
pub(super) fn notebook(run: &Run) -> Result<ExitCode> {
    let file = run.file.as_path();
    ensure!(run.arguments.is_empty(), "a notebook takes no arguments, only scripts do");
    let mut notebook = ipynb::read(file)?;
    let output = match &run.output {
        Some(folder) if folder.is_dir() => folder.join(file.file_name().unwrap_or_default()),
        Some(output) => output.clone(),
        None => default_output(file)?,
    };
    let written = std::path::absolute(&output)?;
    // Checked before cells run for hours.
    files::check_writable(&written)?;
    let dylib = Dylib::fresh()?;
    enter_folder(file)?;
    let shown = Shown(Arc::new(Mutex::new(State::new())));
    let interrupter = Interrupter::default();
    let stop = Stop::at_signals(interrupter.clone())?;
    let events = shown.clone();
    let mut session =
        Session::start(&dylib, interrupter, Arc::new(move |event| events.event(event)), SharedScope::default())?;

    let went_well = run_cells(&mut session, &notebook, &shown, &stop);
    ipynb::put_outputs(&mut notebook, shown.take_cells());
    ipynb::write(&written, &notebook)?;
    if stop.signal().is_some() {
        shown.say("stopped; the outputs so far are kept");
    }
    shown.say(&format!("wrote {}", output.display()));
    Ok(match stop.signal() {
        Some(signal) => signals::exit_code(signal).into(),
        None if went_well => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

/// The printed and the recorded outputs.
#[derive(Clone)]
struct Shown(Arc<Mutex<State>>);

struct State {
    terminal: Terminal,
    outputs: Outputs,
    /// Limits on the running cell's output, as in Jupyter.
    limits: jupyter::Limits,
    /// The number of the running cell.
    count: usize,
}

impl State {
    fn new() -> Self {
        Self { terminal: Terminal::new(), outputs: Outputs::default(), limits: jupyter::Limits::default(), count: 0 }
    }
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn event(&self, event: Event) {
        let State { terminal, outputs, limits, count } = &mut *self.lock();
        terminal.event(&event);
        for event in limits.admit(event) {
            outputs.add(&event, *count);
        }
    }

    fn begin_cell(&self, count: usize, total: usize, code: &str) {
        let mut state = self.lock();
        state.terminal.begin_cell(count, total, code);
        state.outputs.begin_cell();
        state.limits = jupyter::Limits::default();
        state.count = count;
    }

    fn end_cell(&self, result: &Result<(), Failure>) {
        let mut state = self.lock();
        match result {
            Ok(()) => state.terminal.end_cell(),
            Err(failure) => {
                state.terminal.failure(failure);
                state.outputs.add_failure(failure);
            }
        }
    }

    fn say(&self, text: &str) {
        self.lock().terminal.line(text);
    }

    fn take_cells(&self) -> Vec<Vec<Value>> {
        std::mem::take(&mut self.lock().outputs).take_cells()
    }
}

/// Runs the cells; returns whether all ended as expected.
fn run_cells(session: &mut Session, notebook: &Value, shown: &Shown, stop: &Stop) -> bool {
    let tasks = ipynb::cells(notebook).map(|cell| (ipynb::task(cell), cell));
    let tasks = tasks.filter_map(|(task, cell)| match task {
        Task::Run { may_fail } => Some((ipynb::source(cell), may_fail)),
        Task::Blank | Task::Leave => None,
    });
    let tasks: Vec<(String, bool)> = tasks.collect();
    for (index, (code, may_fail)) in tasks.iter().enumerate() {
        if stop.signal().is_some() {
            return false;
        }
        let count = index + 1;
        shown.begin_cell(count, tasks.len(), code);
        let result = session.run(code, &format!("cell [{count}]"));
        shown.end_cell(&result);
        if result.is_err() && !may_fail {
            return false;
        }
    }
    true
}

/// `target/notebooks/` if this binary was built by cargo, else the current folder.
fn default_output(file: &Path) -> Result<PathBuf> {
    let name = file.file_stem().and_then(|stem| stem.to_str()).context("the file has no name")?;
    let binary = std::env::current_exe().context("finding this binary")?;
    let profile = binary.parent().filter(|folder| folder.ends_with("release") || folder.ends_with("debug"));
    Ok(match profile.and_then(Path::parent) {
        Some(target) => target.join("notebooks").join(format!("{name}.ipynb")),
        None => PathBuf::from(format!("{name}.executed.ipynb")),
    })
}

/// Enters the notebook's folder, as Jupyter does for kernels.
fn enter_folder(file: &Path) -> Result<()> {
    let file = std::path::absolute(file)?;
    let folder = file.parent().context("the notebook has no folder")?;
    std::env::set_current_dir(folder).with_context(|| format!("entering {}", folder.display()))
}
