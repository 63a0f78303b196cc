//! The items of a cell: functions, types, imports and macros, which stay for later cells.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{ItemStatic, ItemUse, Stmt, UseTree};

use super::edit::{Edited, Edits};
use super::parse::{Cell, Kind};

/// An item as it is compiled into every cell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) name: Option<String>,
    /// What another item has to have to take this one's place.
    pub(crate) key: String,
    pub(crate) sort: Sort,
    /// The tokens of its definition, which do not depend on spaces and comments.
    pub(crate) tokens: String,
    pub(crate) edited: Edited,
    /// The cell it stands in.
    pub(crate) source: usize,
}

/// What an item means for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Import,
    /// What the layout of a variable may depend on.
    Type,
    Value,
    Macro,
    /// An `impl`, or a macro that makes items.
    Other,
}

impl Item {
    /// The item as code.
    pub(crate) fn code(&self) -> &str {
        &self.edited.text
    }

    /// Whether this takes the place of `old`.
    pub(crate) fn replaces(&self, old: &Self) -> bool {
        let same_space = self.sort == old.sort || self.sort == Sort::Import || old.sort == Sort::Import;
        match (&self.name, &old.name) {
            (Some(new), Some(old)) => new == old && same_space,
            _ => self.key == old.key,
        }
    }

    /// Whether `name` stands in its definition.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.tokens.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
    }
}

/// The items of `cell`, which is the `source`th, each `use` taken apart into its names.
pub(crate) fn items(cell: &Cell, source: usize) -> Vec<Item> {
    let statements = cell.statements.iter().filter(|statement| statement.kind == Kind::Item);
    statements
        .flat_map(|statement| match &statement.syntax {
            Stmt::Item(syn::Item::Use(import)) => imports(import, source),
            Stmt::Item(item) => vec![item_of(cell, item, &statement.range, source)],
            other => vec![other_item(cell, &other.to_token_stream(), &statement.range, source)],
        })
        .collect()
}

/// Whether calls of this macro stand where items stand: its first rule makes some.
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

fn item_of(cell: &Cell, item: &syn::Item, range: &Range<usize>, source: usize) -> Item {
    let tokens = item.to_token_stream();
    let (name, sort) = match item {
        syn::Item::Const(item) => (Some(item.ident.to_string()), Sort::Type),
        syn::Item::Enum(item) => (Some(item.ident.to_string()), Sort::Type),
        syn::Item::Fn(item) => (Some(item.sig.ident.to_string()), Sort::Value),
        syn::Item::Macro(item) => (item.ident.as_ref().map(ToString::to_string), Sort::Macro),
        syn::Item::Mod(item) => (Some(item.ident.to_string()), Sort::Type),
        syn::Item::Static(item) => (Some(item.ident.to_string()), Sort::Value),
        syn::Item::Struct(item) => (Some(item.ident.to_string()), Sort::Type),
        syn::Item::Trait(item) => (Some(item.ident.to_string()), Sort::Type),
        syn::Item::Type(item) => (Some(item.ident.to_string()), Sort::Type),
        syn::Item::Union(item) => (Some(item.ident.to_string()), Sort::Type),
        _ => return other_item(cell, &tokens, range, source),
    };
    let mut edits = Edits::default();
    if let syn::Item::Static(item) = item {
        share(item, &mut edits);
    }
    let edited = edits.apply(&cell.code, range.clone());
    Item { key: tokens.to_string(), name, sort, tokens: tokens.to_string(), edited, source }
}

/// An `impl` is known by what stands before its body.
fn other_item(cell: &Cell, tokens: &TokenStream, range: &Range<usize>, source: usize) -> Item {
    let is_body = |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace);
    let head: TokenStream = tokens.clone().into_iter().take_while(|token| !is_body(token)).collect();
    let starts_with_impl = head.clone().into_iter().any(|token| token.to_string() == "impl");
    let key = if starts_with_impl { head.to_string() } else { tokens.to_string() };
    let edited = Edits::default().apply(&cell.code, range.clone());
    Item { name: None, key, sort: Sort::Other, tokens: tokens.to_string(), edited, source }
}

/// A static that all cells share.
fn share(item: &ItemStatic, edits: &mut Edits) {
    if !matches!(item.mutability, syn::StaticMutability::None) {
        // `static mut` promises an address of its own; each cell has one.
        return;
    }
    let mut hasher = DefaultHasher::new();
    item.to_token_stream().to_string().hash(&mut hasher);
    let name = format!("{}#{:016x}", item.ident, hasher.finish());
    let (ty, value) = (item.ty.span().byte_range(), item.expr.span().byte_range());
    edits.insert(ty.start, "kensaku::nb::Static<");
    edits.insert(ty.end, ">");
    edits.insert(value.start, format!("kensaku::nb::Static::new(\"{name}\", || "));
    edits.insert(value.end, ")");
}

fn imports(import: &ItemUse, source: usize) -> Vec<Item> {
    let mut found = Vec::new();
    let visibility = import.vis.to_token_stream().to_string();
    let start = if import.leading_colon.is_some() { "::" } else { "" };
    leaves(&import.tree, start.to_owned(), &mut |path, name, span| {
        let text = format!("{visibility} use {path};").trim_start().to_owned();
        found.push(Item {
            name,
            key: text.clone(),
            sort: Sort::Import,
            tokens: text.clone(),
            edited: Edited::standing_for(text, span.byte_range()),
            source,
        });
    });
    found
}

/// Calls `each` with the path, the name and the place of everything a `use` brings.
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
    fn imports_are_taken_apart() {
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
    fn statics_are_shared() {
        let code = of("static N: AtomicU32 = AtomicU32::new(0);")[0].code().to_owned();
        assert!(code.starts_with("static N: kensaku::nb::Static<AtomicU32> = kensaku::nb::Static::new(\"N#"), "{code}");
        assert!(code.ends_with("\", || AtomicU32::new(0));"), "{code}");
    }

    #[test]
    fn macros_that_make_items() {
        let makes = |code: &str| makes_items(&syn::parse_str(code).expect("a macro"));
        assert!(makes("macro_rules! m { ($n:ident) => { struct $n; }; }"));
        assert!(makes("macro_rules! m { ($n:ident) => { #[derive(Debug)] struct $n; }; }"));
        assert!(!makes("macro_rules! m { ($e:expr) => { $e + 1 }; }"));
    }
}
