//! The names in a type, as text.

use std::collections::BTreeSet;

/// The crate of every program, as it begins paths.
const OWN: &str = "ctx::";

/// Whether a type erases its value's own type, which can be asked for at run time.
pub(super) fn is_erased(full: &str) -> bool {
    ["dyn core::any::Any", "dyn core::error::Error", "anyhow::Error"].iter().any(|name| full.contains(name))
}

/// The same, for a type as a user writes it.
pub(super) fn is_erased_text(ty: &str) -> bool {
    is_erased_in(&identifiers(ty).map(str::to_owned).collect())
}

pub(super) fn is_erased_in(words: &BTreeSet<String>) -> bool {
    let has = |word: &str| words.contains(word);
    has("anyhow") || has("dyn") && (has("Any") || has("Error"))
}

/// The first word of each path.
pub(super) fn first_words(text: &str) -> impl Iterator<Item = &str> {
    let relative = |word: &str| ["crate", "self", "super"].contains(&word);
    let mut behind = false;
    text.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_')).filter_map(move |part| {
        let word = part.trim_end_matches(|c: char| !(c.is_alphanumeric() || c == '_'));
        let first = !behind;
        if !word.is_empty() {
            behind = part.ends_with(':') && !relative(word);
        } else if !part.ends_with(':') {
            behind = false;
        }
        (first && !word.is_empty()).then_some(word)
    })
}

/// The words of the paths into cells.
pub(super) fn own_words(full: &str) -> impl Iterator<Item = &str> {
    let paths = full.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    paths.filter(|path| !path.is_empty()).flat_map(|path| {
        // For a crate of `:dep`, only its name.
        let own = path.strip_prefix(OWN);
        let words = own.map(identifiers).into_iter().flatten().filter(|word| !word.is_empty());
        words.chain(own.is_none().then(|| path.split("::").next().unwrap_or_default()))
    })
}

pub(crate) fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_with_their_first_words() {
        let first = |text| first_words(text).collect::<Vec<_>>();
        assert_eq!(first("std::vec::Vec<m::P>"), ["std", "m"]);
        assert_eq!(first("crate::P"), ["crate", "P"]);
        assert_eq!(first("(A, &B)"), ["A", "B"]);
        assert_eq!(own_words("alloc::vec::Vec<ctx::m::P>").collect::<Vec<_>>(), ["alloc", "m", "P"]);
    }
}
