//! Selects the items of a program, so that a cell only compiles what it names.
//!
//! This works on words, without name resolution: an item is in the program if the cell, the type of a variable or
//! another item contains its name. Items that are used without their name are included as well: the `impl`s of a type,
//! traits whose methods are named, and what a macro generates.

use std::collections::{BTreeMap, BTreeSet};

use super::items::{Item, Sort};

/// The items that code with `words` may use, in order, and all those of the `source`th cell.
pub(crate) fn needed(items: &[Item], words: impl IntoIterator<Item = String>, source: usize) -> Vec<&Item> {
    let local: BTreeSet<&str> = items.iter().flat_map(names).collect();
    let macros: BTreeMap<&str, &Item> = items
        .iter()
        .filter(|item| item.sort == Sort::Macro)
        .filter_map(|item| Some((item.name.as_deref()?, item)))
        .collect();
    let mut words: BTreeSet<String> = words.into_iter().collect();
    let counted = are_counted(items);
    let is_taken = |item: &Item| counted || item.source == source || is_always_needed(item, &local);
    let mut taken: Vec<bool> = items.iter().map(is_taken).collect();
    for (item, _) in items.iter().zip(&taken).filter(|(_, taken)| **taken) {
        words.extend(item.words.iter().cloned());
    }
    loop {
        let mut more = false;
        for (item, taken) in items.iter().zip(&mut taken).filter(|(_, taken)| !**taken) {
            if is_needed(item, &words, &local, &macros) {
                *taken = true;
                more = true;
                words.extend(item.words.iter().cloned());
            }
        }
        if !more {
            return items.iter().zip(taken).filter(|(_, taken)| *taken).map(|(item, _)| item).collect();
        }
    }
}

/// Whether it matters which `impl`s are in a program: rustc numbers them, including those of derives, and the number is
/// part of the names of types in their functions.
pub(crate) fn are_counted(items: &[Item]) -> bool {
    let nests = |item: &Item| match item.sort {
        Sort::Impl => item.shape.nests_types,
        // It may generate such an `impl`.
        Sort::Macro => item.words.contains("impl") && NESTING.iter().any(|word| item.words.contains(*word)),
        _ => false,
    };
    items.iter().any(nests)
}

/// Words without which a function contains no types.
const NESTING: [&str; 4] = ["async", "enum", "struct", "union"];

/// The names by which other code can refer to an item.
fn names(item: &Item) -> impl Iterator<Item = &str> {
    let of_shape = item.shape.touches.iter().filter(|_| item.sort != Sort::Impl).map(String::as_str);
    item.name.as_deref().into_iter().chain(of_shape)
}

/// Imports from outside of cells may be traits, whose methods are used without their name.
fn is_always_needed(item: &Item, local: &BTreeSet<&str>) -> bool {
    match item.sort {
        Sort::Import => !root(item).is_some_and(|root| is_local(root, local)),
        Sort::Other => item.shape.touches.is_empty(),
        Sort::Impl => false,
        // `const _`: its contents are used without a name.
        Sort::Macro | Sort::Type | Sort::Value => item.name.is_none(),
    }
}

/// The first word of the path of an import.
fn root(item: &Item) -> Option<&str> {
    let path = item.code().split("use ").nth(1)?.trim_start_matches("::");
    path.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()
}

fn is_local(word: &str, local: &BTreeSet<&str>) -> bool {
    ["crate", "self", "super"].contains(&word) || local.contains(word)
}

fn is_needed(item: &Item, words: &BTreeSet<String>, local: &BTreeSet<&str>, macros: &BTreeMap<&str, &Item>) -> bool {
    let has = |name: &str| words.contains(name);
    match item.sort {
        // All of its types and traits that cells define.
        Sort::Impl => item.shape.head.iter().filter(|name| local.contains(name.as_str())).all(|name| has(name)),
        Sort::Import => item.name.as_deref().is_none_or(has),
        // The expansion of a macro consists of words of its definition and of the call.
        Sort::Other => {
            let own = item.words.iter();
            let of_macro =
                item.words.iter().filter_map(|word| macros.get(word.as_str())).flat_map(|found| &found.words);
            own.chain(of_macro).any(|word| has(word))
        }
        Sort::Macro | Sort::Type | Sort::Value => {
            names(item).any(has) || item.shape.offers.iter().any(|name| has(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, items};
    use super::*;

    fn of(code: &str, words: &[&str]) -> Vec<String> {
        let items = items(&Cell::parse(code).expect("the cell parses"), 0);
        let needed = needed(&items, words.iter().map(|word| (*word).to_owned()), 1);
        needed.iter().map(|item| item.code().split('{').next().unwrap_or_default().trim().to_owned()).collect()
    }

    #[test]
    fn named_items_bring_those_they_name() {
        let code = "struct P(Q);\nstruct Q;\nstruct R;\nfn p() -> P { todo!() }\nimpl Drop for Q { fn drop(&mut self) {} }\n\
                    impl From<P> for R { fn from(_: P) -> R { R } }";
        assert_eq!(of(code, &["p"]), ["struct P(Q);", "struct Q;", "fn p() -> P", "impl Drop for Q"]);
        assert_eq!(of(code, &["x"]), [""; 0]);
        assert_eq!(of(code, &["R"]), ["struct R;"]);
        assert_eq!(of(code, &["R", "P"]).last().map(String::as_str), Some("impl From<P> for R"));
    }

    #[test]
    fn methods_bring_their_traits() {
        let code =
            "trait Double { fn double(&self) -> Self; }\nimpl Double for u8 { fn double(&self) -> u8 { 2 * self } }";
        assert_eq!(of(code, &["double"]).len(), 2);
        assert_eq!(of(code, &["Double"]).len(), 2);
        assert_eq!(of(code, &["u8"]).len(), 0);
    }

    #[test]
    fn modules_bring_their_impls() {
        let code = "struct K;\nmod inner { use super::K; impl Clone for K { fn clone(&self) -> K { K } } }";
        assert_eq!(of(code, &["K"]).len(), 2);
    }

    #[test]
    fn imports_stay_unless_a_cell_defines_their_names() {
        let code = "use std::io::Write;\nmod m { pub struct P; }\nuse m::P;";
        assert_eq!(of(code, &[]), ["use std::io::Write;"]);
        assert_eq!(of(code, &["P"]).len(), 3);
    }

    #[test]
    fn types_within_methods_keep_all_items() {
        let plain = "struct P;\nstruct K;\nimpl K { fn f() -> u8 { 1 } }";
        assert_eq!(of(plain, &["K"]).len(), 2);
        let nested = "struct P;\nstruct K;\nimpl K { fn f() -> u8 { struct S(u8); S(1).0 } }";
        assert_eq!(of(nested, &["x"]).len(), 3);
    }

    #[test]
    fn items_without_a_name_stay() {
        assert_eq!(
            of("struct P;\nconst _: () = { impl Clone for P { fn clone(&self) -> P { P } } };", &["P"]).len(),
            2
        );
    }

    #[test]
    fn macros_bring_the_items_they_generate() {
        let code = "macro_rules! make { ($n:ident) => { struct $n; struct Fixed; } }\nmake!(A);";
        assert_eq!(of(code, &["A"]).len(), 2);
        assert_eq!(of(code, &["Fixed"]).len(), 2);
        assert_eq!(of(code, &["B"]).len(), 0);
    }
}
