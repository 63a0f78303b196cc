//! Finds names that are not in scope.

use std::collections::{HashSet, VecDeque};

use super::index::record::{Child, Id, Kind};
use super::view::View;

/// The maximum number of names in a path.
const DEPTH: usize = 6;

/// Skipped, as their items are also in `std`.
const INNER: [&str; 2] = ["alloc", "core"];

/// The paths of all public items `name` of the wanted kinds, shortest first, one per item.
///
/// A breadth-first search of modules that begins with those in scope: `read::Csv` is found before
/// `kensaku::data::read::Csv`.
pub(super) fn places(view: &View, name: &str, wanted: impl Fn(Kind) -> bool) -> Vec<Vec<String>> {
    let is_start = |child: &Child| child.kind == Kind::Module && !INNER.contains(&child.name.as_str());
    let starts = view.names().into_iter().filter(is_start).map(|child| (vec![child.name], child.id));
    let mut waiting: VecDeque<(Vec<String>, Id)> = starts.collect();
    let mut seen: HashSet<Id> = waiting.iter().map(|(_, id)| *id).collect();
    let mut found: Vec<(usize, u8, Vec<String>)> = Vec::new();
    let mut items: HashSet<Id> = HashSet::new();
    while let Some((path, id)) = waiting.pop_front() {
        let Some(record) = view.world.record(id) else { continue };
        for child in record.children.iter().filter(|child| child.public && !child.hidden) {
            let below = || path.iter().chain([&child.name]).cloned().collect::<Vec<_>>();
            if child.name == name && wanted(child.kind) && items.insert(child.id) {
                found.push((path.len(), u8::MAX - child.weight, below()));
            }
            if child.kind == Kind::Module && path.len() < DEPTH && seen.insert(child.id) {
                waiting.push_back((below(), child.id));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(.., path)| path).collect()
}
