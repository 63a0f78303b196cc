//! What the next cell can see: kept by the session, read by completion and inspection, even while a cell runs.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};

use super::dependencies::names;
use super::type_text::identifiers;
use crate::cell::{Homes, Item, Sort, Variable};
use crate::rustc::Links;

/// Items, variables and crates of the cells that have run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scope {
    /// In the order of their first definition; a redefinition replaces the one before.
    pub(crate) items: Vec<Item>,
    pub(crate) variables: Vec<Variable>,
    /// Variables that were moved away, and can be reassigned.
    pub(crate) vacant: Vec<Variable>,
    /// Crates added by `:dep`.
    pub(crate) crates: Vec<Crate>,
    /// Where statics are.
    pub(crate) homes: Homes,
    /// Counts the changes after which the types of cells are new types.
    pub(crate) generation: u64,
}

/// Shared by the session, which writes it, and its readers.
pub(crate) type SharedScope = Arc<RwLock<Scope>>;

/// A crate that cells can name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) library: PathBuf,
    /// Where its sources are, for completion.
    pub(crate) sources: Option<PathBuf>,
    /// What else code that uses it links to.
    pub(crate) links: Links,
}

impl Crate {
    /// Whether it was built for the session, rather than taken from the dylib.
    pub(crate) fn is_built(&self) -> bool {
        self.sources.is_some()
    }
}

impl Scope {
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
        self.vacant.retain(|variable| variable.name != name);
    }

    /// Notes that a variable was moved away.
    pub(crate) fn vacate(&mut self, name: &str) {
        if let Some(at) = self.variables.iter().position(|variable| variable.name == name) {
            let variable = self.variables.remove(at);
            self.vacant.push(variable);
        }
    }

    /// The imports of a program: the prelude, and the crates that the words of the cell, `items` or the types of
    /// `variables` name.
    pub(crate) fn names(&self, items: &[Item], variables: &[Variable], in_cell: impl Fn(&str) -> bool) -> String {
        let is_named = |name: &str| {
            let in_type = |variable: &Variable| identifiers(&variable.ty).any(|word| word == name);
            in_cell(name) || items.iter().any(|item| item.words.contains(name)) || variables.iter().any(in_type)
        };
        let declares =
            |item: &Item, name: &str| ["extern", "crate", name].iter().all(|word| item.words.contains(*word));
        names(&self.crates, is_named, |name| items.iter().any(|item| item.sort == Sort::Other && declares(item, name)))
    }

    /// Adds a crate; it replaces one of the same name.
    pub(crate) fn add(&mut self, part: Crate) {
        self.crates.retain(|known| known.name != part.name);
        self.crates.push(part);
    }
}
