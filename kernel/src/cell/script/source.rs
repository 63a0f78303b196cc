//! The text of a script: its parts, and what depends on the location of its file.

use std::ops::Range;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::cell::directives::blank;

/// An attribute of the whole file, `#![name ..]` or `//! ..`.
pub(super) struct Inner {
    pub(super) range: Range<usize>,
    pub(super) name: String,
}

/// The attributes at the start of the file.
pub(super) fn inner_attributes(code: &str) -> Vec<Inner> {
    let Ok(tokens) = code.parse::<TokenStream>() else { return Vec::new() };
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let inner = tokens.chunks_exact(3).map_while(|tokens| match tokens {
        [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(group)]
            if hash.as_char() == '#' && bang.as_char() == '!' && group.delimiter() == Delimiter::Bracket =>
        {
            let name = group.stream().into_iter().next().map(|name| name.to_string()).unwrap_or_default();
            Some(Inner { range: hash.span().byte_range().start..group.span().byte_range().end, name })
        }
        _ => None,
    });
    inner.collect()
}

/// The places of relative file names, as in `include_str!("a.txt")`, with the text to insert there if the code is moved
/// to another folder.
pub(super) fn relative_files(code: &str, folder: &Path) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if let Ok(tokens) = code.parse::<TokenStream>() {
        included(tokens, folder, &mut found);
    }
    found
}

fn included(tokens: TokenStream, folder: &Path, found: &mut Vec<(usize, String)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for window in tokens.windows(3) {
        let [TokenTree::Ident(name), TokenTree::Punct(bang), TokenTree::Group(group)] = window else { continue };
        let includes = ["include", "include_bytes", "include_str"].iter().any(|known| name == known);
        if includes && bang.as_char() == '!' {
            found.extend(relative_name(group, folder));
        }
    }
    for token in tokens {
        if let TokenTree::Group(group) = token {
            included(group.stream(), folder, found);
        }
    }
}

fn relative_name(arguments: &Group, folder: &Path) -> Option<(usize, String)> {
    let Some(TokenTree::Literal(literal)) = arguments.stream().into_iter().next() else { return None };
    let text = literal.to_string();
    let quote = text.find('"')?;
    let raw = text.starts_with('r');
    if text[quote + 1..].starts_with('/') {
        return None;
    }
    let folder = folder.to_str()?;
    let folder = if raw { folder.to_owned() } else { folder.escape_default().to_string() };
    Some((literal.span().byte_range().start + quote + 1, format!("{folder}/")))
}

/// Replaces `ranges`, which are in order, with spaces. Lines and offsets stay the same.
pub(super) fn without(code: &str, ranges: &[Range<usize>]) -> String {
    let (mut text, mut copied) = (String::with_capacity(code.len()), 0);
    for range in ranges {
        text.push_str(&code[copied..range.start]);
        text.push_str(&blank(&code[range.clone()]));
        copied = range.end;
    }
    text + &code[copied..]
}

/// Replaces all but `ranges` with spaces.
pub(super) fn only(code: &str, ranges: &[Range<usize>]) -> String {
    let starts = std::iter::once(0).chain(ranges.iter().map(|range| range.end));
    let ends = ranges.iter().map(|range| range.start).chain([code.len()]);
    let gaps: Vec<Range<usize>> = starts.zip(ends).map(|(start, end)| start..end).collect();
    without(code, &gaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_the_file_come_first() {
        let names = |code: &str| inner_attributes(code).into_iter().map(|inner| inner.name).collect::<Vec<_>>();
        assert_eq!(
            names("//! docs\n#![allow(unused)]\n// no docs\n#![feature(a)]\nlet a = 1;"),
            ["doc", "allow", "feature"]
        );
        assert_eq!(names("let a = 1;\n#![allow(unused)]"), [""; 0]);
        assert_eq!(names("#[derive(Debug)] struct S;"), [""; 0]);
        let code = " #![allow(unused)] f()";
        assert_eq!(&code[inner_attributes(code)[0].range.clone()], "#![allow(unused)]");
    }

    #[test]
    fn file_names_are_found_in_macros() {
        let code =
            "let a = include_str!(\"a.txt\");\nprintln!(\"{:?}\", include_bytes!(r\"b\"));\ninclude_str!(\"/c\");";
        let found = relative_files(code, Path::new("/f"));
        assert_eq!(found, [(22, "/f/".to_owned()), (code.find("b\"))").expect("it is there"), "/f/".to_owned())]);
    }
}
