//! The offers at the cursor.

use super::context::{Context, Position};
use super::index::convert::PRIMITIVES;
use super::index::record::{Child, Id, Kind, Space, Ty};
use super::locals::locals;
use super::members::Found;
use super::view::View;
use crate::session::Scope;

/// A name that fits at the cursor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offer {
    pub(super) text: String,
    /// As Jupyter names it: "function", "module", ..
    pub(super) kind: &'static str,
    pub(super) detail: Detail,
    /// Lower groups are shown first.
    pub(super) group: u8,
    /// How common the name is.
    pub(super) weight: u8,
}

/// The text next to the name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Detail {
    Text(String),
    /// The signature of an item, which is only read if the name is offered.
    Of(Id),
}

const KEYWORDS: [&str; 31] = [
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "false", "fn", "for", "if",
    "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "return", "self", "static", "struct", "trait",
    "true", "use", "while",
];

impl Offer {
    pub(super) fn new(text: impl Into<String>, kind: &'static str, detail: impl Into<String>, group: u8) -> Self {
        Self { text: text.into(), kind, detail: Detail::Text(detail.into()), group, weight: 0 }
    }

    fn member(found: Found) -> Self {
        let member = found.member;
        Self {
            text: member.name,
            kind: member.kind.word(),
            detail: Detail::Text(member.signature),
            group: found.group,
            weight: member.weight,
        }
    }

    fn child(child: &Child, group: u8) -> Self {
        let bang = if child.kind == Kind::Macro { "!" } else { "" };
        Self {
            text: format!("{}{bang}", child.name),
            kind: child.kind.word(),
            detail: Detail::Of(child.id),
            group,
            weight: child.weight,
        }
    }
}

/// The fields and methods of a value of type `ty`.
pub(super) fn behind_dot(view: &View, ty: &Ty) -> Vec<Offer> {
    let mut offers: Vec<Offer> = view.members().of_value(ty).into_iter().map(Offer::member).collect();
    if offers.iter().any(|offer| offer.text == "into_future") {
        offers.push(Offer::new("await", "keyword", "", 1));
    }
    offers
}

/// The offers at the cursor that do not depend on the type of an expression.
pub(super) fn elsewhere(view: &View, scope: &Scope, position: &Position, context: &Context) -> Vec<Offer> {
    match context {
        Context::Member { .. } => Vec::new(),
        Context::Path { before, import } => behind_path(view, before, *import),
        Context::Field { path, present } => fields(view, path, present),
        Context::Name { .. } => names(view, scope, position),
    }
}

fn behind_path(view: &View, before: &[String], import: bool) -> Vec<Offer> {
    if before.is_empty() || before == [""] {
        let own = view.names().into_iter().filter(|child| child.kind == Kind::Module);
        return view.crates().into_iter().chain(own).map(|child| Offer::child(&child, 0)).collect();
    }
    let mut offers = Vec::new();
    if let Some(id) = view.find(before, Space::Types)
        && let Some(record) = view.world.record(view.world.aliased(id))
    {
        let visible = record.children.iter().filter(|child| !child.hidden && (child.public || view.is_own(child.id)));
        offers.extend(visible.map(|child| Offer::child(child, u8::from(child.kind == Kind::Macro))));
        if record.kind == Kind::Trait {
            offers.extend(view.members().of_trait(id).into_iter().map(Offer::member));
        }
    }
    if import {
        offers.extend([Offer::new("self", "keyword", "", 3)]);
    } else if let Some(ty) = view.type_named(before) {
        offers.extend(view.members().of_type(&ty).into_iter().map(|found| {
            // Functions without a receiver first: methods can also be called with a dot.
            let method = u8::from(found.member.kind == Kind::Method);
            let group = found.group * 2 + method;
            Offer { group, ..Offer::member(found) }
        }));
    }
    offers
}

fn fields(view: &View, path: &[String], present: &[String]) -> Vec<Offer> {
    let id = view.find(path, Space::Types).map(|id| view.world.aliased(id));
    let Some((id, record)) = id.and_then(|id| Some((id, view.world.record(id)?))) else { return Vec::new() };
    let fields = record.members.iter().filter(|member| member.kind == Kind::Field && !present.contains(&member.name));
    let visible = fields.filter(|member| member.public || view.is_own(id));
    visible.map(|member| Offer::new(&member.name, "field", &member.signature, 0)).collect()
}

fn names(view: &View, scope: &Scope, position: &Position) -> Vec<Offer> {
    let mut offers: Vec<Offer> =
        locals(&position.token).into_iter().map(|name| Offer::new(name, "variable", "", 0)).collect();
    for variable in &scope.variables {
        if !offers.iter().any(|offer| offer.text == variable.name) {
            offers.push(Offer::new(&variable.name, "variable", &variable.ty, 0));
        }
    }
    offers.extend(view.names().iter().map(|child| Offer::child(child, if view.is_own(child.id) { 1 } else { 2 })));
    offers.extend(KEYWORDS.map(|word| Offer::new(word, "keyword", "", 3)));
    offers.extend(PRIMITIVES.map(|name| Offer::new(name, "type", "", 3)));
    offers
}
