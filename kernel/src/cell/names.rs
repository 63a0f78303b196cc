//! The names that an item defines, and those under which others depend on it.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;
use syn::{GenericParam, Generics, ImplItem, Item, ItemImpl, TraitItem, TypeParamBound, UseTree, WherePredicate};

use super::mentions::{Mentions, Names, all_words, without_variables};
use super::nested::impls_within;

/// The name of an item.
pub(crate) fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(each) => &each.ident,
        Item::Enum(each) => &each.ident,
        Item::ExternCrate(each) => each.rename.as_ref().map_or(&each.ident, |(_, name)| name),
        Item::Fn(each) => &each.sig.ident,
        Item::Macro(each) => each.ident.as_ref()?,
        Item::Mod(each) => &each.ident,
        Item::Static(each) => &each.ident,
        Item::Struct(each) => &each.ident,
        Item::Trait(each) => &each.ident,
        Item::TraitAlias(each) => &each.ident,
        Item::Type(each) => &each.ident,
        Item::Union(each) => &each.ident,
        _ => return None,
    };
    (ident != "_").then(|| ident.to_string())
}

/// The names by which others may depend on `item`.
pub(super) fn touched(item: &Item, names: &mut Names, heads: &mut Names) {
    names.extend(name(item));
    match item {
        // A glob imports them, and a constant may be computed from one.
        Item::Enum(each) => names.extend(each.variants.iter().map(|variant| variant.ident.to_string())),
        Item::Trait(each) => names.extend(each.items.iter().filter_map(trait_constant)),
        Item::Impl(each) => {
            names.extend(each.items.iter().filter_map(impl_constant));
            heads.extend(of_head(each));
        }
        Item::Mod(each) => {
            each.content.iter().flat_map(|(_, items)| items).for_each(|item| touched(item, names, heads));
        }
        Item::Use(each) => imported(&each.tree, names),
        Item::Macro(each) => {
            names.extend(defined_in(each.mac.tokens.clone()));
            // It may implement traits for types of cells.
            all_words(without_variables(each.mac.tokens.clone()), heads);
        }
        _ => {}
    }
    impls_within(item, &mut |found| {
        names.extend(found.items.iter().filter_map(impl_constant));
        heads.extend(of_head(found));
    });
}

/// The names that an item defines in its scope.
pub(super) fn introduced(item: &Item) -> Names {
    let mut names = constants(item);
    match item {
        Item::Use(each) => imported(&each.tree, &mut names),
        _ => names.extend(name(item)),
    }
    names
}

/// The constants, types and constant functions of the `impl`s in an item.
pub(super) fn constants(item: &Item) -> Names {
    let mut names = Names::new();
    impls_within(item, &mut |found| names.extend(found.items.iter().filter_map(impl_constant)));
    names
}

/// The traits that generic `impl`s in an item ask for, and `Drop` where a constant asks for it.
pub(super) fn bounds(item: &Item) -> Names {
    let mut names = Names::new();
    impls_within(item, &mut |found| names.extend(bounds_of(&found.generics)));
    if item.to_token_stream().to_string().contains("needs_drop") {
        names.extend(["Drop", "Copy"].map(str::to_owned));
    }
    names
}

fn bounds_of(generics: &Generics) -> Names {
    let of_parameters = generics.params.iter().filter_map(|parameter| match parameter {
        GenericParam::Type(found) => Some(&found.bounds),
        _ => None,
    });
    let of_clause = generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let of_clause = of_clause.filter_map(|predicate| match predicate {
        WherePredicate::Type(found) => Some(&found.bounds),
        _ => None,
    });
    let bounds = of_parameters.chain(of_clause).flatten();
    let traits = bounds.filter_map(|bound| match bound {
        TypeParamBound::Trait(found) => found.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    });
    traits.collect()
}

/// The names by which an item is used other than its own: methods of traits, types of `impl`s in modules.
pub(super) fn offered(item: &Item, names: &mut Names) {
    match item {
        Item::Trait(found) => names.extend(found.items.iter().filter_map(|part| match part {
            TraitItem::Fn(method) => Some(method.sig.ident.to_string()),
            other => trait_constant(other),
        })),
        Item::Mod(found) => {
            for item in found.content.iter().flat_map(|(_, items)| items) {
                if let Item::Impl(found) = item {
                    names.extend(of_head(found));
                }
                offered(item, names);
            }
        }
        _ => {}
    }
}

/// The type and the trait of an `impl`.
pub(super) fn of_head(found: &ItemImpl) -> Names {
    let mut head = Mentions::default();
    head.visit_type(&found.self_ty);
    found.trait_.iter().for_each(|(_, path, _)| head.visit_path(path));
    head.first
}

fn trait_constant(part: &TraitItem) -> Option<String> {
    match part {
        TraitItem::Const(each) => Some(each.ident.to_string()),
        TraitItem::Type(each) => Some(each.ident.to_string()),
        _ => None,
    }
}

fn impl_constant(part: &ImplItem) -> Option<String> {
    match part {
        ImplItem::Const(each) => Some(each.ident.to_string()),
        ImplItem::Type(each) => Some(each.ident.to_string()),
        ImplItem::Fn(each) if each.sig.constness.is_some() => Some(each.sig.ident.to_string()),
        _ => None,
    }
}

fn imported(tree: &UseTree, names: &mut Names) {
    match tree {
        UseTree::Path(part) => imported(&part.tree, names),
        UseTree::Group(group) => group.items.iter().for_each(|tree| imported(tree, names)),
        UseTree::Name(leaf) => drop(names.insert(leaf.ident.to_string())),
        UseTree::Rename(leaf) => drop(names.insert(leaf.rename.to_string())),
        UseTree::Glob(_) => {}
    }
}

/// The names of items in the definition of a macro; `$` for those that its arguments name.
fn defined_in(tokens: TokenStream) -> Names {
    let mut names = Names::new();
    let mut defines = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => names.extend(defined_in(group.stream())),
            TokenTree::Ident(word) if defines => drop(names.insert(word.to_string())),
            TokenTree::Punct(mark) if defines && mark.as_char() == '$' => drop(names.insert("$".to_owned())),
            TokenTree::Ident(word) => {
                defines = DEFINING.iter().any(|known| word == known);
                continue;
            }
            _ => {}
        }
        defines = false;
    }
    names
}

/// Words that come before the name of an item.
const DEFINING: [&str; 9] = ["const", "enum", "fn", "mod", "static", "struct", "trait", "type", "union"];
