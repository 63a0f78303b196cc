//! `kensaku export`: what is written. That it builds and prints the same is shown by CI, with the quickstart.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;
use serde_json::json;

const CELLS: [(&str, &str); 3] = [
    ("markdown", "# 検索\n\nA table:"),
    ("code", ":dep regex\nuse std::collections::HashMap;\nlet table: HashMap<u8, u8> = HashMap::new();\ntable.len()"),
    ("code", "use std::collections::HashMap;\nfn f() -> Result<u8> { Ok(1) }\nf()?"),
];

#[test]
fn a_notebook_becomes_a_cargo_project() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let project = folder.path().join("project");
    let output = export(folder.path(), &project)?;
    assert!(output.status.success(), "{output:?}");
    let manifest = std::fs::read_to_string(project.join("Cargo.toml"))?;
    assert!(manifest.contains("name = \"my-notebook\"") && manifest.contains("\nregex = \"="), "{manifest}");
    assert!(project.join("Cargo.lock").exists() && project.join("src/notebook.rs").exists());
    let program = std::fs::read_to_string(project.join("src/main.rs"))?;
    assert_eq!(program.matches("use std::collections::HashMap;").count(), 1, "{program}");
    assert!(program.contains("// # 検索\n") && program.contains("show_value!(f()?);"), "{program}");
    // cargo takes it, with the versions of the lock file.
    let metadata = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--offline", "--no-deps", "--manifest-path"])
        .arg(project.join("Cargo.toml"))
        .output()?;
    assert!(metadata.status.success(), "{metadata:?}");
    Ok(())
}

#[test]
fn a_project_is_written_over_and_other_folders_are_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let project = folder.path().join("project");
    assert!(export(folder.path(), &project)?.status.success());
    assert!(export(folder.path(), &project)?.status.success());
    // Here lies the notebook itself.
    let refused = export(folder.path(), folder.path())?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr)?.contains("is not empty"));
    Ok(())
}

fn export(folder: &Path, project: &Path) -> Result<Output> {
    let notebook = folder.join("My Notebook.ipynb");
    let cells = CELLS.map(|(kind, source)| json!({ "cell_type": kind, "metadata": {}, "source": source }));
    let content = json!({ "nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells });
    std::fs::write(&notebook, content.to_string())?;
    Ok(Command::new(env!("CARGO_BIN_EXE_kensaku")).arg("export").arg(notebook).arg(project).output()?)
}
