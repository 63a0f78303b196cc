//! The part of an item that the layout of a value may depend on, and the names that tie items together.
//!
//! A variable keeps the layout that its type had when it was created. So an edit of an item matters only if its *shape*
//! changes: the item without documentation, without derives of the standard library, without the bodies of functions
//! that no constant can call. Shapes are compared token by token; the names in them are followed from item to item.

use quote::ToTokens;
use syn::visit::Visit;
use syn::{Attribute, Field, Fields, ImplItem, Item, Macro, Meta, Path, TraitItem};

use super::mentions::{Mentions, Names, all_words};
use super::names::{bounds, constants, introduced, of_head, offered, touched};
use super::nested::{defines_types, has_opaque_type, has_types, nests_types};

/// The part of an item that others may depend on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shape {
    /// Its tokens; empty if no layout depends on it.
    pub(crate) tokens: String,
    /// The names that it looks up, by the first word of their paths.
    pub(crate) mentions: Names,
    /// The further words of those paths.
    pub(crate) deep: Names,
    /// Its own names that change with it.
    pub(crate) touches: Names,
    /// The types and traits of `impl`s, which change with their constants.
    pub(crate) heads: Names,
    /// The names whose meaning elsewhere may change by its mere presence.
    pub(crate) introduces: Names,
    /// Those of them that are constants of `impl`s, and named after a type.
    pub(crate) constants: Names,
    /// The traits that decide whether its constants exist, or their values.
    pub(crate) bounds: Names,
    /// Whether it contains a file or a variable of the environment, whose change is not in the code.
    pub(crate) reads: bool,
    /// Whether it defines types, which are new types after a change.
    pub(crate) defines_types: bool,
    /// Whether its functions define types.
    pub(crate) nests_types: bool,
    /// What an `impl` is about: its type and its trait.
    pub(crate) head: Names,
    /// The names by which it is used other than its own: methods of traits, types of `impl`s in modules.
    pub(crate) offers: Names,
}

/// The shape of an item.
pub(crate) fn shape(item: &Item) -> Shape {
    let (mut head, mut offers) = (Names::new(), Names::new());
    if let Item::Impl(found) = item {
        head = of_head(found);
    }
    offered(item, &mut offers);
    let bounds = bounds(item);
    let Some(reduced) = reduced(item) else { return Shape { head, offers, bounds, ..Shape::default() } };
    let mut mentions = Mentions::default();
    mentions.visit_item(&reduced);
    let (mut touches, mut heads) = (Names::new(), Names::new());
    touched(&reduced, &mut touches, &mut heads);
    Shape {
        tokens: reduced.to_token_stream().to_string(),
        mentions: mentions.first,
        deep: mentions.deep,
        introduces: introduced(&reduced),
        constants: constants(&reduced),
        reads: reads(&reduced),
        bounds,
        touches,
        heads,
        defines_types: defines_types(&reduced),
        nests_types: nests_types(&reduced),
        head,
        offers,
    }
}

/// The shape of a macro call that generates items: all of it, as its expansion is unknown.
pub(crate) fn shape_of_call(call: &Macro) -> Shape {
    let mut mentions = Names::new();
    all_words(call.tokens.clone(), &mut mentions);
    // A macro does not define what everyone uses.
    let words: Names = mentions.iter().filter(|word| !STANDARD.contains(&word.as_str())).cloned().collect();
    let introduces = mentions.clone();
    mentions.extend(call.path.segments.iter().map(|segment| segment.ident.to_string()));
    Shape {
        tokens: call.to_token_stream().to_string(),
        touches: words,
        introduces,
        mentions,
        defines_types: true,
        ..Shape::default()
    }
}

/// `item` without the parts that no layout depends on; `None` if nothing is left.
fn reduced(item: &Item) -> Option<Item> {
    let mut item = item.clone();
    match &mut item {
        Item::Const(each) => strip(&mut each.attrs),
        Item::Static(each) => strip(&mut each.attrs),
        Item::Type(each) => strip(&mut each.attrs),
        Item::Struct(each) => {
            strip(&mut each.attrs);
            strip_fields(&mut each.fields);
        }
        Item::Union(each) => {
            strip(&mut each.attrs);
            each.fields.named.iter_mut().for_each(strip_field);
        }
        Item::Enum(each) => {
            strip(&mut each.attrs);
            for variant in &mut each.variants {
                strip(&mut variant.attrs);
                strip_fields(&mut variant.fields);
            }
        }
        Item::Fn(each) => {
            if !is_evaluated(&each.sig) && !has_types(&each.block) {
                return None;
            }
            strip(&mut each.attrs);
        }
        Item::Trait(each) => {
            strip(&mut each.attrs);
            for part in &mut each.items {
                if let TraitItem::Fn(method) = part {
                    strip(&mut method.attrs);
                    if method.default.as_ref().is_some_and(|body| !has_types(body) && !has_opaque_type(&method.sig)) {
                        method.default = None;
                    }
                }
            }
        }
        Item::Impl(each) => {
            strip(&mut each.attrs);
            each.items.retain(|part| match part {
                ImplItem::Fn(method) => is_evaluated(&method.sig) || has_types(&method.block),
                _ => true,
            });
            if each.items.is_empty() {
                return None;
            }
        }
        Item::Mod(each) => {
            strip(&mut each.attrs);
            if let Some((_, items)) = &mut each.content {
                *items = items.iter().filter_map(reduced).collect();
            }
        }
        _ => {}
    }
    Some(item)
}

/// Whether the body matters: a constant may call the function, or it decides the type of the result.
fn is_evaluated(signature: &syn::Signature) -> bool {
    signature.constness.is_some() || has_opaque_type(signature)
}

/// Whether the compiler reads something else than the code for an item.
fn reads(item: &Item) -> bool {
    let text = item.to_token_stream().to_string();
    let is_file = matches!(item, Item::Mod(module) if module.content.is_none());
    is_file || READING.iter().any(|call| text.contains(call))
}

const READING: [&str; 6] = ["include !", "include_bytes !", "include_str !", "env !", "# [path", "# ! [path"];

/// Derives that affect neither the layout nor constants of a type.
const PLAIN_DERIVES: [&str; 11] =
    ["Clone", "Copy", "Debug", "Default", "Deserialize", "Eq", "Hash", "Ord", "PartialEq", "PartialOrd", "Serialize"];

fn strip(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| !attribute.path().is_ident("doc") && !is_plain_derive(attribute));
}

fn is_plain_derive(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else { return false };
    if !list.path.is_ident("derive") {
        return false;
    }
    let derives = list.parse_args_with(syn::punctuated::Punctuated::<Path, syn::Token![,]>::parse_terminated);
    let is_plain = |path: &Path| path.segments.last().is_some_and(|name| PLAIN_DERIVES.iter().any(|d| name.ident == d));
    derives.is_ok_and(|derives| derives.iter().all(is_plain))
}

fn strip_fields(fields: &mut Fields) {
    fields.iter_mut().for_each(strip_field);
}

fn strip_field(field: &mut Field) {
    strip(&mut field.attrs);
}

/// Types that macros are called with, rather than asked to define.
const STANDARD: [&str; 29] = [
    "Arc", "Box", "Cell", "HashMap", "HashSet", "Mutex", "Option", "Rc", "RefCell", "Result", "String", "Vec", "bool",
    "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "str", "u128", "u16", "u32", "u64", "u8",
    "usize",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Shape {
        shape(&syn::parse_str(code).expect("an item"))
    }

    fn names(names: &Names) -> Vec<&str> {
        names.iter().map(String::as_str).collect()
    }

    #[test]
    fn documentation_and_derives_have_no_shape() {
        let plain = of("struct P { x: u8 }");
        assert_eq!(plain, of("/// A point.\n#[derive(Debug, Clone)] struct P { /** across */ x: u8 }"));
        assert_ne!(plain, of("struct P { x: u16 }"));
        assert_ne!(plain, of("#[repr(C)] struct P { x: u8 }"));
        assert_ne!(plain, of("#[derive(Count)] struct P { x: u8 }"));
    }

    #[test]
    fn only_what_constants_can_call_has_a_shape() {
        assert_eq!(of("fn f() -> usize { 1 }").tokens, "");
        assert_ne!(of("const fn f() -> usize { 1 }"), of("const fn f() -> usize { 2 }"));
        assert_eq!(of("impl Show for P { fn show(&self) { one() } }").tokens, "");
        assert_ne!(of("impl Shape for P { type Inner = u8; }"), of("impl Shape for P { type Inner = u16; }"));
        assert_eq!(of("trait T { fn f() { one() } }"), of("trait T { fn f(); }"));
        assert_ne!(of("trait T { fn f(); fn g(); }"), of("trait T { fn g(); fn f(); }"));
    }

    #[test]
    fn types_in_functions_count() {
        let local = of("fn f() { struct P(u8); }");
        assert!(local.defines_types);
        assert_ne!(local, of("fn f() { struct P(u16); }"));
        assert!(of("fn f() { let later = async { 1 }; }").defines_types);
        assert!(of("fn f() { make!(P); }").defines_types);
        assert_eq!(of("fn f() { println!(\"{}\", 1); static N: u8 = 1; }").tokens, "");
    }

    #[test]
    fn mentions_are_the_names_looked_up() {
        let found = of("struct Q { p: m::P, all: Vec<crate::deep::R>, n: [u8; { K.len() }] }");
        assert_eq!(names(&found.mentions), ["K", "Vec", "crate", "deep", "len", "m", "u8"]);
        assert_eq!(names(&found.deep), ["P", "R"]);
    }

    #[test]
    fn the_variables_of_a_macro_are_not_names() {
        let found =
            of("macro_rules! make { ($n:ident, $($t:ty),*) => { struct $n { x: Word, y: ($($t),*) } struct Fixed; } }");
        assert_eq!(names(&found.mentions), ["Fixed", "Word", "struct", "x", "y"]);
        assert_eq!(names(&found.touches), ["$", "Fixed", "make"]);
    }

    #[test]
    fn an_impl_touches_its_type_and_its_constants() {
        let found = of("impl Shape for K { type Inner = u8; const N: usize = 1; fn f() {} }");
        assert_eq!((names(&found.touches), names(&found.heads)), (vec!["Inner", "N"], vec!["K", "Shape"]));
        assert_eq!(names(&found.introduces), ["Inner", "N"]);
        assert_eq!(names(&of("mod m { pub struct P; fn f() {} }").touches), ["P", "m"]);
        assert_eq!(names(&of("enum E { A = 1, B }").touches), ["A", "B", "E"]);
    }
}
