//! What the next cell can see: kept by the session, read by completion and inspection, also while a
//! cell runs.

use std::path::PathBuf;

/// Items, variables and crates of the cells that have run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scope {
    /// In the order of their definition; a later definition has replaced an earlier one of its name.
    pub(crate) items: Vec<Item>,
    pub(crate) variables: Vec<Variable>,
    /// Crates added by `:dep`.
    pub(crate) crates: Vec<Crate>,
}

/// A function, type, import or macro, as it stands in its cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) name: Option<String>,
    pub(crate) code: String,
}

/// A variable and its type, written so that it compiles.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) ty: String,
    pub(crate) mutable: bool,
}

/// A crate that cells can name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Crate {
    pub(crate) name: String,
    pub(crate) library: PathBuf,
    /// Where its sources are, for completion.
    pub(crate) sources: Option<PathBuf>,
}
