//! `kensaku run`: notebooks and scripts without Jupyter.

mod notebook;
mod outputs;
mod script;
mod terminal;

pub(crate) use notebook::notebook;
pub(crate) use script::script;
