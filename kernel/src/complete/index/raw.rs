//! A crate's modules, parsed and with macros expanded, but without resolving names.

use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};
use std::rc::Rc;

use proc_macro2::TokenStream;
use syn::{Attribute, Item as Syntax, ItemImpl, Meta, UseTree, Visibility};

use super::cfg::Cfg;
use super::clean;
use super::convert::{Path, Reader, unraw};
use super::docs::{docs_of, is_hidden};
use super::expand::Rules;
use super::record::{Bound, Docs, Impl, Kind, Member, Ty};

/// How deep macros may call macros.
pub(super) const DEPTH: usize = 8;

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
    /// 0 if deprecated.
    pub(crate) weight: u8,
    pub(crate) signature: String,
    pub(crate) docs: Docs,
    pub(crate) parameters: Vec<String>,
    pub(crate) variants: Vec<Item>,
    pub(crate) members: Vec<Member<Path>>,
    pub(crate) target: Option<Ty<Path>>,
    pub(crate) supertraits: Vec<Bound<Path>>,
}

/// A name of a `use`, or a glob.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) path: Path,
    /// `None` for a glob.
    pub(crate) name: Option<String>,
    pub(crate) public: bool,
    pub(crate) hidden: bool,
}

/// How often names follow a dot or a double colon.
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

pub(super) struct Walker<'a> {
    pub(super) cfg: &'a Cfg,
    uses: Uses,
    pub(super) modules: Vec<Module>,
    pub(super) macros: HashMap<(usize, String), Rc<Rules>>,
    pub(super) macros_anywhere: HashMap<String, Rc<Rules>>,
    /// Items that need macros which may be defined later.
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

    pub(super) fn reader<'b>(&'b self, folder: &'b FilePath) -> Reader<'b> {
        Reader { cfg: self.cfg, folder }
    }

    /// Reads a file whose submodules are in `folder`.
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
        // Exported macros belong to the root, wherever they are defined.
        self.modules[if exported { 0 } else { module }].items.push(item);
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
