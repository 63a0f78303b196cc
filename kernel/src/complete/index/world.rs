//! All known items: the index on disk, and a layer over it for those it lacks (the user's own items and
//! crates added later; while the index is built, all items).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::record::{Child, Docs, Head, Id, Impl, Record, Space, Ty};
use super::store::Store;

/// Items in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layer {
    pub(crate) records: Vec<Arc<Record>>,
    pub(crate) impls: BTreeMap<Head, Vec<Impl>>,
    /// Root modules.
    pub(crate) crates: Vec<(String, Id)>,
}

/// The index and a layer over it.
#[derive(Clone, Default)]
pub(crate) struct World {
    store: Option<Arc<Store>>,
    pub(crate) layer: Layer,
}

impl World {
    pub(crate) fn over(store: Option<Arc<Store>>) -> Self {
        Self { store, layer: Layer::default() }
    }

    /// The id of the next item.
    pub(crate) fn next_id(&self) -> Id {
        Id::try_from(self.stored() + self.layer.records.len()).unwrap_or(Id::MAX)
    }

    pub(crate) fn record(&self, id: Id) -> Option<Arc<Record>> {
        match (id as usize).checked_sub(self.stored()) {
            Some(index) => self.layer.records.get(index).cloned(),
            None => self.store.as_ref()?.record(id),
        }
    }

    /// Calls `each` with the impls for a kind of types, the layer's last.
    pub(crate) fn for_impls(&self, head: &Head, mut each: impl FnMut(&Impl)) {
        if let Some(store) = &self.store {
            store.impls(head).iter().for_each(&mut each);
        }
        self.layer.impls.get(head).into_iter().flatten().for_each(each);
    }

    pub(crate) fn root(&self, name: &str) -> Option<Id> {
        let stored = self.store.iter().flat_map(|store| store.crates());
        let mut all = self.layer.crates.iter().chain(stored);
        all.find(|(other, _)| other == name).map(|(_, id)| *id)
    }

    /// The crates that cells and paths in messages can begin with.
    pub(crate) fn crates(&self) -> impl Iterator<Item = &(String, Id)> {
        self.layer.crates.iter().chain(self.store.iter().flat_map(|store| store.crates()))
    }

    pub(crate) fn docs(&self, docs: &Docs) -> String {
        match (docs, &self.store) {
            (Docs::None, _) => String::new(),
            (Docs::Text(text), _) => text.clone(),
            (stored, Some(store)) => store.docs(stored),
            (_, None) => String::new(),
        }
    }

    /// The item `name` in a module or an enum; a private one only if there is no public one.
    pub(crate) fn child(&self, parent: Id, name: &str, space: Space) -> Option<Id> {
        let record = self.record(parent)?;
        let named = |child: &&Child| child.name == name && child.kind.space() == space;
        let found: Vec<&Child> = record.children.iter().filter(named).collect();
        found.iter().find(|child| child.public).or(found.first()).map(|child| child.id)
    }

    /// The item at the end of `path`, from `start` on.
    pub(crate) fn descend(&self, start: Id, path: &[String], space: Space) -> Option<Id> {
        let (last, before) = match path.split_last() {
            Some(split) => split,
            None => return Some(start),
        };
        let mut at = start;
        for name in before {
            at = self.aliased(self.child(at, name, Space::Types)?);
        }
        self.child(at, last, space)
    }

    /// The target of an alias that has no arguments, else the item itself.
    pub(crate) fn aliased(&self, id: Id) -> Id {
        match self.record(id).and_then(|record| record.target.clone()) {
            Some(Ty::Named(target, _)) if target != id => target,
            _ => id,
        }
    }

    fn stored(&self) -> usize {
        self.store.as_ref().map_or(0, |store| store.len())
    }
}
