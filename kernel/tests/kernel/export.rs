//! `kensaku export`: the files, and that the program prints what the notebook shows. CI builds one with plain cargo.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;
use serde_json::{Value, json};

use crate::client::build_dylib;

const CELLS: [(&str, &str); 3] = [
    ("markdown", "# 検索\n\nA table:"),
    ("code", ":dep regex\nuse std::collections::HashMap;\nlet table: HashMap<u8, u8> = HashMap::new();\ntable.len()"),
    ("code", "use std::collections::HashMap;\nfn f() -> Result<u8> { Ok(1) }\nf()?"),
];

#[test]
fn a_notebook_becomes_a_cargo_project() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let project = folder.path().join("project");
    let output = export(folder.path(), &CELLS, &project)?;
    assert!(output.status.success(), "{output:?}");
    let manifest = std::fs::read_to_string(project.join("Cargo.toml"))?;
    assert!(manifest.contains("name = \"my-notebook\"") && manifest.contains("\nregex = \"="), "{manifest}");
    assert!(project.join("Cargo.lock").exists());
    let program = std::fs::read_to_string(project.join("src/main.rs"))?;
    assert_eq!(program.matches("use std::collections::HashMap;").count(), 1, "{program}");
    assert!(program.contains("// # 検索\n") && program.contains("kensaku::show_value!(f()?);"), "{program}");
    // cargo accepts it with the versions of the lock file.
    let metadata = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--offline", "--no-deps", "--manifest-path"])
        .arg(project.join("Cargo.toml"))
        .output()?;
    assert!(metadata.status.success(), "{metadata:?}");
    Ok(())
}

#[test]
fn projects_are_overwritten_and_other_folders_are_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let project = folder.path().join("project");
    assert!(export(folder.path(), &CELLS, &project)?.status.success());
    assert!(export(folder.path(), &CELLS, &project)?.status.success());
    // This is the folder of the notebook.
    let refused = export(folder.path(), &CELLS, folder.path())?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr)?.contains("is not empty"));
    Ok(())
}

/// Items in several cells, some redefined; values with and without a rich form; a future; an error at the end.
const CODE: [(&str, &str); 7] = [
    ("code", "use std::collections::{BTreeMap, HashMap};\nfn f() -> i32 { 1 }\nstruct Plain;\nlet mut a = f();"),
    ("code", "use std::collections::{BTreeMap, BTreeSet};\nlet set: BTreeSet<i32> = [a, 2].into();\nset"),
    ("code", "fn f() -> String { \"anew\".to_owned() }\na += 1;\nprintln!(\"{a} {}\", f());\nPlain"),
    ("code", "// shows a table\nfn g() -> usize { f().len() }\ndf!(\"n\" => [g() as i64])?"),
    ("code", "let later = async { 7 };\nlater.await"),
    ("code", "bars(\"chart\", &[\"m\"], &[(\"a\", vec![0.5])])?"),
    ("code", "let n: i32 = \"x\".parse()?;\nn"),
];

#[test]
fn the_program_prints_what_the_notebook_shows() -> Result<()> {
    build_dylib();
    let folder = tempfile::tempdir()?;
    let project = folder.path().join("project");
    assert!(export(folder.path(), &CODE, &project)?.status.success());
    let kensaku = || Command::new(env!("CARGO_BIN_EXE_kensaku"));
    // The library of cells replaces the dependency, so that nothing has to be built.
    let mut run = kensaku();
    run.args(["run", "src/main.rs"]).current_dir(&project).env("XDG_CACHE_HOME", folder.path());
    let output = run.output()?;
    let printed = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8(output.stderr)?;
    assert!(errors.contains("invalid digit") && output.status.code() == Some(1), "{errors}");
    assert!(project.join("displays/05.svg").exists());

    let executed = folder.path().join("executed.ipynb");
    let output = kensaku().arg("run").arg(folder.path().join(NAME)).arg("-o").arg(&executed).output()?;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let notebook: Value = serde_json::from_str(&std::fs::read_to_string(executed)?)?;
    let outputs = notebook["cells"].as_array().into_iter().flatten().flat_map(|cell| cell["outputs"].as_array());
    let shown: String = outputs
        .flatten()
        .filter_map(|output| output["text"].as_str().or(output["data"]["text/plain"].as_str()))
        .map(|text| format!("{}\n", text.trim_end()))
        .collect();
    // The names of types include their crate.
    assert_eq!(printed.replace("script::Plain", "Plain"), shown.replace("ctx::Plain", "Plain"));
    Ok(())
}

const NAME: &str = "My Notebook.ipynb";

fn export(folder: &Path, cells: &[(&str, &str)], project: &Path) -> Result<Output> {
    let notebook = folder.join(NAME);
    let cells: Vec<Value> = cells
        .iter()
        .map(|(kind, source)| json!({ "cell_type": kind, "metadata": {}, "source": source, "outputs": [] }))
        .collect();
    let content = json!({ "nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells });
    std::fs::write(&notebook, content.to_string())?;
    Ok(Command::new(env!("CARGO_BIN_EXE_kensaku")).arg("export").arg(notebook).arg(project).output()?)
}
