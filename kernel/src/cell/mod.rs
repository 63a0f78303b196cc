//! A cell: the statements of a user, made into a program that rustc compiles.

mod completeness;
mod diagnostic;
mod directives;
mod draw;
mod edit;
mod items;
mod parse;
mod program;
mod script;
mod types;
mod weave;

pub(crate) use completeness::{Completeness, is_complete};
pub(crate) use diagnostic::{Diagnostic, file_name, number_of};
pub(crate) use directives::{Directive, split};
pub(crate) use draw::{CompileError, Source, compile_errors, drawn, place};
pub(crate) use edit::offset_of;
pub(crate) use items::{Item, Sort, items, leaves, makes_items};
pub(crate) use parse::{Cell, Kind, Statement};
pub(crate) use program::{Origins, Plan, Program, Role, Variable, probe, runnable};
pub(crate) use script::script_program;
pub(crate) use types::{Inferred, answer, inferred_types};
pub(crate) use weave::{Tried, awaits};
