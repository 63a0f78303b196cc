//! The documented items of a crate: its module tree, read with `syn`.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use super::file::{Module, read};
use super::sources::Source;
use crate::{Result, interrupt};

/// A documented item that users of its crate can name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    /// Its module: `["polars_core", "frame"]`.
    pub(super) module: Vec<String>,
    /// The type or trait it belongs to.
    pub(super) owner: Option<String>,
    pub(super) name: String,
    /// `struct`, `method`, `fn`, ..
    pub(super) kind: &'static str,
    /// The declaration without its body, on one line.
    pub(super) signature: String,
    /// The documentation as Markdown.
    pub(super) docs: String,
}

impl Entry {
    /// `polars_core::frame::DataFrame::height`.
    pub(super) fn path(&self) -> String {
        let names = self.module.iter().chain(&self.owner).chain((self.kind != "module").then_some(&self.name));
        names.map(String::as_str).collect::<Vec<_>>().join("::")
    }
}

/// The documented items of one crate, in the order of its sources.
pub(super) fn entries(source: &Source) -> Result<Vec<Entry>> {
    let mut entries = walk(Module::root(source))?;
    place_methods(&mut entries);
    entries.retain(|entry| !entry.docs.is_empty());
    Ok(entries)
}

fn walk(module: Module) -> Result<Vec<Entry>> {
    interrupt::check("reading the documentation")?;
    let (mut entries, children) = read(module)?;
    let below: Vec<Vec<Entry>> = children.into_par_iter().map(walk).collect::<Result<_>>()?;
    entries.extend(below.into_iter().flatten());
    Ok(entries)
}

/// Methods are documented where their `impl` is, but named after the place of their type. Those of
/// types that are not public (or not of this crate) are dropped.
fn place_methods(entries: &mut Vec<Entry>) {
    let mut homes: HashMap<String, Vec<Vec<String>>> = HashMap::new();
    for entry in entries.iter().filter(|entry| matches!(entry.kind, "struct" | "enum" | "union" | "trait" | "type")) {
        if entry.owner.is_none() {
            homes.entry(entry.name.clone()).or_default().push(entry.module.clone());
        }
    }
    entries.retain_mut(|entry| {
        let Some(owner) = &entry.owner else { return true };
        let Some(candidates) = homes.get(owner) else { return false };
        // `max_by_key` returns the last of equals: reversed, so that the first in the sources wins.
        let nearest = candidates.iter().rev().max_by_key(|home| shared(home, &entry.module).len());
        nearest.inspect(|home| entry.module.clone_from(home)).is_some()
    });
}

/// The indices of the names two paths begin with in common.
fn shared(a: &[String], b: &[String]) -> Range<usize> {
    0..a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
