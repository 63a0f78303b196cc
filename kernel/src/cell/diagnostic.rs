//! rustc's messages in JSON.

use std::ops::Range;

use serde::Deserialize;

use super::program::Program;

/// One message of rustc.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Diagnostic {
    pub(crate) message: String,
    code: Option<Code>,
    #[serde(default)]
    pub(crate) level: String,
    #[serde(default)]
    pub(crate) spans: Vec<Span>,
    #[serde(default)]
    pub(crate) children: Vec<Diagnostic>,
}

#[derive(Debug, Clone, Deserialize)]
struct Code {
    code: String,
}

/// A place in a file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Span {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
    pub(crate) is_primary: bool,
    pub(crate) label: Option<String>,
    pub(crate) suggested_replacement: Option<String>,
    /// The call of the macro that contains the place.
    expansion: Option<Box<Expansion>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Expansion {
    span: Span,
}

impl Diagnostic {
    /// The errors among rustc's lines, in its order.
    pub(crate) fn errors(lines: &str) -> Vec<Self> {
        let all = lines.lines().filter_map(|line| serde_json::from_str::<Self>(line).ok());
        all.filter(|found| found.level.starts_with("error") && !found.message.starts_with("aborting due to")).collect()
    }

    /// "E0308"
    pub(crate) fn code(&self) -> &str {
        self.code.as_ref().map(|code| code.code.as_str()).unwrap_or_default()
    }

    /// Moves the places in the `number`th program by `bytes`.
    pub(super) fn shift(&mut self, number: usize, bytes: usize) {
        self.spans.iter_mut().for_each(|span| span.shift(number, bytes));
        self.children.iter_mut().for_each(|child| child.shift(number, bytes));
    }

    /// The place of a `?` after an `Option` in a function that returns a `Result`.
    pub(crate) fn tried_option(&self) -> Option<usize> {
        const ABOUT: &str = "the `?` operator can only be used on `Result`s, not `Option`s, in a";
        let whose = self.message.strip_prefix(ABOUT)?;
        let is_function = [" function", "n async function"].iter().any(|kind| whose.starts_with(kind));
        let primary = self.spans.iter().find(|span| span.is_primary && is_function)?;
        Some(primary.in_program()?.start)
    }

    /// Whether it is about `name`.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.message.contains(name) || self.children.iter().any(|child| child.mentions(name))
    }

    /// Adds a line of help.
    pub(crate) fn add_help(&mut self, message: String) {
        let (level, spans, children) = ("help".to_owned(), Vec::new(), Vec::new());
        self.children.push(Self { message, code: None, level, spans, children });
    }

    /// The replacements that it suggests.
    pub(crate) fn suggestions(&self) -> impl Iterator<Item = &str> {
        self.children.iter().flat_map(|child| &child.spans).filter_map(|span| span.suggested_replacement.as_deref())
    }

    /// Whether its primary place overlaps `range` of the program.
    pub(crate) fn is_at(&self, range: &Range<usize>) -> bool {
        self.touches(range, true)
    }

    /// Whether a place that explains it overlaps `range` of the program.
    pub(crate) fn points_to(&self, range: &Range<usize>) -> bool {
        self.touches(range, false)
    }

    fn touches(&self, range: &Range<usize>, primary: bool) -> bool {
        let spans = self.spans.iter().filter(|span| span.is_primary == primary);
        spans.filter_map(Span::in_program).any(|at| at.start < range.end && range.start < at.end)
    }
}

impl Span {
    fn shift(&mut self, number: usize, bytes: usize) {
        if number_of(&self.file_name) == Some(number) {
            self.byte_start += bytes;
            self.byte_end += bytes;
        }
        if let Some(expansion) = &mut self.expansion {
            expansion.span.shift(number, bytes);
        }
    }

    /// The place in the program; that of the call if it is in a macro of another file.
    pub(crate) fn in_program(&self) -> Option<Range<usize>> {
        let mut span = self;
        while !is_cell(&span.file_name) {
            span = &span.expansion.as_ref()?.span;
        }
        Some(span.byte_start..span.byte_end)
    }

    /// The place in the cells.
    pub(crate) fn origin(&self, program: &Program) -> Option<(usize, Range<usize>)> {
        program.origins.of(self.in_program()?)
    }
}

/// The name of the file of the `number`th program.
pub(crate) fn file_name(number: usize) -> String {
    format!("cell_{number}.rs")
}

/// The number of the program in `file`.
pub(crate) fn number_of(file: &str) -> Option<usize> {
    file.rsplit('/').next()?.strip_prefix("cell_")?.strip_suffix(".rs")?.parse().ok()
}

fn is_cell(file: &str) -> bool {
    number_of(file).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_marks_after_options_are_found() {
        let message = |place: &str| {
            let span = r#"{ "file_name": "a/cell_1.rs", "byte_start": 7, "byte_end": 8, "is_primary": true }"#;
            let about = format!(
                "the `?` operator can only be used on `Result`s, not `Option`s, in {place} that returns `Result`"
            );
            let line = format!(r#"{{ "message": "{about}", "level": "error", "spans": [{span}] }}"#);
            Diagnostic::errors(&line).first().and_then(Diagnostic::tried_option)
        };
        assert_eq!(message("a function"), Some(7));
        assert_eq!(message("an async function"), Some(7));
        assert_eq!(message("a closure"), None);
    }
}
