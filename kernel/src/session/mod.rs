//! Runs cells: evcxr, the process for cells, and their output.

mod arrivals;
mod brief;
mod change;
mod commands;
mod compiler;
mod compilers;
mod conclude;
mod dependencies;
mod evaluator;
mod failure;
mod filter;
mod folder;
mod frames;
mod input;
mod interrupt;
mod keep;
mod link;
mod lost;
mod outdated;
mod probe;
mod ran;
mod scope;
mod streams;
mod traces;
mod type_text;
mod unkept;
mod verdict;
mod workplace;
mod written;

use std::sync::Arc;

use serde_json::Value;

pub(crate) use change::Change;
pub(crate) use commands::commands;
pub(crate) use dependencies::parse as dependency;
pub(crate) use evaluator::Session;
pub(crate) use failure::Failure;
pub(crate) use folder::Folder;
pub(crate) use input::Question;
pub(crate) use interrupt::Interrupter;
pub(crate) use scope::{Crate, Scope, SharedScope};
pub(crate) use type_text::identifiers;
pub(crate) use workplace::limit_threads;

/// The output of a running cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Stream {
        stream: Stream,
        text: String,
    },
    /// A display, as the library's `show::Message`.
    Display(Value),
    /// The value of a cell, in the same form.
    Value(Value),
    /// The cell clears its output; with `wait`, once it shows something new.
    Clear {
        wait: bool,
    },
    /// The cell waits for a line from the user.
    Input(Question),
    /// Help, as MIME type -> text, which front ends show outside of the notebook.
    Page(Value),
}

/// One of the two text streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// The stream's name in the protocol and in notebooks.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Takes events, from any thread, in order.
pub(crate) type Events = Arc<dyn Fn(Event) + Send + Sync>;
