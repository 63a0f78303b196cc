//! Notebook files.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};

/// Reads a notebook whose cells can be run.
pub(crate) fn read(file: &Path) -> Result<Value> {
    let name = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
    let notebook: Value = serde_json::from_str(&text).with_context(|| format!("{name} is not a notebook"))?;
    ensure!(notebook["nbformat"] == 4, "{name}: only notebooks of format 4 can be run");
    ensure!(notebook["cells"].is_array(), "{name} has no cells");
    let language = &notebook["metadata"]["kernelspec"]["language"];
    if let Some(other) = language.as_str().filter(|language| *language != "rust") {
        bail!("{name} is written in {other}, not in Rust");
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

/// Puts the outputs of each code cell in. Cells that did not run lose their old ones.
pub(crate) fn put_outputs(notebook: &mut Value, outputs: Vec<Vec<Value>>) {
    let cells = notebook["cells"].as_array_mut().into_iter().flatten();
    let mut outputs = outputs.into_iter().enumerate();
    for cell in cells.filter(|cell| is_code(cell)) {
        let (count, outputs) = match outputs.next() {
            Some((index, outputs)) => (json!(index + 1), outputs),
            None => (Value::Null, Vec::new()),
        };
        cell["execution_count"] = count;
        cell["outputs"] = json!(outputs);
    }
}

/// Writes a notebook as nbformat does.
pub(crate) fn write(file: &Path, notebook: &Value) -> Result<()> {
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
    notebook.serialize(&mut serde_json::Serializer::with_formatter(&mut text, format))?;
    text.push(b'\n');
    crate::files::write(file, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_strings_or_lines() {
        assert_eq!(source(&json!({ "source": ["a\n", "b"] })), "a\nb");
        assert_eq!(source(&json!({ "source": "a\nb" })), "a\nb");
    }

    #[test]
    fn outputs_go_to_the_code_cells() {
        let mut notebook = json!({ "cells": [
            { "cell_type": "markdown", "source": "text" },
            { "cell_type": "code", "source": "1", "outputs": ["old"], "execution_count": 9 },
            { "cell_type": "code", "source": "2", "outputs": ["old"], "execution_count": 9 },
        ]});
        put_outputs(&mut notebook, vec![vec![json!("new")]]);
        assert_eq!(notebook["cells"][1]["outputs"], json!(["new"]));
        assert_eq!(notebook["cells"][1]["execution_count"], 1);
        assert_eq!(notebook["cells"][2]["outputs"], json!([]));
        assert_eq!(notebook["cells"][2]["execution_count"], Value::Null);
        assert!(notebook["cells"][0].get("outputs").is_none());
    }
}
