//! After a program: what is defined, which variables there are, why it failed.

use super::Failure;
use super::change::Change;
use super::evaluator::Session;
use super::probe::Probe;
use super::ran::{Ended, Ran};
use super::unkept::Why;
use crate::cell::{Cell, Home, Homes, Plan, Program};

impl Session {
    /// The process has ended, and everything in its memory is gone.
    pub(super) fn lose_all(&mut self) {
        for variable in self.read_scope(|scope| scope.variables.clone()) {
            self.unkept.insert(&variable.name, Why::Lost(self.cell_name()));
        }
        self.write_scope(|scope| {
            scope.variables.clear();
            scope.vacant.clear();
            scope.homes.clear();
        });
        self.nameless.clear();
    }

    /// Updates the scope after a program has run.
    pub(super) fn settle(&mut self, program: Program, mut homes: Homes, change: Change, plan: &Plan, ran: &Ran) {
        self.traces.add(plan.number, program.origins);
        let library = self.compiler.library(plan.number);
        for (key, symbol) in program.statics {
            homes.insert(key, Home { symbol, library: library.clone() });
        }
        // If a variable was lost, the cell has taken none.
        let is_used = |name: &str| ran.lost.is_empty() && plan.used.iter().any(|used| used.name == name);
        self.write_scope(|scope| {
            scope.items = change.items;
            scope.generation = change.generation;
            scope.homes = homes;
            for variable in scope.variables.iter_mut().filter(|variable| is_used(&variable.name)) {
                variable.generation = change.generation;
            }
        });
        self.nameless.clear();
        for name in &change.variables {
            self.write_scope(|scope| scope.remove(name));
            self.unkept.insert(name, Why::Redefined(self.cell_name()));
            self.say_error(&format!("dropped `{name}`: its type was redefined\n"));
        }
        for (_, name) in &change.statics {
            self.say_error(&format!("`{name}` starts over: its type was redefined\n"));
        }
    }

    /// What the cell has reported about its end, and its remaining variables.
    pub(super) fn conclude(&mut self, cell: &Cell, plan: &Plan, ran: &Ran, types: Probe) -> Result<(), Failure> {
        if let Some((name, problem)) = ran.lost.first() {
            self.write_scope(|scope| scope.remove(name));
            return Err(Failure::new("Lost", format!("{problem}: define it again")));
        }
        for moved in &plan.moved {
            self.write_scope(|scope| scope.vacate(moved));
            self.unkept.insert(moved, Why::Moved(self.cell_name()));
        }
        self.keep(cell, plan, ran, types);
        if ran.ended != Some(Ended::Well) {
            let failure = self.unless_stopped(|| self.traces.failure(&self.sources, ran));
            return Err(failure.with(left_behind(cell, plan, ran)));
        }
        self.mention(ran);
        Ok(())
    }

    /// Panics of other threads, and those that the cell caught itself.
    fn mention(&self, ran: &Ran) {
        ran.reports.iter().filter(|report| report.kind == "panic").for_each(|report| self.link.show(report.words()));
    }
}

/// What has become of the variables of earlier cells after one that failed.
fn left_behind(cell: &Cell, plan: &Plan, ran: &Ran) -> Vec<String> {
    let is_new = |name: &str| ran.kept.contains_key(name);
    let moved = plan.moved.iter().filter(|name| !is_new(name));
    let moved = moved.map(|name| format!("`{name}` was moved into the cell and is lost"));
    let is_bound = |name: &str| cell.kept().iter().any(|(_, binding)| binding.name == name);
    let older = plan.used.iter().map(|used| &used.name);
    let older = older.filter(|name| !plan.moved.contains(*name) && is_bound(name) && !is_new(name));
    moved.chain(older.map(|name| format!("`{name}` still has its value from an earlier cell"))).collect()
}
