//! Completion in lines that are not Rust: `:commands` and the crates behind `:dep`.

use std::collections::BTreeSet;

use super::offer::Offer;
use crate::session::COMMANDS;

/// What can stand at byte `at` if it is in such a line, and what of it is written.
pub(super) fn offers(code: &str, at: usize, held: &[String]) -> Option<(Vec<Offer>, String)> {
    let before = code.get(..at)?;
    let line = before.rsplit('\n').next()?;
    if !line.starts_with(':') {
        return None;
    }
    match line.split_once(char::is_whitespace) {
        None => {
            let offers = COMMANDS.iter().map(|(name, what)| Offer::new(*name, "command", *what, 0));
            Some((offers.collect(), line.to_owned()))
        }
        Some((":dep", written)) if written.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)) => {
            Some((crates(held), written.to_owned()))
        }
        Some((":type", _)) => None,
        Some(_) => Some((Vec::new(), String::new())),
    }
}

/// The crates that need no download: those of the dylib, and what cargo has fetched before.
fn crates(held: &[String]) -> Vec<Offer> {
    let fetched = fetched();
    let others =
        fetched.iter().filter(|name| !held.contains(name)).map(|name| Offer::new(name, "module", "fetched", 1));
    held.iter().map(|name| Offer::new(name, "module", "preloaded", 0)).chain(others).collect()
}

fn fetched() -> BTreeSet<String> {
    let home = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registries = home.and_then(|home| std::fs::read_dir(home.join("registry/src")).ok());
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
