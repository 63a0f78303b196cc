//! The fields and methods of a type, as the compiler finds them: through dereferencing, inherent ones
//! first, then those of the traits in scope.

use std::collections::{HashMap, HashSet};

use super::index::record::{Bound, Head, Id, Impl, Kind, Member, Space, Ty};
use super::index::world::World;

/// How deep bounds of bounds are followed.
const DEPTH: usize = 4;

/// The maximum number of dereferences.
const STEPS: usize = 10;

/// A member and how it was reached.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) member: Member,
    /// Fields 0, inherent members 1, members of traits 2.
    pub(super) group: u8,
    /// The number of dereferences.
    pub(super) steps: usize,
    /// The trait or type that has it.
    pub(super) owner: Option<Id>,
}

/// Finds members.
pub(super) struct Members<'a> {
    pub(super) world: &'a World,
    /// Traits in scope.
    pub(super) traits: &'a HashSet<Id>,
    /// Ids from here on are the user's own items, whose private members are visible.
    pub(super) own_from: Id,
}

impl Members<'_> {
    /// The members that can follow the dot of a value.
    pub(super) fn of_value(&self, ty: &Ty) -> Vec<Found> {
        let mut found = Vec::new();
        for (steps, ty) in self.dereferenced(ty).iter().enumerate() {
            self.fields(ty, steps, &mut found);
            self.methods(ty, steps, &mut found, |member| member.kind == Kind::Method);
        }
        unique(found)
    }

    /// The members that can follow `Type::`.
    pub(super) fn of_type(&self, ty: &Ty) -> Vec<Found> {
        let mut found = Vec::new();
        self.methods(ty, 0, &mut found, |_| true);
        unique(found)
    }

    /// The items of a trait and its supertraits.
    pub(super) fn of_trait(&self, id: Id) -> Vec<Found> {
        let mut found = Vec::new();
        self.trait_members(id, 0, &mut found, &|_| true, &mut HashSet::new());
        unique(found)
    }

    /// The type itself and the types it dereferences to, in order.
    fn dereferenced(&self, ty: &Ty) -> Vec<Ty> {
        let deref = self.lang(&["ops", "Deref"]);
        let mut steps = vec![ty.clone()];
        while steps.len() < STEPS {
            let next = match steps.last() {
                Some(Ty::Reference(inner)) => Some((**inner).clone()),
                Some(Ty::Array(inner)) => Some(Ty::Slice(inner.clone())),
                Some(other) => deref.and_then(|deref| self.target(other, deref)),
                None => None,
            };
            match next {
                Some(next) if !steps.contains(&next) => steps.push(next),
                _ => break,
            }
        }
        steps
    }

    fn target(&self, ty: &Ty, deref: Id) -> Option<Ty> {
        let mut target = None;
        self.world.for_impls(&ty.head()?, |each| {
            if each.of.as_ref().is_some_and(|of| of.name == deref)
                && let Some(values) = fits(&each.ty, ty)
                && let Some((_, found)) = each.types.iter().find(|(name, _)| name == "Target")
            {
                target = Some(found.with(&values));
            }
        });
        target
    }

    fn fields(&self, ty: &Ty, steps: usize, found: &mut Vec<Found>) {
        match ty {
            Ty::Named(id, arguments) => {
                let Some(record) = self.world.record(*id) else { return };
                if record.kind != Kind::Struct && record.kind != Kind::Union {
                    return;
                }
                let values = record.parameters.iter().cloned().zip(arguments.iter().cloned()).collect();
                for member in record.members.iter().filter(|member| self.is_visible(member, *id)) {
                    let ty = member.ty.as_ref().map(|ty| ty.with(&values));
                    let member = Member { ty, ..member.clone() };
                    found.push(Found { member, group: 0, steps, owner: Some(*id) });
                }
            }
            Ty::Tuple(parts) => found.extend(parts.iter().enumerate().map(|(at, ty)| {
                let member = Member {
                    name: at.to_string(),
                    kind: Kind::Field,
                    signature: at.to_string(),
                    docs: super::index::record::Docs::None,
                    public: true,
                    hidden: false,
                    weight: 0,
                    ty: Some(ty.clone()),
                };
                Found { member, group: 0, steps, owner: None }
            })),
            _ => {}
        }
    }

    fn methods(&self, ty: &Ty, steps: usize, found: &mut Vec<Found>, wanted: impl Fn(&Member) -> bool) {
        let Some(head) = ty.head() else { return };
        let owner = if let Ty::Named(id, _) = ty { Some(*id) } else { None };
        let mut traits = HashSet::new();
        self.world.for_impls(&head, |each| {
            if each.of.is_none()
                && let Some(values) = fits(&each.ty, ty)
                && self.holds(each, &values, DEPTH)
            {
                let visible = each.members.iter().filter(|member| self.is_visible(member, owner.unwrap_or(0)));
                for member in visible.filter(|member| wanted(member)) {
                    found.push(Found { member: member.clone(), group: 1, steps, owner });
                }
            }
        });
        let mut offer = |each: &Impl, ty: &Ty| {
            if let Some(of) = &each.of
                && self.traits.contains(&of.name)
                && !traits.contains(&of.name)
                && let Some(values) = fits(&each.ty, ty)
                && self.holds(each, &values, DEPTH)
            {
                traits.insert(of.name);
            }
        };
        self.world.for_impls(&head, |each| offer(each, ty));
        self.world.for_impls(&Head::Any, |each| offer(each, ty));
        let borrowed = Ty::Reference(Box::new(ty.clone()));
        if !matches!(ty, Ty::Reference(_)) {
            self.world.for_impls(&Head::Reference, |each| {
                // `impl Trait for &T` for any T says nothing about this type.
                if !matches!(&each.ty, Ty::Reference(inner) if matches!(**inner, Ty::Parameter(_))) {
                    offer(each, &borrowed);
                }
            });
        }
        for id in traits {
            self.trait_members(id, steps, found, &wanted, &mut HashSet::from([id]));
        }
        if let Ty::Dynamic(bounds) | Ty::Opaque(bounds) = ty {
            for bound in bounds {
                self.trait_members(bound.name, steps, found, &wanted, &mut HashSet::new());
            }
        }
    }

    fn trait_members(
        &self,
        id: Id,
        steps: usize,
        found: &mut Vec<Found>,
        wanted: &dyn Fn(&Member) -> bool,
        seen: &mut HashSet<Id>,
    ) {
        let Some(record) = self.world.record(id) else { return };
        for member in record.members.iter().filter(|member| !member.hidden && wanted(member)) {
            found.push(Found { member: member.clone(), group: 2, steps, owner: Some(id) });
        }
        for above in &record.supertraits {
            if seen.insert(above.name) {
                self.trait_members(above.name, steps, found, wanted, seen);
            }
        }
    }

    /// Whether the bounds of an impl's parameters hold.
    fn holds(&self, each: &Impl, values: &HashMap<String, Ty>, depth: usize) -> bool {
        each.bounds.iter().all(|(ty, bound)| self.implements(&ty.with(values), bound, depth))
    }

    /// Whether a type implements a trait; true for unknown types.
    fn implements(&self, ty: &Ty, bound: &Bound, depth: usize) -> bool {
        let Some(head) = ty.head() else { return true };
        if matches!(ty, Ty::Parameter(_) | Ty::Projection(..)) || self.is_marker(bound.name) {
            return true;
        }
        if let Ty::Dynamic(bounds) | Ty::Opaque(bounds) = ty
            && bounds.iter().any(|has| self.includes(has.name, bound.name, DEPTH))
        {
            return true;
        }
        if depth == 0 {
            return false;
        }
        let mut holds = false;
        let mut look = |each: &Impl| {
            holds = holds
                || each.of.as_ref().is_some_and(|of| of.name == bound.name)
                    && fits(&each.ty, ty).is_some_and(|values| self.holds(each, &values, depth - 1));
        };
        self.world.for_impls(&head, &mut look);
        self.world.for_impls(&Head::Any, &mut look);
        holds
    }

    /// Whether a trait is `other` or has it as a supertrait.
    fn includes(&self, id: Id, other: Id, depth: usize) -> bool {
        id == other
            || depth > 0
                && self.world.record(id).is_some_and(|record| {
                    record.supertraits.iter().any(|above| self.includes(above.name, other, depth - 1))
                })
    }

    /// Whether the compiler implements the trait by itself.
    fn is_marker(&self, id: Id) -> bool {
        let names: [&[&str]; 5] =
            [&["marker", "Sized"], &["marker", "Send"], &["marker", "Sync"], &["marker", "Unpin"], &["any", "Any"]];
        names.iter().any(|path| self.lang(path) == Some(id))
    }

    fn lang(&self, path: &[&str]) -> Option<Id> {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        self.world.descend(self.world.root("core")?, &path, Space::Types)
    }

    fn is_visible(&self, member: &Member, owner: Id) -> bool {
        !member.hidden && (member.public || owner >= self.own_from)
    }
}

/// The values of an impl's parameters for a type, if the impl applies to it.
fn fits(pattern: &Ty, ty: &Ty) -> Option<HashMap<String, Ty>> {
    let mut values = HashMap::new();
    unify(pattern, ty, &mut values).then_some(values)
}

fn unify(pattern: &Ty, ty: &Ty, values: &mut HashMap<String, Ty>) -> bool {
    let mut all = |patterns: &[Ty], types: &[Ty]| patterns.iter().zip(types).all(|(p, t)| unify(p, t, values));
    match (pattern, ty) {
        (Ty::Parameter(name), _) => match values.get(name) {
            Some(before) => *before == *ty || matches!(before, Ty::Unknown) || matches!(ty, Ty::Unknown),
            None => {
                values.insert(name.clone(), ty.clone());
                true
            }
        },
        (Ty::Unknown | Ty::Projection(..), _) | (_, Ty::Unknown | Ty::Parameter(_) | Ty::Projection(..)) => true,
        (Ty::Named(a, patterns), Ty::Named(b, types)) => a == b && all(patterns, types),
        (Ty::Tuple(patterns), Ty::Tuple(types)) => patterns.len() == types.len() && all(patterns, types),
        (Ty::Reference(p), Ty::Reference(t))
        | (Ty::Pointer(p), Ty::Pointer(t))
        | (Ty::Slice(p), Ty::Slice(t))
        | (Ty::Array(p), Ty::Array(t)) => unify(p, t, values),
        (Ty::Primitive(a), Ty::Primitive(b)) => a == b,
        (Ty::Dynamic(a), Ty::Dynamic(b)) => a.first().map(|bound| bound.name) == b.first().map(|bound| bound.name),
        (Ty::Function, Ty::Function) => true,
        _ => false,
    }
}

/// The first of each name: members reached in fewer steps hide later ones.
fn unique(found: Vec<Found>) -> Vec<Found> {
    let mut seen = HashSet::new();
    let mut sorted = found;
    sorted.sort_by_key(|each| (each.steps, each.group));
    sorted.retain(|each| seen.insert((each.member.name.clone(), each.member.kind == Kind::Field)));
    sorted
}
