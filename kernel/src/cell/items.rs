//! The items of a cell: functions, types, imports and macros, which stay for later cells.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{ItemUse, Stmt, UseTree};

use super::edit::{Edited, Edits};
use super::included::{Included, included};
use super::mentions::all_words;
use super::names::name;
use super::parse::{Cell, Kind};
use super::shape::{Shape, shape, shape_of_call};
use super::statics::{StaticSite, statics, statics_of_call};
use super::weave::polls;

/// An item as later cells have it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) name: Option<String>,
    /// Another item with the same key replaces it.
    pub(crate) key: String,
    pub(crate) sort: Sort,
    /// All of its words.
    pub(crate) words: BTreeSet<String>,
    /// What the layout of a value may depend on.
    pub(crate) shape: Shape,
    pub(crate) statics: Vec<StaticSite>,
    /// The files that it contains.
    pub(crate) included: Vec<Included>,
    /// The cell that contains it.
    pub(crate) source: usize,
    text: Text,
}

/// What kind of item it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Import,
    Type,
    Value,
    Macro,
    Impl,
    /// A macro call that generates items, and anything else without a name.
    Other,
}

#[derive(Debug, Clone, PartialEq)]
enum Text {
    /// A part of its cell, with interrupt checks.
    Original { cell: Arc<str>, range: Range<usize>, polls: Edits },
    /// One name of a `use`.
    Standing(Edited),
}

impl Item {
    /// The item as the user wrote it.
    pub(crate) fn code(&self) -> &str {
        match &self.text {
            Text::Original { cell, range, .. } => &cell[range.clone()],
            Text::Standing(edited) => &edited.text,
        }
    }

    /// The item in the form that is compiled; `place` edits each of its statics to export or import it.
    pub(crate) fn edited(&self, mut place: impl FnMut(&StaticSite, &mut Edits)) -> Edited {
        match &self.text {
            Text::Original { cell, range, polls } => {
                let mut edits = polls.clone();
                self.statics.iter().for_each(|site| place(site, &mut edits));
                edits.apply(cell, range.clone())
            }
            Text::Standing(edited) => edited.clone(),
        }
    }

    /// Whether this replaces `old`.
    pub(crate) fn replaces(&self, old: &Self) -> bool {
        let same_space = self.sort == old.sort || self.sort == Sort::Import || old.sort == Sort::Import;
        match (&self.name, &old.name) {
            (Some(new), Some(old)) => new == old && same_space,
            _ => self.key == old.key,
        }
    }
}

/// The items of `cell`, which is the `source`th, with each `use` split into its names.
pub(crate) fn items(cell: &Cell, source: usize) -> Vec<Item> {
    let code: Arc<str> = cell.code.as_str().into();
    let statements = cell.statements.iter().filter(|statement| statement.kind == Kind::Item);
    statements
        .flat_map(|statement| {
            let text = |polls| Text::Original { cell: code.clone(), range: statement.range.clone(), polls };
            match &statement.syntax {
                Stmt::Item(syn::Item::Use(import)) => imports(import, source),
                Stmt::Item(item) => vec![item_of(item, text(polls(item)), source)],
                Stmt::Macro(call) => {
                    let found = Item {
                        shape: shape_of_call(&call.mac),
                        statics: statics_of_call(&call.mac, statement.range.clone()),
                        ..other_item(&call.to_token_stream(), text(Edits::default()), source)
                    };
                    vec![found]
                }
                other => vec![other_item(&other.to_token_stream(), text(Edits::default()), source)],
            }
        })
        .collect()
}

/// Whether this macro generates items, by its first rule.
pub(crate) fn makes_items(definition: &syn::ItemMacro) -> bool {
    let tokens = definition.mac.tokens.clone().into_iter();
    let groups =
        tokens.filter_map(|token| if let TokenTree::Group(group) = token { Some(group.stream()) } else { None });
    // (pattern) => { result };
    let Some(result) = groups.clone().nth(1) else { return false };
    let attributed = result.clone().into_iter().next().is_some_and(|token| token.to_string() == "#");
    let first = result.into_iter().find_map(|token| if let TokenTree::Ident(word) = token { Some(word) } else { None });
    attributed || first.is_some_and(|word| ITEM_WORDS.iter().any(|known| word == known))
}

const ITEM_WORDS: [&str; 9] = ["const", "enum", "fn", "impl", "mod", "pub", "static", "struct", "trait"];

fn item_of(item: &syn::Item, text: Text, source: usize) -> Item {
    let tokens = item.to_token_stream();
    let sort = match item {
        syn::Item::Const(_) | syn::Item::Fn(_) | syn::Item::Static(_) => Sort::Value,
        syn::Item::Enum(_)
        | syn::Item::Mod(_)
        | syn::Item::Struct(_)
        | syn::Item::Trait(_)
        | syn::Item::Type(_)
        | syn::Item::Union(_) => Sort::Type,
        syn::Item::Macro(_) => Sort::Macro,
        syn::Item::Impl(_) => Sort::Impl,
        _ => Sort::Other,
    };
    let named = name(item).filter(|_| !matches!(sort, Sort::Impl | Sort::Other));
    let mut found = other_item(&tokens, text, source);
    if named.is_some() {
        found.key = tokens.to_string();
    }
    Item { name: named, sort, shape: shape(item), statics: statics(item), ..found }
}

/// An `impl` is identified by the code before its body.
fn other_item(tokens: &TokenStream, text: Text, source: usize) -> Item {
    let is_body = |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace);
    let head: TokenStream = tokens.clone().into_iter().take_while(|token| !is_body(token)).collect();
    let starts_with_impl = head.clone().into_iter().any(|token| token.to_string() == "impl");
    let key = if starts_with_impl { head.to_string() } else { tokens.to_string() };
    let mut words = BTreeSet::new();
    all_words(tokens.clone(), &mut words);
    Item {
        name: None,
        key,
        sort: Sort::Other,
        words,
        shape: Shape::default(),
        statics: Vec::new(),
        included: included(tokens),
        source,
        text,
    }
}

fn imports(import: &ItemUse, source: usize) -> Vec<Item> {
    let mut found = Vec::new();
    let visibility = import.vis.to_token_stream().to_string();
    let start = if import.leading_colon.is_some() { "::" } else { "" };
    leaves(&import.tree, start.to_owned(), &mut |path, name, span| {
        let text = format!("{visibility} use {path};").trim_start().to_owned();
        let Ok(alone) = syn::parse_str::<syn::Item>(&text) else { return };
        let mut words = BTreeSet::new();
        all_words(alone.to_token_stream(), &mut words);
        found.push(Item {
            name,
            key: text.clone(),
            sort: Sort::Import,
            words,
            shape: shape(&alone),
            statics: Vec::new(),
            included: Vec::new(),
            source,
            text: Text::Standing(Edited::standing_for(text, span.byte_range())),
        });
    });
    found
}

/// Calls `each` with the path, the name and the place of everything that a `use` imports.
pub(crate) fn leaves(tree: &UseTree, path: String, each: &mut impl FnMut(String, Option<String>, Span)) {
    match tree {
        UseTree::Path(part) => leaves(&part.tree, format!("{path}{}::", part.ident), each),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, path.clone(), each)),
        UseTree::Glob(star) => each(format!("{path}*"), None, star.span()),
        UseTree::Name(leaf) if leaf.ident == "self" => {
            let path = path.trim_end_matches("::").to_owned();
            let name = path.rsplit("::").next().map(str::to_owned);
            each(path, name, leaf.ident.span());
        }
        UseTree::Name(leaf) => each(format!("{path}{}", leaf.ident), Some(leaf.ident.to_string()), leaf.ident.span()),
        UseTree::Rename(leaf) => {
            let path = if leaf.ident == "self" {
                path.trim_end_matches("::").to_owned()
            } else {
                format!("{path}{}", leaf.ident)
            };
            let name = (leaf.rename != "_").then(|| leaf.rename.to_string());
            each(format!("{path} as {}", leaf.rename), name, leaf.rename.span());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Vec<Item> {
        items(&Cell::parse(code).expect("the cell parses"), 0)
    }

    #[test]
    fn imports_are_split() {
        let found = of("use a::{self, b::*, c as d, e::f, T as _};");
        let text: Vec<_> = found.iter().map(Item::code).collect();
        assert_eq!(text, ["use a;", "use a::b::*;", "use a::c as d;", "use a::e::f;", "use a::T as _;"]);
        let names: Vec<_> = found.iter().map(|item| item.name.as_deref()).collect();
        assert_eq!(names, [Some("a"), None, Some("d"), Some("f"), None]);
    }

    #[test]
    fn a_second_definition_replaces_the_first() {
        let replaces = |new: &str, old: &str| of(new)[0].replaces(&of(old)[0]);
        assert!(replaces("struct P { x: u8 }", "struct P;"));
        assert!(replaces("use a::P;", "struct P;"));
        assert!(!replaces("fn p() {}", "mod p {}"));
        assert!(replaces("impl A for P { fn f() {} }", "impl A for P {}"));
        assert!(!replaces("impl B for P {}", "impl A for P {}"));
        assert!(replaces("use a::*;", "use a::*;"));
        assert!(!replaces("use a::*;", "use b::*;"));
    }

    #[test]
    fn macros_that_generate_items() {
        let makes = |code: &str| makes_items(&syn::parse_str(code).expect("a macro"));
        assert!(makes("macro_rules! m { ($n:ident) => { struct $n; }; }"));
        assert!(makes("macro_rules! m { ($n:ident) => { #[derive(Debug)] struct $n; }; }"));
        assert!(!makes("macro_rules! m { ($e:expr) => { $e + 1 }; }"));
    }
}
