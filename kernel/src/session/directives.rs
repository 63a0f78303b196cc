//! The lines of a cell that are not Rust: commands, the shell, questions for docs.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::json;

use super::dependencies::Added;
use super::evaluator::Session;
use super::filter::whole_characters;
use super::{Event, Failure, Stream};
use crate::cell::{Cell, Directive, Inferred, Plan, Tried, Variable};
use crate::toolchain;

/// The commands and what they do.
pub(crate) const COMMANDS: [(&str, &str); 6] = [
    (":dep", "add a crate, as in Cargo.toml: `:dep regex = \"1\"`"),
    (":help", "show the commands"),
    (":opt", "optimise cells: `:opt 2`; 0 without a number, which compiles fastest"),
    (":timing", "show how long each cell takes, or no longer"),
    (":type", "show the type of an expression: `:type df.lazy()`"),
    (":vars", "show the variables and their types"),
];

const MORE: &str = "`!command` runs a command of the shell; `?name` and `name?` show documentation, `name??` all of it";

impl Session {
    pub(super) fn obey(&mut self, directives: &[Directive]) -> Result<(), Failure> {
        directives.iter().try_for_each(|directive| match directive {
            Directive::Command { name, arguments } => self.command(name, arguments),
            Directive::Shell(command) => self.shell(command),
            Directive::Docs { name, whole } => self.docs(name, *whole),
        })
    }

    fn docs(&self, name: &str, whole: bool) -> Result<(), Failure> {
        match self.completer().docs(name, whole) {
            Some(page) => {
                self.link.show(Event::Page(page));
                Ok(())
            }
            None => Err(Failure::new("NotFound", format!("no documentation of `{name}`"))),
        }
    }

    fn command(&mut self, name: &str, arguments: &str) -> Result<(), Failure> {
        match name {
            "dep" => self.dep(arguments),
            "help" => {
                let lines: String = COMMANDS.iter().map(|(name, what)| format!("{name:<8} {what}\n")).collect();
                self.value(format!("{lines}{MORE}"));
                Ok(())
            }
            "opt" => self.optimise(arguments),
            "timing" => {
                self.timing = !self.timing;
                Ok(())
            }
            "type" => self.type_of(arguments),
            "vars" => {
                self.vars();
                Ok(())
            }
            other => {
                let known: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
                let message = format!("there is no command `:{other}`; there are {}", known.join(", "));
                Err(Failure::new("CommandError", message))
            }
        }
    }

    fn optimise(&mut self, level: &str) -> Result<(), Failure> {
        let level = if level.is_empty() { "0" } else { level };
        if !["0", "1", "2", "3"].contains(&level) {
            return Err(Failure::new("CommandError", format!("`:opt {level}`: expected 0, 1, 2 or 3")));
        }
        level.clone_into(&mut self.compiler.opt_level);
        Ok(())
    }

    fn dep(&mut self, line: &str) -> Result<(), Failure> {
        let link = self.link.clone();
        let progress = |text: &str| {
            link.show(Event::Stream { stream: Stream::Stderr, text: text.to_owned() });
        };
        let added = self.dependencies.add(line, progress);
        let failed = |error| self.unless_stopped(|| Failure::new("DependencyError", format!("`{line}`: {error:#}")));
        let new = match added.map_err(failed)? {
            Added::Held(part, version) => {
                self.say(&format!("{} {version} is part of kensaku: taken from it\n", part.name));
                vec![part]
            }
            Added::Built(crates) => crates,
        };
        self.write_scope(|scope| new.into_iter().for_each(|part| scope.add(part)));
        Ok(())
    }

    /// Checks `let it = ..` and reads its type.
    fn type_of(&mut self, expression: &str) -> Result<(), Failure> {
        let unknown = || Failure::new("CommandError", format!("`{expression}` has no type that rustc could tell"));
        let cell = Cell::parse(&format!("let it = {expression};")).map_err(|_| unknown())?;
        let words = cell.words();
        let used = self.read_scope(|scope| scope.used(|name| words.contains(name)));
        let plan = Plan { used, tried: Tried::Text, ..Plan::default() };
        let change = self.read_scope(|scope| scope.with(Vec::new()));
        match self.ask(&change, &cell, usize::MAX, &plan)?.answer("it") {
            Some(Inferred::Named(ty) | Inferred::Function(ty)) => {
                self.value(ty);
                Ok(())
            }
            Some(Inferred::Nameless) => {
                self.value("a closure, a future or an opaque type".to_owned());
                Ok(())
            }
            _ => Err(unknown()),
        }
    }

    fn vars(&self) {
        let mut variables = self.read_scope(|scope| scope.variables.clone());
        variables.sort_by(|a, b| a.name.cmp(&b.name));
        let text: Vec<String> = variables.iter().map(|Variable { name, ty, .. }| format!("{name}: {ty}")).collect();
        let rows: String = variables
            .iter()
            .map(|Variable { name, ty, .. }| format!("<tr><td>{name}</td><td>{}</td></tr>", escaped(ty)))
            .collect();
        let html = format!("<table><tr><th>variable</th><th>type</th></tr>{rows}</table>");
        let text = if text.is_empty() { "no variables".to_owned() } else { text.join("\n") };
        self.link.show(Event::Value(json!({ "data": { "text/plain": text, "text/html": html }, "metadata": {} })));
    }

    fn value(&self, text: String) {
        self.link.show(Event::Value(json!({ "data": { "text/plain": text }, "metadata": {} })));
    }

    /// Runs a command of the shell; what it prints is shown as it comes, both streams in order.
    fn shell(&mut self, command: &str) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::new("ShellError", error.to_string());
        let (mut reader, writer) = std::io::pipe().map_err(failed)?;
        let mut shell = Command::new("sh");
        toolchain::as_before(&mut shell).args(["-c", command]).stdin(Stdio::null());
        shell.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
        let mut running = shell.spawn().map_err(failed)?;
        // It holds the ends for writing, and the pipe would never end.
        drop(shell);
        let mut pending = Vec::new();
        let mut buffer = [0; 1 << 13];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            pending.extend_from_slice(&buffer[..count]);
            let whole = whole_characters(&pending);
            let text: Vec<u8> = pending.drain(..whole).collect();
            self.say(&String::from_utf8_lossy(&text));
        }
        let status = running.wait().map_err(failed)?;
        if !status.success() {
            self.say_error(&format!("{status}\n"));
        }
        Ok(())
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
