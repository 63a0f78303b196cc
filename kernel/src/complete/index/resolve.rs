//! Name resolution: the paths of a crate, and the contents of its modules after all `pub use`.

use std::collections::HashMap;
use std::sync::Arc;

use super::convert::Path;
use super::raw::{Item, Module, Uses};
use super::record::{Head, Id, Impl, Space};
use super::world::World;

/// A crate to be added.
pub(crate) struct Crate<'a> {
    /// Its name in paths.
    pub(crate) name: &'a str,
    /// Its unique name; the library and the dylib have the same `name`.
    pub(crate) key: &'a str,
    pub(crate) modules: Vec<Module>,
    /// The crates its paths can begin with, by the names it uses for them.
    pub(crate) dependencies: &'a HashMap<String, String>,
    /// How often names are used.
    pub(crate) uses: &'a Uses,
    /// Whether the private imports of the root module are names of it, as in cells.
    pub(crate) is_cell: bool,
}

/// Adds a crate to `world`, which already has its dependencies.
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

/// Ids are assigned in this order: modules, then items, each enum followed by its variants.
pub(super) struct Resolver<'a> {
    pub(super) world: &'a World,
    pub(super) added: &'a Crate<'a>,
    pub(super) first: Id,
    /// Module, item, path.
    items: Vec<(usize, &'a Item, String)>,
    /// The items that a module defines itself.
    pub(super) own: HashMap<(usize, &'a str, Space), Id>,
    pub(super) variants: HashMap<(Id, &'a str), Id>,
    /// The submodules of a module.
    pub(super) inner: HashMap<usize, Vec<usize>>,
    prelude: Option<Id>,
    known: std::cell::RefCell<HashMap<(usize, String, Space), Option<Id>>>,
}

/// An answer depends on no question still open. Else it depends on open questions down to a depth, as cyclic globs ask
/// again what is being answered.
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

    pub(super) fn module_id(&self, index: usize) -> Id {
        self.first + Id::try_from(index).unwrap_or(0)
    }

    /// The module of this crate that has `id`.
    pub(super) fn own_module(&self, id: Id) -> Option<usize> {
        let index = id.checked_sub(self.first)? as usize;
        (index < self.added.modules.len()).then_some(index)
    }

    pub(super) fn own_item(&self, id: Id) -> Option<&(usize, &'a Item, String)> {
        self.items.get((id.checked_sub(self.first)? as usize).checked_sub(self.added.modules.len())?)
    }

    /// Resolves `name` in a module, without the prelude.
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

    /// Resolves `name` as a child of a module or an enum.
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
                    let outer = (space_at(0) == Space::Types).then(|| self.outer_crate(name)).flatten();
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

    /// A crate that any module can name, including those renamed by `extern crate` in the root.
    fn outer_crate(&self, name: &str) -> Option<Id> {
        let renamed = self.added.modules[0].uses.iter().find_map(|import| match import.path.as_slice() {
            [lead, real] if lead.is_empty() && import.name.as_deref() == Some(name) => Some(real.as_str()),
            _ => None,
        });
        self.extern_crate(renamed.unwrap_or(name))
    }

    fn extern_crate(&self, name: &str) -> Option<Id> {
        let name = self.added.dependencies.get(name).map_or(name, String::as_str);
        if name == self.added.key { Some(self.module_id(0)) } else { self.world.root(name) }
    }

    fn in_prelude(&self, name: &str, space: Space) -> Option<Id> {
        if let Some(prelude) = self.prelude {
            return self.world.child(prelude, name, space);
        }
        // The crate is core itself.
        let prelude = *self.own.get(&(0, "prelude", Space::Types))?;
        let v1 = *self.own.get(&(self.own_module(prelude)?, "v1", Space::Types))?;
        self.lookup(self.own_module(v1)?, name, space, &mut Vec::new()).0
    }

    pub(super) fn meaning(&self, module: usize, path: &Path, space: Space) -> Option<Id> {
        self.path(module, path, space, &mut Vec::new()).0
    }
}

/// The path of a module, such as `polars_core::frame`.
pub(super) fn place(added: &Crate, index: usize) -> String {
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
