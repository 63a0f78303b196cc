//! Compile errors of a cell, drawn as rustc draws them, over the text the user wrote.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use evcxr::CompilationError;
use serde_json::Value;

use super::edit::{Edited, offset_of};
use super::parse::Cell;
use super::types::is_answer;

/// One error of the user's code.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CompileError {
    /// The first line, such as "mismatched types (E0308)".
    pub(crate) title: String,
    /// The whole drawing.
    pub(crate) rendered: String,
}

/// The errors among `errors` that a user can act on, each once, in the order of rustc.
///
/// `sent` is the text evcxr was given in place of `cell`, `place` what to call the cell.
pub(crate) fn compile_errors(
    cell: &Cell,
    sent: &Edited,
    errors: &[CompilationError],
    place: &str,
) -> Vec<CompileError> {
    let mut found: Vec<CompileError> = Vec::new();
    for error in errors.iter().filter(|error| is_error(error) && !is_answer(error)) {
        let drawn = CompileError { title: title(error), rendered: draw(cell, sent, error, place) };
        if !found.contains(&drawn) {
            found.push(drawn);
        }
    }
    found
}

fn is_error(error: &CompilationError) -> bool {
    matches!(error.level(), "error" | "")
}

fn title(error: &CompilationError) -> String {
    match error.code() {
        Some(code) => format!("{} ({code})", error.message()),
        None => error.message(),
    }
}

fn draw(cell: &Cell, sent: &Edited, error: &CompilationError, place: &str) -> String {
    let message = error.message();
    let mut title = Level::ERROR.primary_title(message.as_str());
    if let Some(code) = error.code() {
        title = title.id(code);
    }
    let snippet = Snippet::source(cell.code.as_str()).path(place);
    let marks = marks(cell, sent, error);
    let mut group = if marks.is_empty() {
        Group::with_title(title)
    } else {
        title.element(marks.iter().fold(snippet, |snippet, mark| {
            let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let mark_of = kind.span(mark.start..mark.end);
            snippet.annotation(match mark.label.as_str() {
                "" => mark_of,
                label => mark_of.label(label),
            })
        }))
    };
    for note in notes(&error.json) {
        group = group.element(match note.level {
            "help" => Level::HELP.message(note.text),
            _ => Level::NOTE.message(note.text),
        });
    }
    Renderer::plain().render(&[group])
}

struct Mark {
    start: usize,
    end: usize,
    label: String,
    primary: bool,
}

fn marks(cell: &Cell, sent: &Edited, error: &CompilationError) -> Vec<Mark> {
    let title = format!("error: {}", error.message());
    let spans = error.spanned_messages().iter();
    spans
        .filter_map(|message| {
            let span = message.span?;
            let place = |line, column| sent.original_offset(offset_of(&sent.text, line, column));
            let start = place(span.start_line, span.start_column).min(cell.code.len());
            let end = place(span.end_line, span.end_column).clamp(start, cell.code.len());
            // evcxr repeats the title where a span has no label of its own.
            let label = if message.label == title { String::new() } else { message.label.clone() };
            Some(Mark { start, end, label, primary: message.is_primary })
        })
        .collect()
}

struct Note {
    level: &'static str,
    text: String,
}

/// The notes and helps below the code. Those about code of the kernel's own are left out.
fn notes(error: &Value) -> Vec<Note> {
    let children = error["children"].as_array().map(Vec::as_slice).unwrap_or_default();
    children
        .iter()
        .filter_map(|child| {
            let level = if child["level"] == "help" { "help" } else { "note" };
            let message = child["message"].as_str().filter(|text| !is_ours(text))?;
            let spans = child["spans"].as_array().map(Vec::as_slice).unwrap_or_default();
            let replacements: Vec<&str> =
                spans.iter().filter_map(|span| span["suggested_replacement"].as_str()).collect();
            if replacements.iter().any(|text| is_ours(text)) {
                return None;
            }
            let text = match replacements.as_slice() {
                [one] if !one.trim().is_empty() => format!("{message}: `{}`", one.trim()),
                _ => message.to_owned(),
            };
            Some(Note { level, text })
        })
        .collect()
}

fn is_ours(text: &str) -> bool {
    ["evcxr", "Evcxr", "kensaku::nb", "`#[warn(", "src/lib.rs"].iter().any(|word| text.contains(word))
}
