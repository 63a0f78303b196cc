//! Whether a cell is complete, for consoles that decide between a new line and a run.

use proc_macro2::LineColumn;
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};
use syn::Block;
use syn::parse::Parser;

use super::directives;
use super::nesting;

/// Limits on nesting and length, as parsers recurse.
const DEEP: usize = 200;
const LONG: usize = 1 << 20;

/// Whether a cell can be run in its current form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completeness {
    Complete,
    /// The next line should be indented by this many spaces.
    Incomplete {
        indent: usize,
    },
    Invalid,
    /// Too long or too deep to parse.
    Unknown,
}

/// Whether `code` is a complete cell.
///
/// rustc's lexer finds the brackets that are open at the end. With these closed, syn parses the code: an error at the
/// end means that more is expected, and an earlier one cannot be fixed by further lines.
pub(crate) fn is_complete(code: &str) -> Completeness {
    if code.len() > LONG {
        return Completeness::Unknown;
    }
    let (found, code) = directives::split(code);
    if found.unfinished {
        return Completeness::Incomplete { indent: 4 };
    }
    if nesting::check(&code).is_err() {
        return Completeness::Unknown;
    }
    let open = match open_at_end(&code) {
        Ok(open) => open,
        Err(answer) => return answer,
    };
    if open.inside_token {
        return Completeness::Incomplete { indent: 0 };
    }
    let indent = 4 * (open.levels() + usize::from(open.continues));
    let closers: String = open.brackets.iter().rev().map(|bracket| bracket.closer).collect();
    // On a new line, as the last one may be a comment.
    let Ok(tokens) = format!("{code}\n{closers}").parse() else { return Completeness::Invalid };
    match Block::parse_within.parse2(tokens) {
        Ok(_) if open.brackets.is_empty() => Completeness::Complete,
        Ok(_) => Completeness::Incomplete { indent },
        Err(error) if is_at_end(&error, &code) => Completeness::Incomplete { indent },
        Err(_) => Completeness::Invalid,
    }
}

/// The constructs that are open at the end of a text.
#[derive(Default)]
struct Open {
    brackets: Vec<Bracket>,
    /// Whether the end is inside a string or a comment.
    inside_token: bool,
    /// Whether the statement continues after the last token.
    continues: bool,
}

struct Bracket {
    closer: char,
    line: usize,
}

impl Open {
    /// Levels of indentation: brackets opened on the same line count once.
    fn levels(&self) -> usize {
        let mut lines: Vec<usize> = self.brackets.iter().map(|bracket| bracket.line).collect();
        lines.dedup();
        lines.len()
    }
}

fn open_at_end(code: &str) -> Result<Open, Completeness> {
    let mut open = Open::default();
    let (mut at, mut line) = (0, 0);
    for token in tokenize(code, FrontmatterAllowed::No) {
        let text = &code[at..at + token.len as usize];
        let mut bracket = |closer: char| open.brackets.push(Bracket { closer, line });
        match token.kind {
            TokenKind::OpenParen => bracket(')'),
            TokenKind::OpenBracket => bracket(']'),
            TokenKind::OpenBrace => bracket('}'),
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => {
                let matched = open.brackets.pop().is_some_and(|bracket| text.starts_with(bracket.closer));
                if !matched {
                    return Err(Completeness::Invalid);
                }
            }
            TokenKind::BlockComment { terminated, .. } => open.inside_token = !terminated,
            TokenKind::Literal { kind, .. } => open.inside_token = is_unterminated(kind),
            _ => {}
        }
        if open.brackets.len() > DEEP {
            return Err(Completeness::Unknown);
        }
        match token.kind {
            TokenKind::Whitespace | TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => {}
            kind => open.continues = !ends_statement(kind),
        }
        line += text.matches('\n').count();
        at += text.len();
    }
    Ok(open)
}

fn is_unterminated(literal: LiteralKind) -> bool {
    match literal {
        LiteralKind::Str { terminated } | LiteralKind::ByteStr { terminated } | LiteralKind::CStr { terminated } => {
            !terminated
        }
        LiteralKind::RawStr { n_hashes } | LiteralKind::RawByteStr { n_hashes } | LiteralKind::RawCStr { n_hashes } => {
            n_hashes.is_none()
        }
        // An unterminated character literal is an error.
        _ => false,
    }
}

/// Brackets (also those of attributes) and separators: the next line has the same indentation.
fn ends_statement(kind: TokenKind) -> bool {
    use TokenKind::{CloseBrace, CloseBracket, CloseParen, Comma, OpenBrace, OpenBracket, OpenParen, Semi};
    matches!(kind, Semi | Comma | OpenBrace | OpenBracket | OpenParen | CloseBrace | CloseBracket | CloseParen)
}

/// Whether a parser expected more after the user's last character: at one of our closing brackets, or at the end of
/// the input, for which syn has no span.
fn is_at_end(error: &syn::Error, code: &str) -> bool {
    let place = error.span().start();
    let end = LineColumn { line: code.matches('\n').count() + 2, column: 0 };
    let nowhere = error.span().byte_range().is_empty();
    place >= end || nowhere
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_cells() {
        let cells = [
            "let x = 1;",
            "1 + 1",
            "",
            "// only a comment",
            "df.lazy()\n    .collect()?",
            "fn f<'a>(x: &'a str) -> char { '{' }",
            "let s = r#\"a \" { b\"#;",
            ":dep regex = \"1\"",
            "!ls (",
            ":dep a\nlet x = 1;",
            ":time\nlet x = 1;",
            ":time f(x)?",
            ":forget a b",
            ":load helpers.rs",
            ":env NAME=it's",
            "let text = \"\n:type f(\n\";",
            "/* /* nested */ */ 2",
            "let c = b'\\'';",
            "#[derive(Debug)]\nstruct A { x: i32 }",
            "let f = |x: i32| x + 1; // {",
            "?Trainer",
            "vec![1, 2]",
            "for i in 0..3 { f(i) }",
            "let 検索 = \"🦀\";",
            "'outer: loop { break 'outer; }",
            "let s = c\"x\";",
            "x.await",
        ];
        for cell in cells {
            assert_eq!(is_complete(cell), Completeness::Complete, "{cell}");
        }
    }

    #[test]
    fn unfinished_cells_and_their_indents() {
        let cells = [
            ("fn f() {", 4),
            ("fn f() {\n    if x {", 8),
            ("foo(bar(", 4),
            ("let x = vec![\n    1,", 4),
            ("let x =", 4),
            ("1 +", 4),
            ("df.lazy().", 4),
            ("let x = 1", 4),
            ("#[derive(Debug)]", 0),
            ("let s = \"abc", 0),
            ("let s = r##\"abc\"#", 0),
            ("/* a", 0),
            ("match x {\n    1 =>", 8),
            ("if a { b } else", 4),
            ("use a::", 4),
            ("impl Show for", 4),
            ("fn f() -> i32", 4),
            ("fn f() { // }", 4),
            ("let Some(x) = y else {", 4),
            ("struct A {\n    x: ", 8),
            ("/// A doc comment", 0),
            ("let x: Vec<", 4),
            ("{ '{'", 8),
            ("let f = |x| {\n    foo(&'a ", 12),
            ("async fn f()", 0),
            (":dep a = { features = [", 4),
            (":type f(", 4),
            ("!ls \\", 4),
            (":time for i in 0..3 {", 4),
        ];
        for (cell, indent) in cells {
            assert_eq!(is_complete(cell), Completeness::Incomplete { indent }, "{cell}");
        }
    }

    #[test]
    fn errors_that_no_further_line_can_fix() {
        for cell in [
            "let x 1;",
            ")",
            "(]",
            "fn f( { }}",
            "let = 1;",
            "let x 1; fn f() {",
            "foo(a b); {",
            "struct A x",
            "let x = (1 + );",
            "`",
        ] {
            assert_eq!(is_complete(cell), Completeness::Invalid, "{cell}");
        }
    }

    #[test]
    fn deep_and_long_cells_are_unknown() {
        assert_eq!(is_complete(&"(".repeat(100_000)), Completeness::Unknown);
        assert_eq!(is_complete(&"a;".repeat(1 << 20)), Completeness::Unknown);
    }
}
