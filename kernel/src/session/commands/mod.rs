//! The lines of a cell that are not Rust: commands, shell commands, `?name`.

mod crates;
mod ended;
mod environment;
mod explain;
mod forget;
mod load;
mod shell;
mod table;
mod timing;
mod types;
mod variables;

use serde_json::json;

use super::evaluator::Session;
use super::{Event, Failure};
use crate::cell::Directive;

pub(super) use ended::with_advice;
pub(crate) use table::commands;

/// The state of commands, and what they record of earlier cells.
#[derive(Default)]
pub(super) struct State {
    timing: timing::Timing,
    /// Whether values are shown with their types.
    types: bool,
    environment: environment::Environment,
    loading: load::Loading,
    errors: explain::Errors,
    /// The crates added by `:dep`, as in Cargo.toml.
    dependencies: Vec<(String, String)>,
}

impl Session {
    pub(super) fn obey(&mut self, directives: &[Directive]) -> Result<(), Failure> {
        self.restore_environment()?;
        directives.iter().try_for_each(|directive| match directive {
            Directive::Command { name, arguments } => self.command(name, arguments),
            Directive::Shell(command) => self.shell(command),
            Directive::Docs { name, whole } | Directive::DocsOrTry { name, whole } => self.docs(name, *whole),
        })
    }

    /// Whether a cell `name?` is the expression: an error is passed on, a value shown.
    pub(super) fn is_try(&self, directives: &[Directive]) -> bool {
        let [Directive::DocsOrTry { name, whole: false }] = directives else { return false };
        let (first, member) = name.split_once('.').map_or((name.as_str(), None), |(first, rest)| (first, Some(rest)));
        let ty =
            self.read_scope(|scope| scope.variables.iter().find(|known| known.name == first).map(|it| it.ty.clone()));
        let Some(ty) = ty else { return false };
        match member {
            Some(member) if member.ends_with("await") => true,
            // A method without its arguments is no expression.
            Some(_) => !self.completer().docs(name, false).is_some_and(|page| page.to_string().contains("fn ")),
            None => ["Result", "Option"].contains(&head(&ty)),
        }
    }

    fn command(&mut self, name: &str, arguments: &str) -> Result<(), Failure> {
        match name {
            "clear" => self.clear(),
            "dep" => self.dep(arguments),
            "doc" => self.docs(arguments, false),
            "env" => self.environment(arguments),
            "explain" => self.explain(arguments),
            "forget" => self.forget(arguments),
            "help" => {
                self.value(table::help());
                Ok(())
            }
            "last_compile_dir" => {
                self.value(self.programs().display().to_string());
                Ok(())
            }
            "load" => self.load(arguments),
            "opt" => self.optimise(arguments),
            "show_deps" => {
                self.show_dependencies();
                Ok(())
            }
            "t" | "type" => self.type_of(arguments),
            "time" => {
                self.commands.timing.this_cell();
                Ok(())
            }
            "timing" => {
                self.toggle_timing();
                Ok(())
            }
            "types" => {
                self.toggle_types();
                Ok(())
            }
            "vars" => self.vars(),
            other => Err(table::unknown(other)),
        }
    }

    fn docs(&self, name: &str, whole: bool) -> Result<(), Failure> {
        if name.is_empty() {
            return Err(Failure::new("CommandError", "expected a name: `?Trainer`"));
        }
        match self.completer().docs(name, whole) {
            Some(page) => {
                self.link.show(Event::Page(page));
                Ok(())
            }
            None => Err(Failure::new("NotFound", format!("no documentation for `{name}`"))),
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

    fn value(&self, text: String) {
        self.link.show(Event::Value(json!({ "data": { "text/plain": text }, "metadata": {} })));
    }
}

/// The name of a type without its path and parameters: `Result` of `std::result::Result<u8, E>`.
fn head(ty: &str) -> &str {
    let path = ty.split('<').next().unwrap_or_default().trim();
    path.rsplit("::").next().unwrap_or_default().trim()
}
