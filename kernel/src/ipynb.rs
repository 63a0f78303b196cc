//! Notebook files.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};

/// What a run does with a cell; the same rules as nbclient's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// Run it; tagged `raises-exception`, it may fail, and the error is a normal output.
    Run { may_fail: bool },
    /// It is empty.
    Blank,
    /// Leave it unchanged: it is a text, or tagged `skip-execution`.
    Leave,
}

/// Reads a notebook, and checks that its cells can be run.
pub(crate) fn read(file: &Path) -> Result<Value> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let notebook: Value = serde_json::from_str(text).with_context(|| format!("{name} is not a notebook"))?;
    check_format(&notebook, file)?;
    let cells = notebook["cells"].as_array().with_context(|| format!("{name} has no list of cells"))?;
    if let Some(other) = language(&notebook).filter(|language| !language.eq_ignore_ascii_case("rust")) {
        bail!("{name} is written in {other}, not Rust");
    }
    for (index, cell) in cells.iter().enumerate() {
        check_cell(cell).with_context(|| format!("{name}: cell {} of {}", index + 1, cells.len()))?;
    }
    Ok(notebook)
}

/// All cells, texts included.
pub(crate) fn cells(notebook: &Value) -> impl Iterator<Item = &Value> {
    notebook["cells"].as_array().into_iter().flatten()
}

pub(crate) fn is_code(cell: &Value) -> bool {
    cell["cell_type"] == "code"
}

/// A cell's source: a string or a list of lines.
pub(crate) fn source(cell: &Value) -> String {
    match &cell["source"] {
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

pub(crate) fn task(cell: &Value) -> Task {
    let tags = cell["metadata"]["tags"].as_array();
    let tagged = |wanted: &str| tags.is_some_and(|tags| tags.iter().any(|tag| tag == wanted));
    if !is_code(cell) || tagged("skip-execution") {
        Task::Leave
    } else if source(cell).trim().is_empty() {
        Task::Blank
    } else {
        Task::Run { may_fail: tagged("raises-exception") }
    }
}

/// Whether the last run of a cell ended with a compile error.
pub(crate) fn did_not_compile(cell: &Value) -> bool {
    cell["outputs"].as_array().into_iter().flatten().any(|output| output["ename"] == "CompileError")
}

/// Inserts the outputs of the cells to run. Those that were not reached lose their old outputs.
pub(crate) fn put_outputs(notebook: &mut Value, outputs: Vec<Vec<Value>>) {
    let cells = notebook["cells"].as_array_mut().into_iter().flatten();
    let mut outputs = outputs.into_iter().enumerate();
    for cell in cells.filter(|cell| is_code(cell)) {
        let ran = match task(cell) {
            Task::Run { .. } => outputs.next(),
            Task::Blank => None,
            Task::Leave => {
                // The format requires both fields.
                if cell["outputs"].is_null() {
                    cell["outputs"] = json!([]);
                }
                // Indexing adds it as null if it is missing.
                let _ = &mut cell["execution_count"];
                continue;
            }
        };
        cell["execution_count"] = ran.as_ref().map_or(Value::Null, |(index, _)| json!(index + 1));
        cell["outputs"] = json!(ran.map(|(_, outputs)| outputs).unwrap_or_default());
    }
}

/// Writes a notebook in nbformat's style.
pub(crate) fn write(file: &Path, notebook: &Value) -> Result<()> {
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
    notebook.serialize(&mut serde_json::Serializer::with_formatter(&mut text, format))?;
    text.push(b'\n');
    crate::files::write(file, &text)
}

fn check_format(notebook: &Value, file: &Path) -> Result<()> {
    let name = file.display();
    match notebook["nbformat"].as_u64() {
        Some(4) => Ok(()),
        Some(older @ 0..4) => bail!(
            "{name} is in notebook format {older}, but only format 4 is supported: \
             convert it with `jupyter nbconvert --to notebook {name}`"
        ),
        Some(newer) => bail!("{name} is in notebook format {newer}, but only format 4 is supported"),
        None => bail!("{name} is not a notebook: it has no format (`nbformat`)"),
    }
}

/// The language, which may be in two places or missing.
fn language(notebook: &Value) -> Option<&str> {
    let metadata = &notebook["metadata"];
    metadata["kernelspec"]["language"].as_str().or_else(|| metadata["language_info"]["name"].as_str())
}

fn check_cell(cell: &Value) -> Result<()> {
    let kind = &cell["cell_type"];
    ensure!(["code", "markdown", "raw"].iter().any(|known| kind == known), "it is neither code, markdown nor raw text");
    match &cell["source"] {
        Value::String(_) => Ok(()),
        Value::Array(lines) => match lines.iter().find(|line| !line.is_string()) {
            Some(line) => bail!("a line of its source is {}; expected a string", sort(line)),
            None => Ok(()),
        },
        other => bail!("its source is {}; expected a string or a list of strings", sort(other)),
    }
}

fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "missing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(content: &str) -> Result<Value> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("a.ipynb");
        std::fs::write(&file, content)?;
        read(&file)
    }

    fn refusal(content: &Value) -> String {
        let error = reading(&content.to_string()).expect_err("it cannot be run");
        format!("{error:#}")
    }

    fn with_metadata(metadata: Value) -> Value {
        json!({ "nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": [] })
    }

    fn with_cell(cell: Value) -> Value {
        let text = json!({ "cell_type": "markdown", "source": "text" });
        json!({ "nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [text, cell] })
    }

    #[test]
    fn sources_are_strings_or_lines() {
        assert_eq!(source(&json!({ "source": ["a\n", "b"] })), "a\nb");
        assert_eq!(source(&json!({ "source": "a\nb" })), "a\nb");
        let refused = refusal(&with_cell(json!({ "cell_type": "code", "source": 5 })));
        assert!(
            refused.ends_with("a.ipynb: cell 2 of 2: its source is a number; expected a string or a list of strings")
        );
        assert!(refusal(&with_cell(json!({ "cell_type": "code", "source": ["a", null] }))).contains("cell 2 of 2"));
        assert!(refusal(&with_cell(json!({ "cell_type": "raw" }))).contains("its source is missing"));
        assert!(
            refusal(&with_cell(json!({ "cell_type": "note", "source": "" }))).contains("cell 2 of 2: it is neither")
        );
        assert!(refusal(&with_cell(json!(1))).contains("cell 2 of 2"));
    }

    #[test]
    fn other_formats_are_refused() {
        let format = |number: Value| refusal(&json!({ "nbformat": number, "worksheets": [] }));
        assert!(format(json!(3)).contains("format 3") && format(json!(3)).contains("nbconvert"));
        assert!(format(json!(5)).contains("format 5"));
        for content in ["[]", "{}", "null", "", "{\"cells\": ["] {
            let refused = format!("{:#}", reading(content).expect_err("no notebook"));
            assert!(refused.contains("a.ipynb is not a notebook"), "{content}: {refused}");
        }
        assert!(refusal(&json!({ "nbformat": 4, "cells": {} })).contains("no list of cells"));
    }

    #[test]
    fn the_language_is_read_from_both_places() {
        let python = json!({ "kernelspec": { "name": "python3" }, "language_info": { "name": "python" } });
        assert!(refusal(&with_metadata(python)).ends_with("is written in python, not Rust"));
        let julia = json!({ "kernelspec": { "language": "julia" }, "language_info": { "name": "rust" } });
        assert!(refusal(&with_metadata(julia)).contains("julia"));
        for rust in [json!({}), json!({ "kernelspec": { "name": "rust", "language": "Rust" } })] {
            assert!(reading(&with_metadata(rust).to_string()).is_ok());
        }
        assert!(reading(&format!("\u{feff}{}", with_metadata(json!({ "language_info": { "name": "rust" } })))).is_ok());
    }

    #[test]
    fn tags_decide_what_is_run() {
        let cell = |kind: &str, source: &str, tags: Value| {
            task(&json!({ "cell_type": kind, "source": source, "metadata": { "tags": tags } }))
        };
        assert_eq!(cell("code", "1", json!(["other"])), Task::Run { may_fail: false });
        assert_eq!(cell("code", "1", json!(["raises-exception"])), Task::Run { may_fail: true });
        assert_eq!(cell("code", "1", json!(["raises-exception", "skip-execution"])), Task::Leave);
        assert_eq!(cell("code", " \n\t", json!([])), Task::Blank);
        assert_eq!(cell("markdown", "1", json!([])), Task::Leave);
        assert_eq!(task(&json!({ "cell_type": "code", "source": "1" })), Task::Run { may_fail: false });
    }

    #[test]
    fn outputs_go_to_the_cells_that_ran() {
        let old = |source: &str, tags: Value| json!({ "cell_type": "code", "source": source, "metadata": { "tags": tags }, "outputs": ["old"], "execution_count": 9 });
        let mut notebook = json!({ "cells": [
            { "cell_type": "markdown", "source": "text" },
            old(" \n", json!([])),
            old("1", json!([])),
            old("2", json!(["skip-execution"])),
            old("3", json!([])),
            old("4", json!([])),
            { "cell_type": "code", "source": "5", "metadata": { "tags": ["skip-execution"] } },
        ]});
        put_outputs(&mut notebook, vec![vec![json!("new")], vec![]]);
        let fields = |index: usize| {
            let cell = &notebook["cells"][index];
            (cell.get("execution_count").cloned(), cell.get("outputs").cloned())
        };
        assert_eq!(fields(0), (None, None));
        assert_eq!(fields(1), (Some(Value::Null), Some(json!([]))));
        assert_eq!(fields(2), (Some(json!(1)), Some(json!(["new"]))));
        assert_eq!(fields(3), (Some(json!(9)), Some(json!(["old"]))));
        assert_eq!(fields(4), (Some(json!(2)), Some(json!([]))));
        assert_eq!(fields(5), (Some(Value::Null), Some(json!([]))));
        assert_eq!(fields(6), (Some(Value::Null), Some(json!([]))));
    }
}
