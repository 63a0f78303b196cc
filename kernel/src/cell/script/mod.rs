//! Scripts as programs.
//!
//! ```text
//! let a = 1;                 fn main() .. { let a = 1;
//! fn f() -> i32 { 2 }                                           fn f() -> i32 { 2 }
//! a + f()                    show_value!(a + f()); .. }         include!(..the file on the left..)
//! ```
//!
//! Items are at the top of the program, so that `crate::` and `super::` find them, and statements in its `main`. Both
//! have their own file with unchanged line numbers, so that panics name the lines of the script.

mod parts;
mod source;

use std::ops::Range;
use std::path::Path;

use syn::{Item, Stmt};

use super::diagnostic::{Diagnostic, file_name};
use super::directives::Directive;
use super::draw::{CompileError, Source, drawn};
use super::items::makes_items;
use super::nesting::check as check_nesting;
use super::parse::{Cell, Statement};
use super::program::Program;
use super::weave::awaits;
pub(crate) use parts::FROM_OPTION;
use parts::Parts;
use source::inner_attributes;

/// The start of a line that begins a cell, as in editors.
const CELL: &str = "// %%";

/// The numbers of a program's files: the items, which rustc compiles, and the statements, which they include.
const ITEMS: usize = 0;
const STATEMENTS: usize = 1;

/// The cells of a script as one program, with the script as its source 0.
pub(crate) struct Script {
    pub(crate) program: Program,
    /// The byte at which the statements begin in the text of the program.
    statements: usize,
}

impl Script {
    /// The files with their names, the root file first.
    pub(crate) fn files(&self) -> [(String, &str); 2] {
        let (items, statements) = self.program.text.split_at(self.statements);
        [(file_name(ITEMS), items), (file_name(STATEMENTS), statements)]
    }

    /// rustc's errors, at places in the program.
    pub(crate) fn errors(&self, said: &str) -> Vec<Diagnostic> {
        let mut errors = Diagnostic::errors(said);
        errors.iter_mut().for_each(|error| error.shift(STATEMENTS, self.statements));
        errors
    }

    /// The places in the script where its statements use `?` on an option, as cells may.
    pub(crate) fn tried_options(&self, errors: &[Diagnostic]) -> Vec<usize> {
        let places = errors.iter().filter_map(Diagnostic::tried_option).filter(|place| *place >= self.statements);
        places.filter_map(|place| Some(self.program.origins.of(place..place + 1)?.1.start)).collect()
    }
}

/// The program of a script in `folder`; `None` if it has a `main` and is compiled unchanged. `options` are the places
/// of each `?` that is known to follow an option.
///
/// # Errors
/// If it contains what scripts do not support.
pub(crate) fn script(source: &Source, folder: &Path, options: &[usize]) -> Result<Option<Script>, CompileError> {
    if let Err(deep) = check_nesting(&source.code) {
        return Err(drawn(source, deep.at.clone(), &deep.to_string(), ""));
    }
    let whole = without_interpreter(&source.code);
    let attributes = inner_attributes(&whole);
    if let Some(unstable) = attributes.iter().find(|attribute| attribute.name == "feature") {
        let help = "kensaku's library is built with a stable compiler: remove the attribute";
        return Err(drawn(source, unstable.range.clone(), "`#![feature(..)]` needs a nightly compiler", help));
    }
    if has_main(&whole) {
        return Ok(None);
    }
    let attributes: Vec<Range<usize>> = attributes.into_iter().map(|attribute| attribute.range).collect();
    let code = source::without(&whole, &attributes);
    let cells = cells(&code);
    let asynchronous = cells.iter().any(|(_, cell)| awaits(&cell.statements));
    let mut parts = Parts::new(&whole, attributes, folder, asynchronous);
    for (start, cell) in &cells {
        if let Some(at) = directive(cell) {
            return Err(no_command(source, start + at.start..start + at.end));
        }
        parts.cell(*start, cell);
    }
    Ok(Some(parts.program(&code, options)))
}

/// Replaces the script's `#!` line with spaces.
fn without_interpreter(code: &str) -> String {
    let is_line = code.strip_prefix("#!").is_some_and(|rest| !rest.trim_start().starts_with('['));
    let line = if is_line { code.lines().next().map_or(0, str::len) } else { 0 };
    source::without(code, std::slice::from_ref(&(0..line)))
}

/// Splits the script at each line that begins a cell, and returns the parts with their places. A part that does not
/// parse is left to rustc, whose errors say more. Such a line in a string or a function does not begin a cell.
fn cells(code: &str) -> Vec<(usize, Cell)> {
    let (mut cells, mut macros) = (Vec::new(), Vec::new());
    let mut add = |start: usize, code: &str| {
        let Ok(cell) = Cell::parse_after(code, &macros) else { return false };
        macros.extend(cell.statements.iter().filter_map(item).filter_map(item_macro));
        cells.push((start, cell));
        true
    };
    let (mut start, mut at) = (0, 0);
    for line in code.split_inclusive('\n') {
        if line.starts_with(CELL) && add(start, &code[start..at]) {
            start = at;
        }
        at += line.len();
    }
    add(start, &code[start..]);
    cells
}

/// The item of a statement; macro calls are not items.
fn item(statement: &Statement) -> Option<&Item> {
    match &statement.syntax {
        Stmt::Item(item) => Some(item),
        _ => None,
    }
}

fn has_main(script: &str) -> bool {
    syn::parse_file(script).is_ok_and(|file| file.items.iter().any(is_main))
}

fn is_main(item: &Item) -> bool {
    matches!(item, Item::Fn(function) if function.sig.ident == "main")
}

/// The name of a macro that generates items.
fn item_macro(item: &Item) -> Option<String> {
    match item {
        Item::Macro(definition) if makes_items(definition) => Some(definition.ident.as_ref()?.to_string()),
        _ => None,
    }
}

/// The first line with a notebook command.
fn directive(cell: &Cell) -> Option<Range<usize>> {
    let mark = match cell.directives.before.iter().chain(&cell.directives.after).next()? {
        Directive::Command { name, .. } => format!(":{name}"),
        Directive::Shell(_) => "!".to_owned(),
        Directive::Docs { .. } | Directive::DocsOrTry { .. } => "?".to_owned(),
    };
    let mut at = 0;
    for line in cell.code.split_inclusive('\n') {
        if line.starts_with(&mark) || (mark == "?" && line.trim_end().ends_with('?')) {
            return Some(at..at + line.trim_end().len());
        }
        at += line.len();
    }
    None
}

fn no_command(source: &Source, at: Range<usize>) -> CompileError {
    let help = match source.code[at.clone()].starts_with(":dep") {
        true => {
            "a script can use the crates of kensaku, such as `kensaku::serde_json`; for others, convert a notebook \
                 to a cargo project with `kensaku export`"
        }
        false => "",
    };
    drawn(source, at, "this line is only supported in notebooks", help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(code: &str) -> Option<Script> {
        let source = Source { name: "script.rs".to_owned(), code: code.to_owned() };
        script(&source, Path::new("/folder"), &[]).expect("it is a script")
    }

    /// The items and the statements.
    fn files(code: &str) -> [String; 2] {
        program(code).expect("it has no main").files().map(|(_, text)| text.to_owned())
    }

    fn refused(code: &str) -> String {
        let source = Source { name: "script.rs".to_owned(), code: code.to_owned() };
        script(&source, Path::new("/folder"), &[]).err().expect("it is not a script").rendered
    }

    #[test]
    fn a_program_stays_unchanged() {
        assert!(program("fn main() {\n    println!(\"a\");\n}\n").is_none());
        assert!(program("#!/usr/bin/env kensaku\n//! docs\n#![allow(unused)]\nmod other;\nfn main() {}\n").is_none());
    }

    #[test]
    fn each_cell_shows_its_value_and_keeps_its_lines() {
        let script = "#!/usr/bin/env kensaku\nlet a = 1;\na\n// %% second\na = 2\n// %%\na + 1\n";
        let [_, main] = files(script);
        let shown = "\n::kensaku::show_value!(a);\n// %% second\na = 2;\n// %%\n::kensaku::show_value!(a + 1);\n";
        assert!(main.contains(shown), "{main}");
        let line = |text: &str| text.lines().position(|line| line.contains("second"));
        assert_eq!(line(&main), line(script));
        let [_, first] = files("a");
        assert!(first.starts_with("fn main()") && first.contains("kensaku::show_value!(a);\n"), "{first}");
    }

    #[test]
    fn items_are_at_the_top_on_their_lines() {
        let [items, main] =
            files("let a = f();\npub fn f() -> u8 { 1 }\nuse x::y; let b = 1;\nmod inner { use super::f; }");
        let [line, function, import, module, include] = items.lines().collect::<Vec<_>>()[..] else {
            panic!("{items}");
        };
        assert!(line.contains("use ::kensaku::prelude::*;"), "{line}");
        assert_eq!(
            [function, import.trim(), module],
            ["pub fn f() -> u8 { 1 }", "use x::y;", "mod inner { use super::f; }"]
        );
        assert_eq!(include, "::std::include!(\"cell_1.rs\");");
        assert!(
            main.contains(" let a = f();\n") && !main.contains("fn f") && main.contains("\n          let b = 1;\n")
        );
    }

    #[test]
    fn macros_are_in_both_files() {
        let code = "let k = 1;\nmacro_rules! of_k { () => { k } }\nmacro_rules! make { ($n:ident) => { struct $n; } }\n// %%\nmake!(A);\nof_k!()";
        let [items, main] = files(code);
        assert!(items.contains("macro_rules! of_k") && items.contains("\nmake!(A);"), "{items}");
        assert!(main.contains("macro_rules! of_k") && !main.contains("make!(A)"), "{main}");
    }

    #[test]
    fn redefinitions_apply_from_their_cell_on() {
        let code = "use a::b;\nfn f() {}\nf();\n// %%\nuse a::{b, c};\nfn f() -> u8 { 1 }\nf()\n// %%\nfn g() {}";
        let [items, main] = files(code);
        assert!(items.contains("fn f() {}") && !items.contains("u8") && !items.contains("fn g"), "{items}");
        assert!(main.contains("f();\n{ // %%\n") && main.contains(" use a::c;\nfn f() -> u8 { 1 }\n"), "{main}");
        assert!(main.contains("fn g() {}}\n::std"), "{main}");
        let [_, twice] = files("fn f() {}\nfn f() {}\nfn f() -> u8 { 1 }");
        assert!(twice.starts_with("fn main()"), "{twice}");
    }

    #[test]
    fn attributes_and_docs_of_the_file_stay_first() {
        let [items, main] = files("//! docs\n#![allow(unused)]\n/// adds\nfn f() {}\nf();");
        assert!(items.starts_with("//! docs\n#![allow(unused)]\n #[allow(unused_imports)] use"), "{items}");
        assert!(main.lines().nth(1).is_some_and(|line| line.trim().is_empty()), "{main}");
        let [items, _] = files("//! only docs");
        assert!(items.starts_with("//! only docs\n #[allow"), "{items}");
        let refused = refused("// a\n#![feature(never_type)]\nlet a = 1;");
        assert!(refused.contains("nightly") && refused.contains("script.rs"), "{refused}");
    }

    #[test]
    fn lines_for_notebooks_are_refused() {
        for line in [":dep rand = \"0.9\"", "!ls", "?Tensor"] {
            let refused = refused(&format!("// first\n{line}\nlet a = 1;"));
            assert!(refused.contains("only supported in notebooks") && refused.contains(line), "{refused}");
        }
    }

    #[test]
    fn a_line_in_a_string_does_not_begin_a_cell() {
        let [_, main] = files("let a = \"\n// %% no cell\n\";\na.len()\n// %%\n2");
        assert!(main.contains("::kensaku::show_value!(a.len());\n// %%\n::kensaku::show_value!(2);"), "{main}");
    }

    #[test]
    fn files_next_to_the_script_are_found() {
        let [items, main] =
            files("const A: &str = include_str!(\"a.txt\");\nmod other;\nlet b = include_str!(\"b.txt\");");
        assert!(items.contains("(\"/folder/a.txt\")") && !items.contains("b.txt"), "{items}");
        assert!(items.contains("#[path = \"/folder/other.rs\"] mod other;"), "{items}");
        assert!(main.contains("(\"/folder/b.txt\")") && !main.contains("/folder/a"), "{main}");
    }

    #[test]
    fn returns_without_a_value_return_ok() {
        let [_, main] = files("let Some(a) = b else { return };\nreturn;");
        assert!(
            main.contains("else { return ::std::result::Result::Ok(()) };\nreturn ::std::result::Result::Ok(());"),
            "{main}"
        );
    }

    #[test]
    fn an_option_before_a_question_mark_becomes_a_result() {
        let code = "fn f() {}\nlet a = b()?.c?;";
        let source = Source { name: "script.rs".to_owned(), code: code.to_owned() };
        let place = code.rfind('?').expect("it is there");
        let script = script(&source, Path::new("/folder"), &[place]).expect("it is a script").expect("it has no main");
        let [_, (_, main)] = script.files();
        assert!(main.contains("let a = b()?.c.ok_or(\"`?` on a None\")?;"), "{main}");
    }

    #[test]
    fn places_map_back_to_the_script() {
        let code = "fn f() -> u8 { missing(1) }\n// %%\nmissing(2)";
        let script = program(code).expect("it has no main");
        for call in ["missing(1)", "missing(2)"] {
            let start = script.program.text.find(call).expect("it is there");
            let origin = code.find(call).expect("it is there");
            assert_eq!(script.program.origins.of(start..start + call.len()), Some((0, origin..origin + call.len())));
        }
        let [(_, items), (_, main)] = script.files();
        assert!(items.contains("missing(1)") && main.starts_with("fn main()"));
    }

    #[test]
    fn cells_that_await_run_in_a_runtime() {
        assert!(files("f().await?;")[1].contains("block_on"));
        assert!(!files("f()?;")[1].contains("block_on"));
    }
}
