//! The effect of new definitions and changed crates on a scope: finds the variables and statics whose types are no
//! longer those that they were created with.

use std::collections::BTreeSet;

use super::scope::{Crate, Scope};
use super::type_text::{first_words, identifiers, is_erased, is_erased_in, is_erased_text, own_words};
use crate::cell::{Item, Shape, Sort, Variable, are_counted, needed};

/// A scope after new definitions.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) items: Vec<Item>,
    pub(crate) generation: u64,
    /// Variables whose types change: their memory does not match the new definition.
    pub(crate) variables: Vec<String>,
    /// Statics that are reset for the same reason: their keys and names.
    pub(crate) statics: Vec<(u64, String)>,
}

impl Scope {
    /// The scope after defining the `new` items.
    pub(crate) fn with(&self, new: Vec<Item>) -> Change {
        let local = defined(self.items.iter().chain(&new));
        let mut items = self.items.clone();
        let mut changed = BTreeSet::new();
        let mut types = false;
        let counted = are_counted(&items) || are_counted(&new);
        let bounds = bounds(items.iter().chain(&new));
        for item in &mut items {
            // Each is looked at, and noted as it is now.
            if item.included.iter_mut().filter_map(|file| file.has_changed().then_some(())).count() > 0 {
                changed.extend(touched(&item.shape, &local));
                types |= item.shape.defines_types;
            }
        }
        for item in new {
            let position = items.iter().position(|old| item.replaces(old));
            if position.is_none_or(|at| items[at].code() != item.code()) {
                changed.extend(decided_by(&item, &bounds, &local));
            }
            match position {
                Some(at) => {
                    let (old, new) = (&items[at].shape, &item.shape);
                    if old.tokens != new.tokens || new.reads {
                        changed.extend(touched(old, &local));
                        changed.extend(touched(new, &local));
                        types |= old.defines_types || new.defines_types;
                    }
                    // Another derive is another `impl`.
                    types |= counted && items[at].code() != item.code();
                    items[at] = item;
                }
                None => {
                    let names = introduced(&item, &items, &self.crates);
                    for hidden in self.hidden_by(&item, &names) {
                        changed.extend(touched(hidden, &local));
                        types |= hidden.defines_types;
                    }
                    let is_type =
                        |name: &String| self.variables.iter().any(|v| first_words(&v.ty).any(|word| word == name));
                    changed.extend(names.into_iter().filter(is_type));
                    items.push(item);
                }
            }
        }
        self.change(items, changed, types, &local)
    }

    /// The scope after some crates have `changed` and others are `new`. The name of a new crate replaces one of the
    /// prelude.
    pub(crate) fn with_crates(&self, changed: &[String], new: &[String]) -> Change {
        let is_meant = |name: &&String| {
            self.items.iter().any(|item| item.shape.mentions.contains(*name))
                || self.variables.iter().any(|variable| first_words(&variable.ty).any(|word| word == *name))
        };
        let mut names: BTreeSet<String> = changed.iter().chain(new.iter().filter(is_meant)).cloned().collect();
        let types = !names.is_empty();
        // A glob imports names that are not in the code.
        let is_glob = |item: &Item| {
            let imports = item.sort == Sort::Import && item.name.is_none() || item.words.contains("macro_use");
            imports && item.words.iter().any(|word| names.contains(word))
        };
        if self.items.iter().any(is_glob) {
            names.extend(self.items.iter().flat_map(|item| item.shape.touches.iter().cloned()));
        }
        self.change(self.items.clone(), names, types, &defined(&self.items))
    }

    fn change(
        &self,
        items: Vec<Item>,
        mut changed: BTreeSet<String>,
        mut types: bool,
        local: &BTreeSet<String>,
    ) -> Change {
        types |= spread(&mut changed, &items, local);
        if types {
            // A downcast of such a value would fail, as its type no longer exists.
            let erasing = items.iter().filter(|item| is_erased_in(&item.words));
            changed.extend(erasing.flat_map(|item| touched(&item.shape, local)).collect::<Vec<_>>());
            spread(&mut changed, &items, local);
        }
        let is_lost = |variable: &&Variable| {
            let named = first_words(&variable.ty).chain(own_words(&variable.full)).any(|name| changed.contains(name));
            named || types && is_erased(&variable.full)
        };
        let variables = self.variables.iter().filter(is_lost).map(|variable| variable.name.clone()).collect();
        let changes = |ty: &str| identifiers(ty).any(|word| changed.contains(word)) || types && is_erased_text(ty);
        let anew = items.iter().flat_map(|item| {
            // The types inside its functions cannot be named here.
            let nested = item.shape.nests_types && touched(&item.shape, local).any(|name| changed.contains(&name));
            item.statics.iter().filter(move |site| nested || changes(site.ty()))
        });
        let known = anew.filter(|site| self.homes.get(site.key).is_some());
        let statics = known.map(|site| (site.key, site.name.clone())).collect();
        Change { items, generation: self.generation + u64::from(types), variables, statics }
    }

    /// The items in which one of the `names` that `new` introduces had another meaning.
    fn hidden_by<'a>(&'a self, new: &'a Item, names: &'a BTreeSet<String>) -> impl Iterator<Item = &'a Shape> {
        let meant = move |shape: &&Shape| {
            names.iter().any(|name| {
                // An associated constant is named after its type.
                shape.mentions.contains(name) || new.shape.constants.contains(name) && shape.deep.contains(name)
            })
        };
        self.items.iter().map(|item| &item.shape).filter(meant)
    }
}

impl Change {
    /// The items for code with `words` and for the types of `variables`, and those of the `source`th cell.
    pub(crate) fn needed<'a>(
        &'a self,
        words: impl IntoIterator<Item = String>,
        variables: &'a [Variable],
        source: usize,
    ) -> Vec<&'a Item> {
        let of_types = variables.iter().flat_map(|variable| [&variable.ty, &variable.full]);
        let types = of_types.flat_map(|ty| identifiers(ty)).map(str::to_owned);
        needed(&self.items, words.into_iter().chain(types), source)
    }
}

/// Adds to `changed` what depends on it, such as a struct with a field of a changed type. Returns whether types
/// changed.
fn spread(changed: &mut BTreeSet<String>, items: &[Item], local: &BTreeSet<String>) -> bool {
    let mut types = false;
    loop {
        let before = changed.len();
        for Item { shape, .. } in items {
            // An associated constant is named after its type, and may be a default of the trait.
            if shape.mentions.iter().chain(&shape.deep).any(|name| changed.contains(name)) {
                types |= shape.defines_types;
                changed.extend(touched(shape, local));
            }
        }
        if changed.len() == before {
            return types;
        }
    }
}

/// The names that change with an item: for an `impl`, its type and trait, if cells define them.
fn touched<'a>(shape: &'a Shape, local: &'a BTreeSet<String>) -> impl Iterator<Item = String> + 'a {
    shape.touches.iter().chain(shape.heads.intersection(local)).cloned()
}

/// The names that items define.
fn defined<'a>(items: impl IntoIterator<Item = &'a Item>) -> BTreeSet<String> {
    items
        .into_iter()
        .filter(|item| item.sort != Sort::Impl)
        .flat_map(|item| item.shape.touches.iter().cloned())
        .collect()
}

/// The names that `new` defines; a macro call may define its arguments.
fn introduced(new: &Item, items: &[Item], crates: &[Crate]) -> BTreeSet<String> {
    if is_of_std(new) {
        return BTreeSet::new();
    }
    if new.sort == Sort::Import && new.name.is_none() {
        // The names in a module of the user's; any of std's prelude where the module is not known.
        let is_module = |item: &&Item| item.name.as_ref().is_some_and(|name| new.words.contains(name));
        let is_crate = |known: &Crate| known.is_built() && new.words.contains(&known.name);
        let unknown: &[&str] = if crates.iter().any(is_crate) { &STD_PRELUDE } else { &["Result"] };
        let names = items.iter().filter(is_module).flat_map(|item| item.shape.touches.iter().cloned());
        return names.chain(unknown.iter().map(|name| (*name).to_owned())).collect();
    }
    let is_call = new.sort == Sort::Other && new.shape.defines_types;
    if !is_call {
        return new.shape.introduces.clone();
    }
    if !new.statics.is_empty() {
        return new.statics.iter().map(|site| site.name.clone()).collect();
    }
    let macros = macros_of(new, items);
    let defined: BTreeSet<&String> = macros.iter().flat_map(|found| &found.shape.touches).collect();
    let is_argument = |name: &&String| match macros.is_empty() {
        // One of another crate.
        true => new.shape.touches.contains(*name) && name.starts_with(char::is_uppercase),
        false => defined.iter().any(|defined| *defined == "$"),
    };
    let arguments = new.shape.introduces.iter().filter(is_argument);
    let own = |name: &&&String| macros.iter().all(|found| found.name.as_ref() != Some(**name));
    arguments.chain(defined.iter().filter(own).copied()).cloned().collect()
}

/// The types that a glob may hide without an error.
const STD_PRELUDE: [&str; 5] = ["Box", "Option", "Result", "String", "Vec"];

/// The macros that a call names, and those that they name.
fn macros_of<'a>(call: &Item, items: &'a [Item]) -> Vec<&'a Item> {
    let mut words = call.words.clone();
    let mut macros: Vec<&Item> = Vec::new();
    loop {
        let is_new = |item: &&Item| {
            let named = item.sort == Sort::Macro && item.name.as_ref().is_some_and(|name| words.contains(name));
            named && !macros.iter().any(|found| found.name == item.name)
        };
        let Some(next) = items.iter().find(is_new) else { return macros };
        words.extend(next.words.iter().cloned());
        macros.push(next);
    }
}

/// The traits on which constants of `items` depend. Which types have them decides about the constants.
fn bounds<'a>(items: impl Iterator<Item = &'a Item> + Clone) -> BTreeSet<String> {
    let constant = |item: &Item| !item.shape.constants.is_empty() || item.shape.bounds.contains("Drop");
    match items.clone().any(constant) {
        true => items.flat_map(|item| item.shape.bounds.iter().cloned()).collect(),
        false => BTreeSet::new(),
    }
}

/// The types whose constants may depend on `item`, by implementing one of the traits `bounds` or by a derive.
fn decided_by(item: &Item, bounds: &BTreeSet<String>, local: &BTreeSet<String>) -> BTreeSet<String> {
    if bounds.is_empty() {
        return BTreeSet::new();
    }
    let implements = item.shape.head.iter().any(|name| bounds.contains(name));
    let derives = item.sort == Sort::Type && bounds.iter().any(|name| item.words.contains(name));
    let of_impl = item.shape.head.intersection(local).filter(|name| implements && !bounds.contains(*name));
    let of_type = item.name.iter().filter(|_| derives);
    of_impl.chain(of_type).cloned().collect()
}

/// Whether it is an import from std that only gives a name its usual meaning; std has several of some names.
fn is_of_std(item: &Item) -> bool {
    let path = item.code().rsplit("use ").next().unwrap_or_default().trim_start_matches("::");
    let several = item.name.as_deref().is_none_or(|name| ["Error", "Result"].contains(&name));
    let renamed = path.contains(" as ");
    item.sort == Sort::Import
        && !several
        && !renamed
        && ["std::", "core::", "alloc::"].iter().any(|root| path.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    use crate::cell::{Cell, Home, Homes, items};

    fn of(code: &str) -> Vec<Item> {
        items(&Cell::parse_after(code, &["make".to_owned()]).expect("the cell parses"), 0)
    }

    fn variable(name: &str, ty: &str, full: &str) -> Variable {
        let (name, ty, full) = (name.to_owned(), ty.to_owned(), full.to_owned());
        Variable { name, ty, full, mutable: false, generation: 0 }
    }

    /// What `new` drops among variables of types that `code` has defined; the generation.
    fn dropped(code: &str, variables: &[(&str, &str)], new: &str) -> (Vec<String>, u64) {
        let full = |ty: &str| ty.replace("P", "ctx::P").replace("Q", "ctx::Q");
        let variables = variables.iter().map(|(name, ty)| variable(name, ty, &full(ty))).collect();
        let scope = Scope { items: of(code), variables, ..Scope::default() };
        let change = scope.with(of(new));
        (change.variables, change.generation)
    }

    fn all(names: &[&str], generation: u64) -> (Vec<String>, u64) {
        (names.iter().map(|name| (*name).to_owned()).collect(), generation)
    }

    #[test]
    fn variables_of_changed_types_are_named() {
        let code = "struct P { x: i32 }\nstruct Q(P);\nfn f(_: P) {}";
        let variables = [("p", "std::vec::Vec<P>"), ("q", "Q"), ("n", "i32")];
        assert_eq!(dropped(code, &variables, "struct P { x: String }"), all(&["p", "q"], 1));
        assert_eq!(dropped(code, &variables, "/// a point\n#[derive(Debug)] struct P { x: i32 }"), all(&[], 0));
        assert_eq!(dropped(code, &variables, "struct Q(P, P);"), all(&["q"], 1));
        assert_eq!(dropped(code, &variables, "fn f() {}"), all(&[], 0));
        assert_eq!(dropped(code, &variables, "struct R;"), all(&[], 0));
    }

    #[test]
    fn constants_and_their_functions_affect_types() {
        let variables = [("p", "P")];
        let code = "const fn n() -> usize { m() }\nconst fn m() -> usize { 1 }\nstruct P([u8; n()]);";
        assert_eq!(dropped(code, &variables, "const fn m() -> usize { 2 }"), all(&["p"], 1));
        let code = "trait T { type Inner; }\nstruct K;\nimpl T for K { type Inner = u8; }\nstruct P(<K as T>::Inner);";
        assert_eq!(dropped(code, &variables, "impl T for K { type Inner = u16; }"), all(&["p"], 1));
        let code = "trait T { const N: usize = 1; }\nstruct K;\nimpl T for K {}\nstruct P([u8; K::N]);";
        assert_eq!(dropped(code, &variables, "trait T { const N: usize = 2; }"), all(&["p"], 1));
        let code = "enum E { A = 1 }\nuse E::*;\nstruct P([u8; A as usize]);";
        assert_eq!(dropped(code, &variables, "enum E { A = 4 }"), all(&["p"], 1));
        let code = "macro_rules! ty { () => { u8 } }\nstruct P(ty!());";
        assert_eq!(dropped(code, &variables, "macro_rules! ty { () => { u16 } }"), all(&["p"], 1));
        let code = "mod m { pub struct P(u8); }\nuse m::*;\nstruct Q(P);";
        assert_eq!(dropped(code, &[("q", "Q")], "mod m { pub struct P(u16); }"), all(&["q"], 1));
    }

    #[test]
    fn a_name_that_shadows_another_changes_its_users() {
        let code = "struct P(Vec<u8>);";
        assert_eq!(dropped(code, &[("p", "P")], "struct Vec;"), all(&["p"], 1));
        assert_eq!(dropped(code, &[("p", "P"), ("v", "std::vec::Vec<u8>")], "struct Vec;"), all(&["p"], 1));
        assert_eq!(dropped(code, &[("p", "P")], "use std::vec::Vec;"), all(&[], 0));
        let code = "trait T { const N: usize = 1; }\nstruct K;\nimpl T for K {}\nstruct P([u8; K::N]);";
        assert_eq!(dropped(code, &[("p", "P")], "impl K { const N: usize = 2; }"), all(&["p"], 1));
    }

    #[test]
    fn a_macros_arguments_are_not_always_defined() {
        let code = "macro_rules! make { ($n:ident) => { struct $n { x: i32 } } }\nmake!(P);";
        assert_eq!(dropped(code, &[("p", "P")], "thread_local! { static D: Cell<i32> = Cell::new(4); }"), all(&[], 0));
        assert_eq!(dropped(code, &[("p", "P")], "make!(There);"), all(&[], 0));
        let code = "macro_rules! make { ($n:ident) => { struct $n; } }\nstruct P(String);";
        assert_eq!(dropped(code, &[("p", "P")], "make!(String);"), all(&["p"], 1));
    }

    #[test]
    fn statics_next_to_types_of_their_function_are_reset() {
        let code = |ty: &str| {
            format!("fn f() {{ struct Local({ty}); static S: Mutex<Vec<Local>> = Mutex::new(Vec::new()); }}")
        };
        let items = of(&code("u64"));
        let mut homes = Homes::default();
        homes.insert(items[0].statics[0].key, Home { symbol: "s".to_owned(), library: PathBuf::new() });
        let scope = Scope { items, homes, ..Scope::default() };
        assert_eq!(scope.with(of(&code("u8"))).statics.len(), 1);
        assert_eq!(scope.with(of(&code("u64"))).statics.len(), 0);
    }

    #[test]
    fn type_erased_values_are_dropped_if_types_change() {
        let variable = variable("b", "Box<dyn Any>", "alloc::boxed::Box<dyn core::any::Any>");
        let scope = Scope { items: of("struct P(u8);"), variables: vec![variable], ..Scope::default() };
        assert_eq!(scope.with(of("struct P(u16);")).variables, ["b"]);
        assert_eq!(scope.with(of("const N: u8 = 1;")).variables, [""; 0]);
    }

    #[test]
    fn variables_of_changed_crates_are_named() {
        let scope = Scope {
            items: of("struct Own(loss::L);"),
            variables: vec![
                variable("l", "Vec<loss::L>", "alloc::vec::Vec<loss::L>"),
                variable("own", "Own", "ctx::Own"),
                variable("k", "kensaku::loss::L", "kensaku::loss::L"),
            ],
            ..Scope::default()
        };
        let loss = ["loss".to_owned()];
        for changed in [scope.with_crates(&loss, &[]), scope.with_crates(&[], &loss)] {
            assert_eq!((changed.variables, changed.generation), (vec!["l".to_owned(), "own".to_owned()], 1));
        }
        let unchanged = Change { items: scope.items.clone(), ..Change::default() };
        assert_eq!(scope.with_crates(&[], &["regex".to_owned()]), unchanged);
    }
}
