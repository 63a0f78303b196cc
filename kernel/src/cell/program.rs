//! The crate that is compiled for a cell: all items so far, and a function with its statements.
//!
//! ```text
//! use kensaku::prelude::*;
//! ..items..
//! pub fn run() {
//!     let kensaku_cell = kensaku::nb::begin();
//!     let x: T = kensaku::nb::take("x");                 // variables that the cell names
//!     let kensaku_end = kensaku::nb::run(|| {
//!         ..statements..
//!         kensaku::nb::keep("y", y);                     // variables that it makes
//!         Ok(())
//!     });
//!     kensaku::nb::keep("x", x);                         // back, unless it was moved away
//! }
//! ```
//!
//! The statements borrow what they do not move, so that a panic or an error leaves every variable as
//! the cell has left it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::edit::{Edited, WayBack};
use super::items::{Item, Sort};
use super::parse::{Binding, Cell, Kind};
use super::weave::{Tried, awaits, woven};

/// A variable of an earlier cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    /// Written so that it compiles.
    pub(crate) ty: String,
    pub(crate) mutable: bool,
}

/// What is known about a cell besides its text. Compiling it teaches more.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// The variables it uses.
    pub(crate) used: Vec<Variable>,
    /// Those that it moves away.
    pub(crate) moved: BTreeSet<String>,
    /// New ones that do not outlive it.
    pub(crate) local: BTreeSet<String>,
    /// Functions to keep as pointers, whose types can be written.
    pub(crate) pointers: BTreeMap<String, String>,
    /// Variables to drop before it runs: their types are redefined.
    pub(crate) forgotten: Vec<String>,
    pub(crate) tried: Tried,
}

/// A program and where its parts come from.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) text: String,
    pub(crate) origins: Origins,
    pub(crate) marks: Vec<Mark>,
}

/// Where the parts of a program come from. Unlike its text, which has every item in it, this can be kept
/// for each program of a session.
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Asks for its type.
    Asks,
    /// Keeps a new one.
    Keeps,
    /// Gives one back.
    Returns,
}

/// What user code may do without a warning, and stands in front of everything.
const HEAD: &str = "#![allow(warnings)]\nuse kensaku::prelude::*;\n";

/// The program that runs `cell`, which is the `source`th.
pub(crate) fn runnable(items: &[Item], cell: &Cell, source: usize, plan: &Plan) -> Program {
    let mut program = Program::default();
    program.head(items);
    let asynchronous = awaits(&cell.statements);
    program.line("pub fn run() {");
    program.line("let kensaku_cell = kensaku::nb::begin();");
    if !plan.forgotten.is_empty() {
        program.line(&format!("kensaku::nb::forget(&{:?});", plan.forgotten));
    }
    for Variable { name, ty, .. } in &plan.used {
        program.line(&format!("if !kensaku::nb::has::<{ty}>(\"{name}\") {{ return; }}"));
    }
    for Variable { name, ty, mutable } in &plan.used {
        let mutable = if *mutable { "mut " } else { "" };
        program.line(&format!("let {mutable}{name}: {ty} = kensaku::nb::take(\"{name}\");"));
    }
    program.line(if asynchronous {
        "let kensaku_end = kensaku::nb::run_async(async {"
    } else {
        "let kensaku_end = kensaku::nb::run(|| -> ::std::result::Result<(), kensaku::nb::Failed> {"
    });
    program.statements(cell, source, plan.tried);
    for name in new_names(cell).filter(|name| !plan.local.contains(name)) {
        let ty = plan.pointers.get(&name).map(|ty| format!("::<{ty}>")).unwrap_or_default();
        program.marked(Role::Keeps, &name, &format!("kensaku::nb::keep{ty}(\"{name}\", {name});"));
    }
    program.line("#[allow(unreachable_code)] ::std::result::Result::Ok::<(), kensaku::nb::Failed>(())");
    program.line("});");
    let again: BTreeSet<String> = new_names(cell).collect();
    for Variable { name, .. } in plan.used.iter().filter(|used| !plan.moved.contains(&used.name)) {
        // A new variable of the same name has been kept by now, if the cell went well.
        let unless = if again.contains(name) { "if !kensaku_end.completed() " } else { "" };
        program.marked(Role::Returns, name, &format!("{unless}{{ kensaku::nb::keep(\"{name}\", {name}); }}"));
    }
    program.line("}");
    program
}

/// The program that is only checked: each new variable is followed by one deliberate type error, in
/// which rustc tells its type.
pub(crate) fn probe(items: &[Item], cell: &Cell, source: usize, plan: &Plan) -> Program {
    let mut program = Program::default();
    program.head(items);
    let parameters: Vec<String> = plan
        .used
        .iter()
        .map(|Variable { name, ty, mutable }| format!("{}{name}: {ty}", if *mutable { "mut " } else { "" }))
        .collect();
    let asynchronous = if awaits(&cell.statements) { "async " } else { "" };
    program.line(&format!(
        "pub {asynchronous}fn run({}) -> ::std::result::Result<(), kensaku::nb::Failed> {{",
        parameters.join(", ")
    ));
    program.statements(cell, source, plan.tried);
    for (_, Binding { name, .. }) in cell.kept().into_iter().filter(|(_, binding)| binding.is_open()) {
        let ask = format!("{{ let marker = kensaku::nb::type_of(&{name}); let () = marker; }}");
        program.marked(Role::Asks, name, &ask);
    }
    program.line("::std::result::Result::Ok(())\n}");
    program
}

fn new_names(cell: &Cell) -> impl Iterator<Item = String> {
    cell.kept().into_iter().map(|(_, binding)| binding.name.clone())
}

impl Origins {
    /// Where a part of the program comes from: the cell, and the range in it.
    pub(crate) fn of(&self, range: Range<usize>) -> Option<(usize, Range<usize>)> {
        let first = self.0.iter().find(|piece| piece.at.contains(&range.start))?;
        let start = first.back.offset(range.start - first.at.start);
        let last = self.0.iter().find(|piece| piece.at.start < range.end && range.end <= piece.at.end);
        let end = match last.filter(|last| last.source == first.source) {
            // The place behind the last character, not that of an insertion there.
            Some(last) => last.back.offset(range.end - 1 - last.at.start) + 1,
            None => start,
        };
        Some((first.source, start..end.max(start)))
    }
}

impl Program {
    /// A program that is one text with insertions, the `source`th.
    pub(super) fn whole(edited: &Edited, source: usize) -> Self {
        let mut program = Self::default();
        program.original(source, edited);
        program
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn marked(&mut self, role: Role, name: &str, text: &str) {
        let start = self.text.len();
        self.line(text);
        self.marks.push(Mark { at: start..self.text.len(), role, name: name.to_owned() });
    }

    fn original(&mut self, source: usize, edited: &Edited) {
        let start = self.text.len();
        self.text.push_str(&edited.text);
        self.origins.0.push(Piece { at: start..self.text.len(), source, back: edited.back.clone() });
        self.text.push('\n');
    }

    /// Macros come first: what uses them has to stand behind them.
    fn head(&mut self, items: &[Item]) {
        self.text.push_str(HEAD);
        let (macros, others): (Vec<&Item>, Vec<&Item>) = items.iter().partition(|item| item.sort == Sort::Macro);
        for item in macros.into_iter().chain(others) {
            self.original(item.source, &item.edited);
        }
    }

    fn statements(&mut self, cell: &Cell, source: usize, tried: Tried) {
        for statement in cell.statements.iter().filter(|statement| statement.kind != Kind::Item) {
            self.original(source, &woven(&cell.code, statement, tried));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::items::items;
    use super::*;

    fn plan(used: &[(&str, &str)]) -> Plan {
        let used =
            used.iter().map(|(name, ty)| Variable { name: (*name).to_owned(), ty: (*ty).to_owned(), mutable: false });
        Plan { used: used.collect(), tried: Tried::Text, ..Plan::default() }
    }

    fn cell(code: &str) -> Cell {
        Cell::parse(code).expect("the cell parses")
    }

    #[test]
    fn a_variable_is_taken_used_and_given_back() {
        let program = runnable(&[], &cell("let y = x + 1;\ny"), 0, &plan(&[("x", "i32")]));
        let lines: Vec<_> = program.text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "pub fn run() {",
                "let kensaku_cell = kensaku::nb::begin();",
                "if !kensaku::nb::has::<i32>(\"x\") { return; }",
                "let x: i32 = kensaku::nb::take(\"x\");",
                "let kensaku_end = kensaku::nb::run(|| -> ::std::result::Result<(), kensaku::nb::Failed> {",
                "let y = x + 1;;",
                "kensaku::show_value!(y);",
                "kensaku::nb::keep(\"y\", y);",
                "#[allow(unreachable_code)] ::std::result::Result::Ok::<(), kensaku::nb::Failed>(())",
                "});",
                "{ kensaku::nb::keep(\"x\", x); }",
                "}",
            ]
        );
    }

    #[test]
    fn a_redefined_variable_is_given_back_where_the_cell_fails() {
        let program = runnable(&[], &cell("let x = x + 1;"), 0, &plan(&[("x", "i32")]));
        assert!(program.text.contains("if !kensaku_end.completed() { kensaku::nb::keep(\"x\", x); }"));
    }

    #[test]
    fn what_is_moved_or_local_is_not_kept() {
        let mut plan = plan(&[("x", "String")]);
        plan.moved.insert("x".to_owned());
        plan.local.insert("f".to_owned());
        let program = runnable(&[], &cell("drop(x); let f = || 1;"), 0, &plan);
        assert!(!program.text.contains("keep("), "{}", program.text);
    }

    #[test]
    fn places_lead_back_to_the_cell() {
        let code = "fn one() -> i32 { 1 }\nlet y = one();\nf(y)?";
        let cell = cell(code);
        let program = runnable(&items(&cell, 3), &cell, 4, &plan(&[]));
        let origin = |text: &str| {
            let start = program.text.find(text).expect("the text is there");
            program.origins.of(start..start + text.len())
        };
        assert_eq!(origin("fn one"), Some((3, 0..6)));
        assert_eq!(origin("one();"), Some((4, 30..36)));
        assert_eq!(origin("f(y)"), Some((4, 37..41)));
        assert_eq!(origin("kensaku::nb::begin"), None);
    }

    #[test]
    fn the_probe_asks_for_each_open_type() {
        let program = probe(&[], &cell("let a = f();\nlet b: u8 = 1;\na.len()"), 0, &plan(&[("v", "u8")]));
        let asked: Vec<_> = program.marks.iter().map(|mark| (mark.role, mark.name.as_str())).collect();
        assert_eq!(asked, [(Role::Asks, "a")]);
        assert!(program.text.contains("pub fn run(v: u8) -> "), "{}", program.text);
    }
}
