//! What rustc says, as it says it in JSON.

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
    /// Where the macro was called that the place lies in.
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

    /// Whether it speaks of `name`.
    pub(crate) fn mentions(&self, name: &str) -> bool {
        self.message.contains(name) || self.children.iter().any(|child| child.mentions(name))
    }

    /// Adds a line of help below.
    pub(crate) fn add_help(&mut self, message: String) {
        let (level, spans, children) = ("help".to_owned(), Vec::new(), Vec::new());
        self.children.push(Self { message, code: None, level, spans, children });
    }

    /// What it suggests to write.
    pub(crate) fn suggestions(&self) -> impl Iterator<Item = &str> {
        self.children.iter().flat_map(|child| &child.spans).filter_map(|span| span.suggested_replacement.as_deref())
    }

    /// Whether its own place touches `range` of the program.
    pub(crate) fn is_at(&self, range: &Range<usize>) -> bool {
        self.touches(range, true)
    }

    /// Whether a place that explains it touches `range` of the program.
    pub(crate) fn points_to(&self, range: &Range<usize>) -> bool {
        self.touches(range, false)
    }

    fn touches(&self, range: &Range<usize>, primary: bool) -> bool {
        let spans = self.spans.iter().filter(|span| span.is_primary == primary);
        spans.filter_map(Span::in_program).any(|at| at.start < range.end && range.start < at.end)
    }
}

impl Span {
    /// The place in the program; in the call, where it lies in a macro of another file.
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
