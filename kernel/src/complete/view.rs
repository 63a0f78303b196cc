//! Resolves paths at the cursor.

use std::collections::{HashMap, HashSet};

use super::index::convert::PRIMITIVES;
use super::index::raw::{Uses, read_text};
use super::index::record::{Child, Id, Kind, Space, Ty};
use super::index::resolve::{Crate, add};
use super::index::world::World;
use super::members::Members;
use super::types::CELL;

/// The crates that every cell can name.
const CRATES: [&str; 4] = ["alloc", "core", "kensaku", "std"];

/// The index with the user's items over it.
pub(super) struct View {
    pub(super) world: World,
    /// The user's root module.
    root: Id,
    traits: HashSet<Id>,
    preludes: Vec<Id>,
    /// The crates added by `:dep`.
    added: Vec<String>,
}

impl View {
    /// The view of cells with `items`, as code, over a world with the `added` crates.
    pub(super) fn new(mut world: World, added: &[crate::session::Crate], items: &str) -> Self {
        let modules = read_text(&format!("use kensaku::prelude::*;\n{items}"));
        let (dependencies, uses) = (HashMap::new(), Uses::new());
        let cell = Crate { name: CELL, key: CELL, modules, dependencies: &dependencies, uses: &uses, is_cell: true };
        let root = add(&mut world, cell);
        let edition = ["prelude".to_owned(), "rust_2024".to_owned()];
        let std = world.root("std").or_else(|| world.root("core"));
        let prelude = std.and_then(|std| world.descend(std, &edition, Space::Types));
        let mut view = Self {
            world,
            root,
            traits: HashSet::new(),
            preludes: prelude.into_iter().collect(),
            added: added.iter().map(|each| each.name.clone()).collect(),
        };
        let places = [Some(root), prelude].into_iter().flatten();
        view.traits = places
            .filter_map(|place| view.world.record(place))
            .flat_map(|record| record.children.clone())
            .filter(|child| child.kind == Kind::Trait)
            .map(|child| child.id)
            .collect();
        view
    }

    pub(super) fn members(&self) -> Members<'_> {
        Members { world: &self.world, traits: &self.traits, own_from: self.root }
    }

    /// The item that `path` names.
    pub(super) fn find(&self, path: &[String], space: Space) -> Option<Id> {
        let (first, rest) = path.split_first()?;
        if first.is_empty() {
            let (name, rest) = rest.split_first()?;
            return self.world.descend(self.world.root(name)?, rest, space);
        }
        if first == "crate" || first == "self" {
            return self.world.descend(self.root, rest, space);
        }
        if rest.is_empty() {
            return self.named(first, space);
        }
        let start = self.named(first, Space::Types)?;
        self.world.descend(self.world.aliased(start), rest, space)
    }

    /// Resolves a single name.
    pub(super) fn named(&self, name: &str, space: Space) -> Option<Id> {
        let places = std::iter::once(self.root).chain(self.preludes.iter().copied());
        let found = places.into_iter().find_map(|place| self.world.child(place, name, space));
        let macros = || self.world.child(self.world.root("std")?, name, space);
        match space {
            Space::Types => found.or_else(|| self.world.root(name)),
            Space::Values => found,
            Space::Macros => found.or_else(macros),
        }
    }

    /// The type that a path names.
    pub(super) fn type_named(&self, path: &[String]) -> Option<Ty> {
        if let [name] = path
            && PRIMITIVES.contains(&name.as_str())
        {
            return Some(Ty::Primitive(name.clone()));
        }
        let id = self.find(path, Space::Types)?;
        let record = self.world.record(id)?;
        let arguments = vec![Ty::Unknown; record.parameters.len()];
        matches!(record.kind, Kind::Struct | Kind::Union | Kind::Enum | Kind::Alias)
            .then(|| Ty::Named(id, arguments).unaliased(&self.world))
    }

    /// The names that resolve without a path, the user's own first.
    pub(super) fn names(&self) -> Vec<Child> {
        let mut seen = HashSet::new();
        let children = |id: Id| self.world.record(id).map(|record| record.children.clone()).unwrap_or_default();
        let own = children(self.root).into_iter();
        let preludes = self.preludes.iter().flat_map(|id| children(*id));
        let macros = self.world.root("std").map(children).unwrap_or_default();
        let macros = macros.into_iter().filter(|child| child.kind == Kind::Macro && child.public);
        let all = own.chain(preludes).chain(macros).chain(self.crates());
        all.filter(|child| !child.hidden && seen.insert((child.name.clone(), child.kind.space()))).collect()
    }

    /// The crates that paths can begin with.
    pub(super) fn crates(&self) -> Vec<Child> {
        let known =
            self.world.crates().filter(|(name, _)| CRATES.contains(&name.as_str()) || self.added.contains(name));
        known
            .map(|(name, id)| Child {
                name: name.clone(),
                id: *id,
                kind: Kind::Module,
                public: true,
                hidden: false,
                weight: 0,
            })
            .collect()
    }

    /// Whether an item is defined in a cell.
    pub(super) fn is_own(&self, id: Id) -> bool {
        id >= self.root
    }
}
