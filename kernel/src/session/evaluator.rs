//! One cell after the other: parse, probe, run, explain.

use anyhow::{Context, Result, anyhow};
use evcxr::{CommandContext, CompilationError, EvalContext};
use serde_json::{Map, Value, json};

use super::interrupt::{Interrupter, Stopped};
use super::link::{Link, Ran, Report};
use super::workplace::Workplace;
use super::{Event, Events, Failure};
use crate::cell::{
    Cell, CompileError, Edited, Inferred, compile_errors, inferred_types, place_of, plain, probe, runnable,
};
use crate::dylib::Dylib;

/// Runs in every session before the first cell. The `?` makes evcxr accept it in all later cells,
/// which would cost the first one that has it another compilation.
const PRELUDE: &str = "Ok::<(), std::fmt::Error>(())?;";

/// A session: variables, items, and the process that holds them.
pub struct Session {
    evcxr: CommandContext,
    link: Link,
    interrupter: Interrupter,
    /// The cells so far, for lines in functions of an earlier one.
    ran: Vec<Ranned>,
    _workplace: Workplace,
}

struct Ranned {
    name: String,
    cell: Cell,
    sent: Edited,
}

impl Session {
    /// Starts a session. It sets this process's environment, so it is to be called before threads
    /// that look at it; `arguments` are what cells see as the program's own.
    pub fn start(dylib: &Dylib, arguments: &[String], interrupter: Interrupter, events: Events) -> Result<Self> {
        let workplace = Workplace::new()?;
        let token = token()?;
        // Safety: the kernel's other threads do not look at the environment.
        unsafe { workplace.enter(dylib)? };
        let link = Link::listen(&workplace.socket(), token.clone(), events)?;
        let child = workplace.child(dylib, &token, arguments)?;
        let (context, outputs) = EvalContext::with_subprocess_command(child).map_err(|error| anyhow!("{error}"))?;
        // What is left of these streams is empty: the process's own go through the link.
        drop(outputs);
        let mut evcxr = CommandContext::with_eval_context(context);
        interrupter.attach(link.clone(), evcxr.process_handle());
        evcxr.execute(PRELUDE).map_err(|error| anyhow!("{}", explain(&error)))?;
        link.unmute();
        Ok(Self { evcxr, link, interrupter, ran: Vec::new(), _workplace: workplace })
    }

    /// Runs one cell, which `name` names in errors: "cell [3]".
    pub fn run(&mut self, code: &str, name: &str) -> Result<(), Failure> {
        self.link.reset();
        self.interrupter.cell_begins();
        let result = self.run_cell(code, name);
        let stopped = self.interrupter.stopped();
        self.interrupter.cell_ends();
        self.link.reset();
        result.map_err(|failure| match stopped {
            Stopped::No => failure,
            Stopped::Asked => interrupted(failure),
            Stopped::Killed => killed(),
        })
    }

    fn run_cell(&mut self, code: &str, name: &str) -> Result<(), Failure> {
        let cell = match Cell::parse(code) {
            Ok(cell) => cell,
            Err(error) => return Err(self.syntax_failure(code, name, &error)),
        };
        if cell.is_empty() {
            return Ok(());
        }
        let types = self.types(&cell, name)?;
        let sent = runnable(&cell, &types);
        let outputs = self.evcxr.execute(&sent.text);
        let ran = self.link.take_ran();
        match outputs {
            Ok(outputs) => self.show_outputs(outputs.content_by_mime_type),
            Err(evcxr::Error::CompilationErrors(errors)) => {
                return Err(self.compile_failure(&cell, &sent, &errors, name));
            }
            Err(error @ evcxr::Error::SubprocessTerminated(_)) => return Err(ended(&error)),
            Err(error) => return Err(Failure::new("Error", explain(&error))),
        }
        self.ran.push(Ranned { name: name.to_owned(), cell, sent });
        self.outcome(ran)
    }

    /// The types of the variables the cell makes, where the user has not written them.
    fn types(&mut self, cell: &Cell, name: &str) -> Result<Vec<Inferred>, Failure> {
        if cell.kept().iter().all(|(_, binding)| binding.typed) {
            return Ok(Vec::new());
        }
        let sent = probe(cell);
        let errors = self.check(&sent)?;
        let own = compile_errors(cell, &sent, &errors, name);
        if !own.is_empty() {
            return Err(Failure::compile(&own));
        }
        if self.interrupter.stopped() != Stopped::No {
            return Err(Failure::new("Interrupted", "while the cell was compiled"));
        }
        inferred_types(cell, &sent, &errors).map_err(|reason| Failure::new("CompileError", reason))
    }

    fn check(&mut self, sent: &Edited) -> Result<Vec<CompilationError>, Failure> {
        self.evcxr.check(&sent.text).map_err(|error| Failure::new("Error", explain(&error)))
    }

    /// The errors of a cell that did not compile, over its own text if a check finds them there.
    fn compile_failure(&mut self, cell: &Cell, sent: &Edited, errors: &[CompilationError], name: &str) -> Failure {
        let checked = plain(cell);
        let found = match self.check(&checked) {
            Ok(errors) => compile_errors(cell, &checked, &errors, name),
            Err(_) => Vec::new(),
        };
        let found = if found.is_empty() { compile_errors(cell, sent, errors, name) } else { found };
        Failure::compile(&found)
    }

    /// rustc explains what syn could not parse; syn does, where rustc finds nothing.
    fn syntax_failure(&mut self, code: &str, name: &str, error: &syn::Error) -> Failure {
        let cell = Cell { code: code.to_owned(), statements: Vec::new() };
        let sent = plain(&cell);
        let found = match self.check(&sent) {
            Ok(errors) => compile_errors(&cell, &sent, &errors, name),
            Err(_) => Vec::new(),
        };
        if !found.is_empty() {
            return Failure::compile(&found);
        }
        let place = error.span().start();
        let rendered = format!("error: {error}\n --> {name}:{}:{}", place.line, place.column + 1);
        Failure::compile(&[CompileError { title: error.to_string(), rendered }])
    }

    /// What the process told about a cell that ran to an end of some kind.
    fn outcome(&self, ran: Ran) -> Result<(), Failure> {
        if !ran.panicked && !ran.errored {
            self.mention(&ran.reports);
            return Ok(());
        }
        let kind = if ran.panicked { "panic" } else { "error" };
        let report = ran.reports.iter().rfind(|report| report.kind == kind);
        let failure = match report {
            Some(report) => {
                let failure = Failure::new(&report.name, report.message.clone());
                let places: Vec<_> = self.place(report).into_iter().collect();
                failure.at(&places)
            }
            None => Failure::new("error", ran.last_error_line),
        };
        Err(failure)
    }

    /// Panics of other threads, and those that the cell caught itself.
    fn mention(&self, reports: &[Report]) {
        for report in reports.iter().filter(|report| report.kind == "panic") {
            let thread = report.thread.as_deref().unwrap_or("?");
            let text = format!("thread '{thread}' panicked: {}\n", report.message);
            self.link.show(Event::Stream { stream: super::Stream::Stderr, text });
        }
    }

    fn place(&self, report: &Report) -> Option<(String, crate::cell::Place)> {
        let line = report.line?;
        report.file.as_deref().filter(|file| *file == "src/lib.rs")?;
        let source = self.evcxr.last_source().ok()?;
        self.ran.iter().rev().find_map(|ranned| {
            let place = place_of(&ranned.cell, &ranned.sent, &source, line)?;
            Some((ranned.name.clone(), place))
        })
    }

    /// What evcxr's own commands put out, such as `:vars`.
    fn show_outputs(&self, contents: std::collections::HashMap<String, String>) {
        if contents.is_empty() {
            return;
        }
        let data: Map<String, Value> =
            contents.into_iter().map(|(mime, content)| (mime, Value::String(content))).collect();
        self.link.show(Event::Value(json!({ "data": data, "metadata": {} })));
    }
}

fn interrupted(failure: Failure) -> Failure {
    let message = "interrupted: variables of earlier cells are kept".to_owned();
    Failure { name: "Interrupted".to_owned(), message, ..failure }
}

fn killed() -> Failure {
    let message = "the cell did not stop when asked, so its process was ended: all variables are lost, \
                   functions, types and imports are kept";
    Failure::new("Killed", message)
}

fn ended(error: &evcxr::Error) -> Failure {
    let message = format!("{error}\nAll variables are lost; functions, types and imports are kept");
    Failure::new("ProcessEnded", message)
}

/// An error of evcxr with every compile error in it.
fn explain(error: &evcxr::Error) -> String {
    match error {
        evcxr::Error::CompilationErrors(errors) => {
            errors.iter().map(CompilationError::rendered).collect::<Vec<_>>().join("\n")
        }
        other => other.to_string(),
    }
}

/// Random, so that nothing a user prints begins like it.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    let mut source = std::fs::File::open("/dev/urandom").context("opening /dev/urandom")?;
    std::io::Read::read_exact(&mut source, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
