//! The types of a cell's variables, read from the errors of its probe.

use evcxr::CompilationError;

use super::edit::Edited;
use super::parse::{Binding, Cell};

/// A variable and its type, as code; none for a type that cannot be written, such as a closure's: the
/// variable then lives in its own cell only.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inferred {
    pub(crate) name: String,
    pub(crate) ty: Option<String>,
}

/// The types that `errors` tell, or which variable needs one from the user.
pub(crate) fn inferred_types(
    cell: &Cell,
    probe: &Edited,
    errors: &[CompilationError],
) -> Result<Vec<Inferred>, String> {
    let lines_of_cell = probe.text.lines().count() - asked(cell).count();
    let mut types = Vec::new();
    for (index, binding) in asked(cell).enumerate() {
        let line = lines_of_cell + index + 1;
        let answer = errors.iter().filter(|error| starts_at(error, line)).find_map(answer);
        if let Some(printed) = answer {
            types.push(Inferred { name: binding.name.clone(), ty: as_code(&binding.name, &printed)? });
        }
    }
    Ok(types)
}

/// Whether an error is one of the probe's own.
pub(crate) fn is_answer(error: &CompilationError) -> bool {
    answer(error).is_some()
}

fn asked(cell: &Cell) -> impl Iterator<Item = &Binding> {
    cell.kept().into_iter().map(|(_, binding)| binding).filter(|binding| !binding.typed)
}

fn starts_at(error: &CompilationError, line: usize) -> bool {
    let spans = error.spanned_messages().iter().filter_map(|message| message.span);
    spans.into_iter().any(|span| span.start_line == line)
}

/// The type inside "expected struct `kensaku::nb::TypeOf<..>`" of the note to E0308.
fn answer(error: &CompilationError) -> Option<String> {
    let notes = error.json["children"].as_array()?;
    notes.iter().filter_map(|note| note["message"].as_str()).find_map(marked)
}

fn marked(note: &str) -> Option<String> {
    let start = note.find("nb::TypeOf<")? + "nb::TypeOf<".len();
    let rest = &note[start..];
    let end = rest.find(">`")?;
    Some(rest[..end].to_owned())
}

/// A printed type as code that names it, where code can.
fn as_code(name: &str, printed: &str) -> Result<Option<String>, String> {
    let code = match printed.strip_prefix("fn(") {
        // A function's own type is printed with its name in braces; a pointer to it can be written.
        Some(_) => printed.split(" {").next().unwrap_or(printed).to_owned(),
        None => printed.to_owned(),
    };
    let code = code.replace("{integer}", "i32").replace("{float}", "f64").replace("'_", "'static");
    // Closures, futures and opaque types.
    if code.contains("impl ") || code.contains('{') {
        return Ok(None);
    }
    if has_gap(&code) {
        return Err(format!("the type of `{name}` is not known: give it one, `let {name}: .. = ..;`"));
    }
    Ok(Some(code))
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
        let code = |printed| as_code("x", printed).map(Option::unwrap_or_default);
        assert_eq!(code("({integer}, {float})").as_deref(), Ok("(i32, f64)"));
        assert_eq!(code("fn(i32) -> i32 {double}").as_deref(), Ok("fn(i32) -> i32"));
        let arc = "std::sync::Arc<(dyn for<'a> std::ops::Fn(&'a u8) -> u8 + 'static)>";
        assert_eq!(code(arc).as_deref(), Ok(arc));
        assert_eq!(code("std::borrow::Cow<'_, str>").as_deref(), Ok("std::borrow::Cow<'static, str>"));
    }

    #[test]
    fn types_without_a_name_stay_in_their_cell() {
        assert_eq!(as_code("f", "{closure@src/lib.rs:3:9: 3:11}"), Ok(None));
        assert_eq!(as_code("x", "impl Iterator<Item = u8>"), Ok(None));
        assert!(as_code("x", "std::vec::Vec<_>").is_err());
    }
}
