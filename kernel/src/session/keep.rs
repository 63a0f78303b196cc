//! The variables that a cell leaves.

use super::evaluator::Session;
use super::probe::Probe;
use crate::cell::{Cell, Inferred, Plan, Variable};

impl Session {
    /// Notes the new variables and their types.
    pub(super) fn keep(&mut self, cell: &Cell, plan: &Plan, mut types: Probe) {
        for (_, binding) in cell.kept().into_iter().filter(|(_, binding)| !plan.local.contains(&binding.name)) {
            let name = binding.name.clone();
            let found = binding.ty.clone().map(Inferred::Named).or_else(|| types.answer(&name));
            let ty = match (found, plan.pointers.get(&name)) {
                (Some(Inferred::Named(ty)), _) => ty,
                (_, Some(pointer)) => pointer.clone(),
                (Some(Inferred::Nameless), None) => {
                    self.let_go(name);
                    continue;
                }
                _ => {
                    self.say_error(&format!("`{name}` is not kept, as rustc does not tell its type: write it down\n"));
                    self.let_go(name);
                    continue;
                }
            };
            self.write_scope(|scope| scope.put(Variable { name, ty, mutable: binding.mutable }));
        }
    }

    /// Forgets a variable that no later cell can name; the next one drops its value.
    fn let_go(&mut self, name: String) {
        self.write_scope(|scope| scope.remove(&name));
        self.nameless.insert(name);
    }
}
