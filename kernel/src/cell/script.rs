//! The program that a script is.

use syn::Item;

use super::edit::Edits;
use super::parse::{Cell, Kind};
use super::program::Program;
use super::weave::awaits;

/// A line that begins a cell, as editors know it.
const CELL: &str = "// %%";

const HEAD: &str = "fn main() -> ::std::result::Result<(), kensaku::ProgramError> { ";
/// Cells that await: the same, in a runtime.
const HEAD_OF_ASYNC: &str = "fn main() -> ::std::result::Result<(), kensaku::ProgramError> { \
     kensaku::tokio::runtime::Runtime::new()?.block_on(script()) } \
     async fn script() -> ::std::result::Result<(), kensaku::ProgramError> { ";
const IMPORTS: &str = "#[allow(unused_imports)] use kensaku::prelude::*; ";
const TAIL: &str = "\n#[allow(unreachable_code)] Ok(()) }\n";

/// The cells of a script as one program, with the script as its source 0; none for a script that has a `main`
/// and is compiled as it is.
///
/// Lines stay where they are, so that panics name those of the script.
pub(crate) fn script_program(script: &str) -> Option<Program> {
    // A `#!` line becomes a comment of the same length.
    let commented = script.strip_prefix("#!").filter(|rest| !rest.trim_start().starts_with('['));
    let script = commented.map_or_else(|| script.to_owned(), |rest| format!("//{rest}"));
    if has_main(&script) {
        return None;
    }
    // What does not parse is left to rustc, whose errors say more.
    let cells: Vec<(usize, Cell)> =
        cells(&script).into_iter().filter_map(|(start, code)| Some((start, Cell::parse(code).ok()?))).collect();
    let asynchronous = cells.iter().any(|(_, cell)| awaits(&cell.statements));
    let mut body = Edits::default();
    body.insert(0, format!("{}{IMPORTS}", if asynchronous { HEAD_OF_ASYNC } else { HEAD }));
    for (start, cell) in &cells {
        for statement in cell.statements.iter().filter(|statement| statement.kind == Kind::Value) {
            body.insert(start + statement.range.start, "kensaku::show_value!(");
            body.insert(start + statement.range.end, ");");
        }
    }
    body.insert(script.len(), TAIL);
    Some(Program::whole(&body.apply(&script, 0..script.len()), 0))
}

fn has_main(script: &str) -> bool {
    let is_main = |item: &Item| matches!(item, Item::Fn(function) if function.sig.ident == "main");
    syn::parse_file(script).is_ok_and(|file| file.items.iter().any(is_main))
}

/// The script, cut in front of each line that begins a cell, with the place of each part.
fn cells(script: &str) -> Vec<(usize, &str)> {
    let (mut cells, mut start, mut at) = (Vec::new(), 0, 0);
    for line in script.split_inclusive('\n') {
        if line.starts_with(CELL) {
            cells.push((start, &script[start..at]));
            start = at;
        }
        at += line.len();
    }
    cells.push((start, &script[start..]));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(script: &str) -> Option<String> {
        script_program(script).map(|program| program.text)
    }

    #[test]
    fn a_program_stays_as_it_is() {
        assert_eq!(text("fn main() {\n    println!(\"a\");\n}\n"), None);
        assert_eq!(text("#!/usr/bin/env kensaku\nmod other;\nfn main() {}\n"), None);
    }

    #[test]
    fn each_cell_shows_its_value_and_keeps_its_lines() {
        let script = "#!/usr/bin/env kensaku\nlet a = 1;\na\n// %% second\na + 1\n";
        let program = text(script).expect("it has no main");
        assert!(
            program.contains("\nkensaku::show_value!(a);\n// %% second\nkensaku::show_value!(a + 1);\n"),
            "{program}"
        );
        let line = |text: &str| text.lines().position(|line| line.contains("second"));
        assert_eq!(line(&program), line(script));
        let first = text("a").expect("it has no main");
        assert!(first.starts_with("fn main()") && first.contains("kensaku::show_value!(a);\n"), "{first}");
    }

    #[test]
    fn places_lead_back_to_the_script() {
        let script = "1;\n// %%\nmissing(2)";
        let program = script_program(script).expect("it has no main");
        let start = program.text.find("missing").expect("it is there");
        assert_eq!(program.origins.of(start..start + 7), Some((0, 9..16)));
    }

    #[test]
    fn cells_that_await_run_in_a_runtime() {
        assert!(text("f().await?;").is_some_and(|program| program.contains("block_on")));
        assert!(text("f()?;").is_some_and(|program| !program.contains("block_on")));
    }
}
