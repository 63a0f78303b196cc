//! The variables after a cell.

use super::evaluator::Session;
use super::probe::Probe;
use super::ran::{Ended, Ran};
use super::unkept::Why;
use crate::cell::{Binding, Cell, Inferred, Local, Plan, Variable};

impl Session {
    /// Records the new variables that were kept and their types, even if the cell has failed. Reports those that were
    /// not.
    pub(super) fn keep(&mut self, cell: &Cell, plan: &Plan, ran: &Ran, mut types: Probe) {
        let mut new = Vec::new();
        for (index, binding) in cell.kept() {
            let name = binding.name.as_str();
            if let Some(local) = plan.local.get(&(index, name.to_owned())) {
                // A failed cell may not have reached it.
                if ran.ended == Some(Ended::Well) || !plan.used.iter().any(|used| used.name == name) {
                    self.leave(cell, index, name, *local);
                }
                continue;
            }
            let Some(full) = ran.kept.get(name) else { continue };
            match written(binding, plan, &mut types) {
                Ok(ty) => {
                    let (name, full) = (name.to_owned(), full.clone());
                    self.unkept.remove(&name);
                    let generation = plan.generation;
                    if binding.ty.is_none() {
                        new.push(name.clone());
                    }
                    self.write_scope(|scope| {
                        scope.put(Variable { name, ty, full, mutable: binding.mutable, generation });
                    });
                }
                Err(why) => {
                    self.say_error(&why.at_once(name));
                    self.let_go(name, why);
                }
            }
        }
        self.drop_unwritable(&new);
        for vacant in plan.vacant.iter().filter(|vacant| ran.kept.contains_key(&vacant.name)) {
            self.unkept.remove(&vacant.name);
            let variable = Variable { generation: plan.generation, ..vacant.clone() };
            self.write_scope(|scope| scope.put(variable));
        }
    }

    /// A new variable that does not outlive its cell. If nothing in the cell uses it, it was meant for a later one.
    fn leave(&mut self, cell: &Cell, index: usize, name: &str, local: Local) {
        let why = match local {
            Local::Closure => Why::Closure,
            Local::Borrow => Why::Borrow,
            Local::Moved => Why::Moved(self.cell_name()),
            Local::Constant => return,
        };
        if local != Local::Moved && !name.starts_with('_') && !cell.is_used_behind(index, name) {
            self.say_error(&why.at_once(name));
        }
        // It shadows one of an earlier cell, as in a program.
        self.let_go(name, why);
    }

    /// Forgets a variable that no later cell can name; the next one drops its value.
    pub(super) fn let_go(&mut self, name: &str, why: Why) {
        self.write_scope(|scope| scope.remove(name));
        self.unkept.insert(name, why);
        self.nameless.insert(name.to_owned());
    }
}

/// The type of a new variable as code for later cells.
fn written(binding: &Binding, plan: &Plan, types: &mut Probe) -> Result<String, Why> {
    let name = &binding.name;
    let found = binding.ty.clone().map(Inferred::Named).or_else(|| types.answer(name));
    match (found, plan.pointers.get(name)) {
        (Some(Inferred::Named(ty)), _) => Ok(ty),
        (_, Some(pointer)) => Ok(pointer.clone()),
        (Some(Inferred::Nameless), None) => Err(Why::Opaque),
        _ => Err(Why::Ambiguous),
    }
}
