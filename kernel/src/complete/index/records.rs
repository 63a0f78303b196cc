//! Records of a crate with resolved names: the contents of its modules after all `pub use`, and types
//! over ids.

use std::collections::HashSet;

use super::convert::Path;
use super::raw::Item;
use super::record::{Bound, Child, Docs, Id, Impl, Kind, Member, Record, Space, Ty};
use super::resolve::{Resolver, place};

impl Resolver<'_> {
    pub(super) fn module_record(&self, index: usize) -> Record {
        let module = &self.added.modules[index];
        let mut children = Vec::new();
        let mut seen = HashSet::new();
        self.names(index, true, &mut children, &mut seen, &mut HashSet::new());
        let path = place(self.added, index);
        Record {
            kind: Kind::Module,
            signature: format!("mod {}", if index == 0 { self.added.name } else { &module.name }),
            path,
            docs: module.docs.clone().unwrap_or(Docs::None),
            hidden: module.hidden,
            weight: 0,
            children,
            members: Vec::new(),
            parameters: Vec::new(),
            target: None,
            supertraits: Vec::new(),
        }
    }

    /// The names of a module: its own items and re-exports.
    fn names(
        &self,
        index: usize,
        with_private: bool,
        children: &mut Vec<Child>,
        seen: &mut HashSet<(String, Space)>,
        visited: &mut HashSet<usize>,
    ) {
        if !visited.insert(index) {
            return;
        }
        let mut add = |child: Child| {
            if seen.insert((child.name.clone(), child.kind.space())) {
                children.push(child);
            }
        };
        for at in self.inner.get(&index).into_iter().flatten().copied() {
            let module = &self.added.modules[at];
            let weight = self.weight(&module.name, 1);
            if with_private || module.public {
                let (name, id, kind) = (module.name.clone(), self.module_id(at), Kind::Module);
                add(Child { name, id, kind, public: module.public, hidden: module.hidden, weight });
            }
        }
        let module = &self.added.modules[index];
        for item in module.items.iter().filter(|item| with_private || item.public) {
            if let Some(id) = self.own.get(&(index, item.name.as_str(), item.kind.space())) {
                add(self.child(item, *id));
            }
        }
        // Imports of the user's root module are also names, though not public.
        let visible = |public: bool| public || (with_private && self.added.is_cell && index == 0);
        for import in module.uses.iter().filter(|import| visible(import.public)) {
            let Some(name) = &import.name else { continue };
            for space in [Space::Types, Space::Values, Space::Macros] {
                if let Some(id) = self.meaning(index, &import.path, space)
                    && let Some(found) = self.as_child(id)
                    && found.kind.space() == space
                    && !(import.public && self.is_private_module(id))
                {
                    let hidden = import.hidden || found.hidden;
                    add(Child { name: name.clone(), public: true, hidden, ..found });
                }
            }
        }
        let globs = module.uses.iter().filter(|import| visible(import.public) && import.name.is_none());
        for import in globs {
            let Some(target) = self.meaning(index, &import.path, Space::Types) else { continue };
            if let Some(own) = self.own_module(target) {
                self.names(own, false, children, seen, visited);
            } else {
                let foreign = self.children_of(target).into_iter().filter(|child| child.public);
                for mut child in foreign {
                    child.hidden |= import.hidden;
                    if seen.insert((child.name.clone(), child.kind.space())) {
                        children.push(child);
                    }
                }
            }
        }
    }

    fn children_of(&self, id: Id) -> Vec<Child> {
        match self.own_item(id) {
            Some((_, item, _)) => {
                let variants = item.variants.iter();
                variants
                    .filter_map(|each| Some(self.child(each, *self.variants.get(&(id, each.name.as_str()))?)))
                    .collect()
            }
            None => self.world.record(id).map(|record| record.children.clone()).unwrap_or_default(),
        }
    }

    /// A function may have the name of its module: `pub use` then imports the function alone.
    fn is_private_module(&self, id: Id) -> bool {
        self.own_module(id).is_some_and(|index| !self.added.modules[index].public)
    }

    /// An item under its own name.
    fn as_child(&self, id: Id) -> Option<Child> {
        if let Some(index) = self.own_module(id) {
            let module = &self.added.modules[index];
            let name = module.name.clone();
            return Some(Child { name, id, kind: Kind::Module, public: true, hidden: module.hidden, weight: 0 });
        }
        if let Some((_, item, _)) = self.own_item(id) {
            return Some(self.child(item, id));
        }
        let record = self.world.record(id)?;
        let name = record.path.rsplit("::").next().unwrap_or_default().to_owned();
        Some(Child { name, id, kind: record.kind, public: true, hidden: record.hidden, weight: record.weight })
    }

    pub(super) fn item_record(&self, module: usize, item: &Item, path: &str) -> Record {
        let id = self.own.get(&(module, item.name.as_str(), item.kind.space())).copied();
        let children = match item.kind {
            Kind::Enum => id.map(|id| self.children_of(id)).unwrap_or_default(),
            _ => Vec::new(),
        };
        Record {
            kind: item.kind,
            path: path.to_owned(),
            signature: item.signature.clone(),
            docs: item.docs.clone(),
            hidden: item.hidden,
            weight: self.weight(&item.name, item.weight),
            children,
            members: item.members.iter().map(|member| self.member(module, member)).collect(),
            parameters: item.parameters.clone(),
            target: item.target.as_ref().map(|ty| self.ty(module, ty)),
            supertraits: item.supertraits.iter().filter_map(|bound| self.bound(module, bound)).collect(),
        }
    }

    fn child(&self, item: &Item, id: Id) -> Child {
        let (public, hidden, weight) = (item.public, item.hidden, self.weight(&item.name, item.weight));
        Child { name: item.name.clone(), id, kind: item.kind, public, hidden, weight }
    }

    fn weight(&self, name: &str, weight: u8) -> u8 {
        let count = self.added.uses.get(name).copied().unwrap_or(0);
        if weight == 0 || name.starts_with('_') {
            0
        } else {
            u8::try_from(u32::BITS - count.leading_zeros()).unwrap_or(0)
        }
    }

    fn member(&self, module: usize, member: &Member<Path>) -> Member {
        Member {
            name: member.name.clone(),
            kind: member.kind,
            signature: member.signature.clone(),
            docs: member.docs.clone(),
            public: member.public,
            hidden: member.hidden,
            weight: self.weight(&member.name, member.weight),
            ty: member.ty.as_ref().map(|ty| self.ty(module, ty)),
        }
    }

    /// An impl, unless it is of an unknown trait or for an unknown type.
    pub(super) fn implementation(&self, module: usize, implementation: &Impl<Path>) -> Option<Impl> {
        let of = match &implementation.of {
            Some(bound) => Some(self.bound(module, bound)?),
            None => None,
        };
        let bounds = implementation.bounds.iter();
        Some(Impl {
            parameters: implementation.parameters.clone(),
            of,
            ty: self.ty(module, &implementation.ty),
            bounds: bounds.filter_map(|(ty, bound)| Some((self.ty(module, ty), self.bound(module, bound)?))).collect(),
            members: implementation.members.iter().map(|member| self.member(module, member)).collect(),
            types: implementation.types.iter().map(|(name, ty)| (name.clone(), self.ty(module, ty))).collect(),
        })
    }

    fn bound(&self, module: usize, bound: &Bound<Path>) -> Option<Bound> {
        bound.map(&|path, arguments| self.named(module, path, arguments), &|path| self.trait_of(module, path))
    }

    fn ty(&self, module: usize, ty: &Ty<Path>) -> Ty {
        ty.map(&|path, arguments| self.named(module, path, arguments), &|path| self.trait_of(module, path))
    }

    fn named(&self, module: usize, path: &Path, arguments: Vec<Ty>) -> Ty {
        self.meaning(module, path, Space::Types).map_or(Ty::Unknown, |id| self.aliased(id, arguments))
    }

    fn trait_of(&self, module: usize, path: &Path) -> Option<Id> {
        self.meaning(module, path, Space::Types)
    }

    /// A type with its alias resolved.
    fn aliased(&self, id: Id, arguments: Vec<Ty>) -> Ty {
        let (parameters, target) = match self.own_item(id) {
            Some((module, Item { target: Some(target), parameters, .. }, _)) => {
                (parameters.clone(), self.ty(*module, target))
            }
            Some(_) => return Ty::Named(id, arguments),
            None if self.own_module(id).is_some() => return Ty::Unknown,
            None => match self.world.record(id).as_deref() {
                Some(Record { target: Some(target), parameters, .. }) => (parameters.clone(), target.clone()),
                _ => return Ty::Named(id, arguments),
            },
        };
        let pairs = parameters.into_iter().zip(arguments).collect();
        target.with(&pairs)
    }
}
