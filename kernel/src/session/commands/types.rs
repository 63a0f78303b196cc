//! `:type` and `:types`: types of values, as rustc infers them.

use crate::cell::{Cell, Inferred, Kind, Plan, Tried, items};
use crate::session::Failure;
use crate::session::evaluator::Session;
use crate::session::probe::Probe;
use crate::session::scope::Scope;

/// The name of the variable whose type is asked for.
const VALUE: &str = "kensaku_value";

impl Session {
    pub(super) fn toggle_types(&mut self) {
        self.commands.types = !self.commands.types;
        self.say(if self.commands.types { "values are shown with their types\n" } else { "types are not shown\n" });
    }

    pub(super) fn type_of(&mut self, expression: &str) -> Result<(), Failure> {
        let unknown = || Failure::new("CommandError", format!("rustc could not infer the type of `{expression}`"));
        let mut probe = self.ask_value(&format!("let {VALUE} = {expression};")).ok_or_else(unknown)?;
        self.value(told(probe.answer(VALUE)).ok_or_else(unknown)?);
        Ok(())
    }

    /// The type of the value that a cell ends in, if types are shown. To be called before the cell changes the
    /// variables and items it names.
    pub(in crate::session) fn shown_type(&mut self, cell: &Cell) -> Option<String> {
        let last = cell.statements.last().filter(|last| self.commands.types && last.kind == Kind::Value)?;
        let (before, value) = (&cell.code[..last.range.start], &cell.code[last.range.clone()]);
        // A reference, as when the value is shown: it may be a place that cannot be moved from.
        let code = format!("{before}let {VALUE} = &({value});{}", &cell.code[last.range.end..]);
        let ty = told(self.ask_value(&code)?.answer(VALUE))?;
        Some(ty.strip_prefix('&').unwrap_or(&ty).to_owned())
    }

    pub(in crate::session) fn show_type(&self, ty: Option<String>) {
        if let Some(ty) = ty.filter(|ty| ty != "()") {
            self.say(&format!("type: {ty}\n"));
        }
    }

    fn ask_value(&mut self, code: &str) -> Option<Probe> {
        let macros = self.read_scope(Scope::item_macros);
        let cell = Cell::parse_after(code, &macros).ok()?;
        let words = cell.words();
        let change = self.read_scope(|scope| scope.with(items(&cell, usize::MAX)));
        let is_lost = |name: &str| change.variables.iter().any(|lost| lost == name);
        let used = self.read_scope(|scope| scope.used(|name| words.contains(name) && !is_lost(name)));
        let names = self.read_scope(|scope| scope.names(&change.items, &used, |name| words.contains(name)));
        let plan = Plan { used, names, tried: Tried::Text, ..Plan::default() };
        self.ask(&change, &cell, usize::MAX, &plan).ok()
    }
}

fn told(answer: Option<Inferred>) -> Option<String> {
    match answer? {
        Inferred::Named(ty) | Inferred::Function(ty) => Some(ty),
        Inferred::Nameless => Some("a closure, a future or an opaque type".to_owned()),
        Inferred::Open => None,
    }
}
