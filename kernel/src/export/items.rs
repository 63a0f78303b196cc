//! The items of a notebook: which stand at the top of the program, and which replace an earlier one.

use std::collections::HashMap;

use quote::ToTokens;
use syn::Item;

use crate::cell::leaves;

/// What the program defines so far.
#[derive(Default)]
pub(super) struct Items(HashMap<String, Meaning>);

#[derive(Clone, PartialEq)]
struct Meaning {
    /// The item, or what a `use` of this name alone says.
    text: String,
    import: bool,
}

/// What to do with an item.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    /// Nothing of this name is there yet.
    New,
    /// It is there as it is.
    Known,
    /// Of an import some names are there; these are not.
    Partly(Vec<String>),
    /// Its name means something else so far.
    Replaces,
}

impl Items {
    /// Notes `item`.
    pub(super) fn add(&mut self, item: &Item) -> Place {
        let named = names(item);
        let (mut fresh, mut known, mut replaced) = (Vec::new(), 0, false);
        for (name, meaning) in named {
            match self.0.get(&name) {
                Some(before) if *before == meaning => known += 1,
                before => {
                    replaced |= before.is_some();
                    fresh.push(format!("use {};", meaning.text));
                    self.0.insert(name, meaning);
                }
            }
        }
        match (replaced, known, fresh.is_empty()) {
            (true, _, _) => Place::Replaces,
            (_, 0, _) => Place::New,
            (_, _, true) => Place::Known,
            (_, _, false) => Place::Partly(fresh),
        }
    }

    /// Begins a scope in which every name may be defined again. Imports stay visible.
    pub(super) fn begin_scope(&mut self) {
        self.0.retain(|_, meaning| meaning.import);
    }
}

/// The names an item defines, with what they mean.
fn names(item: &Item) -> Vec<(String, Meaning)> {
    let whole = item.to_token_stream().to_string();
    let name = match item {
        Item::Const(item) if item.ident == "_" => return Vec::new(),
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Macro(item) => match &item.ident {
            Some(name) => format!("{name}!"),
            None => return Vec::new(),
        },
        Item::Mod(item) => item.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        Item::Union(item) => item.ident.to_string(),
        Item::Impl(item) => match &item.trait_ {
            Some((_, path, _)) => format!("impl {} for {}", path.to_token_stream(), item.self_ty.to_token_stream()),
            None => whole.clone(),
        },
        Item::Use(item) => {
            let mut names = Vec::new();
            leaves(&item.tree, String::new(), &mut |text, name, _| {
                // Any number of globs and of `as _` may stand beside each other.
                names.push((name.unwrap_or_else(|| text.clone()), Meaning { text, import: true }));
            });
            return names;
        }
        _ => return Vec::new(),
    };
    vec![(name, Meaning { text: whole, import: false })]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(items: &[&str]) -> Vec<Place> {
        let mut known = Items::default();
        items.iter().map(|item| known.add(&syn::parse_str(item).expect("an item"))).collect()
    }

    #[test]
    fn repeated_items_are_known_and_changed_ones_replace() {
        let items = ["fn f() {}", "fn f() {}", "fn f() -> u8 { 1 }", "struct S;", "impl S {}", "impl S {}"];
        use Place::{Known, New, Replaces};
        assert_eq!(places(&items), [New, Known, Replaces, New, New, Known]);
        assert_eq!(places(&["impl A for S {}", "impl B for S {}", "impl A for S { fn a() {} }"]), [New, New, Replaces]);
    }

    #[test]
    fn imports_are_compared_by_what_they_bring() {
        use Place::{Known, New, Partly, Replaces};
        let uses = ["use a::{B, c::*};", "use a::B;", "use a::c::*;", "use x::B;", "use a::{self, T as _};"];
        assert_eq!(places(&uses), [New, Known, Known, Replaces, New]);
        let some = Partly(vec!["use a::D;".to_owned(), "use a::c as e;".to_owned()]);
        assert_eq!(places(&["use a::B;", "use a::{B, D, c as e};", "fn D() {}"]), [New, some, Replaces]);
    }
}
