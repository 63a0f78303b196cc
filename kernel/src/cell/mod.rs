//! A cell: the statements of a user, made into code that evcxr runs without analysing it.

mod diagnostics;
mod edit;
mod locate;
mod parse;
mod rewrite;
mod types;

pub(crate) use diagnostics::{CompileError, compile_errors};
pub(crate) use edit::Edited;
pub(crate) use locate::{Place, place_of};
pub use parse::Completeness;
pub(crate) use parse::{Cell, Kind, Statement, is_complete};
pub(crate) use rewrite::{plain, probe, runnable, with_value_shown};
pub(crate) use types::{Inferred, inferred_types};
