//! A program for rustc, its inputs, and where each part of it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use super::edit::{Edited, WayBack};
use super::weave::Tried;

/// A variable of an earlier cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    /// Its type as code that compiles.
    pub(crate) ty: String,
    /// Its type as named by the process for cells, with every path starting at its crate.
    pub(crate) full: String,
    pub(crate) mutable: bool,
    /// The generation of the user's types in which it was kept.
    pub(crate) generation: u64,
}

/// What is known about a cell apart from its text; each compilation may add to it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The number of the program, which is in the name of its function.
    pub(crate) number: usize,
    /// The generation of the user's types.
    pub(crate) generation: u64,
    /// The variables it uses.
    pub(crate) used: Vec<Variable>,
    /// Those that an earlier cell has moved, and this one may assign again.
    pub(crate) vacant: Vec<Variable>,
    /// Those that it moves away.
    pub(crate) moved: BTreeSet<String>,
    /// New ones that do not outlive it.
    pub(crate) local: Locals,
    /// Functions to keep as pointers, whose types can be written.
    pub(crate) pointers: BTreeMap<String, String>,
    /// Variables to drop before it runs: their types are redefined.
    pub(crate) forgotten: Vec<String>,
    /// How far its statements are nested: some programs only compile with less.
    pub(crate) nesting: Nesting,
    pub(crate) tried: Tried,
    /// The imports that replace the prelude when there are crates of `:dep`.
    pub(crate) names: String,
}

/// Variables that do not outlive their cell, by statement and name.
pub(crate) type Locals = BTreeMap<(usize, String), Local>;

/// How far the statements of a cell are nested, see `levels.rs`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Nesting {
    #[default]
    Deep,
    /// Not beyond a variable that is moved or borrows.
    Careful,
    /// All statements share one level.
    Flat,
}

impl Nesting {
    pub(crate) fn less(self) -> Self {
        match self {
            Self::Deep => Self::Careful,
            Self::Careful | Self::Flat => Self::Flat,
        }
    }
}

/// Why a variable does not outlive its cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Local {
    Closure,
    Borrow,
    /// A later statement moves it.
    Moved,
    /// A constant in a pattern: no variable at all.
    Constant,
}

/// A program and where its parts come from.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) text: String,
    pub(crate) origins: Origins,
    pub(crate) marks: Vec<Mark>,
    /// The statics that it defines: keys and symbols.
    pub(crate) statics: Vec<(u64, String)>,
    /// The libraries of the statics that it declares.
    pub(crate) libraries: BTreeSet<PathBuf>,
    /// The `impl`s of earlier cells: where they are, their cells and keys.
    pub(crate) impls: Vec<Impl>,
    /// Whether it has more than one level.
    pub(crate) nested: bool,
}

/// An `impl` of an earlier cell in a program.
#[derive(Debug, Clone)]
pub(crate) struct Impl {
    pub(crate) at: Range<usize>,
    pub(crate) source: usize,
    pub(crate) key: String,
}

/// Where the parts of a program come from. Unlike its text, which contains every item, this can be kept for each
/// program of a session.
#[derive(Debug, Default)]
pub(crate) struct Origins(Vec<Piece>);

#[derive(Debug)]
struct Piece {
    at: Range<usize>,
    source: usize,
    back: WayBack,
}

/// A line of the frame that is about one variable.
#[derive(Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) at: Range<usize>,
    pub(crate) role: Role,
    pub(crate) name: String,
    /// The statement that binds it.
    pub(crate) statement: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Asks for its type.
    Asks,
    /// Names the type of one from an earlier cell.
    Takes,
    /// Keeps a new one.
    Keeps,
    /// Gives one back.
    Returns,
}

impl Origins {
    /// Where a part of the program comes from: the cell, and the range in it.
    pub(crate) fn of(&self, range: Range<usize>) -> Option<(usize, Range<usize>)> {
        let first = self.0.iter().find(|piece| piece.at.contains(&range.start))?;
        let start = first.back.offset(range.start - first.at.start);
        let last = self.0.iter().find(|piece| piece.at.start < range.end && range.end <= piece.at.end);
        let end = match last.filter(|last| last.source == first.source) {
            // The place after the last character, not that of an insertion there.
            Some(last) => last.back.offset(range.end - 1 - last.at.start) + 1,
            None => start,
        };
        Some((first.source, start..end.max(start)))
    }
}

impl Program {
    /// A program of edited texts, each from the `source`th cell.
    pub(super) fn of_parts(parts: &[Edited], source: usize) -> Self {
        let mut program = Self::default();
        parts.iter().for_each(|edited| program.original(source, edited));
        program
    }

    pub(super) fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    pub(super) fn marked(&mut self, role: Role, name: &str, statement: usize, text: &str) {
        let start = self.text.len();
        self.line(text);
        self.marks.push(Mark { at: start..self.text.len(), role, name: name.to_owned(), statement });
    }

    pub(super) fn original(&mut self, source: usize, edited: &Edited) {
        let start = self.text.len();
        self.text.push_str(&edited.text);
        self.origins.0.push(Piece { at: start..self.text.len(), source, back: edited.back.clone() });
        self.text.push('\n');
    }
}
