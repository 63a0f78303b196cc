//! Renders compile errors of a cell like rustc, with the code that the user wrote.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::diagnostic::Diagnostic;
use super::edit::position;
use super::program::Program;
use super::types::answer;

/// A cell with its name in errors.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// "cell [3]"
    pub(crate) name: String,
    pub(crate) code: String,
}

/// An error in the user's code.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CompileError {
    /// The first line, such as "mismatched types (E0308)".
    pub(crate) title: String,
    /// The rendered error.
    pub(crate) rendered: String,
}

/// The errors among `errors` that a user can act on, each once, in the order of rustc.
pub(crate) fn compile_errors(sources: &[Source], program: &Program, errors: &[Diagnostic]) -> Vec<CompileError> {
    let mut found: Vec<CompileError> = Vec::new();
    for error in errors.iter().filter(|error| answer(error).is_none()) {
        let drawn = CompileError { title: title(error), rendered: draw(sources, program, error) };
        if !found.contains(&drawn) {
            found.push(drawn);
        }
    }
    found
}

/// Renders a message of ours at a place in a cell, with a help below.
pub(crate) fn drawn(source: &Source, at: Range<usize>, message: &str, help: &str) -> CompileError {
    let snippet = Snippet::source(source.code.as_str()).path(source.name.as_str());
    let mut group = Level::ERROR.primary_title(message).element(snippet.annotation(AnnotationKind::Primary.span(at)));
    if !help.is_empty() {
        group = group.element(Level::HELP.message(help));
    }
    CompileError { title: message.to_owned(), rendered: Renderer::styled().render(&[group]) }
}

/// A line of a cell, for the call stack of a panic.
pub(crate) fn place(source: &Source, offset: usize) -> String {
    let (line, _) = position(&source.code, offset);
    let text = source.code.lines().nth(line - 1).unwrap_or_default();
    format!(" --> {}:{line}\n{line:>4} | {text}", source.name)
}

fn title(error: &Diagnostic) -> String {
    let message = readable(&error.message);
    match error.code() {
        "" => message,
        code => format!("{message} ({code})"),
    }
}

fn draw(sources: &[Source], program: &Program, error: &Diagnostic) -> String {
    let message = readable(&error.message);
    let mut title = Level::ERROR.primary_title(message.as_str());
    if !error.code().is_empty() {
        title = title.id(error.code());
    }
    let marks = marks(program, error);
    let mut group = Group::with_title(title);
    let mut cells: Vec<usize> = marks.iter().map(|mark| mark.source).collect();
    // The cell with the primary place comes first.
    cells.sort_by_key(|cell| !marks.iter().any(|mark| mark.primary && mark.source == *cell));
    cells.dedup();
    for source in cells {
        let Some(Source { name, code }) = sources.get(source) else { continue };
        let here = marks.iter().filter(|mark| mark.source == source);
        group = group.element(here.fold(Snippet::source(code.as_str()).path(name.as_str()), |snippet, mark| {
            let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let span = kind.span(mark.at.start.min(code.len())..mark.at.end.min(code.len()));
            snippet.annotation(if mark.label.is_empty() { span } else { span.label(mark.label.as_str()) })
        }));
    }
    for note in notes(error) {
        group = group.element(match note.help {
            true => Level::HELP.message(note.text),
            false => Level::NOTE.message(note.text),
        });
    }
    Renderer::styled().render(&[group])
}

struct Mark {
    source: usize,
    at: Range<usize>,
    label: String,
    primary: bool,
}

/// The places in the user's code. Labels on the kernel's own code are left out, but never the primary place of the
/// error.
fn marks(program: &Program, error: &Diagnostic) -> Vec<Mark> {
    let spans = error.spans.iter().filter_map(|span| {
        let (source, at) = span.origin(program)?;
        let label = readable(span.label.as_deref().unwrap_or_default());
        let label = if is_ours(&label) { String::new() } else { label };
        Some(Mark { source, at, label, primary: span.is_primary })
    });
    let has_label = |span: &Mark| !span.label.is_empty();
    spans.filter(|mark| mark.primary || has_label(mark)).collect()
}

struct Note {
    help: bool,
    text: String,
}

/// The notes and helps below the code, except those about the kernel's code.
fn notes(error: &Diagnostic) -> Vec<Note> {
    let mut notes = Vec::new();
    for child in &error.children {
        let message = readable(&child.message);
        // The library is a crate of the kernel and of its dylib.
        if is_ours(&message) || message.contains("multiple different versions of crate `kensaku`") {
            continue;
        }
        let replacements: Vec<&str> =
            child.spans.iter().filter_map(|span| span.suggested_replacement.as_deref()).collect();
        if replacements.iter().any(|text| is_ours(text)) {
            continue;
        }
        let text = match replacements.as_slice() {
            [one] if is_worth_showing(one, &message) => format!("{message}: `{}`", one.trim()),
            several if several.len() > 1 && several.iter().all(|text| text.starts_with("use ")) => {
                let imports: Vec<String> = several.iter().map(|text| format!("`{}`", text.trim())).collect();
                format!("{message}: {}", imports.join(", "))
            }
            _ => message,
        };
        notes.push(Note { help: child.level == "help", text });
    }
    notes
}

/// A suggested `;` says nothing beyond the message, nor does what the message already contains.
fn is_worth_showing(suggestion: &str, message: &str) -> bool {
    suggestion.contains(char::is_alphanumeric) && !message.contains(suggestion.trim())
}

/// Whether `text` is about code that the kernel has put around the user's.
fn is_ours(text: &str) -> bool {
    let names = ["kensaku::nb", "kensaku_end", "kensaku_cell", "`#[warn("];
    names.iter().any(|name| text.contains(name)) || names_program(text)
}

/// The text without the file names of programs, by which rustc says where closures are.
fn readable(text: &str) -> String {
    let mut readable = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let end = rest[at..].find('}').map_or(rest.len(), |end| at + end);
        readable.push_str(&rest[..at]);
        if !names_program(&rest[at..end]) {
            readable.push_str(&rest[at..end]);
        }
        rest = &rest[end..];
    }
    readable + rest
}

/// Whether it names the file of a program, `cell_12.rs`: a user's own `cell_width` is not one.
fn names_program(text: &str) -> bool {
    text.split("cell_").skip(1).any(|rest| {
        let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        behind.len() < rest.len() && behind.starts_with(".rs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_of_programs_differ_from_users_names() {
        assert!(is_ours("--> programs/cell_12.rs:3:9") && is_ours("`kensaku::nb::keep` needs this"));
        assert!(!is_ours("move occurs because `cell_width` has type `String`"));
        assert!(!is_ours("`cell_1` is moved here") && !is_ours("cell_.rs"));
    }

    #[test]
    fn closures_are_shown_without_their_file() {
        let text = "`{closure@programs/cell_3.rs:6:14: 6:22}` is no `{closure@other.rs:1:2: 1:3}`";
        assert_eq!(readable(text), "`{closure}` is no `{closure@other.rs:1:2: 1:3}`");
        assert_eq!(readable("first @ second"), "first @ second");
    }
}
