//! Measures how deeply code is nested with rustc's lexer: parsers recurse, and so does visiting or dropping a syntax
//! tree.

use std::fmt::{Display, Formatter};
use std::ops::Range;

use proc_macro2::{Span, TokenStream};
use ra_ap_rustc_lexer::{FrontmatterAllowed, TokenKind, tokenize};

/// The most brackets inside of brackets. rustc itself gives up at about two thousand.
const BRACKETS: usize = 500;
/// The most tokens in an expression or type: each can be a level, as in `!!!!a`, `a + b + c`, `a.b().c()`,
/// `Option<Option<..>>` and `if a {} else if b {}`.
const TOKENS: usize = 6000;

/// Where and how code is nested too deeply to be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooDeep {
    pub(crate) at: Range<usize>,
    reason: &'static str,
}

/// Finds the first place in `code` that is nested too deeply.
pub(crate) fn check(code: &str) -> Result<(), TooDeep> {
    let mut open = Vec::new();
    // Tokens since the last separator, in the innermost brackets and in each pair around them.
    let (mut inner, mut outer) = (0, 0);
    let mut closed = false;
    let mut at = 0;
    for token in tokenize(code, FrontmatterAllowed::No) {
        let range = at..at + token.len as usize;
        let text = &code[range.clone()];
        at = range.end;
        match token.kind {
            TokenKind::Whitespace | TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => continue,
            // What follows a closed block is a new statement, unless it continues the block.
            TokenKind::Ident | TokenKind::RawIdent | TokenKind::Pound if closed && !CONTINUES.contains(&text) => {
                inner = 0
            }
            _ => {}
        }
        closed = token.kind == TokenKind::CloseBrace;
        inner += 1;
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => {
                open.push(inner);
                outer += std::mem::take(&mut inner);
            }
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => {
                inner = open.pop().unwrap_or_default();
                outer -= inner;
            }
            TokenKind::Semi | TokenKind::Comma => inner = 0,
            _ => {}
        }
        if open.len() > BRACKETS {
            return Err(TooDeep { at: range, reason: "brackets are nested more than 500 deep here" });
        }
        if outer + inner > TOKENS {
            return Err(TooDeep { at: range, reason: "this expression or type has more than 6000 parts" });
        }
    }
    Ok(())
}

/// Words that continue what a block began.
const CONTINUES: [&str; 2] = ["else", "as"];

impl Display for TooDeep {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: split it up", self.reason)
    }
}

impl From<TooDeep> for syn::Error {
    fn from(found: TooDeep) -> Self {
        syn::Error::new(span(found.at.start), found)
    }
}

/// A span at byte `at`: that of a word in a separate text.
fn span(at: usize) -> Span {
    let text = format!("{:at$}x", "");
    let token = text.parse::<TokenStream>().ok().and_then(|tokens| tokens.into_iter().next());
    token.map_or_else(Span::call_site, |token| token.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_code_is_refused_where_it_exceeds_the_limit() {
        let deep = [
            "{".repeat(20_000),
            format!("let a = {}1;", "(".repeat(100_000)),
            format!("let a: {}u8{} = None;", "Option<".repeat(20_000), ">".repeat(20_000)),
            format!("let a = {}true;", "!".repeat(50_000)),
            format!("let a = {}b;", "&".repeat(50_000)),
            format!("let a = 1{};", " + 1".repeat(50_000)),
            format!("a{};", ".b()".repeat(50_000)),
            format!("if a {{}}{}", " else if a {}".repeat(50_000)),
            format!("a{}", "[0]".repeat(50_000)),
            format!("let f = {}1;", "|a| ".repeat(50_000)),
            // Neither is too deep by itself.
            format!("{}{}", "f(a + ".repeat(400), "1 + ".repeat(5500)),
        ];
        for code in deep {
            let found = check(&code).expect_err("it is deep");
            assert!(found.at.start < code.len(), "{found:?}");
            assert_eq!(syn::Error::from(found).span().byte_range().len(), 1);
        }
    }

    #[test]
    fn long_code_is_not_deep() {
        let long = [
            "let a = f(1, 2);\n".repeat(50_000),
            "if a { b }\nelse { c }\nd();\n".repeat(50_000),
            "fn f() { g(1) }\n".repeat(50_000),
            "#[derive(Debug)]\nstruct S { a: u8 }\n".repeat(50_000),
            format!("let a = [{}];", "1, ".repeat(100_000)),
            format!("match a {{ {} }}", "B => f(), C => { g(); }\n".repeat(50_000)),
            format!("/* {} */ let a = \"{}\";", "(".repeat(10_000), "{".repeat(10_000)),
            format!("let a = {}1{};", "(".repeat(499), ")".repeat(499)),
            format!("let a = 1{};", " + 1".repeat(2000)),
        ];
        for code in long {
            assert_eq!(check(&code), Ok(()));
        }
    }

    #[test]
    fn the_place_is_that_of_the_token() {
        let code = format!("let 検 = 1;\n{}", "(".repeat(600));
        let found = check(&code).expect_err("it is deep");
        assert_eq!(found.at, 513..514);
        let error = syn::Error::from(found);
        assert_eq!(error.span().byte_range(), 513..514);
    }
}
