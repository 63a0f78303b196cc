//! One cell after the other: parse, compile, run, explain.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use anyhow::{Result, anyhow};
use evcxr::EvalContext;

use super::change::Change;
use super::commands;
use super::compiler::Compiler;
use super::dependencies::Dependencies;
use super::interrupt::{Interrupter, Stopped};
use super::link::Link;
use super::lost;
use super::outdated::{Outdated, leave_out};
use super::probe::Probe;
use super::ran::Ran;
use super::scope::{Scope, SharedScope};
use super::traces::Traces;
use super::unkept::Unkept;
use super::verdict::{Verdict, verdict};
use super::workplace::{PROGRAMS, Workplace};
use super::{Event, Events, Failure, Stream};
use crate::cell::{
    Cell, Diagnostic, Inferred, Item, Local, Plan, Program, Source, compile_errors, items, probe, runnable,
    syntax_error,
};
use crate::complete::Completer;
use crate::dylib::Dylib;

/// A session: variables, items, and the process that holds them.
pub(crate) struct Session {
    pub(super) evcxr: EvalContext,
    pub(super) compiler: Compiler,
    pub(super) dependencies: Dependencies,
    pub(super) link: Link,
    pub(super) interrupter: Interrupter,
    pub(super) scope: SharedScope,
    /// All cells so far.
    pub(super) sources: Vec<Source>,
    /// Counts programs: a cell may need several.
    programs: usize,
    pub(super) traces: Traces,
    /// Values that no later cell can name; the next one drops them.
    pub(super) nameless: BTreeSet<String>,
    /// Why variables are missing.
    pub(super) unkept: Unkept,
    /// Types that cells can write, in their generation.
    pub(super) written: BTreeSet<(String, u64)>,
    pub(super) commands: commands::State,
    completer: Arc<Completer>,
    pub(super) workplace: Workplace,
    _dylib: std::fs::File,
}

impl Session {
    /// Starts a session. Sets this process's environment, so it must be called before other threads read it. They may
    /// read `scope`.
    pub(crate) fn start(dylib: &Dylib, interrupter: Interrupter, events: Events, scope: SharedScope) -> Result<Self> {
        let held = dylib.hold()?;
        let workplace = Workplace::new()?;
        // Safety: the kernel's other threads do not read the environment.
        unsafe { workplace.enter(dylib)? };
        let link = Link::listen(&workplace.socket(), events)?;
        let child = workplace.child(dylib, link.token())?;
        let compiler = Compiler::new(dylib, workplace.folder());
        // evcxr first runs its own cell.
        compiler.prepare(&Program::default(), 0, 0, &[])?;
        let (evcxr, outputs) = EvalContext::with_subprocess_command(child).map_err(|error| anyhow!("{error}"))?;
        // These streams stay empty: the process writes to the link.
        drop(outputs);
        interrupter.attach(link.clone(), evcxr.process_handle());
        link.unmute();
        Ok(Self {
            evcxr,
            compiler,
            dependencies: Dependencies::new(workplace.folder().join("dependencies"), dylib),
            link,
            interrupter,
            completer: Arc::new(Completer::new(dylib, scope.clone())),
            scope,
            sources: Vec::new(),
            programs: 0,
            traces: Traces::new(workplace.folder().join(PROGRAMS)),
            nameless: BTreeSet::new(),
            unkept: Unkept::default(),
            written: BTreeSet::new(),
            commands: commands::State::default(),
            workplace,
            _dylib: held,
        })
    }

    /// Answers queries about code, even while a cell runs.
    pub(crate) fn completer(&self) -> &Arc<Completer> {
        &self.completer
    }

    /// Runs a cell, which errors call `name`: "cell [3]".
    pub(crate) fn run(&mut self, code: &str, name: &str) -> Result<(), Failure> {
        let started = Instant::now();
        self.link.reset();
        self.interrupter.cell_begins();
        let result = self.run_cell(code, name);
        let stopped = self.interrupter.stopped();
        self.interrupter.cell_ends();
        self.link.reset();
        self.cell_ended(started, &result);
        result
            .map_err(|failure| if stopped == Stopped::Killed { lost::killed() } else { commands::with_advice(failure) })
    }

    pub(super) fn run_cell(&mut self, code: &str, name: &str) -> Result<(), Failure> {
        let source = self.sources.len();
        self.sources.push(Source { name: name.to_owned(), code: code.to_owned() });
        let macros = self.read_scope(Scope::item_macros);
        let mut cell = Cell::parse_after(code, &macros).map_err(|error| self.syntax_failure(source, &error))?;
        if self.is_try(&cell.directives.before) {
            cell = Cell::without_docs(code).map_err(|error| self.syntax_failure(source, &error))?;
        }
        if self.workplace.restore(&self.link).map_err(|error| internal(&error))? {
            // evcxr finds its project again with a cell that is not the user's.
            let _ = self.evcxr.eval(crate::toolchain::CELL);
            self.link.reset();
            let message = "the session's folder was deleted and has been recreated: run the cells with `:dep` again, then \
                           this one. Variables are kept";
            return Err(Failure::new("FolderDeleted", message));
        }
        self.obey(&cell.directives.before)?;
        if !cell.statements.is_empty() {
            let ty = self.shown_type(&cell);
            self.execute(&cell, source)?;
            // Commands follow, which can be interrupted again.
            self.interrupter.cell_compiles();
            self.show_type(ty);
        }
        self.obey(&cell.directives.after)
    }

    /// Compiles the cell, repeatedly until the fate of its variables is known, and runs it.
    fn execute(&mut self, cell: &Cell, source: usize) -> Result<(), Failure> {
        let mut change = self.read_scope(|scope| scope.with(items(cell, source)));
        let mut outdated = Vec::new();
        let mut homes = self.read_scope(|scope| scope.homes.clone());
        for (key, _) in &change.statics {
            homes.remove(*key);
        }
        let mut plan = self.plan(cell, &change);
        let mut types = self.ask(&change, cell, source, &plan)?;
        if cell.kept().iter().any(|(_, binding)| binding.path) {
            plan.pointers = types.answers().iter().filter_map(function).collect();
        }
        let (program, ran) = loop {
            self.programs += 1;
            plan.number = self.programs;
            let needed = change.needed(cell.words(), &plan.used, source);
            let program = runnable(&needed, &homes, cell, source, &plan);
            match self.build_and_run(&program, plan.generation)? {
                Built::Ran(ran) => break (program, ran),
                Built::Refused(errors) => match verdict(&program, &errors, &mut plan) {
                    Verdict::Retry => {}
                    Verdict::RetryTextOnly => types = self.ask(&change, cell, source, &plan)?,
                    Verdict::RetryWithout(name, why) => {
                        self.let_go(&name, why);
                        plan.forgotten.push(name);
                    }
                    Verdict::Failed => match leave_out(&mut change, &program, &errors, source) {
                        found if found.is_empty() => return Err(self.compile_failure(&program, errors, &outdated)),
                        found => {
                            outdated.extend(found);
                            types = self.ask(&change, cell, source, &plan)?;
                        }
                    },
                },
            }
        };
        self.report_outdated(&outdated);
        self.settle(program, homes, change, &plan, &ran);
        self.conclude(cell, &plan, &ran, types)
    }

    /// What is known about the cell before it is compiled.
    pub(super) fn plan(&self, cell: &Cell, change: &Change) -> Plan {
        let words = cell.words();
        let is_lost = |name: &String| change.variables.contains(name);
        let (used, vacant, names) = self.read_scope(|scope| {
            let assigned = cell.assigned();
            let vacant = scope.vacant.iter().filter(|variable| assigned.contains(&variable.name));
            let used = scope.used(|name| words.contains(name));
            let names = scope.names(&change.items, &used, |name| words.contains(name));
            (used, vacant.cloned().collect(), names)
        });
        let local = cell.kept().into_iter().filter_map(|(index, binding)| {
            let local = match binding {
                binding if binding.closure => Local::Closure,
                binding if binding.reference => Local::Borrow,
                binding if is_constant(&change.items, &binding.name) => Local::Constant,
                _ => return None,
            };
            Some(((index, binding.name.clone()), local))
        });
        Plan {
            generation: change.generation,
            used: used.into_iter().filter(|variable| !is_lost(&variable.name)).collect(),
            vacant,
            names,
            local: local.collect(),
            forgotten: change.variables.iter().chain(&self.nameless).cloned().collect(),
            ..Plan::default()
        }
    }

    /// Asks rustc for the types of new variables.
    pub(super) fn ask(&mut self, change: &Change, cell: &Cell, source: usize, plan: &Plan) -> Result<Probe, Failure> {
        if !cell.kept().iter().any(|(_, binding)| binding.is_open()) {
            return Ok(Probe::default());
        }
        let needed = change.needed(cell.words(), &plan.used, source);
        let program = probe(&needed, cell, source, plan);
        let rustc = self.read_scope(|scope| self.compiler.check(&program, self.programs, &scope.crates));
        Ok(Probe::new(program, rustc.map_err(|error| internal(&error))?))
    }

    fn build_and_run(&mut self, program: &Program, generation: u64) -> Result<Built, Failure> {
        let prepared =
            self.read_scope(|scope| self.compiler.prepare(program, self.programs, generation, &scope.crates));
        prepared.map_err(|error| internal(&error))?;
        // evcxr gets the same code for every cell.
        let result = self.evcxr.eval(crate::toolchain::CELL);
        self.interrupter.cell_has_run();
        let ran = self.link.take_ran();
        match result {
            Ok(_) => Ok(Built::Ran(ran)),
            Err(evcxr::Error::SubprocessTerminated(message)) => {
                self.lose_all();
                Err(lost::process_ended(&message))
            }
            Err(_) if self.interrupter.stopped() != Stopped::No => {
                Err(if ran.began { lost::interrupted() } else { lost::interrupted_early() })
            }
            Err(error) => {
                self.interrupter.cell_compiles();
                let said = self.compiler.said();
                match Diagnostic::errors(&said) {
                    errors if errors.is_empty() => Err(not_compiled(&error, &said)),
                    errors => Ok(Built::Refused(errors)),
                }
            }
        }
    }

    /// The name of the running cell in errors.
    pub(super) fn cell_name(&self) -> String {
        self.sources.last().map(|source| source.name.clone()).unwrap_or_default()
    }

    pub(super) fn source_name(&self, source: usize) -> &str {
        self.sources.get(source).map_or("an earlier cell", |source| source.name.as_str())
    }

    /// rustc's errors, rendered with the cell's code and with what the session knows about the names in them.
    fn compile_failure(&self, program: &Program, mut errors: Vec<Diagnostic>, outdated: &[Outdated]) -> Failure {
        self.completer.explain(&mut errors, true);
        self.explain_outdated(&mut errors, outdated);
        let mut errors = compile_errors(&self.sources, program, &errors);
        self.unkept.explain(&mut errors);
        Failure::compile(&errors)
    }

    fn syntax_failure(&self, source: usize, error: &syn::Error) -> Failure {
        Failure::compile(&[syntax_error(&self.sources[source], error)])
    }

    /// The reason of the failure, or the interrupt if the user has stopped the cell.
    pub(super) fn unless_stopped(&self, failure: impl FnOnce() -> Failure) -> Failure {
        match self.interrupter.stopped() {
            Stopped::No => failure(),
            Stopped::Asked | Stopped::Killed => lost::interrupted(),
        }
    }

    pub(super) fn say(&self, text: &str) {
        self.link.show(Event::Stream { stream: Stream::Stdout, text: text.to_owned() });
    }

    pub(super) fn say_error(&self, text: &str) {
        self.link.show(Event::Stream { stream: Stream::Stderr, text: text.to_owned() });
    }

    pub(super) fn read_scope<T>(&self, read: impl FnOnce(&Scope) -> T) -> T {
        read(&self.scope.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn write_scope(&self, write: impl FnOnce(&mut Scope)) {
        write(&mut self.scope.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The outcome of a program.
enum Built {
    Ran(Ran),
    Refused(Vec<Diagnostic>),
}

/// Whether a name in a pattern is a constant or a type without fields, not a new variable.
fn is_constant(items: &[Item], name: &str) -> bool {
    name.starts_with(char::is_uppercase) && items.iter().any(|item| item.name.as_deref() == Some(name))
}

fn function((name, ty): &(String, Inferred)) -> Option<(String, String)> {
    match ty {
        Inferred::Function(pointer) => Some((name.clone(), pointer.clone())),
        _ => None,
    }
}

fn internal(error: &anyhow::Error) -> Failure {
    Failure::new("KernelError", format!("{error:#}"))
}

/// The linker's message, or another problem that is not in the code.
fn not_compiled(error: &evcxr::Error, said: &str) -> Failure {
    if let Some(crash) = lost::compiler_failed(said) {
        return crash;
    }
    let plain: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
    let error = error.to_string();
    // evcxr wraps the output of our cargo in its own text.
    let ours = error.split("kensaku: ").nth(1).and_then(|rest| rest.lines().next());
    let message = ours.map_or_else(|| plain.join("\n"), str::to_owned);
    Failure::new("CompileError", if message.is_empty() { error } else { message })
}
