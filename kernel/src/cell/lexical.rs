//! Lexical errors of a cell. syn only says that there is one; rustc's lexer knows which token is wrong.

use std::ops::Range;

use ra_ap_rustc_lexer::{Base, FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

/// A lexical error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
}

/// The first lexical error of `code`, in rustc's words.
pub(super) fn lexical_fault(code: &str) -> Option<Fault> {
    let mut open: Vec<(TokenKind, usize)> = Vec::new();
    let mut at = 0;
    for token in tokenize(code, FrontmatterAllowed::No) {
        let range = at..at + token.len as usize;
        let text = &code[range.clone()];
        at = range.end;
        let fault = match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => {
                open.push((token.kind, range.start));
                None
            }
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => {
                closed(code, open.pop(), token.kind, range.start)
            }
            kind => unreadable(text, kind).map(|fault| Fault { at: at_offset(fault.at, range.start), ..fault }),
        };
        if fault.is_some() {
            return fault;
        }
    }
    let (_, at) = open.pop()?;
    let bracket = &code[at..=at];
    let help = format!("nothing closes this `{bracket}`");
    Some(Fault { at: at..at + 1, message: "unclosed delimiter".to_owned(), help })
}

/// A closing bracket that does not match the last open one, or any.
fn closed(code: &str, open: Option<(TokenKind, usize)>, kind: TokenKind, at: usize) -> Option<Fault> {
    let bracket = &code[at..=at];
    let fault = |message: String, help: String| Some(Fault { at: at..at + 1, message, help });
    match open {
        None => fault(format!("unexpected closing delimiter: `{bracket}`"), "no bracket is open here".to_owned()),
        Some((opened, _)) if closer(opened) == kind => None,
        Some((_, start)) => {
            let line = code[..start].matches('\n').count() + 1;
            let help = format!("the `{}` of line {line} is still open", &code[start..=start]);
            fault(format!("mismatched closing delimiter: `{bracket}`"), help)
        }
    }
}

fn closer(open: TokenKind) -> TokenKind {
    match open {
        TokenKind::OpenParen => TokenKind::CloseParen,
        TokenKind::OpenBracket => TokenKind::CloseBracket,
        _ => TokenKind::CloseBrace,
    }
}

fn at_offset(range: Range<usize>, offset: usize) -> Range<usize> {
    range.start + offset..range.end + offset
}

/// What is wrong with one token, as a place in it.
fn unreadable(text: &str, kind: TokenKind) -> Option<Fault> {
    let found = |at: Range<usize>, message: &str, help: &str| {
        Some(Fault { at, message: message.to_owned(), help: help.to_owned() })
    };
    let first = text.chars().next()?;
    match kind {
        TokenKind::BlockComment { terminated: false, .. } => found(
            0..2,
            "unterminated block comment",
            "end it with `*/`; block comments nest, so each `/*` inside needs its own `*/`",
        ),
        TokenKind::Literal { kind, suffix_start } => {
            let (at, message, help) = in_literal(&text[..suffix_start as usize], kind)?;
            found(at, &message, help)
        }
        TokenKind::Lifetime { starts_with_number: true } => {
            found(0..text.len(), "lifetimes cannot start with a number", QUOTED)
        }
        TokenKind::InvalidIdent => {
            let message = format!("identifiers cannot contain emoji: `{text}`");
            found(0..text.len(), &message, "names are made of letters, digits and `_`")
        }
        TokenKind::UnknownPrefix => {
            let message = format!("prefix `{text}` is unknown");
            found(0..text.len(), &message, "put a space between the name and the literal")
        }
        TokenKind::Unknown => {
            let message = format!("unknown start of token: {}", first.escape_unicode());
            found(0..first.len_utf8(), &message, &lookalike(first))
        }
        _ => None,
    }
}

const QUOTED: &str = "strings go in double quotes: `\"..\"`";

fn in_literal(text: &str, kind: LiteralKind) -> Option<(Range<usize>, String, &'static str)> {
    use LiteralKind::{Byte, ByteStr, CStr, Char, Float, Int, RawByteStr, RawCStr, RawStr, Str};
    // Only the quote of an unterminated string is marked.
    let quote = 0..text.find('"').map_or(1, |at| at + 1);
    let found = |at: Range<usize>, message: &str, help: &'static str| Some((at, message.to_owned(), help));
    match kind {
        Str { terminated: false } => found(quote, "unterminated double quote string", "end it with `\"`"),
        ByteStr { terminated: false } => found(quote, "unterminated double quote byte string", "end it with `\"`"),
        CStr { terminated: false } => found(quote, "unterminated C string", "end it with `\"`"),
        RawStr { n_hashes: None } | RawByteStr { n_hashes: None } | RawCStr { n_hashes: None } => {
            found(quote, "unterminated raw string", "end it with `\"` and as many `#` as it begins with")
        }
        Char { terminated: false } | Byte { terminated: false } => {
            found(0..1, "unterminated character literal", QUOTED)
        }
        Char { .. } if text == "''" => found(0..2, "empty character literal", QUOTED),
        Char { .. } if !text.starts_with("'\\") && text.chars().count() > 3 => {
            found(0..text.len(), "character literal may only contain one codepoint", QUOTED)
        }
        Str { .. } | ByteStr { .. } | CStr { .. } | Char { .. } | Byte { .. } => unknown_escape(text),
        Int { empty_int: true, base: Base::Binary | Base::Octal | Base::Hexadecimal } => {
            found(0..text.len(), "no valid digits found for number", "digits follow the prefix: `0xff`")
        }
        Float { empty_exponent: true, .. } => {
            found(0..text.len(), "expected at least one digit in exponent", "digits follow the `e`: `1e-5`")
        }
        _ => None,
    }
}

/// The first unknown escape of a literal, as in a Windows path.
fn unknown_escape(text: &str) -> Option<(Range<usize>, String, &'static str)> {
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if character != '\\' {
            continue;
        }
        let (_, escaped) = characters.next()?;
        if !"nrt\\0'\"xu\n\r".contains(escaped) {
            let end = at + 1 + escaped.len_utf8();
            let help = "write a backslash as `\\\\`, or use a raw string: `r\"..\"`";
            return Some((at..end, format!("unknown character escape: `{escaped}`"), help));
        }
    }
    None
}

/// The character that was probably meant: word processors and keyboards of other scripts produce lookalikes.
fn lookalike(character: char) -> String {
    let plain = match character {
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' | '＂' => "\"",
        '‘' | '’' | '‚' | '‛' | '′' | '´' | '＇' => "'",
        '–' | '—' | '‐' | '‑' | '−' => "-",
        '×' => "*",
        '÷' => "/",
        '…' => "...",
        '、' => ",",
        '。' => ".",
        '「' | '」' => "\"",
        // Full-width forms of ASCII.
        '！'..='～' => {
            return meant(character, &char::from_u32(character as u32 - 0xfee0).unwrap_or(' ').to_string());
        }
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}' => {
            return "this is not an ordinary space: type it again".to_owned();
        }
        '\0' => return "remove the NUL character".to_owned(),
        _ => return "no Rust token begins with this character".to_owned(),
    };
    meant(character, plain)
}

fn meant(character: char, plain: &str) -> String {
    format!("`{character}` looks like `{plain}`, but is a different character: type `{plain}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fault(code: &str, marked: &str, message: &str) {
        let fault = lexical_fault(code).unwrap_or_else(|| panic!("{code:?} has no fault"));
        assert_eq!((&code[fault.at.clone()], fault.message.as_str()), (marked, message), "{code:?}");
        assert!(!fault.help.is_empty());
    }

    #[test]
    fn unclosed_delimiters() {
        fault("fn f() {", "{", "unclosed delimiter");
        fault("f(1, g(2)", "(", "unclosed delimiter");
        fault("let a = [1, 2;\nlet b = 3;", "[", "unclosed delimiter");
        fault("let s = \"abc;", "\"", "unterminated double quote string");
        fault("let s = b\"abc;", "b\"", "unterminated double quote byte string");
        fault("let s = r#\"abc\";", "r#\"", "unterminated raw string");
        fault("1 + /* two /* three */", "/*", "unterminated block comment");
        fault("let c = '", "'", "unterminated character literal");
        fault("let c = '';", "''", "empty character literal");
        fault("let c = 'abc';", "'abc'", "character literal may only contain one codepoint");
    }

    #[test]
    fn unmatched_closing_brackets() {
        fault("f(1));", ")", "unexpected closing delimiter: `)`");
        fault("f(\n[1, 2);", ")", "mismatched closing delimiter: `)`");
        let help = lexical_fault("f(\n[1, 2);").map(|fault| fault.help);
        assert_eq!(help.as_deref(), Some("the `[` of line 2 is still open"));
    }

    #[test]
    fn invalid_tokens() {
        fault("println!(“hello”);", "“", "unknown start of token: \\u{201c}");
        fault("let x =\u{a0}1;", "\u{a0}", "unknown start of token: \\u{a0}");
        fault("let a\0 = 1;", "\0", "unknown start of token: \\u{0}");
        fault("let 🦀 = 1;", "🦀", "identifiers cannot contain emoji: `🦀`");
        fault("f(1）;", "）", "unknown start of token: \\u{ff09}");
        assert_eq!(lookalike('）'), "`）` looks like `)`, but is a different character: type `)`");
        fault("read(\"C:\\data\");", "\\d", "unknown character escape: `d`");
        fault("let n = 0x;", "0x", "no valid digits found for number");
        fault("let n = 1e;", "1e", "expected at least one digit in exponent");
    }

    #[test]
    fn valid_tokens() {
        let code = "let 検 = ('a', '\\'', b'\\n', '\\u{1f980}', \"“{\", r#\"\"\"#, c\"\", 1.5e-3, 0xff);\n\
                    /* { /* ( */ */ 'outer: loop { break 'outer; } // [\nlet r#fn = 検.0;";
        assert_eq!(lexical_fault(code), None);
    }
}
