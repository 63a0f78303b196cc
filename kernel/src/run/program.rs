//! The program that a script is: itself where it has a `main`, else its cells in one.

use syn::Item;

use crate::cell::{Cell, with_value_shown};

/// A line that begins a cell, as editors know it.
const CELL: &str = "// %%";

/// The cells of a script as one program; none for a script that has a `main` and is compiled as it is.
///
/// Lines stay where they are, so that errors name those of the script.
pub(super) fn program(script: &str) -> Option<String> {
    let script = without_interpreter(script);
    if has_main(&script) {
        return None;
    }
    let body: String = cells(&script).into_iter().map(shown).collect();
    Some(format!(
        "fn main() -> ::std::result::Result<(), kensaku::nb::ScriptError> {{ \
         #[allow(unused_imports)] use kensaku::prelude::*; {body}\n\
         #[allow(unreachable_code)] Ok(()) }}\n"
    ))
}

/// The `#!` line as a comment, of the same length.
fn without_interpreter(script: &str) -> String {
    match script.strip_prefix("#!") {
        Some(rest) if !rest.trim_start().starts_with('[') => format!("//{rest}"),
        _ => script.to_owned(),
    }
}

fn has_main(script: &str) -> bool {
    let is_main = |item: &Item| matches!(item, Item::Fn(function) if function.sig.ident == "main");
    syn::parse_file(script).is_ok_and(|file| file.items.iter().any(is_main))
}

fn cells(script: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    for line in script.split_inclusive('\n') {
        if line.starts_with(CELL) {
            cells.push(String::new());
        }
        if let Some(last) = cells.last_mut() {
            last.push_str(line);
        }
    }
    cells
}

/// What does not parse is left to rustc, whose errors say more.
fn shown(code: String) -> String {
    match Cell::parse(&code) {
        Ok(cell) => with_value_shown(&cell),
        Err(_) => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_stays_as_it_is() {
        assert_eq!(program("fn main() {\n    println!(\"a\");\n}\n"), None);
        assert_eq!(program("#!/usr/bin/env kensaku\nmod other;\nfn main() {}\n"), None);
    }

    #[test]
    fn each_cell_shows_its_value_and_keeps_its_lines() {
        let script = "#!/usr/bin/env kensaku\nlet a = 1;\na\n// %% second\na + 1\n";
        let program = program(script).expect("it has no main");
        assert!(program.contains("\nkensaku::nb::show!(a);\n// %% second\nkensaku::nb::show!(a + 1);\n"), "{program}");
        let line = |text: &str| text.lines().position(|line| line.contains("second"));
        assert_eq!(line(&program), line(script));
    }
}
