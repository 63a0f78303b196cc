//! A cell: the statements of a user, made into a program that rustc compiles.

mod completeness;
mod diagnostic;
mod directives;
mod draw;
mod edit;
mod habits;
mod items;
mod levels;
mod lexical;
mod needed;
mod parse;
mod program;
mod script;
mod shape;
mod statics;
mod syntax;
mod types;
mod weave;

pub(crate) use completeness::{Completeness, is_complete};
pub(crate) use diagnostic::{Diagnostic, file_name, number_of};
pub(crate) use directives::{Directive, may_begin_command, replaced, split};
pub(crate) use draw::{CompileError, Source, compile_errors, place};
pub(crate) use edit::offset_of;
pub(crate) use items::{Item, Sort, items, leaves, makes_items};
pub(crate) use needed::needed;
pub(crate) use parse::{Binding, Cell, Kind, Statement};
pub(crate) use program::{Local, Origins, Plan, Program, Role, Variable, entry, probe, runnable};
pub(crate) use script::script_program;
pub(crate) use shape::Shape;
pub(crate) use statics::{Home, Homes};
pub(crate) use syntax::syntax_error;
pub(crate) use types::{Inferred, answer, inferred_types};
pub(crate) use weave::{Tried, awaits};
