//! What the layout of a value may depend on in an item, and which names tie items together.
//!
//! A cell's variables keep the memory that their types had when they were made. So an edit of an item matters as far as
//! its *shape* changes: the item without documentation, without derives of the standard library, without the bodies of
//! functions that no constant can call. Shapes are compared token by token; what they name is followed from item to item.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::Visit;
use syn::{
    Attribute, Block, Expr, Field, Fields, ImplItem, Item, Macro, Meta, Path, Stmt, TraitItem, UseTree, Visibility,
};

pub(crate) type Names = BTreeSet<String>;

/// What others may depend on in an item.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shape {
    /// Its tokens; empty for what no layout depends on.
    pub(crate) tokens: String,
    /// The names that it looks up, by the first word of their paths.
    pub(crate) mentions: Names,
    /// The further words of those paths.
    pub(crate) deep: Names,
    /// The names of its own that change with it.
    pub(crate) touches: Names,
    /// The types and traits of `impl`s, which change with their constants.
    pub(crate) heads: Names,
    /// The names that its mere presence may give another meaning to, elsewhere.
    pub(crate) introduces: Names,
    /// Whether types are defined by it, so that a change must not be taken for the type it was.
    pub(crate) defines_types: bool,
    /// Whether types are defined within its functions.
    pub(crate) nests_types: bool,
    /// What an `impl` is about: its type and its trait.
    pub(crate) head: Names,
    /// What it brings without being named: methods of traits, `impl`s in modules.
    pub(crate) offers: Names,
}

/// The shape of an item.
pub(crate) fn shape(item: &Item) -> Shape {
    let (mut head, mut offers) = (Names::new(), Names::new());
    if let Item::Impl(found) = item {
        head = of_head(found);
    }
    offered(item, &mut offers);
    let Some(reduced) = reduced(item) else { return Shape { head, offers, ..Shape::default() } };
    let mut mentions = Mentions::default();
    mentions.visit_item(&reduced);
    let (mut touches, mut heads) = (Names::new(), Names::new());
    touched(&reduced, &mut touches, &mut heads);
    Shape {
        tokens: reduced.to_token_stream().to_string(),
        mentions: mentions.first,
        deep: mentions.deep,
        introduces: introduced(&reduced),
        touches,
        heads,
        defines_types: defines_types(&reduced),
        nests_types: nests_types(&reduced),
        head,
        offers,
    }
}

/// The shape of a call of a macro that makes items: all of it, as nobody knows what it makes.
pub(crate) fn shape_of_call(call: &Macro) -> Shape {
    let mut mentions = Names::new();
    all_words(call.tokens.clone(), &mut mentions);
    // What everybody uses is not what a macro defines.
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

/// `item` without what no layout depends on; none where nothing is left.
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
                    if method.default.as_ref().is_some_and(|body| !has_types(body)) {
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

/// Whether a constant may call the function, or its caller sees a type of its own.
fn is_evaluated(signature: &syn::Signature) -> bool {
    signature.constness.is_some() || signature.asyncness.is_some()
}

/// Derives that give a type no layout, and no constants.
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

/// Whether types are defined within a body: `struct`s of its own, futures, or what an unknown macro makes.
fn has_types(body: &Block) -> bool {
    struct Types(bool);
    impl<'ast> Visit<'ast> for Types {
        fn visit_item(&mut self, item: &'ast Item) {
            match item {
                Item::Const(_) | Item::Static(_) | Item::Use(_) => {}
                Item::Fn(function) => self.0 |= function.sig.asyncness.is_some() || has_types(&function.block),
                Item::Macro(each) if is_known_macro(&each.mac) => {}
                _ => self.0 = true,
            }
        }

        fn visit_expr(&mut self, expression: &'ast Expr) {
            match expression {
                Expr::Async(_) => self.0 = true,
                Expr::Closure(closure) => self.0 |= closure.asyncness.is_some(),
                _ => {}
            }
            syn::visit::visit_expr(self, expression);
        }

        fn visit_stmt(&mut self, statement: &'ast Stmt) {
            if let Stmt::Macro(each) = statement {
                self.0 |= !is_known_macro(&each.mac);
            }
            syn::visit::visit_stmt(self, statement);
        }
    }
    let mut types = Types(false);
    types.visit_block(body);
    types.0
}

/// Macros that stand as statements and define no types.
const KNOWN_MACROS: [&str; 18] = [
    "assert",
    "assert_eq",
    "assert_ne",
    "bail",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "ensure",
    "eprint",
    "eprintln",
    "panic",
    "print",
    "println",
    "thread_local",
    "todo",
    "unreachable",
    "write",
    "writeln",
];

fn is_known_macro(call: &Macro) -> bool {
    call.path.segments.last().is_some_and(|name| KNOWN_MACROS.iter().any(|known| name.ident == known))
}

fn defines_types(item: &Item) -> bool {
    !matches!(item, Item::Const(_) | Item::Static(_) | Item::Type(_) | Item::Use(_) | Item::ExternCrate(_))
        && (nests_types(item) || !matches!(item, Item::Fn(_)))
}

/// The names by which others may depend on `item`.
fn touched(item: &Item, names: &mut Names, heads: &mut Names) {
    names.extend(name(item));
    match item {
        // A glob brings them, and a constant may be made of one.
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
}

/// The names of items in a macro's definition; of those that its arguments name, `$`.
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

/// A macro's definition without its variables, `$name:kind`.
fn without_variables(tokens: TokenStream) -> TokenStream {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(mark) if mark.as_char() == '$' => {
                if tokens.next_if(|token| matches!(token, TokenTree::Ident(_))).is_some()
                    && tokens
                        .next_if(|token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ':'))
                        .is_some()
                {
                    tokens.next_if(|token| matches!(token, TokenTree::Ident(_)));
                }
            }
            TokenTree::Group(group) => {
                kept.push(proc_macro2::Group::new(group.delimiter(), without_variables(group.stream())).into());
            }
            other => kept.push(other),
        }
    }
    kept.into_iter().collect()
}

/// Words in front of the name of an item.
const DEFINING: [&str; 9] = ["const", "enum", "fn", "mod", "static", "struct", "trait", "type", "union"];

/// Types that macros are called with, rather than asked to define.
const STANDARD: [&str; 29] = [
    "Arc", "Box", "Cell", "HashMap", "HashSet", "Mutex", "Option", "Rc", "RefCell", "Result", "String", "Vec", "bool",
    "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "str", "u128", "u16", "u32", "u64", "u8",
    "usize",
];

fn of_head(found: &syn::ItemImpl) -> Names {
    let mut head = Mentions::default();
    head.visit_type(&found.self_ty);
    found.trait_.iter().for_each(|(_, path, _)| head.visit_path(path));
    head.first
}

fn nests_types(item: &Item) -> bool {
    let nests = |signature: &syn::Signature, body: &Block| signature.asyncness.is_some() || has_types(body);
    match item {
        Item::Fn(function) => nests(&function.sig, &function.block),
        Item::Impl(found) => {
            found.items.iter().any(|part| matches!(part, ImplItem::Fn(method) if nests(&method.sig, &method.block)))
        }
        Item::Trait(found) => found.items.iter().any(|part| match part {
            TraitItem::Fn(method) => method.default.as_ref().is_some_and(|body| nests(&method.sig, body)),
            _ => false,
        }),
        Item::Mod(found) => found.content.iter().flat_map(|(_, items)| items).any(nests_types),
        _ => false,
    }
}

fn offered(item: &Item, names: &mut Names) {
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

fn introduced(item: &Item) -> Names {
    match item {
        Item::Impl(each) => each.items.iter().filter_map(impl_constant).collect(),
        Item::Use(each) => {
            let mut names = Names::new();
            imported(&each.tree, &mut names);
            names
        }
        _ => name(item).into_iter().collect(),
    }
}

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

/// The names that code looks up: the first word of each path, all words where that word is `crate` and its like, method
/// names, and every word in a macro's call or an attribute.
#[derive(Default)]
struct Mentions {
    first: Names,
    deep: Names,
}

impl<'ast> Visit<'ast> for Mentions {
    fn visit_path(&mut self, path: &'ast Path) {
        let mut first = true;
        for segment in &path.segments {
            let name = segment.ident.to_string();
            let relative = ["crate", "self", "super", "Self"].contains(&name.as_str());
            if first {
                self.first.insert(name)
            } else {
                self.deep.insert(name)
            };
            first &= relative;
            // Generic arguments stand in any segment.
            self.visit_path_arguments(&segment.arguments);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.first.insert(call.method.to_string());
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        all_words(call.tokens.clone(), &mut self.first);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        all_words(without_variables(item.mac.tokens.clone()), &mut self.first);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        all_words(attribute.meta.to_token_stream(), &mut self.first);
    }

    fn visit_use_tree(&mut self, tree: &'ast UseTree) {
        all_words(tree.to_token_stream(), &mut self.first);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}
}

/// Every word among `tokens`, those in the braces of format strings included.
pub(crate) fn all_words(tokens: TokenStream, words: &mut impl Extend<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => all_words(group.stream(), words),
            TokenTree::Ident(word) => words.extend([word.to_string()]),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let braced = text.split('{').skip(1);
                let names = braced.map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '_')));
                words.extend(names.flatten().filter(|word| !word.is_empty()).map(str::to_owned));
            }
            TokenTree::Punct(_) => {}
        }
    }
}

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
    fn types_within_functions_count() {
        let local = of("fn f() { struct P(u8); }");
        assert!(local.defines_types);
        assert_ne!(local, of("fn f() { struct P(u16); }"));
        assert!(of("fn f() { let later = async { 1 }; }").defines_types);
        assert!(of("fn f() { make!(P); }").defines_types);
        assert_eq!(of("fn f() { println!(\"{}\", 1); static N: u8 = 1; }").tokens, "");
    }

    #[test]
    fn mentions_are_what_is_looked_up() {
        let found = of("struct Q { p: m::P, all: Vec<crate::deep::R>, n: [u8; { K.len() }] }");
        assert_eq!(names(&found.mentions), ["K", "Vec", "crate", "deep", "len", "m", "u8"]);
        assert_eq!(names(&found.deep), ["P", "R"]);
    }

    #[test]
    fn the_variables_of_a_macro_are_no_names() {
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
