//! Inspection of the name at the cursor.

use ra_ap_syntax::{SyntaxKind, TextRange};

use super::commands::rust;
use super::context::{Context, Position};
use super::describe::Description;
use super::index::record::{Kind, Space, Ty};
use super::locals::locals;
use super::view::View;
use super::{Completer, Ticket};
use crate::session::Scope;

impl Completer {
    /// The name at byte `at`, or the function whose arguments the cursor is in.
    pub(super) fn description(&self, code: &str, at: usize, ticket: &Ticket) -> Option<Description> {
        let (rust, at) = rust(code, at)?;
        let position = Position::to_inspect(&rust, at)?;
        let scope = self.scope_now();
        let view = self.view(&scope, &position);
        let name = position.token.text().to_owned();
        match position.context()? {
            Context::Member { receiver, whole } => {
                let (ty, _) = self.type_of(&scope, &view, &position, receiver, whole, ticket)?;
                let found = view.members().of_value(&ty).into_iter().find(|found| found.member.name == name)?;
                Some(Description::of_member(&view, &found.member, found.owner))
            }
            Context::Path { before, .. } => behind_path(&view, &before, &name),
            Context::Field { path, .. } => {
                let id = view.find(&path, Space::Types).map(|id| view.world.aliased(id))?;
                let record = view.world.record(id)?;
                let member = record.members.iter().find(|member| member.name == name)?;
                Some(Description::of_member(&view, member, Some(id)))
            }
            Context::Name { whole } => {
                let variable = self.variable((&scope, &view), &position, &name, whole, ticket);
                let end = usize::from(position.token.text_range().end());
                let called = position.text[end..].starts_with('!');
                let named = called.then(|| view.named(&name, Space::Macros)).flatten();
                let named = named.and_then(|id| Description::of_item(&view, id));
                named.or(variable).or_else(|| item(&view, &[name]))
            }
        }
    }

    fn variable(
        &self,
        (scope, view): (&Scope, &View),
        position: &Position,
        name: &str,
        whole: TextRange,
        ticket: &Ticket,
    ) -> Option<Description> {
        let bound = position.token.parent_ancestors().find(|node| node.kind() == SyntaxKind::IDENT_PAT);
        let known = scope.variables.iter().any(|variable| variable.name == name);
        if bound.is_none() && !known && !locals(&position.token).iter().any(|local| local == name) {
            return None;
        }
        // The type of a variable bound by `let` is asked for after the statement.
        let statement = bound.and_then(|node| node.ancestors().find(|node| node.kind() == SyntaxKind::LET_STMT));
        let replaced = statement.map_or(whole, |node| TextRange::empty(node.text_range().end()));
        let (ty, printed) = self.type_of(scope, view, position, whole, replaced, ticket)?;
        let id = if let Ty::Named(id, _) = ty { Some(id) } else { None };
        Some(Description::of_variable(view, name, &printed, id))
    }
}

fn behind_path(view: &View, before: &[String], name: &str) -> Option<Description> {
    let path: Vec<String> = before.iter().cloned().chain([name.to_owned()]).collect();
    item(view, &path).or_else(|| {
        let id = view.find(before, Space::Types);
        let of_trait = id.filter(|id| view.world.record(*id).is_some_and(|record| record.kind == Kind::Trait));
        let found = match (of_trait, view.type_named(before)) {
            (Some(id), _) => view.members().of_trait(id),
            (None, Some(ty)) => view.members().of_type(&ty),
            (None, None) => Vec::new(),
        };
        let found = found.into_iter().find(|found| found.member.name == name)?;
        Some(Description::of_member(view, &found.member, found.owner))
    })
}

fn item(view: &View, path: &[String]) -> Option<Description> {
    let spaces = [Space::Values, Space::Types, Space::Macros];
    let id = spaces.into_iter().find_map(|space| view.find(path, space))?;
    Description::of_item(view, id)
}
