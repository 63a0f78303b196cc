//! Structs, enums, traits, functions and other items, as kept in the index.

use std::path::Path as FilePath;

use quote::ToTokens;
use syn::{Attribute, Generics, Item as Syntax, Visibility};

use super::convert::{bounds, generics, names, ty, unraw};
use super::docs::{docs_of, is_deprecated, is_hidden};
use super::print::print;
use super::raw::{Item, Walker};
use super::record::{Bound, Impl, Kind, Ty};

impl Walker<'_> {
    pub(super) fn plain_item(&mut self, item: Syntax, folder: &FilePath, module: usize) {
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

    pub(super) fn plain(&self, name: &str, kind: Kind, attributes: &[Attribute], folder: &FilePath) -> Item {
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

    /// The impls that `#[derive(..)]` generates.
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
}

fn headed(word: &str, name: &syn::Ident, generics: &Generics) -> String {
    print(quote::quote!(#name #generics)).replacen("", &format!("{word} "), 1)
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}
