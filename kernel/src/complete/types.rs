//! Reads types as rustc prints them.

use super::index::convert::{Path, ty};
use super::index::record::{Id, Space, Ty};
use super::index::world::World;

/// The crate that cells are compiled as.
pub(super) const CELL: &str = "ctx";

/// Reads a type printed by rustc or of a variable. `parameters` are the type parameters of enclosing
/// functions, with their bounds.
pub(super) fn read(world: &World, printed: &str, parameters: &[(String, String)]) -> Option<Ty> {
    let names: Vec<String> = parameters.iter().map(|(name, _)| name.clone()).collect();
    let ty = read_with(world, printed, &names)?;
    let values = parameters
        .iter()
        .filter_map(|(name, bounds)| Some((name.clone(), read_with(world, &format!("impl {bounds}"), &names)?)));
    Some(ty.with(&values.collect()))
}

fn read_with(world: &World, printed: &str, parameters: &[String]) -> Option<Ty> {
    let syntax = syn::parse_str(&plain(printed)).ok()?;
    let named = |path: &Path, arguments: Vec<Ty>| match find(world, path, Space::Types) {
        Some(id) => Ty::Named(id, arguments).unaliased(world),
        None => Ty::Unknown,
    };
    Some(ty(&syntax, parameters).map(&named, &|path| find(world, path, Space::Types)))
}

/// The item that a printed path names.
pub(super) fn find(world: &World, path: &[String], space: Space) -> Option<Id> {
    // A type with only a hidden path is printed through crates: `kensaku::polars::polars_lazy::..`.
    let rest = |at: usize| Some((world.root(&path[at])?, &path[at + 1..]));
    let mut starts = (0..path.len()).filter_map(rest);
    if let Some(id) = starts.find_map(|(root, rest)| world.descend(root, rest, space)) {
        return Some(id);
    }
    // The cell's own items, and those that bounds name as the cell does.
    let v1 = ["prelude".to_owned(), "v1".to_owned()];
    world.descend(world.root(CELL)?, path, space).or_else(|| {
        let prelude = world.descend(world.root("std")?, &v1, Space::Types)?;
        world.descend(prelude, path, space)
    })
}

/// A printed type in a form that parses: without `{closure@..}` and `{integer}`.
fn plain(printed: &str) -> String {
    let mut plain = String::new();
    let mut rest = printed;
    while let Some(start) = rest.find('{') {
        plain += &rest[..start];
        let inside = &rest[start..];
        let mut depth = 0;
        let end = inside.char_indices().find(|(_, c)| {
            depth += i32::from(*c == '{') - i32::from(*c == '}');
            depth == 0
        });
        let end = end.map_or(inside.len(), |(at, _)| at + 1);
        match &inside[..end] {
            "{integer}" => plain += "i32",
            "{float}" => plain += "f64",
            // A function's name follows its type; a closure has no name.
            _ if plain.ends_with(' ') && (plain.contains("fn(") || plain.contains("->")) => {}
            _ => plain.push('_'),
        }
        rest = &inside[end..];
    }
    plain + rest
}

impl Ty {
    /// The type with its alias resolved.
    pub(super) fn unaliased(self, world: &World) -> Ty {
        let Ty::Named(id, arguments) = &self else { return self };
        let Some(record) = world.record(*id) else { return self };
        match &record.target {
            Some(target) => {
                let values = record.parameters.iter().cloned().zip(arguments.iter().cloned()).collect();
                target.with(&values)
            }
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_cannot_be_written_are_left_out() {
        let map = "std::iter::Map<std::slice::Iter<'_, {integer}>, {closure@<anon>:3:9: {x}}>";
        assert_eq!(plain(map), "std::iter::Map<std::slice::Iter<'_, i32>, _>");
        assert_eq!(plain("fn(i32) -> i32 {double}").trim(), "fn(i32) -> i32");
    }
}
