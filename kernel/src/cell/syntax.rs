//! Explains why a cell does not parse.

use std::ops::Range;

use super::directives;
use super::draw::{CompileError, Source, drawn};
use super::habits::habit;
use super::lexical::lexical_fault;

/// The error of a cell that syn does not parse.
pub(crate) fn syntax_error(source: &Source, error: &syn::Error) -> CompileError {
    let (_, rust) = directives::split(&source.code);
    match lexical_fault(&rust) {
        Some(fault) => {
            let help = habit(line_of(&rust, fault.at.start)).map_or(fault.help, str::to_owned);
            drawn(source, fault.at, &fault.message, &help)
        }
        None => {
            let at = place(error, &rust);
            let help = habit(line_of(&rust, at.start)).unwrap_or_default();
            let message = error.to_string();
            drawn(source, at, if message == NO_TOKENS { "no Rust token begins here" } else { &message }, help)
        }
    }
}

/// syn's message about invalid characters.
const NO_TOKENS: &str = "cannot parse string into token stream";

/// The place of an error; syn has none if something is missing at the end.
fn place(error: &syn::Error, rust: &str) -> Range<usize> {
    let range = error.span().byte_range();
    let end = rust.trim_end().len();
    if range == (0..0) {
        return end..end;
    }
    let start = rust.floor_char_boundary(range.start.min(end));
    start..rust.ceil_char_boundary(range.end.clamp(start, rust.len()))
}

fn line_of(code: &str, at: usize) -> &str {
    let start = code[..at].rfind('\n').map_or(0, |end| end + 1);
    code[start..].lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::parse::Cell;
    use super::*;

    /// The place and the text of the error, without colours.
    fn told(code: &str) -> String {
        let error = Cell::parse(code).expect_err("the cell does not parse");
        let source = Source { name: "cell [1]".to_owned(), code: code.to_owned() };
        let rendered = syntax_error(&source, &error).rendered;
        let mut parts = rendered.split('\u{1b}');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |plain, part| plain + part.split_once('m').map_or("", |(_, rest)| rest))
    }

    #[track_caller]
    fn tells(code: &str, expected: &[&str]) {
        let told = told(code);
        for part in expected {
            assert!(told.contains(part), "{code:?} wants {part:?}: {told}");
        }
        assert!(!told.contains("token stream"), "{told}");
    }

    #[test]
    fn each_error_is_reported_at_its_place() {
        tells("println!(“hello”);", &["unknown start of token: \\u{201c}", "cell [1]:1:10", "looks like `\"`"]);
        tells("let x = (1）;", &["unknown start of token: \\u{ff09}", "cell [1]:1:11", "looks like `)`"]);
        tells("let 検 = 1;\nlet s = \"abc;", &["unterminated double quote string", "cell [1]:2:9"]);
        tells("let a = 1;\nfn f() {\n    g(", &["unclosed delimiter", "cell [1]:3:6"]);
        tells(":dep a\nlet a\0 = 1;", &["unknown start of token: \\u{0}", "cell [1]:2:6"]);
        tells("let 🦀 = 1;", &["identifiers cannot contain emoji", "cell [1]:1:5"]);
        tells("let b =", &["cell [1]:1:8", "expected an expression"]);
        tells("let = 1;", &["cell [1]:1:5"]);
    }

    #[test]
    fn habits_of_other_kernels_are_answered() {
        tells("%%time\nlet a = 1;", &["cell [1]:1:1", ":time"]);
        tells("pip install numpy", &[":dep"]);
        tells("import numpy as np", &["use path::Name;"]);
        tells("def f(x):\n    return x", &["fn name"]);
        tells("print('hello')", &["println!"]);
        tells("let a = 1;\nfor x in a:\n    f(x)", &["braces", "cell [1]:2:"]);
    }
}
