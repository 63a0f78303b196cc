//! Whether later cells can write the types of new variables.

use super::evaluator::Session;
use super::verdict::unwritable;
use crate::cell::{Cell, Homes, runnable};

impl Session {
    /// Drops the new variables among `names` whose types cannot be written outside their modules, and reports them. Each
    /// type is checked once, by compiling a cell that uses the variable.
    pub(super) fn drop_unwritable(&mut self, names: &[String]) {
        let new = self.read_scope(|scope| scope.used(|name| names.iter().any(|new| new == name)));
        let key = |ty: &str| (ty.to_owned(), self.read_scope(|scope| scope.generation));
        let unknown =
            new.iter().filter(|variable| is_of_a_module(&variable.ty) && !self.written.contains(&key(&variable.ty)));
        let uses: Vec<String> = unknown.map(|variable| format!("let _ = &{};", variable.name)).collect();
        if uses.is_empty() {
            return;
        }
        let Ok(cell) = Cell::parse(&uses.concat()) else { return };
        let source = usize::MAX;
        let change = self.read_scope(|scope| scope.with(Vec::new()));
        let mut plan = self.plan(&cell, &change);
        loop {
            let needed = change.needed(cell.words(), &plan.used, source);
            let program = runnable(&needed, &Homes::default(), &cell, source, &plan);
            let rustc = self.read_scope(|scope| self.compiler.check(&program, plan.number, &scope.crates));
            let errors = rustc.ok().and_then(|rustc| rustc.join().ok()).unwrap_or_default();
            let Some((name, why)) = unwritable(&program, &errors, &mut plan) else { break };
            self.say_error(&why.at_once(&name));
            self.let_go(&name, why);
        }
        self.written.extend(plan.used.into_iter().map(|variable| (variable.ty, plan.generation)));
    }
}

/// Whether the path of a type may contain a private module. Paths of std in messages of rustc are public.
fn is_of_a_module(ty: &str) -> bool {
    let paths = ty.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let std = ["std::", "core::", "alloc::"];
    paths.into_iter().any(|path| path.contains("::") && !std.iter().any(|name| path.starts_with(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_modules_are_checked() {
        assert!(is_of_a_module("Vec<m::P>"));
        assert!(!is_of_a_module("std::vec::Vec<P>") && !is_of_a_module("&'static [u8; 3]"));
    }
}
