//! Converts syn's items to those of the index: types, bounds, members.

use std::path::Path as FilePath;

use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{
    Field, Fields, GenericArgument, GenericParam, Generics, ImplItem, ItemImpl, PathArguments, ReturnType, Token,
    TraitItem, Type, TypeParamBound, Visibility, WherePredicate,
};

use super::cfg::Cfg;
use super::docs::{docs_of, is_deprecated, is_hidden};
use super::print::print;
use super::record::{Bound, Impl, Kind, Member, Ty};

/// An unresolved path; an empty first part is a leading `::`.
pub(crate) type Path = Vec<String>;

/// The primitive types.
pub(crate) const PRIMITIVES: [&str; 17] = [
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "str", "u8", "u16", "u32", "u64", "u128",
    "usize",
];

/// Reads attributes.
pub(super) struct Reader<'a> {
    pub(super) cfg: &'a Cfg,
    pub(super) folder: &'a FilePath,
}

pub(crate) fn ty(syntax: &Type, parameters: &[String]) -> Ty<Path> {
    let inner = |syntax: &Type| Box::new(ty(syntax, parameters));
    match syntax {
        Type::Path(path) => path_type(path, parameters),
        Type::Reference(reference) => Ty::Reference(inner(&reference.elem)),
        Type::Ptr(pointer) => Ty::Pointer(inner(&pointer.elem)),
        Type::Slice(slice) => Ty::Slice(inner(&slice.elem)),
        Type::Array(array) => Ty::Array(inner(&array.elem)),
        Type::Tuple(tuple) => Ty::Tuple(tuple.elems.iter().map(|each| ty(each, parameters)).collect()),
        Type::TraitObject(object) => Ty::Dynamic(bounds(&object.bounds, parameters)),
        Type::ImplTrait(opaque) => Ty::Opaque(bounds(&opaque.bounds, parameters)),
        Type::BareFn(_) => Ty::Function,
        Type::Paren(paren) => ty(&paren.elem, parameters),
        Type::Group(group) => ty(&group.elem, parameters),
        Type::Never(_) => Ty::Primitive("!".to_owned()),
        _ => Ty::Unknown,
    }
}

pub(crate) fn bounds(syntax: &Punctuated<TypeParamBound, Token![+]>, parameters: &[String]) -> Vec<Bound<Path>> {
    let traits = syntax.iter().filter_map(|bound| match bound {
        TypeParamBound::Trait(bound) if matches!(bound.modifier, syn::TraitBoundModifier::None) => Some(&bound.path),
        _ => None,
    });
    traits.map(|path| bound(path, parameters)).collect()
}

pub(crate) fn bound(path: &syn::Path, parameters: &[String]) -> Bound<Path> {
    let (arguments, types) =
        path.segments.last().map(|last| arguments(&last.arguments, parameters)).unwrap_or_default();
    Bound { name: names(path), arguments, types }
}

/// Bounds of types.
pub(crate) type Asked = Vec<(Ty<Path>, Bound<Path>)>;

/// The names of type parameters, and the bounds.
pub(crate) fn generics(syntax: &Generics, outer: &[String]) -> (Vec<String>, Asked) {
    let own = syntax.type_params().map(|parameter| parameter.ident.to_string());
    let parameters: Vec<String> = outer.iter().cloned().chain(own).collect();
    let mut asked = Vec::new();
    let mut ask = |of: Ty<Path>, syntax| {
        asked.extend(bounds(syntax, &parameters).into_iter().map(|bound| (of.clone(), bound)));
    };
    for parameter in &syntax.params {
        if let GenericParam::Type(parameter) = parameter {
            ask(Ty::Parameter(parameter.ident.to_string()), &parameter.bounds);
        }
    }
    for predicate in syntax.where_clause.iter().flat_map(|clause| &clause.predicates) {
        if let WherePredicate::Type(predicate) = predicate {
            ask(ty(&predicate.bounded_ty, &parameters), &predicate.bounds);
        }
    }
    (parameters, asked)
}

pub(crate) fn names(path: &syn::Path) -> Path {
    let lead = path.leading_colon.map(|_| String::new());
    lead.into_iter().chain(path.segments.iter().map(|segment| unraw(&segment.ident))).collect()
}

pub(super) fn unraw(name: &syn::Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#").map(str::to_owned).unwrap_or(name)
}

impl Reader<'_> {
    pub(super) fn fields(&self, fields: &Fields, parameters: &[String], of_variant: bool) -> Vec<Member<Path>> {
        let named = fields.iter().enumerate().filter(|(_, field)| self.cfg.allows(&field.attrs));
        named.map(|(at, field)| self.field(at, field, parameters, of_variant)).collect()
    }

    fn field(&self, at: usize, field: &Field, parameters: &[String], of_variant: bool) -> Member<Path> {
        let name = field.ident.as_ref().map_or_else(|| at.to_string(), unraw);
        let signature = format!("{name}: {}", print(field.ty.to_token_stream()));
        let public = of_variant || matches!(field.vis, Visibility::Public(_));
        let ty = Some(ty(&field.ty, parameters));
        self.member(name, Kind::Field, signature, &field.attrs, public, ty)
    }

    /// An impl; only the header, if it is of a trait.
    pub(super) fn implementation(&self, syntax: &ItemImpl) -> Option<Impl<Path>> {
        let (parameters, bounds) = generics(&syntax.generics, &[]);
        let of = match &syntax.trait_ {
            Some((Some(_), ..)) => return None,
            Some((None, path, _)) => Some(bound(path, &parameters)),
            None => None,
        };
        let mut members = Vec::new();
        let mut types = Vec::new();
        for item in &syntax.items {
            match item {
                ImplItem::Fn(function) if of.is_none() && self.cfg.allows(&function.attrs) => {
                    let public = matches!(function.vis, Visibility::Public(_));
                    members.push(self.function(&function.sig, &function.attrs, public));
                }
                ImplItem::Const(constant) if of.is_none() && self.cfg.allows(&constant.attrs) => {
                    let (name, public) = (unraw(&constant.ident), matches!(constant.vis, Visibility::Public(_)));
                    let signature = format!("const {name}: {}", print(constant.ty.to_token_stream()));
                    members.push(self.member(name, Kind::AssociatedConst, signature, &constant.attrs, public, None));
                }
                ImplItem::Type(alias) => types.push((alias.ident.to_string(), ty(&alias.ty, &parameters))),
                _ => {}
            }
        }
        Some(Impl { ty: ty(&syntax.self_ty, &parameters), parameters, of, bounds, members, types })
    }

    pub(super) fn trait_items(&self, items: &[TraitItem]) -> Vec<Member<Path>> {
        let mut members = Vec::new();
        for item in items {
            match item {
                TraitItem::Fn(function) if self.cfg.allows(&function.attrs) => {
                    members.push(self.function(&function.sig, &function.attrs, true));
                }
                TraitItem::Const(constant) if self.cfg.allows(&constant.attrs) => {
                    let name = unraw(&constant.ident);
                    let signature = format!("const {name}: {}", print(constant.ty.to_token_stream()));
                    members.push(self.member(name, Kind::AssociatedConst, signature, &constant.attrs, true, None));
                }
                TraitItem::Type(alias) if self.cfg.allows(&alias.attrs) => {
                    let name = unraw(&alias.ident);
                    let signature = format!("type {name}");
                    members.push(self.member(name, Kind::AssociatedType, signature, &alias.attrs, true, None));
                }
                _ => {}
            }
        }
        members
    }

    fn function(&self, signature: &syn::Signature, attributes: &[syn::Attribute], public: bool) -> Member<Path> {
        let kind = if signature.receiver().is_some() { Kind::Method } else { Kind::AssociatedFunction };
        let text = print(signature.to_token_stream());
        self.member(unraw(&signature.ident), kind, text, attributes, public, None)
    }

    fn member(
        &self,
        name: String,
        kind: Kind,
        signature: String,
        attributes: &[syn::Attribute],
        public: bool,
        ty: Option<Ty<Path>>,
    ) -> Member<Path> {
        let weight = u8::from(!is_deprecated(attributes));
        let docs = docs_of(attributes, self.folder);
        Member { name, kind, signature, docs, public, hidden: is_hidden(attributes), weight, ty }
    }
}

fn path_type(syntax: &syn::TypePath, parameters: &[String]) -> Ty<Path> {
    let path = &syntax.path;
    let Some(last) = path.segments.last() else { return Ty::Unknown };
    if let Some(of) = &syntax.qself {
        return Ty::Projection(Box::new(ty(&of.ty, parameters)), unraw(&last.ident));
    }
    let names = names(path);
    let is_parameter = |name: &String| name == "Self" || parameters.contains(name);
    match names.as_slice() {
        [one] if is_parameter(one) => Ty::Parameter(one.clone()),
        [one] if PRIMITIVES.contains(&one.as_str()) => Ty::Primitive(one.clone()),
        [first, second] if is_parameter(first) => {
            Ty::Projection(Box::new(Ty::Parameter(first.clone())), second.clone())
        }
        _ => Ty::Named(names, arguments(&last.arguments, parameters).0),
    }
}

type Arguments = (Vec<Ty<Path>>, Vec<(String, Ty<Path>)>);

fn arguments(syntax: &PathArguments, parameters: &[String]) -> Arguments {
    let (mut positional, mut named) = (Vec::new(), Vec::new());
    match syntax {
        PathArguments::None => {}
        PathArguments::AngleBracketed(list) => {
            for argument in &list.args {
                match argument {
                    GenericArgument::Type(syntax) => positional.push(ty(syntax, parameters)),
                    GenericArgument::Const(_) => positional.push(Ty::Unknown),
                    GenericArgument::AssocType(pair) => named.push((unraw(&pair.ident), ty(&pair.ty, parameters))),
                    _ => {}
                }
            }
        }
        PathArguments::Parenthesized(call) => {
            positional.push(Ty::Tuple(call.inputs.iter().map(|each| ty(each, parameters)).collect()));
            if let ReturnType::Type(_, output) = &call.output {
                named.push(("Output".to_owned(), ty(output, parameters)));
            }
        }
    }
    (positional, named)
}
