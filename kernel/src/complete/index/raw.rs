//! A crate's modules as they are written: parsed and with macros expanded, but no name resolved.

use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};
use std::rc::Rc;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Generics, Item as Syntax, ItemImpl, Meta, UseTree, Visibility};

use super::cfg::Cfg;
use super::clean;
use super::convert::{Path, Reader, bounds, generics, names, ty, unraw};
use super::docs::{docs_of, is_deprecated, is_hidden};
use super::expand::Rules;
use super::print::print;
use super::record::{Bound, Docs, Impl, Kind, Member, Ty};

/// How deep macros may call macros.
const DEPTH: usize = 8;

/// A module; the first of a crate is its root.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) parent: Option<usize>,
    pub(crate) docs: Option<Docs>,
    pub(crate) public: bool,
    pub(crate) hidden: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) uses: Vec<Use>,
    pub(crate) impls: Vec<Impl<Path>>,
}

#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) public: bool,
    pub(crate) hidden: bool,
    /// 0 for a deprecated one.
    pub(crate) weight: u8,
    pub(crate) signature: String,
    pub(crate) docs: Docs,
    pub(crate) parameters: Vec<String>,
    pub(crate) variants: Vec<Item>,
    pub(crate) members: Vec<Member<Path>>,
    pub(crate) target: Option<Ty<Path>>,
    pub(crate) supertraits: Vec<Bound<Path>>,
}

/// One name of a `use`, or all of a module's.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) path: Path,
    /// None for a glob.
    pub(crate) name: Option<String>,
    pub(crate) public: bool,
    pub(crate) hidden: bool,
}

/// How often names stand behind a dot or a double colon.
pub(crate) type Uses = HashMap<String, u32>;

/// Reads the crate whose root file is `root`.
pub(crate) fn read_crate(root: &FilePath, cfg: &Cfg) -> (Vec<Module>, Uses) {
    let folder = root.parent().map(FilePath::to_owned).unwrap_or_default();
    let mut walker = Walker::new(cfg);
    walker.file(root, &folder, 0);
    let uses = std::mem::take(&mut walker.uses);
    (walker.finish(), uses)
}

/// Reads `code` as the root module of a crate.
pub(crate) fn read_text(code: &str) -> Vec<Module> {
    let cfg = Cfg::default();
    let mut walker = Walker::new(&cfg);
    if let Ok(tokens) = code.parse() {
        walker.items(clean::items(tokens), FilePath::new("."), 0);
    }
    walker.finish()
}

struct Walker<'a> {
    cfg: &'a Cfg,
    uses: Uses,
    modules: Vec<Module>,
    macros: HashMap<(usize, String), Rc<Rules>>,
    macros_anywhere: HashMap<String, Rc<Rules>>,
    /// What needs macros that may be defined further down.
    later: Vec<(usize, PathBuf, Later)>,
}

enum Later {
    Call(syn::Macro),
    Impl(ItemImpl),
}

impl<'a> Walker<'a> {
    fn new(cfg: &'a Cfg) -> Self {
        Self {
            cfg,
            uses: Uses::new(),
            modules: vec![Module { public: true, ..Module::default() }],
            macros: HashMap::new(),
            macros_anywhere: HashMap::new(),
            later: Vec::new(),
        }
    }

    fn finish(mut self) -> Vec<Module> {
        for _ in 0..DEPTH {
            for (module, folder, later) in std::mem::take(&mut self.later) {
                match later {
                    Later::Call(call) => {
                        if let Some(tokens) = self.expanded(&call, module) {
                            self.items(clean::items(tokens), &folder, module);
                        }
                    }
                    Later::Impl(mut syntax) => {
                        self.expand_members(&mut syntax, module);
                        let implementation = self.reader(&folder).implementation(&syntax);
                        self.modules[module].impls.extend(implementation);
                    }
                }
            }
        }
        self.modules
    }

    fn reader<'b>(&'b self, folder: &'b FilePath) -> Reader<'b> {
        Reader { cfg: self.cfg, folder }
    }

    /// Reads a file whose modules lie in `folder`.
    fn file(&mut self, path: &FilePath, folder: &FilePath, module: usize) {
        let Ok(text) = std::fs::read_to_string(path) else { return };
        let text = text.strip_prefix("#!/").map_or(text.as_str(), |_| "");
        count(text, &mut self.uses);
        let Ok(tokens) = text.parse::<TokenStream>() else { return };
        let place = path.parent().unwrap_or(folder);
        if let Ok(attributes) = syn::parse::Parser::parse2(inner_attributes, tokens.clone()) {
            if !self.cfg.allows(&attributes) {
                return;
            }
            if let docs @ Docs::Text(_) = docs_of(&attributes, place) {
                self.modules[module].docs = Some(docs);
            }
        }
        self.items(clean::items(tokens), folder, module);
    }

    fn items(&mut self, items: Vec<Syntax>, folder: &FilePath, module: usize) {
        for item in items {
            self.item(item, folder, module);
        }
    }

    fn item(&mut self, item: Syntax, folder: &FilePath, module: usize) {
        if !self.cfg.allows(attributes_of(&item)) {
            return;
        }
        match item {
            Syntax::Mod(syntax) => self.module(syntax, folder, module),
            Syntax::Use(syntax) => {
                let lead = syntax.leading_colon.map(|_| String::new());
                let public = matches!(syntax.vis, Visibility::Public(_));
                let root =
                    Use { path: lead.into_iter().collect(), name: None, public, hidden: is_hidden(&syntax.attrs) };
                self.imports(&syntax.tree, root, module);
            }
            Syntax::ExternCrate(syntax) => {
                let name = syntax.rename.as_ref().map_or_else(|| unraw(&syntax.ident), |(_, name)| unraw(name));
                let public = matches!(syntax.vis, Visibility::Public(_));
                let own = syntax.ident == "self";
                let path = if own { vec!["crate".to_owned()] } else { vec![String::new(), unraw(&syntax.ident)] };
                let import = Use { path, name: Some(name), public, hidden: is_hidden(&syntax.attrs) };
                self.modules[module].uses.push(import);
            }
            Syntax::Impl(syntax) => self.later.push((module, folder.to_owned(), Later::Impl(syntax))),
            Syntax::Macro(syntax) => self.macro_item(syntax, folder, module),
            other => self.plain_item(other, folder, module),
        }
    }

    fn module(&mut self, syntax: syn::ItemMod, folder: &FilePath, parent: usize) {
        let name = unraw(&syntax.ident);
        let index = self.modules.len();
        self.modules.push(Module {
            name: name.clone(),
            parent: Some(parent),
            docs: Some(docs_of(&syntax.attrs, folder)).filter(|docs| *docs != Docs::None),
            public: matches!(syntax.vis, Visibility::Public(_)),
            hidden: is_hidden(&syntax.attrs),
            ..Module::default()
        });
        if let Some((_, items)) = syntax.content {
            return self.items(items, &folder.join(name), index);
        }
        let named = syntax.attrs.iter().find_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) => Some(path.value()),
                _ => None,
            },
            _ => None,
        });
        if let Some(path) = named {
            let path = folder.join(path);
            let inside = path.parent().unwrap_or(folder).to_owned();
            return self.file(&path, &inside, index);
        }
        let inside = folder.join(&name);
        let flat = folder.join(format!("{name}.rs"));
        let path = if flat.exists() { flat } else { inside.join("mod.rs") };
        self.file(&path, &inside, index);
    }

    fn imports(&mut self, tree: &UseTree, import: Use, module: usize) {
        let then = |name: &syn::Ident| {
            let mut longer = import.clone();
            longer.path.push(unraw(name));
            longer
        };
        match tree {
            UseTree::Path(path) => self.imports(&path.tree, then(&path.ident), module),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.imports(tree, import.clone(), module);
                }
            }
            UseTree::Name(name) if name.ident == "self" => {
                let own = import.path.last().cloned();
                self.modules[module].uses.push(Use { name: own, ..import });
            }
            UseTree::Name(name) => {
                let import = Use { name: Some(unraw(&name.ident)), ..then(&name.ident) };
                self.modules[module].uses.push(import);
            }
            UseTree::Rename(rename) => {
                let target = if rename.ident == "self" { import } else { then(&rename.ident) };
                self.modules[module].uses.push(Use { name: Some(unraw(&rename.rename)), ..target });
            }
            UseTree::Glob(_) => self.modules[module].uses.push(import),
        }
    }

    fn macro_item(&mut self, syntax: syn::ItemMacro, folder: &FilePath, module: usize) {
        let Some(name) = syntax.ident.as_ref().map(unraw) else {
            self.later.push((module, folder.to_owned(), Later::Call(syntax.mac)));
            return;
        };
        let rules = Rc::new(Rules::parse(syntax.mac.tokens.clone()));
        self.macros.insert((module, name.clone()), rules.clone());
        self.macros_anywhere.insert(name.clone(), rules);
        let exported = syntax.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
        let item = Item {
            signature: format!("macro_rules! {name}"),
            public: exported,
            ..self.plain(&name, Kind::Macro, &syntax.attrs, folder)
        };
        // Exported macros live in the root, whatever module they stand in.
        self.modules[if exported { 0 } else { module }].items.push(item);
    }

    fn plain_item(&mut self, item: Syntax, folder: &FilePath, module: usize) {
        let Some(item) = self.described(item, folder, module) else { return };
        self.modules[module].items.push(item);
    }

    fn described(&mut self, item: Syntax, folder: &FilePath, module: usize) -> Option<Item> {
        let reader = self.reader(folder);
        Some(match item {
            Syntax::Struct(syntax) => {
                let (parameters, _) = generics(&syntax.generics, &[]);
                let members = reader.fields(&syntax.fields, &parameters, false);
                let item = self.plain(&unraw(&syntax.ident), Kind::Struct, &syntax.attrs, folder);
                let signature = headed("struct", &syntax.ident, &syntax.generics);
                self.derive(&syntax.attrs, &syntax.ident, &syntax.generics, module);
                Item { public: is_public(&syntax.vis), signature, parameters, members, ..item }
            }
            Syntax::Union(syntax) => {
                let (parameters, _) = generics(&syntax.generics, &[]);
                let item = self.plain(&unraw(&syntax.ident), Kind::Union, &syntax.attrs, folder);
                let signature = headed("union", &syntax.ident, &syntax.generics);
                Item { public: is_public(&syntax.vis), signature, parameters, ..item }
            }
            Syntax::Enum(syntax) => {
                let (parameters, _) = generics(&syntax.generics, &[]);
                let variants = syntax.variants.iter().filter(|variant| self.cfg.allows(&variant.attrs));
                let variants = variants.map(|variant| {
                    let members = reader.fields(&variant.fields, &parameters, true);
                    let mut shape = variant.clone();
                    shape.attrs.clear();
                    for field in &mut shape.fields {
                        field.attrs.clear();
                    }
                    let signature = print(shape.to_token_stream());
                    let item = self.plain(&unraw(&variant.ident), Kind::Variant, &variant.attrs, folder);
                    Item { public: true, signature, members, parameters: parameters.clone(), ..item }
                });
                let variants = variants.collect();
                let item = self.plain(&unraw(&syntax.ident), Kind::Enum, &syntax.attrs, folder);
                let signature = headed("enum", &syntax.ident, &syntax.generics);
                self.derive(&syntax.attrs, &syntax.ident, &syntax.generics, module);
                Item { public: is_public(&syntax.vis), signature, parameters, variants, ..item }
            }
            Syntax::Trait(syntax) => {
                let (parameters, _) = generics(&syntax.generics, &[]);
                let supertraits = bounds(&syntax.supertraits, &parameters);
                let members = reader.trait_items(&syntax.items);
                let item = self.plain(&unraw(&syntax.ident), Kind::Trait, &syntax.attrs, folder);
                let signature = headed("trait", &syntax.ident, &syntax.generics);
                Item { public: is_public(&syntax.vis), signature, parameters, supertraits, members, ..item }
            }
            Syntax::Type(syntax) => {
                let (parameters, _) = generics(&syntax.generics, &[]);
                let target = Some(ty(&syntax.ty, &parameters));
                let head = headed("type", &syntax.ident, &syntax.generics);
                let signature = format!("{head} = {}", print(syntax.ty.to_token_stream()));
                let item = self.plain(&unraw(&syntax.ident), Kind::Alias, &syntax.attrs, folder);
                Item { public: is_public(&syntax.vis), signature, parameters, target, ..item }
            }
            Syntax::Fn(syntax) => {
                let item = self.plain(&unraw(&syntax.sig.ident), Kind::Function, &syntax.attrs, folder);
                Item { public: is_public(&syntax.vis), signature: print(syntax.sig.to_token_stream()), ..item }
            }
            Syntax::Const(syntax) => {
                let item = self.plain(&unraw(&syntax.ident), Kind::Const, &syntax.attrs, folder);
                let signature = format!("const {}: {}", item.name, print(syntax.ty.to_token_stream()));
                Item { public: is_public(&syntax.vis), signature, ..item }
            }
            Syntax::Static(syntax) => {
                let item = self.plain(&unraw(&syntax.ident), Kind::Static, &syntax.attrs, folder);
                let signature = format!("static {}: {}", item.name, print(syntax.ty.to_token_stream()));
                Item { public: is_public(&syntax.vis), signature, ..item }
            }
            _ => return None,
        })
    }

    fn plain(&self, name: &str, kind: Kind, attributes: &[Attribute], folder: &FilePath) -> Item {
        Item {
            name: name.to_owned(),
            kind,
            public: false,
            hidden: is_hidden(attributes),
            weight: u8::from(!is_deprecated(attributes)),
            signature: String::new(),
            docs: docs_of(attributes, folder),
            parameters: Vec::new(),
            variants: Vec::new(),
            members: Vec::new(),
            target: None,
            supertraits: Vec::new(),
        }
    }

    /// The impls that `#[derive(..)]` makes.
    fn derive(&mut self, attributes: &[Attribute], name: &syn::Ident, of: &Generics, module: usize) {
        let (parameters, _) = generics(of, &[]);
        let arguments = parameters.iter().cloned().map(Ty::Parameter).collect();
        let ty = Ty::Named(vec![unraw(name)], arguments);
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
            let parser = syn::punctuated::Punctuated::<syn::Path, syn::Token![,]>::parse_terminated;
            for derived in attribute.parse_args_with(parser).into_iter().flatten() {
                let of = Bound { name: names(&derived), arguments: Vec::new(), types: Vec::new() };
                let asked = |name: &String| (Ty::Parameter(name.clone()), of.clone());
                let bounds = parameters.iter().map(asked).collect();
                let implementation = Impl {
                    parameters: parameters.clone(),
                    bounds,
                    of: Some(of),
                    ty: ty.clone(),
                    members: Vec::new(),
                    types: Vec::new(),
                };
                self.modules[module].impls.push(implementation);
            }
        }
    }

    /// Macro calls among the members become what they stand for.
    fn expand_members(&self, syntax: &mut ItemImpl, module: usize) {
        for _ in 0..DEPTH {
            let mut changed = false;
            let mut members = Vec::new();
            for item in std::mem::take(&mut syntax.items) {
                match item {
                    syn::ImplItem::Macro(call) if self.cfg.allows(&call.attrs) => {
                        let tokens = self.expanded(&call.mac, module).unwrap_or_default();
                        let wrapped = clean::items(quote::quote!(impl X { #tokens }));
                        if let Some(Syntax::Impl(inner)) = wrapped.into_iter().next() {
                            members.extend(inner.items);
                            changed = true;
                        }
                    }
                    other => members.push(other),
                }
            }
            syntax.items = members;
            if !changed {
                break;
            }
        }
    }

    fn expanded(&self, call: &syn::Macro, module: usize) -> Option<TokenStream> {
        let name = unraw(&call.path.segments.last()?.ident);
        if name == "cfg_if" || name == "cfg_select" {
            return Some(self.selected(call.tokens.clone()));
        }
        let mut place = Some(module);
        while let Some(index) = place {
            if let Some(rules) = self.macros.get(&(index, name.clone())) {
                return rules.expand(call.tokens.clone());
            }
            place = self.modules[index].parent;
        }
        self.macros_anywhere.get(&name)?.expand(call.tokens.clone())
    }

    /// The branch of a `cfg_if!` or `cfg_select!` that holds.
    fn selected(&self, tokens: TokenStream) -> TokenStream {
        let mut condition = TokenStream::new();
        for token in tokens {
            match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    if self.is_chosen(std::mem::take(&mut condition)) {
                        return group.stream();
                    }
                }
                token => condition.extend([token]),
            }
        }
        TokenStream::new()
    }

    /// `if #[cfg(unix)]`, `else`, `unix =>` or `_ =>`.
    fn is_chosen(&self, condition: TokenStream) -> bool {
        let mut predicate = TokenStream::new();
        for token in condition {
            match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
                    let inner = group.stream().into_iter().find_map(|token| match token {
                        TokenTree::Group(group) => Some(group.stream()),
                        _ => None,
                    });
                    return inner.is_some_and(|inner| self.cfg.holds_for(inner));
                }
                TokenTree::Punct(punct) if matches!(punct.as_char(), '=' | '>') => {}
                TokenTree::Ident(word) if word == "if" || word == "else" => {}
                token => predicate.extend([token]),
            }
        }
        predicate.is_empty() || self.cfg.holds_for(predicate)
    }
}

fn count(text: &str, uses: &mut Uses) {
    for part in text.split(['.', ':']).skip(1) {
        let end = part.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(part.len());
        match uses.get_mut(&part[..end]) {
            Some(count) => *count += 1,
            None if end > 0 => {
                uses.insert(part[..end].to_owned(), 1);
            }
            None => {}
        }
    }
}

fn headed(word: &str, name: &syn::Ident, generics: &Generics) -> String {
    print(quote::quote!(#name #generics)).replacen("", &format!("{word} "), 1)
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

fn inner_attributes(input: syn::parse::ParseStream) -> syn::Result<Vec<Attribute>> {
    let attributes = Attribute::parse_inner(input)?;
    input.parse::<TokenStream>()?;
    Ok(attributes)
}

fn attributes_of(item: &Syntax) -> &[Attribute] {
    match item {
        Syntax::Const(item) => &item.attrs,
        Syntax::Enum(item) => &item.attrs,
        Syntax::ExternCrate(item) => &item.attrs,
        Syntax::Fn(item) => &item.attrs,
        Syntax::ForeignMod(item) => &item.attrs,
        Syntax::Impl(item) => &item.attrs,
        Syntax::Macro(item) => &item.attrs,
        Syntax::Mod(item) => &item.attrs,
        Syntax::Static(item) => &item.attrs,
        Syntax::Struct(item) => &item.attrs,
        Syntax::Trait(item) => &item.attrs,
        Syntax::Type(item) => &item.attrs,
        Syntax::Union(item) => &item.attrs,
        Syntax::Use(item) => &item.attrs,
        _ => &[],
    }
}
