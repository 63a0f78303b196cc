//! Builds the two files of a script's program cell by cell.

use std::ops::Range;
use std::path::{Path, PathBuf};

use quote::ToTokens;
use syn::{Item, Stmt};

use super::source::{only, relative_files, without};
use super::{STATEMENTS, Script, is_main, item};
use crate::cell::definitions::{Definitions, Place};
use crate::cell::diagnostic::file_name;
use crate::cell::edit::Edits;
use crate::cell::parse::{Cell, Kind, Statement};
use crate::cell::program::Program;
use crate::cell::returns::bare_returns;

const MAIN: &str = "fn main() -> ::std::result::Result<(), ::kensaku::ProgramError> { ";
const NOTHING: &str = " ::std::result::Result::Ok(())";
/// Inserted before a `?`.
pub(crate) const FROM_OPTION: &str = ".ok_or(\"`?` on a None\")";
const END: &str = "\n::std::result::Result::Ok(()) }";
/// Around cells that await: an inner `main` in a runtime, as no other name is reserved.
const RUNTIME: (&str, &str) = (
    "fn main() -> ::std::result::Result<(), ::kensaku::ProgramError> { async ",
    " ::kensaku::tokio::runtime::Runtime::new()?.block_on(main()) }",
);
const IMPORTS: &str = " #[allow(unused_imports)] use ::kensaku::prelude::*; ";

/// A program under construction.
pub(super) struct Parts<'a> {
    /// The script.
    whole: &'a str,
    /// The attributes of the file.
    attributes: Vec<Range<usize>>,
    /// The script's folder.
    folder: &'a Path,
    definitions: Definitions,
    /// What is at the top of the program.
    items: Vec<Range<usize>>,
    /// What is not in `main`.
    not_in_main: Vec<Range<usize>>,
    top: Edits,
    main: Edits,
    /// The end of `main`: closes the blocks that cells have begun, and what is around them.
    end: String,
    /// Whether names are redefined, so that items no longer go to the top.
    anew: bool,
}

impl<'a> Parts<'a> {
    pub(super) fn new(whole: &'a str, attributes: Vec<Range<usize>>, folder: &'a Path, asynchronous: bool) -> Self {
        // Attributes may be comments that extend to the end of their line.
        let behind = attributes.last().map(|last| (last.end, whole[last.end..].find('\n')));
        let (imports, line_end) = match behind {
            None => (0, ""),
            Some((end, Some(rest))) => (end + rest + 1, ""),
            Some((_, None)) => (whole.len(), "\n"),
        };
        let (before, after) = if asynchronous { RUNTIME } else { ("", "") };
        let (mut top, mut main) = (Edits::default(), Edits::default());
        top.insert(imports, format!("{line_end}{IMPORTS}"));
        main.insert(0, format!("{before}{MAIN}"));
        Self {
            whole,
            attributes,
            folder,
            definitions: Definitions::default(),
            items: Vec::new(),
            not_in_main: Vec::new(),
            top,
            main,
            end: format!("{END}{after}"),
            anew: false,
        }
    }

    pub(super) fn cell(&mut self, start: usize, cell: &Cell) {
        let items = cell.statements.iter().filter_map(item);
        let items: Vec<_> = items.map(|item| (item, item.to_token_stream().to_string())).collect();
        let places = self.definitions.cell(&items);
        if let Some(again) = places.begins {
            let again: String = again.iter().map(|code| format!("{code} ")).collect();
            self.main.insert(start, format!("{{ {again}"));
            self.end.insert(0, '}');
            self.anew = true;
        }
        let mut places = places.items.into_iter();
        for statement in &cell.statements {
            let at = start + statement.range.start..start + statement.range.end;
            match item(statement) {
                Some(item) => self.item(at, item, places.next()),
                // A call of a macro that generates items.
                None if statement.kind == Kind::Item && !self.anew => self.raise(at, false),
                None => self.statement(start, at, statement),
            }
        }
    }

    fn item(&mut self, at: Range<usize>, item: &Item, place: Option<Place>) {
        let edits = if self.anew { &mut self.main } else { &mut self.top };
        match place {
            Some(Place::Known) => self.not_in_main.push(at),
            Some(Place::Partly(imports)) => {
                edits.insert(at.end, imports.join(" "));
                self.not_in_main.push(at);
            }
            // The program already has a `main`.
            _ if self.anew || is_main(item) => {}
            _ => {
                if let Some(file) = file_of_module(item, self.folder) {
                    edits.insert(at.start, format!("#[path = {file:?}] "));
                }
                self.raise(at, is_local_macro(item));
            }
        }
    }

    /// Puts the code `at` a place at the top of the program.
    fn raise(&mut self, at: Range<usize>, stays: bool) {
        self.items.push(at.clone());
        if !stays {
            self.not_in_main.push(at);
        }
    }

    fn statement(&mut self, start: usize, at: Range<usize>, statement: &Statement) {
        if statement.kind == Kind::Value {
            self.main.insert(at.start, "::kensaku::show_value!(");
            self.main.insert(at.end, ")");
        }
        for place in bare_returns(statement) {
            self.main.insert(start + place, NOTHING);
        }
        // The next cell follows it.
        if matches!(statement.syntax, Stmt::Expr(_, None) | Stmt::Macro(_)) {
            self.main.insert(at.end, ";");
        }
    }

    /// `code` is the script without the attributes of the file; `options` are the places of each `?` after an option.
    pub(super) fn program(mut self, code: &str, options: &[usize]) -> Script {
        for place in options {
            self.main.insert(*place, FROM_OPTION);
        }
        let in_any = |place: usize, ranges: &[Range<usize>]| ranges.iter().any(|range| range.contains(&place));
        for (place, folder) in relative_files(code, self.folder) {
            if in_any(place, &self.items) {
                self.top.insert(place, folder.as_str());
            }
            if !in_any(place, &self.not_in_main) {
                self.main.insert(place, folder);
            }
        }
        let end = code.len();
        self.top.insert(end, format!("\n::std::include!({:?});", file_name(STATEMENTS)));
        self.main.insert(end, self.end);
        let top = self.top.apply(&only(self.whole, &[self.attributes, self.items].concat()), 0..end);
        let main = self.main.apply(&without(code, &self.not_in_main), 0..end);
        let statements = top.text.len() + 1;
        Script { program: Program::of_parts(&[top, main], 0), statements }
    }
}

/// Whether it is a macro that may name variables above it in `main`.
fn is_local_macro(item: &Item) -> bool {
    matches!(item, Item::Macro(item) if !item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export")))
}

/// The file of `mod other;`, which rustc would search next to the program.
fn file_of_module(item: &Item, folder: &Path) -> Option<PathBuf> {
    let Item::Mod(module) = item else { return None };
    if module.content.is_some() || module.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
        return None;
    }
    let name = module.ident.to_string();
    let file = folder.join(format!("{name}.rs"));
    let nested = folder.join(name).join("mod.rs");
    Some(if nested.exists() && !file.exists() { nested } else { file })
}
