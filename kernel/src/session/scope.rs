//! What the next cell can see: kept by the session, read by completion and inspection, also while a
//! cell runs.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use crate::cell::{Item, Sort, Variable};

/// Items, variables and crates of the cells that have run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scope {
    /// In the order of their definition; a later definition has replaced an earlier one of its name.
    pub(crate) items: Vec<Item>,
    pub(crate) variables: Vec<Variable>,
    /// Crates added by `:dep`.
    pub(crate) crates: Vec<Crate>,
}

/// Shared by the session, which writes it, and those who look.
pub(crate) type SharedScope = Arc<RwLock<Scope>>;

/// A crate that cells can name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) library: PathBuf,
    /// Where its sources are, for completion.
    pub(crate) sources: Option<PathBuf>,
}

impl Scope {
    /// The items as they will be once `new` ones are defined, and the variables whose types they
    /// change: their memory has another form than the new definition says.
    pub(crate) fn with(&self, new: Vec<Item>) -> (Vec<Item>, Vec<String>) {
        let mut items = self.items.clone();
        let mut changed = BTreeSet::new();
        for item in new {
            let old = items.iter().position(|old| item.replaces(old));
            match old.map(|at| items.remove(at)) {
                Some(old) if old.tokens != item.tokens && (has_layout(&old) || has_layout(&item)) => {
                    changed.extend(item.name.clone());
                }
                _ => {}
            }
            items.push(item);
        }
        spread(&mut changed, &items);
        let names = |ty: &str| words(ty).any(|word| changed.contains(word));
        let lost = self.variables.iter().filter(|variable| names(&variable.ty));
        (items, lost.map(|variable| variable.name.clone()).collect())
    }

    /// The variables among `words`.
    pub(crate) fn used(&self, words: impl Fn(&str) -> bool) -> Vec<Variable> {
        self.variables.iter().filter(|variable| words(&variable.name)).cloned().collect()
    }

    /// Macros whose calls are items.
    pub(crate) fn item_macros(&self) -> Vec<String> {
        let macros = self.items.iter().filter(|item| item.sort == Sort::Macro);
        let makers = macros
            .filter(|item| syn::parse_str(item.code()).is_ok_and(|definition| crate::cell::makes_items(&definition)));
        makers.filter_map(|item| item.name.clone()).collect()
    }

    /// Adds a variable; an older one of its name is gone.
    pub(crate) fn put(&mut self, variable: Variable) {
        self.remove(&variable.name);
        self.variables.push(variable);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.variables.retain(|variable| variable.name != name);
    }

    /// Adds a crate in place of one of its name.
    pub(crate) fn add(&mut self, part: Crate) {
        self.crates.retain(|known| known.name != part.name);
        self.crates.push(part);
    }
}

/// Adds to `changed` what is made of it: a struct with a field of a changed type has changed, too.
fn spread(changed: &mut BTreeSet<String>, items: &[Item]) {
    loop {
        let more: Vec<String> = items
            .iter()
            .filter(|item| has_layout(item) && changed.iter().any(|name| item.mentions(name)))
            .filter_map(|item| item.name.clone())
            .filter(|name| !changed.contains(name))
            .collect();
        if more.is_empty() {
            return;
        }
        changed.extend(more);
    }
}

fn has_layout(item: &Item) -> bool {
    matches!(item.sort, Sort::Type | Sort::Import | Sort::Macro)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Cell, items};

    fn of(code: &str) -> Vec<Item> {
        items(&Cell::parse(code).expect("the cell parses"), 0)
    }

    #[test]
    fn variables_of_changed_types_are_named() {
        let variable = |name: &str, ty: &str| Variable { name: name.to_owned(), ty: ty.to_owned(), mutable: false };
        let scope = Scope {
            items: of("struct P { x: i32 }\nstruct Q(P);\nfn f(_: P) {}"),
            variables: vec![variable("p", "std::vec::Vec<P>"), variable("q", "Q"), variable("n", "i32")],
            crates: Vec::new(),
        };
        assert_eq!(scope.with(of("struct P { x: String }")).1, ["p", "q"]);
        assert_eq!(scope.with(of("struct P { x: i32, } // the same")).1, ["p", "q"]);
        assert_eq!(scope.with(of("struct P  { x: i32 }")).1, [""; 0]);
        assert_eq!(scope.with(of("fn f() {}")).1, [""; 0]);
        assert_eq!(scope.with(of("struct P;")).0.len(), 3);
    }
}
