//! From a line of the generated crate back to the cell that holds it.

use super::edit::{Edited, line_of};
use super::parse::{Cell, Kind};
use super::rewrite::BEGIN;

/// A line of a cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Place {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The line of `cell` at `line` of `source`, the crate evcxr made of it.
///
/// evcxr moves items to the front and keeps each statement's text, so the text is looked for.
pub(crate) fn place_of(cell: &Cell, sent: &Edited, source: &str, line: usize) -> Option<Place> {
    let body = source.rfind("fn run_user_code_").unwrap_or(0);
    let mut after = body;
    for statement in &cell.statements {
        let start = sent.edited_offset(statement.range.start);
        let end = sent.edited_offset(statement.range.end);
        let text = &sent.text[start..end];
        let text = text.strip_prefix(BEGIN).unwrap_or(text);
        let found = match statement.kind {
            Kind::Item => source.find(text),
            _ => source[after..].find(text).map(|at| after + at),
        };
        let Some(at) = found else { continue };
        if statement.kind != Kind::Item {
            after = at + text.len();
        }
        let first = line_of(source, at);
        if (first..first + text.lines().count()).contains(&line) {
            let line = line_of(&cell.code, statement.range.start) + line - first;
            let text = cell.code.lines().nth(line - 1).unwrap_or_default().to_owned();
            return Some(Place { line, text });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::rewrite::runnable;
    use super::*;

    #[test]
    fn lines_of_statements_and_items_are_found() {
        let cell = Cell::parse("let a = 1;\nfn f() {\n    panic!();\n}\n\nf();\na.g(\n  x\n)").expect("parses");
        let sent = runnable(&cell, &[]);
        let source = "#![allow()]\nfn f() {\n    panic!();\n}\nfn run_user_code_3() {\n\
                      kensaku::nb::begin(); \nlet a = 1;\nf();\nput();\n\
                      kensaku::nb::show!(a.g(\n  x\n));\n}";
        let line = |line| place_of(&cell, &sent, source, line).map(|place| (place.line, place.text));
        assert_eq!(line(3), Some((3, "    panic!();".to_owned())));
        assert_eq!(line(8), Some((6, "f();".to_owned())));
        assert_eq!(line(11), Some((8, "  x".to_owned())));
        assert_eq!(line(9), None);
    }
}
