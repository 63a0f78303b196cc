//! Statics of cells. Each program is a library, and would have its own copy of a static. So the first one exports it,
//! and later ones declare it and link to that library: the static keeps its type, its address and its value.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::PathBuf;

use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Attribute, Expr, Ident, ItemStatic, Macro, StaticMutability, Token, Type, Visibility};

use super::edit::Edits;

/// Where the statics of a session are, by their keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Homes(BTreeMap<u64, Home>);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Home {
    pub(crate) symbol: String,
    /// The library that exports it.
    pub(crate) library: PathBuf,
}

impl Homes {
    pub(crate) fn get(&self, key: u64) -> Option<&Home> {
        self.0.get(&key)
    }

    pub(crate) fn insert(&mut self, key: u64, home: Home) {
        self.0.insert(key, home);
    }

    pub(crate) fn remove(&mut self, key: u64) {
        self.0.remove(&key);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A static inside an item, at any depth.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StaticSite {
    pub(crate) name: String,
    /// A hash of its path and its text: a changed text makes it another static.
    pub(crate) key: u64,
    /// What replaces it, or the macro call that generates it.
    at: Range<usize>,
    form: Form,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Static {
        visibility: String,
        mutable: bool,
        ty: String,
    },
    /// One of `thread_local!`, whose key is a static as well.
    Local {
        visibility: String,
        ty: String,
    },
}

impl StaticSite {
    /// Its type as written.
    pub(crate) fn ty(&self) -> &str {
        match &self.form {
            Form::Static { ty, .. } | Form::Local { ty, .. } => ty,
        }
    }

    /// Adds `edits` that export the static as `symbol`.
    pub(crate) fn define(&self, symbol: &str, edits: &mut Edits) {
        match &self.form {
            Form::Static { .. } => edits.insert(self.at.start, format!("#[unsafe(export_name = \"{symbol}\")] ")),
            Form::Local { ty, .. } => {
                let (name, key) = (&self.name, symbol.to_uppercase());
                let export = format!(
                    " #[unsafe(export_name = \"{symbol}\")] static {key}: ::std::thread::LocalKey<{ty}> = {name};"
                );
                edits.insert(self.at.end, export);
            }
        }
    }

    /// Adds `edits` that import the static from another library, which exports it as `symbol`.
    pub(crate) fn declare(&self, symbol: &str, edits: &mut Edits) {
        let name = &self.name;
        let declared = match &self.form {
            Form::Static { visibility, mutable: true, ty } => format!("{visibility} static mut {name}: {ty};"),
            Form::Static { visibility, mutable: false, ty } => format!("{visibility} safe static {name}: {ty};"),
            Form::Local { visibility, ty } => {
                format!("{visibility} safe static {name}: ::std::thread::LocalKey<{ty}>;")
            }
        };
        let text = format!("unsafe extern \"Rust\" {{ #[link_name = \"{symbol}\"] {declared} }}");
        match self.form {
            Form::Static { .. } => edits.replace(self.at.clone(), text),
            // A macro may generate several: the first replaces it, the others follow.
            Form::Local { .. } => {
                edits.replace(self.at.clone(), "");
                edits.insert(self.at.end, text);
            }
        }
    }
}

/// The statics within `item` whose state could be seen to differ between programs.
pub(super) fn statics(item: &syn::Item) -> Vec<StaticSite> {
    let mut found = Found::default();
    found.visit_item(item);
    found.sites
}

/// The statics of a macro call in the place of an item.
pub(super) fn statics_of_call(call: &Macro, at: Range<usize>) -> Vec<StaticSite> {
    let mut found = Found::default();
    found.locals(call, at);
    found.sites
}

#[derive(Default)]
struct Found {
    path: Vec<String>,
    sites: Vec<StaticSite>,
}

impl Found {
    fn within(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.path.push(name);
        visit(self);
        self.path.pop();
    }

    fn add(&mut self, name: &Ident, text: &str, at: Range<usize>, form: Form) {
        let key = |count: usize| {
            let mut hasher = DefaultHasher::new();
            (&self.path, text, count).hash(&mut hasher);
            hasher.finish()
        };
        // Blocks of one function may each have the same one.
        let key = (0..).map(key).find(|key| self.sites.iter().all(|site| site.key != *key)).unwrap_or_default();
        self.sites.push(StaticSite { name: name.to_string(), key, at, form });
    }

    fn locals(&mut self, call: &Macro, at: Range<usize>) {
        if call.path.segments.last().is_none_or(|name| name.ident != "thread_local") {
            return;
        }
        let Ok(Locals(locals)) = call.parse_body::<Locals>() else { return };
        for local in locals {
            let form = Form::Local { visibility: text(&local.visibility), ty: text(&local.ty) };
            let text = format!("thread_local {} {}", text(&local.ty), text(&local.value));
            self.add(&local.name, &text, at.clone(), form);
        }
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item_static(&mut self, item: &'ast ItemStatic) {
        let mutable = matches!(item.mutability, StaticMutability::Mut(_));
        if !mutable && is_plain(&item.ty) || item.ident == "_" {
            return;
        }
        let mut plain = item.clone();
        plain.attrs.retain(|attribute| !attribute.path().is_ident("doc"));
        if plain.attrs.iter().any(is_linkage) {
            return;
        }
        let form = Form::Static { visibility: text(&item.vis), mutable, ty: text(&item.ty) };
        self.add(&item.ident, &text(&plain), item.span().byte_range(), form);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.within(item.ident.to_string(), |found| syn::visit::visit_item_mod(found, item));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.within(item.sig.ident.to_string(), |found| syn::visit::visit_item_fn(found, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = item.trait_.as_ref().map(|(_, path, _)| text(path)).unwrap_or_default();
        self.within(format!("{of} {}", text(&item.self_ty)), |found| syn::visit::visit_item_impl(found, item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.within(item.sig.ident.to_string(), |found| syn::visit::visit_impl_item_fn(found, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(item.ident.to_string(), |found| syn::visit::visit_item_trait(found, item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.within(item.sig.ident.to_string(), |found| syn::visit::visit_trait_item_fn(found, item));
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        self.locals(&item.mac, item.span().byte_range());
    }

    fn visit_stmt_macro(&mut self, statement: &'ast syn::StmtMacro) {
        self.locals(&statement.mac, statement.span().byte_range());
    }
}

fn text(part: &impl ToTokens) -> String {
    part.to_token_stream().to_string()
}

/// Attributes by which users choose the symbol of a static.
fn is_linkage(attribute: &Attribute) -> bool {
    let text = text(&attribute.meta);
    ["no_mangle", "export_name", "link_section", "used"].iter().any(|name| text.contains(name))
}

/// Whether copies of a static of this type are equivalent, as nothing in it can change. Such statics are copied, as
/// constants cannot read statics of other libraries.
fn is_plain(ty: &Type) -> bool {
    const PLAIN: [&str; 17] = [
        "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "str", "u128", "u16", "u32", "u64",
        "u8", "usize",
    ];
    match ty {
        Type::Array(array) => is_plain(&array.elem),
        Type::Group(group) => is_plain(&group.elem),
        Type::Paren(inner) => is_plain(&inner.elem),
        Type::Path(path) => path.path.get_ident().is_some_and(|name| PLAIN.iter().any(|plain| name == plain)),
        Type::Reference(reference) => reference.mutability.is_none() && is_plain(&reference.elem),
        Type::Slice(slice) => is_plain(&slice.elem),
        Type::Tuple(tuple) => tuple.elems.iter().all(is_plain),
        _ => false,
    }
}

/// The body of `thread_local!`.
struct Locals(Vec<Local>);

struct Local {
    visibility: Visibility,
    name: Ident,
    ty: Type,
    value: Expr,
}

impl Parse for Locals {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut locals = Vec::new();
        while !input.is_empty() {
            input.call(Attribute::parse_outer)?;
            let visibility = input.parse()?;
            input.parse::<Token![static]>()?;
            let name = input.parse()?;
            input.parse::<Token![:]>()?;
            let ty = input.parse()?;
            input.parse::<Token![=]>()?;
            let value = input.parse()?;
            input.parse::<Option<Token![;]>>()?;
            locals.push(Local { visibility, name, ty, value });
        }
        Ok(Self(locals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(code: &str, declare: bool) -> String {
        let item: syn::Item = syn::parse_str(code).expect("an item");
        let mut edits = Edits::default();
        for (index, site) in statics(&item).iter().enumerate() {
            let symbol = format!("s{index}");
            if declare { site.declare(&symbol, &mut edits) } else { site.define(&symbol, &mut edits) }
        }
        edits.apply(code, 0..code.len()).text
    }

    #[test]
    fn a_static_is_exported_then_declared() {
        let code = "pub static N: AtomicU32 = AtomicU32::new(0);";
        assert_eq!(edited(code, false), format!("#[unsafe(export_name = \"s0\")] {code}"));
        assert_eq!(
            edited(code, true),
            "unsafe extern \"Rust\" { #[link_name = \"s0\"] pub safe static N: AtomicU32; }"
        );
    }

    #[test]
    fn statics_within_functions_and_modules_are_found() {
        let code = "mod m { fn f() -> u8 { static mut N: u8 = 1; 2 } }";
        assert_eq!(
            edited(code, true),
            "mod m { fn f() -> u8 { unsafe extern \"Rust\" { #[link_name = \"s0\"]  static mut N: u8; } 2 } }"
        );
    }

    #[test]
    fn plain_values_stay_unchanged() {
        let code = "static NAMES: [(&str, u8); 1] = [(\"a\", 1)];";
        assert_eq!(edited(code, true), code);
    }

    #[test]
    fn thread_locals_share_their_keys() {
        let code = "thread_local! { static A: Cell<u8> = const { Cell::new(1) }; pub static B: RefCell<u8> = f() }";
        let defined = edited(code, false);
        assert!(defined.starts_with(code), "{defined}");
        assert!(defined.contains("static S1: ::std::thread::LocalKey<RefCell < u8 >> = B;"), "{defined}");
        let declared = edited(code, true);
        assert!(!declared.contains("thread_local"), "{declared}");
        assert!(declared.contains("pub safe static B: ::std::thread::LocalKey<RefCell < u8 >>;"), "{declared}");
    }
}
