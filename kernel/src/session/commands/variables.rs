//! `:vars`: the variables, their types and, where known, their sizes.

use serde_json::json;

use crate::cell::Variable;
use crate::session::evaluator::Session;
use crate::session::{Event, Failure};

/// Types with a `len` that is shown.
const COUNTED: [&str; 19] = [
    "BTreeMap",
    "BTreeSet",
    "BinaryHeap",
    "Bm25",
    "Column",
    "Corpus",
    "Embeddings",
    "FlatIndex",
    "HashMap",
    "HashSet",
    "Qrels",
    "Queries",
    "Run",
    "Series",
    "String",
    "TokenEmbeddings",
    "TrainingSet",
    "Vec",
    "VecDeque",
];

/// A table of text and of sizes to be computed by the cells' process.
#[derive(Default)]
struct Table {
    text: Vec<Part>,
    html: Vec<Part>,
}

enum Part {
    Text(String),
    /// An expression.
    Size(String),
}

impl Session {
    pub(super) fn vars(&mut self) -> Result<(), Failure> {
        let table = Table::of(self.variables(), true);
        if table.text.iter().any(|part| matches!(part, Part::Size(_))) && self.run_own(&table.code(), ":vars").is_ok() {
            return Ok(());
        }
        // Without sizes, then.
        let table = Table::of(self.variables(), false);
        let text = if table.text.is_empty() { "no variables".to_owned() } else { joined(&table.text) };
        let data = json!({ "text/plain": text, "text/html": joined(&table.html) });
        self.link.show(Event::Value(json!({ "data": data, "metadata": {} })));
        Ok(())
    }

    /// Sorted by name, as in completion.
    fn variables(&self) -> Vec<Variable> {
        let mut variables = self.read_scope(|scope| scope.variables.clone());
        variables.sort_by(|a, b| a.name.cmp(&b.name));
        variables
    }
}

impl Table {
    fn of(variables: Vec<Variable>, sizes: bool) -> Self {
        let mut table = Self::default();
        table.html("<table><tr><th>variable</th><th>type</th><th>size</th></tr>".to_owned());
        for (index, Variable { name, ty, .. }) in variables.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            table.text.push(Part::Text(format!("{line}{name}: {ty}")));
            table.html(format!("<tr><td>{name}</td><td>{}</td><td>", escaped(ty)));
            if let Some(size) = size(name, ty).filter(|_| sizes) {
                table.text.extend([Part::Text(" (".to_owned()), Part::Size(size.clone()), Part::Text(")".to_owned())]);
                table.html.push(Part::Size(size));
            }
            table.html("</td></tr>".to_owned());
        }
        table.html("</table>".to_owned());
        table
    }

    fn html(&mut self, text: String) {
        self.html.push(Part::Text(text));
    }

    /// A cell that shows the table.
    fn code(&self) -> String {
        let text = |parts: &[Part]| {
            let parts = parts.iter().map(|part| match part {
                Part::Text(text) => format!("{text:?}.to_owned()"),
                Part::Size(size) => size.clone(),
            });
            format!("[{}].concat()", parts.collect::<Vec<_>>().join(", "))
        };
        format!("kensaku::show::Message::text({}).with(\"text/html\", {})", text(&self.text), text(&self.html))
    }
}

fn joined(parts: &[Part]) -> String {
    let texts = parts.iter().map(|part| match part {
        Part::Text(text) | Part::Size(text) => text.as_str(),
    });
    texts.collect()
}

/// An expression for the size of `name`, as a string; `None` for the user's own types.
fn size(name: &str, ty: &str) -> Option<String> {
    let path = ty.split('<').next()?.trim();
    let (own, last) = (path.split("::").next()?.trim(), path.rsplit("::").next()?.trim());
    if !["kensaku", "std"].contains(&own) {
        return None;
    }
    match last {
        "DataFrame" => Some(format!("format!(\"{{}} x {{}}\", {name}.height(), {name}.width())")),
        "Tensor" => Some(format!("format!(\"{{:?}} {{:?}}\", {name}.dims(), {name}.dtype())")),
        counted if COUNTED.contains(&counted) => Some(format!("{name}.len().to_string()")),
        _ => None,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_types_are_asked_for_their_size() {
        assert_eq!(size("v", "std::vec::Vec<Vec<u8>>").as_deref(), Some("v.len().to_string()"));
        assert!(size("f", "kensaku::polars::prelude::DataFrame").is_some_and(|code| code.contains("f.height()")));
        for ty in ["Vec", "m::Vec<u8>", "i32", "&'static str", "std::option::Option<std::vec::Vec<u8>>"] {
            assert_eq!(size("x", ty), None, "{ty}");
        }
    }
}
