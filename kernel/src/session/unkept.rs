//! Why variables are not available in later cells, for errors of cells that name one.

use std::collections::BTreeMap;

use crate::cell::CompileError;

/// Why a variable is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    Closure,
    Borrow,
    /// Its type has no name, like an iterator or future that a function returns.
    Opaque,
    /// Its type is private where it is defined.
    Private(String),
    /// Its type can't be named in the cell that uses it: the type, and rustc's error.
    Unwritable(String, String),
    /// rustc could not infer its type.
    Ambiguous,
    /// A cell moved it away.
    Moved(String),
    /// A cell has redefined its type.
    Redefined(String),
    /// The process that held it ended in a cell.
    Lost(String),
}

impl Why {
    /// In a sentence about `name`.
    pub(super) fn about(&self, name: &str) -> String {
        match self {
            Self::Closure => format!(
                "`{name}` was a closure, and closures live in their own cell: write a function, \
                 or box it, as in `let {name}: Box<dyn Fn(i32) -> i32> = Box::new(move |..| ..)`"
            ),
            Self::Borrow => {
                format!("`{name}` borrowed from another value and lived only in its own cell: clone what it borrows")
            }
            Self::Opaque => format!(
                "`{name}` had a type without a name (a closure, an iterator or a future) and lived only in its own cell: \
                 collect it, or box it as a `dyn` type"
            ),
            Self::Private(ty) => {
                format!("`{name}` was dropped: its type `{ty}` is private to its module, so no other cell can name it")
            }
            Self::Unwritable(ty, error) => {
                format!("`{name}` was dropped: the cell cannot name its type `{ty}`: {error}")
            }
            Self::Ambiguous => format!("`{name}` was not kept: its type is ambiguous; add a type annotation"),
            Self::Moved(cell) => format!("`{name}` was moved by {cell}: bind it again with `let`"),
            Self::Lost(cell) => {
                format!("`{name}` was lost when the process of the cells ended in {cell}: create it again")
            }
            Self::Redefined(cell) => format!("`{name}` was dropped: {cell} redefined its type; create it again"),
        }
    }

    /// As a line below the cell that created `name`.
    pub(super) fn at_once(&self, name: &str) -> String {
        match self {
            Self::Closure | Self::Opaque => format!(
                "`{name}` is not kept for later cells: its type has no name. Write a function, or box it as a `dyn` type\n"
            ),
            Self::Borrow => format!("`{name}` is not kept for later cells: it borrows from another value\n"),
            Self::Private(_)
            | Self::Unwritable(..)
            | Self::Ambiguous
            | Self::Moved(_)
            | Self::Redefined(_)
            | Self::Lost(_) => {
                format!("{}\n", self.about(name))
            }
        }
    }
}

/// What is known about missing names.
#[derive(Debug, Default)]
pub(super) struct Unkept(BTreeMap<String, Why>);

impl Unkept {
    pub(super) fn insert(&mut self, name: &str, why: Why) {
        self.0.insert(name.to_owned(), why);
    }

    /// The name means something again.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds to each error about a missing name why it is missing. The name may now mean something else, and the error is
    /// about that: the prelude of Polars has many short names.
    pub(super) fn explain(&self, errors: &mut [CompileError]) {
        for error in errors {
            let unknown = UNKNOWN.iter().any(|start| error.title.starts_with(start));
            let is_it = |name: &str| match unknown {
                true => error.title.contains(&format!("`{name}`")),
                false => error.rendered.contains(&format!("::{name}}}")),
            };
            if let Some((name, why)) = self.0.iter().find(|(name, _)| is_it(name)) {
                error.rendered += &format!("\n  = help: {}", why.about(name));
            }
        }
    }
}

/// The start of errors about unknown names and moved variables.
const UNKNOWN: [&str; 4] = ["cannot find value", "cannot find function", "used binding", "expected value, found"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_explained() {
        let mut unkept = Unkept::default();
        unkept.insert("f", Why::Closure);
        let error = |title: &str| CompileError { title: title.to_owned(), rendered: String::new() };
        let mut errors = [error("cannot find function `f` in this scope (E0425)"), error("cannot find value `g`")];
        unkept.insert("all", Why::Redefined("cell [3]".to_owned()));
        unkept.explain(&mut errors);
        let mut hidden = [error("mismatched types")];
        hidden[0].rendered = "found fn item `fn() -> Selector {kensaku::prelude::all}`".to_owned();
        unkept.explain(&mut hidden);
        assert!(hidden[0].rendered.contains("cell [3] redefined its type"), "{hidden:?}");
        assert!(errors[0].rendered.contains("closures live in their own cell"), "{errors:?}");
        assert_eq!(errors[1].rendered, "");
    }
}
