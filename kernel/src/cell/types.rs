//! The types of a cell's variables, read from the errors of its probe.

use super::diagnostic::Diagnostic;
use super::program::{Program, Role};

/// The type of a variable, if code can name it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Inferred {
    Named(String),
    /// A function pointer, as a function's own type cannot be written.
    Function(String),
    /// A closure, a future or an opaque type: the variable is limited to its cell.
    Nameless,
    /// Not fully inferred: it needs an annotation.
    Open,
}

/// The names of the variables with their types from `errors`.
pub(crate) fn inferred_types(probe: &Program, errors: &[Diagnostic]) -> Vec<(String, Inferred)> {
    let asked = probe.marks.iter().filter(|mark| mark.role == Role::Asks);
    asked
        .filter_map(|mark| {
            let here = errors.iter().filter(|error| error.is_at(&mark.at));
            let printed = here.into_iter().find_map(answer)?;
            Some((mark.name.clone(), as_code(&printed)))
        })
        .collect()
}

/// The type in "expected struct `kensaku::nb::TypeOf<..>`", in the note of E0308.
pub(crate) fn answer(error: &Diagnostic) -> Option<String> {
    error.children.iter().find_map(|note| marked(&note.message))
}

fn marked(note: &str) -> Option<String> {
    let start = note.find("nb::TypeOf<")? + "nb::TypeOf<".len();
    let rest = &note[start..];
    let end = rest.find(">`")?;
    Some(rest[..end].to_owned())
}

/// A printed type as code that names it, if possible.
fn as_code(printed: &str) -> Inferred {
    // A function's own type is printed with its name in braces.
    let pointer = printed.strip_prefix("fn(").and_then(|_| printed.split_once(" {"));
    let code = pointer.map_or(printed, |(pointer, _)| pointer);
    let code = code.replace("{integer}", "i32").replace("{float}", "f64").replace("'_", "'static");
    if code.contains("impl ") || code.contains('{') {
        Inferred::Nameless
    } else if has_gap(&code) {
        Inferred::Open
    } else if pointer.is_some() {
        Inferred::Function(code)
    } else {
        Inferred::Named(code)
    }
}

fn has_gap(code: &str) -> bool {
    let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.any(|word| word == "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_from_the_note() {
        let note = "expected struct `kensaku::nb::TypeOf<std::vec::Vec<std::option::Option<u8>>>`\n\
                    found unit type `()`";
        assert_eq!(marked(note).as_deref(), Some("std::vec::Vec<std::option::Option<u8>>"));
        assert_eq!(marked("expected `u8`, found `()`"), None);
    }

    #[test]
    fn printed_types_become_code() {
        let named = |code: &str| Inferred::Named(code.to_owned());
        assert_eq!(as_code("({integer}, {float})"), named("(i32, f64)"));
        assert_eq!(as_code("fn(i32) -> i32 {double}"), Inferred::Function("fn(i32) -> i32".to_owned()));
        let arc = "std::sync::Arc<(dyn for<'a> std::ops::Fn(&'a u8) -> u8 + 'static)>";
        assert_eq!(as_code(arc), named(arc));
        assert_eq!(as_code("std::borrow::Cow<'_, str>"), named("std::borrow::Cow<'static, str>"));
    }

    #[test]
    fn types_without_a_name_are_limited_to_their_cell() {
        assert_eq!(as_code("{closure@cell_3.rs:3:9: 3:11}"), Inferred::Nameless);
        assert_eq!(as_code("impl Iterator<Item = u8>"), Inferred::Nameless);
        assert_eq!(as_code("std::vec::Vec<_>"), Inferred::Open);
    }
}
