//! Doc comments, including those built by macros.

use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

use super::record::Docs;

/// The docs in `attributes`; paths of `include_str!` are relative to `folder`.
pub(super) fn docs_of(attributes: &[Attribute], folder: &Path) -> Docs {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let line = match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => line.value(),
            Expr::Macro(call) if call.mac.path.is_ident("concat") => concatenated(call.mac.tokens.clone()),
            Expr::Macro(call) if call.mac.path.is_ident("include_str") => match syn::parse2(call.mac.tokens.clone()) {
                Ok(Lit::Str(file)) => std::fs::read_to_string(folder.join(file.value())).unwrap_or_default(),
                _ => continue,
            },
            _ => continue,
        };
        text.push_str(line.strip_prefix(' ').unwrap_or(&line));
        text.push('\n');
    }
    if text.trim().is_empty() { Docs::None } else { Docs::Text(text.trim_end().to_owned()) }
}

/// Whether an item is not meant to be used: hidden from the docs, or unstable.
pub(super) fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("doc") => list.tokens.to_string() == "hidden",
        Meta::List(list) => list.path.is_ident("unstable"),
        _ => false,
    })
}

pub(super) fn is_deprecated(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("deprecated"))
}

/// `concat!("a", stringify!(b))`.
fn concatenated(tokens: TokenStream) -> String {
    let mut text = String::new();
    for token in tokens {
        match token {
            TokenTree::Literal(literal) => match syn::parse_str(&literal.to_string()) {
                Ok(Lit::Str(part)) => text.push_str(&part.value()),
                _ => text.push_str(&literal.to_string()),
            },
            // The argument of `stringify!`.
            TokenTree::Group(group) => text.push_str(&super::print::print(group.stream())),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
    text
}
