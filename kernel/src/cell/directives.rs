//! The lines of a cell that are not Rust: `:dep`, `!ls`, `?name`.

use std::ops::Range;

use ra_ap_rustc_lexer::{FrontmatterAllowed, TokenKind, tokenize};

/// What such a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Directive {
    /// `:name arguments`
    Command { name: String, arguments: String },
    /// `!command`, for the shell.
    Shell(String),
    /// `?name`; with two marks, in full.
    Docs { name: String, whole: bool },
    /// `name?` as a whole cell, which may also be an expression; with two marks, in full.
    DocsOrTry { name: String, whole: bool },
}

/// The directives before and after the Rust code.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Directives {
    pub(crate) before: Vec<Directive>,
    pub(crate) after: Vec<Directive>,
    /// Where they are, in the order of the text.
    pub(crate) places: Vec<Range<usize>>,
    /// Whether one of them continues past the last line.
    pub(crate) unfinished: bool,
}

/// Commands whose arguments continue until their brackets are closed.
const BRACKETED: [&str; 2] = ["dep", "type"];

/// What may come before Rust code.
const TIME: &str = "time";

/// Replaces the directives in `code` with spaces, so that offsets stay the same.
///
/// A colon and a word begin a command on every line that starts outside of tokens and brackets, as no Rust does. The
/// other two are looked for before the code only, where `!` and `?` cannot be Rust.
pub(crate) fn split(code: &str) -> (Directives, String) {
    let mut found = Directives::default();
    if let Some(docs) = whole_cell(code) {
        found.before.push(docs);
        found.places.push(0..code.len());
        return (found, blank(code));
    }
    let mut rust = String::with_capacity(code.len());
    let mut begun = false;
    while rust.len() < code.len() {
        let rest = &code[rust.len()..];
        match Line::read(rest, begun) {
            Some(Line { directive, length, unfinished }) => {
                let place = if begun { &mut found.after } else { &mut found.before };
                place.push(directive);
                found.places.push(rust.len()..rust.len() + length);
                found.unfinished |= unfinished;
                rust.push_str(&blank(&rest[..length]));
            }
            None => {
                let lines = Lines::read(rest);
                begun |= lines.is_code;
                rust.push_str(&rest[..lines.length]);
            }
        }
    }
    (found, rust)
}

/// Whether a command may begin at byte `start`, the start of a line.
pub(crate) fn may_begin_command(code: &str, start: usize) -> bool {
    let (found, _) = split(&format!("{}:x", &code[..start]));
    found.places.last().is_some_and(|place| place.start == start)
}

/// `code` with each command `name` replaced by the next of `texts`.
pub(crate) fn replaced(code: &str, name: &str, texts: &[String]) -> String {
    let (found, _) = split(code);
    let mut texts = texts.iter();
    let (mut result, mut copied) = (String::new(), 0);
    for (directive, place) in found.before.iter().chain(&found.after).zip(&found.places) {
        if matches!(directive, Directive::Command { name: other, .. } if other == name)
            && let Some(text) = texts.next()
        {
            result += &code[copied..place.start];
            result += text;
            copied = place.end;
        }
    }
    result + &code[copied..]
}

/// A directive at the start of a text.
struct Line {
    directive: Directive,
    /// Its length in bytes, the line end included.
    length: usize,
    unfinished: bool,
}

impl Line {
    fn read(text: &str, begun: bool) -> Option<Self> {
        let length = text.find('\n').map_or(text.len(), |end| end + 1);
        let line = text[..length].trim_end();
        if let Some(command) = line.strip_prefix(':').filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        {
            return Some(Self::command(text, length, command));
        }
        match line.strip_prefix('!') {
            Some(_) if !begun => Some(Self::shell(text)),
            _ if !begun => Some(Self { directive: docs_before(line)?, length, unfinished: false }),
            _ => None,
        }
    }

    fn command(text: &str, length: usize, command: &str) -> Self {
        let name = command.split(char::is_whitespace).next().unwrap_or(command).to_owned();
        let head = 1 + name.len();
        if name == TIME {
            let directive = Directive::Command { name, arguments: String::new() };
            return Self { directive, length: head, unfinished: false };
        }
        let (mut end, mut unfinished) = (length, false);
        if BRACKETED.contains(&name.as_str()) {
            match Lines::read(&text[head..]) {
                Lines { open: true, .. } => unfinished = true,
                lines => end = head + lines.length,
            }
        }
        let lines: Vec<&str> = text[head..end].lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Self { directive: Directive::Command { name, arguments: lines.join(" ") }, length: end, unfinished }
    }

    /// A backslash at the end of a line continues the command on the next line, as in a shell.
    fn shell(text: &str) -> Self {
        let mut length = 0;
        let mut unfinished = false;
        for line in text.split_inclusive('\n') {
            length += line.len();
            unfinished = line.trim_end_matches(['\r', '\n']).ends_with('\\');
            if !unfinished {
                break;
            }
        }
        let command = text[1..length].replace("\r\n", "\n");
        Self { directive: Directive::Shell(command.trim().to_owned()), length, unfinished }
    }
}

/// The lines up to the next one that begins outside of tokens and brackets.
struct Lines {
    length: usize,
    is_code: bool,
    /// Whether the text ends inside of brackets.
    open: bool,
}

impl Lines {
    fn read(text: &str) -> Self {
        let (mut depth, mut is_code) = (0_i64, false);
        for (kind, at) in tokens(text) {
            match kind {
                TokenKind::Whitespace if depth == 0 => {
                    if let Some(end) = text[at.clone()].find('\n') {
                        return Self { length: at.start + end + 1, is_code, open: false };
                    }
                }
                TokenKind::Whitespace | TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => {}
                kind => {
                    depth = (depth + opens(kind)).max(0);
                    is_code = true;
                }
            }
        }
        Self { length: text.len(), is_code, open: depth > 0 }
    }
}

fn tokens(text: &str) -> impl Iterator<Item = (TokenKind, Range<usize>)> {
    tokenize(text, FrontmatterAllowed::No).scan(0, |at, token| {
        let start = *at;
        *at += token.len as usize;
        Some((token.kind, start..*at))
    })
}

/// How many brackets a token opens.
fn opens(kind: TokenKind) -> i64 {
    match kind {
        TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => 1,
        TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => -1,
        _ => 0,
    }
}

fn docs_before(line: &str) -> Option<Directive> {
    let name = line.strip_prefix('?')?;
    let whole = name.starts_with('?');
    let name = name.trim_start_matches('?').trim();
    Some(Directive::Docs { name: name.to_owned(), whole })
}

/// `name?` as the only code of a cell.
fn whole_cell(code: &str) -> Option<Directive> {
    let name = code.trim().strip_suffix('?')?;
    let whole = name.ends_with('?');
    let name = name.trim_end_matches('?');
    let is_path = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || "_:.!".contains(c));
    is_path.then(|| Directive::DocsOrTry { name: name.to_owned(), whole })
}

pub(super) fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { "\n".to_owned() } else { " ".repeat(c.len_utf8()) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, arguments: &str) -> Directive {
        Directive::Command { name: name.to_owned(), arguments: arguments.to_owned() }
    }

    #[test]
    fn commands_have_their_own_lines() {
        let (found, rust) = split("// first\n:dep regex = \"1\"\n!ls 検\nlet x = !true;\n:vars\n!x");
        assert_eq!(found.before, [command("dep", "regex = \"1\""), Directive::Shell("ls 検".to_owned())]);
        assert_eq!(found.after, [command("vars", "")]);
        assert_eq!(rust.len(), "// first\n:dep regex = \"1\"\n!ls 検\nlet x = !true;\n:vars\n!x".len());
        let lines: Vec<_> = rust.lines().map(str::trim).collect();
        assert_eq!(lines, ["// first", "", "", "let x = !true;", "", "!x"]);
    }

    #[test]
    fn docs_are_requested_before_and_after_a_name() {
        let docs = |name: &str, whole| Directive::Docs { name: name.to_owned(), whole };
        assert_eq!(split("?Tensor::ones").0.before, [docs("Tensor::ones", false)]);
        let after = Directive::DocsOrTry { name: "df.lazy".to_owned(), whole: true };
        assert_eq!(split("df.lazy??\n").0.before, [after]);
        assert_eq!(split("f()?").0, Directives::default());
        assert_eq!(split("let x = f()?;\nx?").0, Directives::default());
    }

    #[test]
    fn paths_are_not_commands() {
        assert_eq!(split("use a\n::b;").0, Directives::default());
    }

    #[test]
    fn text_inside_tokens_and_brackets_is_not_a_command() {
        for code in [
            "let text = r#\"\n:dep x\n!ls\n?y\n\"#;",
            "let text = \"a\n:help\nb\";",
            "/*\n:help\n!rm x\n?y\n*/\nlet a = 1;",
            "style! {\n:root { a: b }\n}",
        ] {
            assert_eq!(split(code), (Directives::default(), code.to_owned()), "{code}");
        }
        let (found, rust) = split("let text = \"\n:help\n\";\n:vars\nlet c = '\"';\n:help");
        assert_eq!(found.after, [command("vars", ""), command("help", "")]);
        assert_eq!(rust.trim_end(), "let text = \"\n:help\n\";\n     \nlet c = '\"';");
        // What does not lex as Rust affects its own line only.
        assert_eq!(split("!echo it's \"\n:vars").0.before.len(), 2);
    }

    #[test]
    fn windows_line_ends_are_not_part_of_commands() {
        let (found, rust) = split("!echo a\r\n:vars\r\nlet b = 1;\r\n");
        assert_eq!(found.before, [Directive::Shell("echo a".to_owned()), command("vars", "")]);
        assert_eq!(rust, "        \n      \nlet b = 1;\r\n");
    }

    #[test]
    fn commands_of_several_lines() {
        let (found, rust) = split(":dep a = { version = \"1\", features = [\n    \"b\",\n] }\nlet x = 1;");
        assert_eq!(found.before, [command("dep", "a = { version = \"1\", features = [ \"b\", ] }")]);
        assert_eq!(rust.trim(), "let x = 1;");
        let (found, rust) = split("!echo a \\\n  b\nlet x = 1;");
        assert_eq!(found.before, [Directive::Shell("echo a \\\n  b".to_owned())]);
        assert_eq!(rust.trim(), "let x = 1;");
        // A bracket that is never closed takes no code with it.
        let (found, rust) = split(":type f(\nlet x = 1;\n");
        assert_eq!((found.before, found.unfinished), (vec![command("type", "f(")], true));
        assert_eq!(rust.trim(), "let x = 1;");
        assert!(split("!ls \\").0.unfinished && !split(":dep a = [1]").0.unfinished);
    }

    #[test]
    fn time_keeps_the_code_after_it() {
        let (found, rust) = split(":time for i in 0..3 {\n    f(i);\n}");
        assert_eq!(found.before, [command("time", "")]);
        assert_eq!(rust, "      for i in 0..3 {\n    f(i);\n}");
        assert_eq!(split(":timing").0.before, [command("timing", "")]);
    }

    #[test]
    fn commands_are_replaced_by_texts() {
        let code = "let a = 1;\n:load b.rs\n:vars\n:load c.rs\n";
        let texts = ["b\n".to_owned(), "c\n".to_owned()];
        assert_eq!(replaced(code, "load", &texts), "let a = 1;\nb\n:vars\nc\n");
        assert_eq!(replaced("\":load\n\"", "load", &texts), "\":load\n\"");
    }
}
