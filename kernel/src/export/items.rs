//! The items of a notebook: which stand at the top of the program, and which replace an earlier one.

use std::collections::HashMap;

use quote::ToTokens;
use syn::{Item, UseTree};

/// What the program defines so far: a name, and what it stands for.
#[derive(Default)]
pub(super) struct Items(HashMap<String, String>);

/// What to do with an item.
#[derive(Debug, PartialEq)]
pub(super) enum Place {
    /// Nothing of this name is there yet.
    New,
    /// It is there as it is.
    Known,
    /// Its name means something else so far.
    Replaces,
}

impl Items {
    /// Notes `item`.
    pub(super) fn add(&mut self, item: &Item) -> Place {
        let named = names(item);
        let before = |(name, meaning): &(String, String)| self.0.get(name).map(|known| known == meaning);
        let known: Vec<Option<bool>> = named.iter().map(before).collect();
        self.0.extend(named);
        match known.as_slice() {
            [] => Place::New,
            all if all.iter().all(|known| *known == Some(true)) => Place::Known,
            some if some.contains(&Some(false)) => Place::Replaces,
            _ => Place::New,
        }
    }

    /// Begins a scope in which every name may be defined again. Imports stay visible.
    pub(super) fn begin_scope(&mut self) {
        self.0.retain(|name, _| name.starts_with(IMPORT));
    }
}

/// What names of imports begin with here, apart from others: a glob has none of its own.
const IMPORT: &str = "use ";

/// The names an item defines, with what they mean.
fn names(item: &Item) -> Vec<(String, String)> {
    let whole = item.to_token_stream().to_string();
    let one = |name: &dyn ToString| vec![(name.to_string(), whole.clone())];
    match item {
        Item::Const(item) if item.ident == "_" => Vec::new(),
        Item::Const(item) => one(&item.ident),
        Item::Enum(item) => one(&item.ident),
        Item::Fn(item) => one(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref().map(|name| one(&format!("{name}!"))).unwrap_or_default(),
        Item::Mod(item) => one(&item.ident),
        Item::Static(item) => one(&item.ident),
        Item::Struct(item) => one(&item.ident),
        Item::Trait(item) => one(&item.ident),
        Item::Type(item) => one(&item.ident),
        Item::Union(item) => one(&item.ident),
        Item::Impl(item) => match &item.trait_ {
            Some((_, path, _)) => {
                let head = (path.to_token_stream(), item.self_ty.to_token_stream());
                one(&format!("impl {} for {}", head.0, head.1))
            }
            None => vec![(whole.clone(), whole)],
        },
        Item::Use(item) => {
            let mut leaves = Vec::new();
            leaves_of(&item.tree, "", &mut leaves);
            leaves
        }
        _ => Vec::new(),
    }
}

fn leaves_of(tree: &UseTree, path: &str, leaves: &mut Vec<(String, String)>) {
    match tree {
        UseTree::Path(step) => leaves_of(&step.tree, &format!("{path}{}::", step.ident), leaves),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves_of(tree, path, leaves)),
        UseTree::Glob(_) => leaves.push((format!("{IMPORT}{path}*"), path.to_owned())),
        UseTree::Name(name) if name.ident == "self" => {
            let module = path.trim_end_matches("::");
            let last = module.rsplit("::").next().unwrap_or(module);
            leaves.push((format!("{IMPORT}{last}"), module.to_owned()));
        }
        UseTree::Name(name) => leaves.push((format!("{IMPORT}{}", name.ident), format!("{path}{}", name.ident))),
        // Any number of `as _` may stand beside each other.
        UseTree::Rename(name) if name.rename == "_" => {
            leaves.push((format!("{IMPORT}{path}{} as _", name.ident), String::new()));
        }
        UseTree::Rename(name) => leaves.push((format!("{IMPORT}{}", name.rename), format!("{path}{}", name.ident))),
    }
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
        use Place::{Known, New, Replaces};
        let uses = ["use a::{B, c::*};", "use a::B;", "use a::c::*;", "use x::B;", "use a::{self, T as _};"];
        assert_eq!(places(&uses), [New, Known, Known, Replaces, New]);
    }
}
