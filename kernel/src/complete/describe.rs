//! The content of an inspection: a signature, and docs as markdown.

use serde_json::{Value, json};

use super::index::record::{Id, Kind, Member, Record};
use super::view::View;

/// An item's or a variable's description.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Description {
    pub(super) signature: String,
    /// Where it is defined.
    pub(super) place: String,
    pub(super) docs: String,
}

impl Description {
    pub(super) fn of_item(view: &View, id: Id) -> Option<Self> {
        let record = view.world.record(id)?;
        let docs = view.world.docs(&record.docs);
        Some(Self { signature: whole_signature(&record), place: record.path.clone(), docs })
    }

    pub(super) fn of_member(view: &View, member: &Member, owner: Option<Id>) -> Self {
        let place = owner.and_then(|id| view.world.record(id)).map(|record| record.path.clone()).unwrap_or_default();
        Self { signature: member.signature.clone(), place, docs: view.world.docs(&member.docs) }
    }

    /// A variable, described by its type.
    pub(super) fn of_variable(view: &View, name: &str, printed: &str, ty: Option<Id>) -> Self {
        let of_type = ty.and_then(|id| Self::of_item(view, id)).unwrap_or_default();
        let signature = format!("let {name}: {printed}\n{}", of_type.signature).trim_end().to_owned();
        Self { signature, ..of_type }
    }

    /// The description as MIME types; with `detail` 0 only the first paragraph of the docs.
    pub(super) fn data(&self, detail: u64) -> Value {
        let docs = shown(&self.docs);
        let docs = if detail == 0 { first_paragraph(&docs) } else { docs };
        let place = if self.place.is_empty() { String::new() } else { format!("`{}`\n\n", self.place) };
        let markdown = format!("```rust\n{}\n```\n{place}{docs}", self.signature);
        let parts = [self.signature.as_str(), self.place.as_str(), docs.as_str()];
        let text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n");
        json!({ "text/markdown": markdown.trim_end(), "text/plain": text.trim_end() })
    }
}

/// A struct with its public fields, an enum with its variants.
fn whole_signature(record: &Record) -> String {
    let inside: Vec<&str> = match record.kind {
        Kind::Struct => {
            let fields = record.members.iter().filter(|member| member.kind == Kind::Field && member.public);
            fields.map(|field| field.signature.as_str()).collect()
        }
        Kind::Enum => record.children.iter().map(|child| child.name.as_str()).collect(),
        _ => Vec::new(),
    };
    if inside.is_empty() {
        return record.signature.clone();
    }
    let lines: String = inside.iter().map(|line| format!("    {line},\n")).collect();
    format!("{} {{\n{lines}}}", record.signature)
}

/// Docs without the lines of examples that rustdoc hides; code without a language is Rust.
pub(super) fn shown(docs: &str) -> String {
    let mut lines = Vec::new();
    let mut in_rust = None;
    for line in docs.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            in_rust = match in_rust {
                Some(_) => None,
                None => Some(["", "rust", "no_run", "should_panic", "ignore", "compile_fail", "edition"].iter().any(
                    |known| {
                        language
                            .split(',')
                            .any(|word| word.trim() == *known || (!known.is_empty() && word.starts_with(known)))
                    },
                )),
            };
            lines.push(if in_rust == Some(true) { "```rust" } else { line });
        } else if in_rust == Some(true) && (line.trim() == "#" || line.trim_start().starts_with("# ")) {
            continue;
        } else {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn first_paragraph(docs: &str) -> String {
    let lines = docs.lines().skip_while(|line| line.trim().is_empty());
    lines.take_while(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_lines_of_examples_are_left_out() {
        let docs = "Adds.\n\nMore.\n```no_run\n# fn main() {\nlet x = 1;\n#\n# }\n```\n# A title";
        let shown = shown(docs);
        assert_eq!(shown, "Adds.\n\nMore.\n```rust\nlet x = 1;\n```\n# A title");
        assert_eq!(first_paragraph(&shown), "Adds.");
    }
}
