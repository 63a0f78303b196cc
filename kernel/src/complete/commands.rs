//! Completion in lines that are not Rust: `:commands` and their arguments.

use std::collections::BTreeSet;

use super::Surroundings;
use super::offer::Offer;
use crate::cell::{may_begin_command, split};
use crate::session::{Scope, commands};
use crate::toolchain::cargo_home;

/// Lines whose rest is Rust.
const RUST: [&str; 5] = [":type ", ":t ", ":doc ", "??", "?"];
/// The command before a cell's code.
const TIME: &str = ":time ";

/// The offers at byte `at` if it is in such a line, and the part already written.
pub(super) fn offers(
    code: &str,
    at: usize,
    held: &[String],
    scope: &Scope,
    around: &Surroundings,
) -> Option<(Vec<Offer>, String)> {
    let before = code.get(..at)?;
    let start = before.rfind('\n').map_or(0, |line| line + 1);
    let line = &before[start..];
    if !line.starts_with(':') || !may_begin_command(code, start) {
        return None;
    }
    let Some((name, arguments)) = line.split_once(char::is_whitespace) else {
        let offers = commands().map(|(name, what)| Offer::new(name, "command", what, 0));
        return Some((offers.collect(), line.to_owned()));
    };
    let word = arguments.rsplit([' ', ',']).next().unwrap_or(arguments).to_owned();
    match name {
        ":dep" if arguments.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)) => {
            Some((crates(held), arguments.to_owned()))
        }
        ":doc" | ":t" | ":time" | ":type" => None,
        ":explain" => Some((around.codes.iter().map(|code| Offer::new(code, "error", "", 0)).collect(), word)),
        ":forget" => {
            let variables = scope.variables.iter();
            Some((variables.map(|variable| Offer::new(&variable.name, "variable", &variable.ty, 0)).collect(), word))
        }
        ":load" => Some(super::files::offers(around.folder.as_deref()?, arguments)),
        _ => Some((Vec::new(), String::new())),
    }
}

/// The Rust code around byte `at` and the position in it: the cell without commands, or the argument of a
/// `:type`. `None` in another command.
pub(super) fn rust(code: &str, at: usize) -> Option<(String, usize)> {
    let start = code.get(..at)?.rfind('\n').map_or(0, |line| line + 1);
    let written = &code[start..at];
    let (_, rust) = split(code);
    if rust.get(start..at)? == written || written.starts_with(TIME) {
        return Some((rust, at));
    }
    let head = RUST.iter().find(|head| written.starts_with(**head))?;
    let line = code[start..].lines().next().unwrap_or_default();
    Some((line[head.len()..].to_owned(), at - start - head.len()))
}

/// The crates that need no download: those of the dylib and those that cargo has fetched before.
fn crates(held: &[String]) -> Vec<Offer> {
    let fetched = fetched();
    let others =
        fetched.iter().filter(|name| !held.contains(name)).map(|name| Offer::new(name, "module", "fetched", 1));
    held.iter().map(|name| Offer::new(name, "module", "preloaded", 0)).chain(others).collect()
}

fn fetched() -> BTreeSet<String> {
    let registries = cargo_home().and_then(|home| std::fs::read_dir(home.join("registry/src")).ok());
    let folders =
        registries.into_iter().flatten().flatten().filter_map(|registry| std::fs::read_dir(registry.path()).ok());
    let names = folders.flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    // "serde_json-1.0.140"
    let unversioned = names.filter_map(|name| {
        let (at, _) =
            name.match_indices('-').find(|(at, _)| name[at + 1..].starts_with(|c: char| c.is_ascii_digit()))?;
        Some(name[..at].to_owned())
    });
    unversioned.collect()
}
