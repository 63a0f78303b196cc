//! One source file: what is public and documented in it, and which further files it names.

use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::{Attribute, Expr, File, Ident, ImplItem, Item, Lit, Meta, TraitItem, Type, Visibility};

use super::items::Entry;
use super::sources::Source;
use crate::{Error, Result};

/// A module in a file of its own.
pub(super) struct Module {
    path: Vec<String>,
    file: PathBuf,
    /// Where the files of its child modules are.
    folder: PathBuf,
    public: bool,
    /// The documentation at its `mod` line, which precedes that inside the file.
    docs: String,
}

impl Module {
    pub(super) fn root(source: &Source) -> Self {
        let folder = source.root.parent().unwrap_or(Path::new("")).to_owned();
        Self { path: vec![source.name.clone()], file: source.root.clone(), folder, public: true, docs: String::new() }
    }
}

/// The public items of a file (those without documentation, too, to know which types are public)
/// and its child modules in files of their own.
///
/// No other file may be parsed on this thread meanwhile, so no rayon in here: proc-macro2 keeps one
/// source map per thread, which is emptied at the end.
pub(super) fn read(module: Module) -> Result<(Vec<Entry>, Vec<Module>)> {
    let text = std::fs::read_to_string(&module.file).map_err(Error::io(&module.file))?;
    let file: File = syn::parse_file(&text).map_err(|source| Error::Line {
        path: module.file.clone(),
        line: source.span().start().line,
        problem: source.to_string(),
        expected: "Rust source".to_owned(),
    })?;
    let mut reader =
        Reader { text, path: module.path, folder: module.folder, entries: Vec::new(), children: Vec::new() };
    if module.public {
        reader.module(&[&module.docs, &docs(&file.attrs)]);
    }
    reader.items(&file.items);
    drop(file);
    proc_macro2::extra::invalidate_current_thread_spans();
    Ok((reader.entries, reader.children))
}

struct Reader {
    text: String,
    path: Vec<String>,
    folder: PathBuf,
    entries: Vec<Entry>,
    children: Vec<Module>,
}

impl Reader {
    fn items(&mut self, items: &[Item]) {
        items.iter().for_each(|item| self.item(item));
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Const(it) if public(&it.vis, &it.attrs) => {
                self.push("const", &it.ident, &it.attrs, self.slice(&it.const_token, &it.eq_token));
            }
            Item::Static(it) if public(&it.vis, &it.attrs) => {
                self.push("static", &it.ident, &it.attrs, self.slice(&it.static_token, &it.eq_token));
            }
            Item::Fn(it) if public(&it.vis, &it.attrs) => {
                self.push("fn", &it.sig.ident, &it.attrs, self.slice(&it.sig, &it.block));
            }
            Item::Struct(it) if public(&it.vis, &it.attrs) => {
                let signature = match &it.fields {
                    syn::Fields::Named(fields) => self.slice(&it.struct_token, &fields.brace_token.span.open()),
                    _ => self.slice(&it.struct_token, &it.semi_token),
                };
                self.push("struct", &it.ident, &it.attrs, signature);
            }
            Item::Union(it) if public(&it.vis, &it.attrs) => {
                self.push("union", &it.ident, &it.attrs, self.slice(&it.union_token, &it.fields));
            }
            Item::Enum(it) if public(&it.vis, &it.attrs) => {
                let head = self.slice(&it.enum_token, &it.brace_token.span.open());
                let variants: Vec<String> = it.variants.iter().map(|variant| variant.ident.to_string()).collect();
                self.push("enum", &it.ident, &it.attrs, format!("{head} {{ {} }}", variants.join(", ")));
            }
            Item::Type(it) if public(&it.vis, &it.attrs) => {
                self.push("type", &it.ident, &it.attrs, self.slice(&it.type_token, &it.semi_token));
            }
            Item::Trait(it) if public(&it.vis, &it.attrs) => {
                self.push("trait", &it.ident, &it.attrs, self.slice(&it.trait_token, &it.brace_token.span.open()));
                it.items.iter().for_each(|item| self.trait_item(&it.ident, item));
            }
            Item::Impl(it) if !hidden(&it.attrs) => {
                if let Some(owner) = type_name(&it.self_ty) {
                    it.items.iter().for_each(|item| self.impl_item(owner, it.trait_.is_some(), item));
                }
            }
            Item::Macro(it) => self.macro_item(it),
            Item::Mod(it) if !hidden(&it.attrs) => self.child(it),
            _ => {}
        }
    }

    fn trait_item(&mut self, owner: &Ident, item: &TraitItem) {
        match item {
            TraitItem::Const(it) if !hidden(&it.attrs) => {
                self.push_in(owner, "const", &it.ident, &it.attrs, self.slice(&it.const_token, &it.semi_token));
            }
            TraitItem::Fn(it) if !hidden(&it.attrs) => {
                let end = it.default.as_ref().map_or(it.semi_token.span(), |block| block.span());
                self.push_in(owner, "method", &it.sig.ident, &it.attrs, self.slice(&it.sig, &end));
            }
            TraitItem::Type(it) if !hidden(&it.attrs) => {
                self.push_in(owner, "type", &it.ident, &it.attrs, self.slice(&it.type_token, &it.semi_token));
            }
            _ => {}
        }
    }

    fn impl_item(&mut self, owner: &Ident, of_trait: bool, item: &ImplItem) {
        let seen = |vis: &Visibility, attrs: &[Attribute]| if of_trait { !hidden(attrs) } else { public(vis, attrs) };
        match item {
            ImplItem::Const(it) if seen(&it.vis, &it.attrs) => {
                self.push_in(owner, "const", &it.ident, &it.attrs, self.slice(&it.const_token, &it.eq_token));
            }
            ImplItem::Fn(it) if seen(&it.vis, &it.attrs) => {
                self.push_in(owner, "method", &it.sig.ident, &it.attrs, self.slice(&it.sig, &it.block));
            }
            ImplItem::Type(it) if seen(&it.vis, &it.attrs) => {
                self.push_in(owner, "type", &it.ident, &it.attrs, self.slice(&it.type_token, &it.semi_token));
            }
            _ => {}
        }
    }

    /// A `macro_rules!` for all (its path is the crate's root), or a call such as tokio's
    /// `cfg_rt! { .. }`, whose argument often is a list of items.
    fn macro_item(&mut self, item: &syn::ItemMacro) {
        match &item.ident {
            Some(name) if exported(&item.attrs) && !hidden(&item.attrs) => {
                let root = self.path[..1].to_vec();
                let inside = std::mem::replace(&mut self.path, root);
                self.push("macro", name, &item.attrs, format!("macro_rules! {name}"));
                self.path = inside;
            }
            None => {
                if let Ok(file) = syn::parse2::<File>(item.mac.tokens.clone()) {
                    self.items(&file.items);
                }
            }
            _ => {}
        }
    }

    /// What is public in a private module is read, too: it is usually exported elsewhere.
    fn child(&mut self, item: &syn::ItemMod) {
        let name = item.ident.to_string();
        let public = matches!(item.vis, Visibility::Public(_));
        let mut path = self.path.clone();
        path.push(name.clone());
        let folder = self.folder.join(&name);
        match &item.content {
            Some((_, items)) => {
                let outer = (std::mem::replace(&mut self.path, path), std::mem::replace(&mut self.folder, folder));
                if public {
                    self.module(&[&docs(&item.attrs)]);
                }
                self.items(items);
                (self.path, self.folder) = outer;
            }
            None => {
                let files = [self.folder.join(format!("{name}.rs")), folder.join("mod.rs")];
                // A file that is not there belongs to a configuration that was not published.
                if let Some(file) = files.into_iter().find(|file| file.is_file()) {
                    self.children.push(Module { path, file, folder, public, docs: docs(&item.attrs) });
                }
            }
        }
    }

    fn module(&mut self, docs: &[&str]) {
        let docs: Vec<&str> = docs.iter().copied().filter(|docs| !docs.is_empty()).collect();
        let name = self.path.last().cloned().unwrap_or_default();
        let signature = if self.path.len() == 1 { format!("crate {name}") } else { format!("mod {name}") };
        self.entries.push(Entry {
            module: self.path.clone(),
            owner: None,
            name,
            kind: "module",
            signature,
            docs: docs.join("\n\n"),
        });
    }

    fn push(&mut self, kind: &'static str, name: &Ident, attrs: &[Attribute], signature: String) {
        self.entries.push(Entry {
            module: self.path.clone(),
            owner: None,
            name: name.to_string(),
            kind,
            signature,
            docs: docs(attrs),
        });
    }

    fn push_in(&mut self, owner: &Ident, kind: &'static str, name: &Ident, attrs: &[Attribute], signature: String) {
        self.push(kind, name, attrs, signature);
        if let Some(entry) = self.entries.last_mut() {
            entry.owner = Some(owner.to_string());
        }
    }

    /// The source from one piece of syntax up to another, without comments, on one line.
    fn slice(&self, from: &impl Spanned, to: &impl Spanned) -> String {
        let source = self.text.get(from.span().byte_range().start..to.span().byte_range().start).unwrap_or_default();
        let code = source.lines().map(|line| line.split("//").next().unwrap_or_default());
        let words: Vec<&str> = code.flat_map(str::split_whitespace).collect();
        words.join(" ").replace("( ", "(").replace(", )", ")").replace(",)", ")").trim_end_matches(',').to_owned()
    }
}

fn public(vis: &Visibility, attrs: &[Attribute]) -> bool {
    matches!(vis, Visibility::Public(_)) && !hidden(attrs)
}

/// `#[doc(hidden)]` and `#[cfg(test)]`.
fn hidden(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| match &attr.meta {
        Meta::List(list) if list.path.is_ident("doc") => list.tokens.to_string() == "hidden",
        Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string() == "test",
        _ => false,
    })
}

fn exported(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| attr.path().is_ident("macro_export"))
}

/// The last name of a type: `Foo` of `&mut a::Foo<T>`.
fn type_name(ty: &Type) -> Option<&Ident> {
    match ty {
        Type::Path(ty) => ty.path.segments.last().map(|segment| &segment.ident),
        Type::Reference(ty) => type_name(&ty.elem),
        _ => None,
    }
}

/// The documentation of an item, one line per attribute, without the common indent.
fn docs(attrs: &[Attribute]) -> String {
    let texts: Vec<String> = attrs.iter().filter_map(doc_text).collect();
    let lines = || texts.iter().flat_map(|text| text.lines().chain(text.is_empty().then_some("")));
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let common = lines().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    let unindented: Vec<&str> = lines().map(|line| line.get(common..).unwrap_or_default()).collect();
    unindented.join("\n").trim().to_owned()
}

fn doc_text(attr: &Attribute) -> Option<String> {
    match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
