//! One cell after the other: parse, compile, run, explain.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use anyhow::{Result, anyhow};
use evcxr::EvalContext;

use super::compiler::Compiler;
use super::dependencies::Dependencies;
use super::interrupt::{Interrupter, Stopped};
use super::link::{Ended, Link, Ran};
use super::lost;
use super::probe::Probe;
use super::scope::{Scope, SharedScope};
use super::traces::Traces;
use super::verdict::{Verdict, verdict};
use super::workplace::{PROGRAMS, Workplace};
use super::{Event, Events, Failure, Stream};
use crate::cell::{Cell, Diagnostic, Inferred, Item, Plan, Program, Source, drawn, items, probe, runnable};
use crate::complete::Completer;
use crate::dylib::Dylib;

/// A session: variables, items, and the process that holds them.
pub(crate) struct Session {
    evcxr: EvalContext,
    pub(super) compiler: Compiler,
    pub(super) dependencies: Dependencies,
    pub(super) link: Link,
    interrupter: Interrupter,
    pub(super) scope: SharedScope,
    /// Every cell that was sent.
    sources: Vec<Source>,
    /// Counts programs: a cell may need a second one.
    programs: usize,
    traces: Traces,
    /// Values that no later cell can name.
    pub(super) nameless: BTreeSet<String>,
    pub(super) timing: bool,
    completer: Arc<Completer>,
    _workplace: Workplace,
    _dylib: std::fs::File,
}

impl Session {
    /// Starts a session. It sets this process's environment, so it is to be called before threads that look
    /// at it. Others may look at `scope`.
    pub(crate) fn start(dylib: &Dylib, interrupter: Interrupter, events: Events, scope: SharedScope) -> Result<Self> {
        let held = dylib.hold()?;
        let workplace = Workplace::new()?;
        // Safety: the kernel's other threads do not look at the environment.
        unsafe { workplace.enter(dylib)? };
        let link = Link::listen(&workplace.socket(), events)?;
        let child = workplace.child(dylib, link.token())?;
        let compiler = Compiler::new(dylib, workplace.folder());
        // evcxr runs a first cell of its own.
        compiler.prepare(&Program::default(), 0, &[])?;
        let (evcxr, outputs) = EvalContext::with_subprocess_command(child).map_err(|error| anyhow!("{error}"))?;
        // What is left of these streams is empty: the process's own go through the link.
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
            timing: false,
            _workplace: workplace,
            _dylib: held,
        })
    }

    /// Answers questions about code, also while a cell runs.
    pub(crate) fn completer(&self) -> &Arc<Completer> {
        &self.completer
    }

    /// Runs one cell, which `name` names in errors: "cell [3]".
    pub(crate) fn run(&mut self, code: &str, name: &str) -> Result<(), Failure> {
        let started = Instant::now();
        self.link.reset();
        self.interrupter.cell_begins();
        let result = self.run_cell(code, name);
        let stopped = self.interrupter.stopped();
        self.interrupter.cell_ends();
        self.link.reset();
        if self.timing {
            self.say(&format!("{:.2?}\n", started.elapsed()));
        }
        result.map_err(|failure| if stopped == Stopped::Killed { lost::killed() } else { failure })
    }

    fn run_cell(&mut self, code: &str, name: &str) -> Result<(), Failure> {
        let source = self.sources.len();
        self.sources.push(Source { name: name.to_owned(), code: code.to_owned() });
        let macros = self.read_scope(Scope::item_macros);
        let cell = Cell::parse_after(code, &macros).map_err(|error| self.syntax_failure(source, &error))?;
        self.obey(&cell.directives.before)?;
        if !cell.statements.is_empty() {
            self.execute(&cell, source)?;
        }
        self.obey(&cell.directives.after)
    }

    /// Compiles the cell, as often as it takes to learn what becomes of its variables, and runs it.
    fn execute(&mut self, cell: &Cell, source: usize) -> Result<(), Failure> {
        let (items, lost) = self.read_scope(|scope| scope.with(items(cell, source)));
        let words = cell.words();
        let used = self.read_scope(|scope| scope.used(|name| words.contains(name) && !lost.iter().any(|l| l == name)));
        let closures = cell.kept().into_iter().filter(|(_, binding)| binding.closure);
        let mut plan = Plan {
            used,
            local: closures.map(|(_, binding)| binding.name.clone()).collect(),
            forgotten: lost.iter().chain(&self.nameless).cloned().collect(),
            ..Plan::default()
        };
        let mut types = self.ask(&items, cell, source, &plan)?;
        if cell.kept().iter().any(|(_, binding)| binding.path) {
            plan.pointers = types.answers().iter().filter_map(function).collect();
        }
        let (program, ran) = loop {
            let program = runnable(&items, cell, source, &plan);
            match self.build_and_run(&program)? {
                Built::Ran(ran) => break (program, ran),
                Built::Refused(errors) => match verdict(&self.sources, &program, cell, source, &errors, &mut plan) {
                    Verdict::Again => {}
                    Verdict::OtherTried => types = self.ask(&items, cell, source, &plan)?,
                    Verdict::Failed(failure) => return Err(failure),
                },
            }
        };
        self.traces.add(self.programs, program.origins);
        self.write_scope(|scope| scope.items = items);
        self.nameless.clear();
        for name in &lost {
            self.write_scope(|scope| scope.remove(name));
            self.say_error(&format!("dropped `{name}`: its type is redefined\n"));
        }
        self.conclude(cell, &plan, &ran, types)
    }

    /// Asks rustc for the types of new variables.
    pub(super) fn ask(&mut self, items: &[Item], cell: &Cell, source: usize, plan: &Plan) -> Result<Probe, Failure> {
        if !cell.kept().iter().any(|(_, binding)| binding.is_open()) {
            return Ok(Probe::default());
        }
        let program = probe(items, cell, source, plan);
        let rustc = self.read_scope(|scope| self.compiler.check(&program, self.programs, &scope.crates));
        Ok(Probe::new(program, rustc.map_err(|error| internal(&error))?))
    }

    fn build_and_run(&mut self, program: &Program) -> Result<Built, Failure> {
        self.programs += 1;
        let prepared = self.read_scope(|scope| self.compiler.prepare(program, self.programs, &scope.crates));
        let file = prepared.map_err(|error| internal(&error))?;
        // evcxr gets the same words for every cell: they name the program.
        let code = format!("#[path = {file:?}] {} cell::run();", crate::toolchain::CELL);
        let result = self.evcxr.eval(&code);
        let ran = self.link.take_ran();
        match result {
            Ok(_) => Ok(Built::Ran(ran)),
            Err(evcxr::Error::SubprocessTerminated(message)) => {
                self.write_scope(|scope| scope.variables.clear());
                Err(lost::process_ended(&message))
            }
            Err(_) if self.interrupter.stopped() != Stopped::No => Err(lost::interrupted()),
            Err(error) => {
                let said = self.compiler.said();
                match Diagnostic::errors(&said) {
                    errors if errors.is_empty() => Err(not_compiled(&error, &said)),
                    errors => Ok(Built::Refused(errors)),
                }
            }
        }
    }

    /// What the cell told about its end, and what is left of its variables.
    fn conclude(&mut self, cell: &Cell, plan: &Plan, ran: &Ran, types: Probe) -> Result<(), Failure> {
        if let Some((name, problem)) = ran.lost.first() {
            self.write_scope(|scope| scope.remove(name));
            return Err(Failure::new("Lost", format!("{problem}: define it again")));
        }
        for name in &plan.moved {
            self.write_scope(|scope| scope.remove(name));
        }
        if ran.ended != Some(Ended::Well) {
            let moved = plan.moved.iter().map(|name| format!("`{name}` was moved into the cell and is lost"));
            let failure = self.unless_stopped(|| self.traces.failure(&self.sources, ran));
            return Err(failure.with(moved));
        }
        self.mention(ran);
        self.keep(cell, plan, types);
        Ok(())
    }

    /// Panics of other threads, and those that the cell caught itself.
    fn mention(&self, ran: &Ran) {
        for report in ran.reports.iter().filter(|report| report.kind == "panic") {
            let thread = report.thread.as_deref().unwrap_or("?");
            self.say_error(&format!("thread '{thread}' panicked: {}\n", report.message));
        }
    }

    fn syntax_failure(&self, source: usize, error: &syn::Error) -> Failure {
        let found = &self.sources[source];
        let range = error.span().byte_range();
        let at = range.start.min(found.code.len())..range.end.clamp(range.start, found.code.len());
        Failure::compile(&[drawn(found, at, &error.to_string(), "")])
    }

    /// What has failed; where the user has stopped the cell, that.
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

/// What came of a program.
enum Built {
    Ran(Ran),
    Refused(Vec<Diagnostic>),
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

/// The linker's words, or what else went wrong beside the code.
fn not_compiled(error: &evcxr::Error, said: &str) -> Failure {
    let plain: Vec<&str> = said.lines().filter(|line| !line.starts_with('{')).collect();
    let error = error.to_string();
    // evcxr puts what the stand-in for cargo says between words of its own.
    let ours = error.split("kensaku: ").nth(1).and_then(|rest| rest.lines().next());
    let message = ours.map_or_else(|| plain.join("\n"), str::to_owned);
    Failure::new("CompileError", if message.is_empty() { error } else { message })
}
