//! Signatures: tokens as text, spaced as by rustfmt.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// `tokens` on one line.
pub(crate) fn print(tokens: TokenStream) -> String {
    let mut words = Vec::new();
    flatten(tokens, &mut words);
    let mut text = String::new();
    let mut before = String::new();
    for word in words {
        if !text.is_empty() && is_spaced(&before, &word) {
            text.push(' ');
        }
        text.push_str(&word);
        before = word;
    }
    text
}

/// Flattens tokens to words; tokens of several characters, such as `->`, are one word.
fn flatten(tokens: TokenStream, words: &mut Vec<String>) {
    let mut joint = false;
    for token in tokens {
        let mut joins = false;
        match token {
            // The attribute of a parameter.
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::Bracket && words.last().is_some_and(|word| word == "#") =>
            {
                words.pop();
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                words.extend((!open.is_empty()).then(|| open.to_owned()));
                flatten(group.stream(), words);
                if close == ")" && words.last().is_some_and(|word| word == ",") {
                    words.pop();
                }
                words.extend((!close.is_empty()).then(|| close.to_owned()));
            }
            TokenTree::Punct(punct) => {
                let c = punct.as_char();
                match words.last_mut() {
                    Some(word) if joint && is_one_token(word, c) => word.push(c),
                    _ => words.push(c.to_string()),
                }
                joins = punct.spacing() == Spacing::Joint;
            }
            TokenTree::Ident(name) => match words.last_mut() {
                Some(quote) if joint && quote == "'" => *quote = format!("'{name}"),
                _ => words.push(name.to_string()),
            },
            TokenTree::Literal(literal) => words.push(literal.to_string()),
        }
        joint = joins;
    }
}

fn is_one_token(word: &str, next: char) -> bool {
    matches!((word, next), ("-", '>') | (":", ':') | ("=", '>' | '=') | (".", '.') | ("..", '=' | '.') | ("&", '&'))
}

fn is_spaced(before: &str, next: &str) -> bool {
    let is_word = |text: &str| text.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '\'' || c == '"');
    match (before, next) {
        ("->" | "=" | "+" | "=>" | "{" | "|" | "==", _) | (_, "->" | "=" | "+" | "=>" | "{" | "}" | "|" | "==") => true,
        ("," | ";", _) => true,
        (_, "," | ";" | ":" | "::" | ")" | "]" | ">" | "?" | "." | ".." | "!") => false,
        (":", _) => true,
        ("(" | "[" | "<" | "&" | "&&" | "*" | "::" | "!" | "?" | "#" | "$" | "." | "..", _) => false,
        (_, "(") => before.starts_with('\'') || matches!(before, "in" | "where" | "dyn" | "impl" | "mut"),
        (_, "<") => false,
        (_, "[") => is_word(before),
        (">" | ")" | "]", _) => is_word(next),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_look_as_written() {
        for text in [
            "fn encode<S: AsRef<str> + Sync>(&self, texts: &[S], n: usize) -> Result<Vec<Vec<u32>>>",
            "fn get<'a, T>(&'a mut self, f: impl Fn(&T) -> bool) -> Option<&'a T> where T: 'static",
            "fn steps(self: Box<Self>, range: std::ops::RangeInclusive<u8>) -> [f32; 3]",
            "const MIN: *const dyn Fn(u8)",
            "fn next(&mut self) -> Option<<Self as Iterator>::Item>",
        ] {
            assert_eq!(print(text.parse().expect("these are tokens")), text);
        }
    }
}
