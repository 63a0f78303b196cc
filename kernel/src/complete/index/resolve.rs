//! Names: what the paths of a crate mean, and what its modules offer after all `pub use`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::convert::Path;
use super::raw::{Item, Module, Uses};
use super::record::{Bound, Child, Docs, Head, Id, Impl, Kind, Member, Record, Space, Ty};
use super::world::World;

/// A crate that is about to be known.
pub(crate) struct Crate<'a> {
    /// What paths call it.
    pub(crate) name: &'a str,
    /// What it is known as among all crates; the library and the dylib have the same name.
    pub(crate) key: &'a str,
    pub(crate) modules: Vec<Module>,
    /// The crates its paths can begin with, under the names it uses for them.
    pub(crate) dependencies: &'a HashMap<String, String>,
    /// How often names are used.
    pub(crate) uses: &'a Uses,
}

/// Adds a crate to `world`; the crates it depends on are there already.
pub(crate) fn add(world: &mut World, added: Crate) -> Id {
    let resolver = Resolver::new(world, &added);
    let first = resolver.first;
    let mut records = Vec::new();
    for index in 0..added.modules.len() {
        records.push(Arc::new(resolver.module_record(index)));
    }
    for (module, item, path) in &resolver.items {
        records.push(Arc::new(resolver.item_record(*module, item, path)));
    }
    let mut impls: Vec<(Head, Impl)> = Vec::new();
    for (index, module) in added.modules.iter().enumerate() {
        for implementation in &module.impls {
            let resolved = resolver.implementation(index, implementation);
            impls.extend(resolved.and_then(|resolved| Some((resolved.ty.head()?, resolved))));
        }
    }
    world.layer.records.extend(records);
    for (head, implementation) in impls {
        world.layer.impls.entry(head).or_default().push(implementation);
    }
    world.layer.crates.push((added.key.to_owned(), first));
    first
}

/// Ids are given in this order: modules, items, variants behind their enum.
struct Resolver<'a> {
    world: &'a World,
    added: &'a Crate<'a>,
    first: Id,
    /// Module, item, path.
    items: Vec<(usize, &'a Item, String)>,
    /// What a module defines itself.
    own: HashMap<(usize, &'a str, Space), Id>,
    variants: HashMap<(Id, &'a str), Id>,
    /// The modules in a module.
    inner: HashMap<usize, Vec<usize>>,
    prelude: Option<Id>,
    known: std::cell::RefCell<HashMap<(usize, String, Space), Option<Id>>>,
}

/// How far up a chain of questions an answer depends on: cyclic globs ask what is being answered.
const INDEPENDENT: usize = usize::MAX;

type Asked<'b> = (usize, &'b str, Space);

impl<'a> Resolver<'a> {
    fn new(world: &'a World, added: &'a Crate<'a>) -> Self {
        let first = world.next_id();
        let mut items = Vec::new();
        let mut own = HashMap::new();
        let mut variants = HashMap::new();
        let mut inner: HashMap<usize, Vec<usize>> = HashMap::new();
        let id_of = |index: usize| first + Id::try_from(index).unwrap_or(0);
        for (index, module) in added.modules.iter().enumerate() {
            if let Some(parent) = module.parent {
                own.insert((parent, module.name.as_str(), Space::Types), id_of(index));
                inner.entry(parent).or_default().push(index);
            }
        }
        for (index, module) in added.modules.iter().enumerate() {
            let place = place(added, index);
            for item in &module.items {
                let id = id_of(added.modules.len() + items.len());
                let path = format!("{place}::{}", item.name);
                own.insert((index, item.name.as_str(), item.kind.space()), id);
                items.push((index, item, path.clone()));
                for variant in &item.variants {
                    variants.insert((id, variant.name.as_str()), id_of(added.modules.len() + items.len()));
                    items.push((index, variant, format!("{path}::{}", variant.name)));
                }
            }
        }
        let std_like = ["std", "core"].into_iter().find_map(|name| world.root(name));
        let v1 = ["prelude".to_owned(), "v1".to_owned()];
        let prelude = std_like.and_then(|root| world.descend(root, &v1, Space::Types));
        let known = std::cell::RefCell::default();
        Self { world, added, first, items, own, variants, inner, prelude, known }
    }

    fn module_id(&self, index: usize) -> Id {
        self.first + Id::try_from(index).unwrap_or(0)
    }

    /// The module of this crate that has `id`.
    fn own_module(&self, id: Id) -> Option<usize> {
        let index = id.checked_sub(self.first)? as usize;
        (index < self.added.modules.len()).then_some(index)
    }

    fn own_item(&self, id: Id) -> Option<&(usize, &'a Item, String)> {
        self.items.get((id.checked_sub(self.first)? as usize).checked_sub(self.added.modules.len())?)
    }

    /// What `name` means in a module, without the prelude.
    fn lookup(
        &self,
        module: usize,
        name: &str,
        space: Space,
        asked: &mut Vec<(usize, String, Space)>,
    ) -> (Option<Id>, usize) {
        let question: Asked = (module, name, space);
        if let Some(id) = self.own.get(&question) {
            return (Some(*id), INDEPENDENT);
        }
        if let Some(answer) = self.known.borrow().get(&(module, name.to_owned(), space)) {
            return (*answer, INDEPENDENT);
        }
        let same = |(m, n, s): &(usize, String, Space)| (*m, n.as_str(), *s) == question;
        if let Some(depth) = asked.iter().position(same) {
            return (None, depth);
        }
        let depth = asked.len();
        asked.push((module, name.to_owned(), space));
        let mut depends = INDEPENDENT;
        let mut answer = None;
        let uses = &self.added.modules[module].uses;
        for import in uses.iter().filter(|import| import.name.as_deref() == Some(name)) {
            let (found, on) = self.path(module, &import.path, space, asked);
            depends = depends.min(on);
            answer = answer.or(found);
        }
        for import in uses.iter().filter(|import| import.name.is_none()) {
            if answer.is_some() {
                break;
            }
            let (target, on) = self.path(module, &import.path, Space::Types, asked);
            depends = depends.min(on);
            if let Some(target) = target {
                let (found, on) = self.inside(target, name, space, asked);
                depends = depends.min(on);
                answer = found;
            }
        }
        asked.pop();
        if answer.is_some() || depends >= depth {
            self.known.borrow_mut().insert((module, name.to_owned(), space), answer);
            depends = INDEPENDENT;
        }
        (answer, depends)
    }

    /// What `name` means inside a module or an enum.
    fn inside(
        &self,
        parent: Id,
        name: &str,
        space: Space,
        asked: &mut Vec<(usize, String, Space)>,
    ) -> (Option<Id>, usize) {
        if let Some(module) = self.own_module(parent) {
            return self.lookup(module, name, space, asked);
        }
        if parent >= self.first {
            return (self.variants.get(&(parent, name)).copied(), INDEPENDENT);
        }
        (self.world.child(parent, name, space), INDEPENDENT)
    }

    fn path(
        &self,
        module: usize,
        path: &Path,
        space: Space,
        asked: &mut Vec<(usize, String, Space)>,
    ) -> (Option<Id>, usize) {
        let Some(first) = path.first() else { return (Some(self.module_id(0)), INDEPENDENT) };
        let space_at = |index: usize| if index + 1 == path.len() { space } else { Space::Types };
        let mut depends = INDEPENDENT;
        let (mut at, mut rest) = match first.as_str() {
            "" => (path.get(1).and_then(|name| self.extern_crate(name)), 2),
            "crate" => (Some(self.module_id(0)), 1),
            "self" => (Some(self.module_id(module)), 1),
            "super" => (self.added.modules[module].parent.map(|parent| self.module_id(parent)), 1),
            name => {
                let (found, on) = self.lookup(module, name, space_at(0), asked);
                depends = on;
                let found = found.or_else(|| {
                    let outer = (space_at(0) == Space::Types).then(|| self.extern_crate(name)).flatten();
                    outer.or_else(|| self.in_prelude(name, space_at(0)))
                });
                (found, 1)
            }
        };
        while rest < path.len() {
            let Some(parent) = at else { break };
            let name = path[rest].as_str();
            if name == "super" {
                let above = self.own_module(parent).and_then(|module| self.added.modules[module].parent);
                at = above.map(|parent| self.module_id(parent));
            } else if name != "self" {
                let (found, on) = self.inside(parent, name, space_at(rest), asked);
                depends = depends.min(on);
                at = found;
            }
            rest += 1;
        }
        (at, depends)
    }

    fn extern_crate(&self, name: &str) -> Option<Id> {
        let name = self.added.dependencies.get(name).map_or(name, String::as_str);
        if name == self.added.key { Some(self.module_id(0)) } else { self.world.root(name) }
    }

    fn in_prelude(&self, name: &str, space: Space) -> Option<Id> {
        if let Some(prelude) = self.prelude {
            return self.world.child(prelude, name, space);
        }
        // core itself.
        let prelude = *self.own.get(&(0, "prelude", Space::Types))?;
        let v1 = *self.own.get(&(self.own_module(prelude)?, "v1", Space::Types))?;
        self.lookup(self.own_module(v1)?, name, space, &mut Vec::new()).0
    }

    fn meaning(&self, module: usize, path: &Path, space: Space) -> Option<Id> {
        self.path(module, path, space, &mut Vec::new()).0
    }

    fn module_record(&self, index: usize) -> Record {
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

    /// The names of a module: its own items, and what it re-exports.
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
            if with_private || module.public {
                let (name, id, kind) = (module.name.clone(), self.module_id(at), Kind::Module);
                add(Child { name, id, kind, public: module.public, hidden: module.hidden, weight: 0 });
            }
        }
        let module = &self.added.modules[index];
        for item in module.items.iter().filter(|item| with_private || item.public) {
            if let Some(id) = self.own.get(&(index, item.name.as_str(), item.kind.space())) {
                add(self.child(item, *id));
            }
        }
        // Imports of the user's root module are names, too, though not public.
        let visible = |public: bool| public || (with_private && self.added.dependencies.is_empty() && index == 0);
        for import in module.uses.iter().filter(|import| visible(import.public)) {
            let Some(name) = &import.name else { continue };
            for space in [Space::Types, Space::Values, Space::Macros] {
                if let Some(id) = self.meaning(index, &import.path, space)
                    && let Some(found) = self.as_child(id)
                    && found.kind.space() == space
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

    fn item_record(&self, module: usize, item: &Item, path: &str) -> Record {
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
        if weight == 0 { 0 } else { u8::try_from(u32::BITS - count.leading_zeros()).unwrap_or(0) }
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

    /// An impl, unless it is of a trait or for a type that is not known.
    fn implementation(&self, module: usize, implementation: &Impl<Path>) -> Option<Impl> {
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

    /// A type without its alias.
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

/// The path of a module, such as `polars_core::frame`.
fn place(added: &Crate, index: usize) -> String {
    let mut names = Vec::new();
    let mut at = Some(index);
    while let Some(index) = at {
        let module = &added.modules[index];
        names.push(if index == 0 { added.name } else { module.name.as_str() });
        at = module.parent;
    }
    names.reverse();
    names.join("::")
}
