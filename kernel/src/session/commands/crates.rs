//! `:dep` and `:show_deps`: crates added to the session.

use crate::session::dependencies::{Added, Progress};
use crate::session::evaluator::Session;
use crate::session::interrupt::Stopped;
use crate::session::unkept::Why;
use crate::session::{Crate, Failure, dependency};

impl Session {
    pub(super) fn dep(&mut self, line: &str) -> Result<(), Failure> {
        let link = self.link.clone();
        let show = |event| link.show(event);
        let interrupter = self.interrupter.clone();
        let stopped = || interrupter.stopped() != Stopped::No;
        let added = self.dependencies.add(line, &mut Progress::new(&show), stopped);
        let failed = |error| self.unless_stopped(|| Failure::new("DependencyError", format!("`{line}`: {error:#}")));
        let added = added.map_err(failed)?;
        if !added.told.is_empty() {
            self.say(&added.told);
        }
        added.warnings.iter().for_each(|warning| self.say_error(&format!("{warning}\n")));
        self.crates_have_changed(&added);
        self.write_scope(|scope| added.crates.into_iter().for_each(|part| scope.add(part)));
        if let Ok((name, requirement)) = dependency(line) {
            self.commands.dependencies.retain(|(other, _)| *other != name);
            self.commands.dependencies.push((name, requirement.to_string()));
        }
        Ok(())
    }

    /// Drops the variables that depend on changed crates, or on names that now belong to a crate.
    fn crates_have_changed(&mut self, added: &Added) {
        let change = self.read_scope(|scope| {
            let is_new = |part: &&Crate| part.is_built() && !scope.crates.iter().any(|known| known.name == part.name);
            let new: Vec<String> = added.crates.iter().filter(is_new).map(|part| part.name.clone()).collect();
            scope.with_crates(&added.changed, &new)
        });
        self.write_scope(|scope| {
            scope.generation = change.generation;
            change.statics.iter().for_each(|(key, _)| scope.homes.remove(*key));
        });
        for name in change.variables {
            self.say_error(&format!("dropped `{name}`: `:dep` changed its type\n"));
            self.let_go(&name, Why::Redefined(self.cell_name()));
        }
        for (_, name) in change.statics {
            self.say_error(&format!("`{name}` starts over: `:dep` changed its type\n"));
        }
    }

    pub(super) fn show_dependencies(&self) {
        let lines = self.commands.dependencies.iter().map(|(name, requirement)| format!("{name} = {requirement}"));
        let lines: Vec<String> = lines.collect();
        self.value(if lines.is_empty() { "no crates added".to_owned() } else { lines.join("\n") });
    }
}
