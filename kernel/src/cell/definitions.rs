//! The items of a program that consists of cells: which can be at its top, and which replace an earlier one.

use std::collections::{HashMap, HashSet};

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::Item;

use super::items::leaves;
use super::mentions::{all_words, without_variables};
use super::names::name;

/// What the program defines so far.
#[derive(Default)]
pub(crate) struct Definitions {
    names: HashMap<String, Meaning>,
    /// The ones that may depend on others, in order: all but imports.
    items: Vec<Defined>,
}

#[derive(Clone, PartialEq)]
struct Meaning {
    /// The item, or a `use` of only this name.
    text: String,
    import: bool,
}

struct Defined {
    name: String,
    words: HashSet<String>,
    code: String,
}

/// What to do with an item.
#[derive(Debug, PartialEq)]
pub(crate) enum Place {
    /// The name is new.
    New,
    /// The same item is already there.
    Known,
    /// Some names of an import are already there; these are not.
    Partly(Vec<String>),
    /// Its name already means something else.
    Replaces,
}

/// Where the items of a cell go.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Places {
    pub(crate) items: Vec<Place>,
    /// The cell redefines a name: a block begins before it, with these items. They depend on what is redefined, and
    /// mean the new definition from here on.
    pub(crate) begins: Option<Vec<String>>,
}

impl Definitions {
    /// Notes the items of a cell, each with its code.
    pub(crate) fn cell(&mut self, items: &[(&Item, String)]) -> Places {
        let places: Vec<Place> = items.iter().map(|(item, code)| self.add(item, code)).collect();
        if !places.contains(&Place::Replaces) {
            return Places { items: places, begins: None };
        }
        let fresh: Vec<String> = std::iter::zip(items, &places)
            .filter(|(_, place)| matches!(place, Place::New | Place::Replaces))
            .flat_map(|((item, _), _)| names(item).into_iter().map(|(name, _)| name))
            .collect();
        let again = self.dependents(&fresh);
        Places { items: places, begins: Some(again) }
    }

    fn add(&mut self, item: &Item, code: &str) -> Place {
        let (mut fresh, mut known, mut replaced) = (Vec::new(), 0, false);
        for (name, meaning) in names(item) {
            match self.names.get(&name) {
                Some(before) if *before == meaning => known += 1,
                before => {
                    replaced |= before.is_some();
                    fresh.push(format!("use {};", meaning.text));
                    if !meaning.import {
                        let words = words(item.to_token_stream());
                        self.items.retain(|defined| defined.name != name);
                        self.items.push(Defined { name: name.clone(), words, code: code.to_owned() });
                    }
                    self.names.insert(name, meaning);
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

    /// The code of everything that depends on one of `names`, directly or not, except what has such a name itself.
    fn dependents(&self, names: &[String]) -> Vec<String> {
        let mut changed: HashSet<&str> = names.iter().map(String::as_str).collect();
        let mut found = vec![false; self.items.len()];
        loop {
            let before = changed.len();
            for (defined, found) in std::iter::zip(&self.items, &mut found) {
                let own = names.contains(&defined.name);
                if !own && !*found && defined.words.iter().any(|word| changed.contains(word.as_str())) {
                    *found = true;
                    changed.insert(&defined.name);
                }
            }
            if changed.len() == before {
                break;
            }
        }
        std::iter::zip(&self.items, found)
            .filter(|(_, found)| *found)
            .map(|(defined, _)| defined.code.clone())
            .collect()
    }
}

/// The words of some code, except the parameters of macros.
pub(crate) fn words(tokens: TokenStream) -> HashSet<String> {
    let mut found = HashSet::new();
    all_words(without_variables(tokens), &mut found);
    found
}

/// The names an item defines, with what they mean.
fn names(item: &Item) -> Vec<(String, Meaning)> {
    let whole = item.to_token_stream().to_string();
    let name = match item {
        Item::Impl(item) => match &item.trait_ {
            Some((_, path, _)) => format!("impl {} for {}", path.to_token_stream(), item.self_ty.to_token_stream()),
            None => whole.clone(),
        },
        Item::Use(item) => {
            let mut names = Vec::new();
            leaves(&item.tree, String::new(), &mut |text, name, _| {
                // There may be any number of globs and of `as _`.
                names.push((name.unwrap_or_else(|| text.clone()), Meaning { text, import: true }));
            });
            return names;
        }
        Item::Macro(item) => match &item.ident {
            Some(name) => format!("{name}!"),
            None => return Vec::new(),
        },
        other => match name(other) {
            Some(name) => name,
            None => return Vec::new(),
        },
    };
    vec![(name, Meaning { text: whole, import: false })]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(cells: &[&str]) -> Vec<Places> {
        let mut known = Definitions::default();
        let place = |cell: &&str| {
            let items: Vec<Item> = syn::parse_file(cell).expect("items").items;
            let items: Vec<_> = items.iter().map(|item| (item, item.to_token_stream().to_string())).collect();
            known.cell(&items)
        };
        cells.iter().map(place).collect()
    }

    fn each(items: &[&str]) -> Vec<Place> {
        places(items).into_iter().flat_map(|places| places.items).collect()
    }

    #[test]
    fn repeated_items_are_known_and_changed_ones_replaced() {
        let items = ["fn f() {}", "fn f() {}", "fn f() -> u8 { 1 }", "struct S;", "impl S {}", "impl S {}"];
        use Place::{Known, New, Replaces};
        assert_eq!(each(&items), [New, Known, Replaces, New, New, Known]);
        assert_eq!(each(&["impl A for S {}", "impl B for S {}", "impl A for S { fn a() {} }"]), [New, New, Replaces]);
    }

    #[test]
    fn imports_are_compared_by_name() {
        use Place::{Known, New, Partly, Replaces};
        let uses = ["use a::{B, c::*};", "use a::B;", "use a::c::*;", "use x::B;", "use a::{self, T as _};"];
        assert_eq!(each(&uses), [New, Known, Known, Replaces, New]);
        let some = Partly(vec!["use a::D;".to_owned(), "use a::c as e;".to_owned()]);
        assert_eq!(each(&["use a::B;", "use a::{B, D, c as e};", "fn D() {}"]), [New, some, Replaces]);
    }

    #[test]
    fn dependents_of_a_new_definition_are_defined_again() {
        let cells = [
            "fn f() {} fn g() { f() } fn h() { g() } fn other() {}",
            "fn f() -> u8 { 1 } fn h() { g() }",
            "fn other() -> u8 { 2 }",
            "fn f() {}",
        ];
        let begins: Vec<_> = places(&cells).into_iter().map(|places| places.begins).collect();
        let again = || ["fn g () { f () }", "fn h () { g () }"].map(str::to_owned).to_vec();
        assert_eq!(begins, [None, Some(again()), Some(vec![]), Some(again())]);
        let cells = ["struct S; impl S { fn a() {} } struct T;", "struct S { a: u8 }"];
        assert_eq!(places(&cells)[1].begins, Some(vec!["impl S { fn a () { } }".to_owned()]));
    }
}
