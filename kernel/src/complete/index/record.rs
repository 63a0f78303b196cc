//! Items as records of the index.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The number of an item: a module, type, trait, function, constant, macro or variant.
pub(crate) type Id = u32;

/// The kind of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Kind {
    Module,
    Struct,
    Union,
    Enum,
    Variant,
    Trait,
    Alias,
    Function,
    Const,
    Static,
    Macro,
    Field,
    Method,
    AssociatedFunction,
    AssociatedConst,
    AssociatedType,
}

/// Namespaces: names of types, values and macros do not clash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Space {
    Types,
    Values,
    Macros,
}

/// An item.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    /// Where it is defined, such as `polars_core::frame::DataFrame`.
    pub(crate) path: String,
    pub(crate) signature: String,
    pub(crate) docs: Docs,
    pub(crate) hidden: bool,
    pub(crate) weight: u8,
    /// A module's names, including re-exports; an enum's variants.
    pub(crate) children: Vec<Child>,
    /// A struct's fields, a trait's items.
    pub(crate) members: Vec<Member>,
    /// The names of its type parameters.
    pub(crate) parameters: Vec<String>,
    /// The target of an alias.
    pub(crate) target: Option<Ty>,
    pub(crate) supertraits: Vec<Bound>,
}

/// A name in a module or an enum.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Child {
    pub(crate) name: String,
    pub(crate) id: Id,
    pub(crate) kind: Kind,
    pub(crate) public: bool,
    /// Not meant to be used: hidden from the docs, or unstable.
    pub(crate) hidden: bool,
    /// How often the sources use the name, as a logarithm.
    pub(crate) weight: u8,
}

/// A field, or an item of an impl or a trait.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Member<N = Id> {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) signature: String,
    pub(crate) docs: Docs,
    pub(crate) public: bool,
    pub(crate) hidden: bool,
    pub(crate) weight: u8,
    /// A field's type.
    pub(crate) ty: Option<Ty<N>>,
}

/// An `impl` block. If it is of a trait, the members are those of the trait and not stored here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Impl<N = Id> {
    pub(crate) parameters: Vec<String>,
    pub(crate) of: Option<Bound<N>>,
    pub(crate) ty: Ty<N>,
    pub(crate) bounds: Vec<(Ty<N>, Bound<N>)>,
    pub(crate) members: Vec<Member<N>>,
    /// Associated types.
    pub(crate) types: Vec<(String, Ty<N>)>,
}

/// A type over names `N`: ids, or unresolved paths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Ty<N = Id> {
    Named(N, Vec<Ty<N>>),
    Parameter(String),
    Primitive(String),
    Reference(Box<Ty<N>>),
    Pointer(Box<Ty<N>>),
    Slice(Box<Ty<N>>),
    Array(Box<Ty<N>>),
    Tuple(Vec<Ty<N>>),
    Dynamic(Vec<Bound<N>>),
    /// `impl Trait`.
    Opaque(Vec<Bound<N>>),
    Function,
    /// `T::Item`.
    Projection(Box<Ty<N>>, String),
    Unknown,
}

/// A trait with its arguments, `Iterator<Item = u8>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bound<N = Id> {
    pub(crate) name: N,
    pub(crate) arguments: Vec<Ty<N>>,
    pub(crate) types: Vec<(String, Ty<N>)>,
}

/// The key of impls: the outermost part of their type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Head {
    Named(Id),
    Primitive(String),
    Reference,
    Pointer,
    Slice,
    Array,
    Tuple,
    Dynamic(Id),
    Function,
    /// `impl<T> .. for T`.
    Any,
}

/// Docs: text that is not yet stored, or its place in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Docs {
    None,
    Text(String),
    Stored { offset: u64, length: u32 },
}

impl Kind {
    /// The namespace of the kind. Structs are also found as values if no value has the name.
    pub(crate) fn space(self) -> Space {
        match self {
            Self::Function | Self::Const | Self::Static => Space::Values,
            Self::Macro => Space::Macros,
            _ => Space::Types,
        }
    }

    /// The kind's name in Jupyter's completions.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Struct | Self::Union => "struct",
            Self::Enum => "enum",
            Self::Variant => "variant",
            Self::Trait => "trait",
            Self::Alias | Self::AssociatedType => "type",
            Self::Function | Self::AssociatedFunction => "function",
            Self::Const | Self::Static | Self::AssociatedConst => "constant",
            Self::Macro => "macro",
            Self::Field => "field",
            Self::Method => "method",
        }
    }
}

impl Ty {
    /// The key of its impls; `None` for an unknown type.
    pub(crate) fn head(&self) -> Option<Head> {
        Some(match self {
            Self::Named(id, _) => Head::Named(*id),
            Self::Primitive(name) => Head::Primitive(name.clone()),
            Self::Reference(_) => Head::Reference,
            Self::Pointer(_) => Head::Pointer,
            Self::Slice(_) => Head::Slice,
            Self::Array(_) => Head::Array,
            Self::Tuple(_) => Head::Tuple,
            Self::Dynamic(bounds) => Head::Dynamic(bounds.first()?.name),
            Self::Function => Head::Function,
            Self::Parameter(_) | Self::Projection(..) | Self::Opaque(_) => Head::Any,
            Self::Unknown => return None,
        })
    }
}

/// Maps the name of a type, with arguments.
type Named<'a, N, M> = &'a dyn Fn(&N, Vec<Ty<M>>) -> Ty<M>;

impl<N> Ty<N> {
    /// The type over other names: `named` maps names of types, `of` names of traits.
    pub(crate) fn map<M>(&self, named: Named<N, M>, of: &dyn Fn(&N) -> Option<M>) -> Ty<M> {
        let one = |ty: &Ty<N>| Box::new(ty.map(named, of));
        let many = |types: &[Ty<N>]| types.iter().map(|ty| ty.map(named, of)).collect();
        let bounds = |bounds: &[Bound<N>]| bounds.iter().filter_map(|bound| bound.map(named, of)).collect();
        match self {
            Self::Named(name, arguments) => named(name, many(arguments)),
            Self::Parameter(name) => Ty::Parameter(name.clone()),
            Self::Primitive(name) => Ty::Primitive(name.clone()),
            Self::Reference(inner) => Ty::Reference(one(inner)),
            Self::Pointer(inner) => Ty::Pointer(one(inner)),
            Self::Slice(inner) => Ty::Slice(one(inner)),
            Self::Array(inner) => Ty::Array(one(inner)),
            Self::Tuple(inner) => Ty::Tuple(many(inner)),
            Self::Dynamic(inner) => Ty::Dynamic(bounds(inner)),
            Self::Opaque(inner) => Ty::Opaque(bounds(inner)),
            Self::Function => Ty::Function,
            Self::Projection(inner, name) => Ty::Projection(one(inner), name.clone()),
            Self::Unknown => Ty::Unknown,
        }
    }
}

impl<N> Bound<N> {
    pub(crate) fn map<M>(&self, named: Named<N, M>, of: &dyn Fn(&N) -> Option<M>) -> Option<Bound<M>> {
        Some(Bound {
            name: of(&self.name)?,
            arguments: self.arguments.iter().map(|ty| ty.map(named, of)).collect(),
            types: self.types.iter().map(|(name, ty)| (name.clone(), ty.map(named, of))).collect(),
        })
    }
}

impl Ty {
    /// The type with `values` in place of parameters.
    pub(crate) fn with(&self, values: &HashMap<String, Ty>) -> Ty {
        let one = |ty: &Ty| Box::new(ty.with(values));
        let many = |types: &[Ty]| types.iter().map(|ty| ty.with(values)).collect();
        let bounds = |bounds: &[Bound]| bounds.iter().map(|bound| bound.with(values)).collect();
        match self {
            Self::Parameter(name) => values.get(name).cloned().unwrap_or_else(|| self.clone()),
            Self::Named(id, arguments) => Self::Named(*id, many(arguments)),
            Self::Reference(inner) => Self::Reference(one(inner)),
            Self::Pointer(inner) => Self::Pointer(one(inner)),
            Self::Slice(inner) => Self::Slice(one(inner)),
            Self::Array(inner) => Self::Array(one(inner)),
            Self::Tuple(inner) => Self::Tuple(many(inner)),
            Self::Dynamic(inner) => Self::Dynamic(bounds(inner)),
            Self::Opaque(inner) => Self::Opaque(bounds(inner)),
            Self::Projection(of, name) => Self::Projection(one(of), name.clone()),
            Self::Primitive(_) | Self::Function | Self::Unknown => self.clone(),
        }
    }
}

impl Bound {
    pub(crate) fn with(&self, values: &HashMap<String, Ty>) -> Bound {
        Bound {
            name: self.name,
            arguments: self.arguments.iter().map(|ty| ty.with(values)).collect(),
            types: self.types.iter().map(|(name, ty)| (name.clone(), ty.with(values))).collect(),
        }
    }
}
