//! `kensaku run notebook.ipynb`, as a user types it.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::Result;
use serde_json::{Value, json};

use crate::client::build_dylib;

#[test]
fn a_notebook_runs_without_jupyter() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let written = folder.path().join("out/executed.ipynb");
    let cells = ["let a = 20;", "println!(\"text\");\na + 1"];
    let output = run(folder.path(), &notebook(&cells), &["-o".as_ref(), written.as_ref()])?;
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout)?;
    assert!(printed.contains("text\n21\n"), "{printed}");
    let notebook: Value = serde_json::from_str(&std::fs::read_to_string(&written)?)?;
    let outputs = &notebook["cells"][1]["outputs"];
    assert_eq!(outputs[0], json!({ "output_type": "stream", "name": "stdout", "text": "text\n" }));
    assert_eq!(outputs[1]["data"]["text/plain"], "21");
    assert_eq!(notebook["cells"][1]["execution_count"], 2);
    Ok(())
}

#[test]
fn a_failed_cell_fails_the_run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let written = folder.path().join("executed.ipynb");
    let cells = ["let a: u8 = \"300\".parse()?;", "println!(\"not reached\");"];
    let output = run(folder.path(), &notebook(&cells), &["-o".as_ref(), written.as_ref()])?;
    assert_eq!(output.status.code(), Some(1));
    let notebook: Value = serde_json::from_str(&std::fs::read_to_string(&written)?)?;
    assert_eq!(notebook["cells"][0]["outputs"][0]["output_type"], "error");
    assert_eq!(notebook["cells"][1]["outputs"], json!([]));
    Ok(())
}

#[test]
fn loaded_files_are_run_and_those_of_the_user_are_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let place = folder.path();
    std::fs::write(place.join("prelude.rs"), "println!(\"of the user\");")?;
    std::fs::write(place.join("helpers.rs"), "fn twice(x: i32) -> i32 { 2 * x }\nlet three = 3;")?;
    std::fs::write(place.join("itself.rs"), ":load itself.rs")?;
    std::fs::write(
        place.join("notebook.ipynb"),
        notebook(&[":load helpers.rs", "twice(three)", ":load itself.rs"]).to_string(),
    )?;
    build_dylib();
    let mut run = Command::new(env!("CARGO_BIN_EXE_kensaku"));
    run.current_dir(place).env("EVCXR_CONFIG_DIR", place).args(["run", "notebook.ipynb", "-o", "executed.ipynb"]);
    let output = run.output()?;
    let (printed, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert!(printed.contains("\n6\n") && !printed.contains("of the user"), "{printed}");
    assert!(errors.contains("itself.rs loads itself"), "{errors}");
    Ok(())
}

fn run(folder: &Path, notebook: &Value, arguments: &[&std::ffi::OsStr]) -> Result<Output> {
    build_dylib();
    let file = folder.join("notebook.ipynb");
    std::fs::write(&file, notebook.to_string())?;
    Ok(Command::new(env!("CARGO_BIN_EXE_kensaku")).arg("run").arg(file).args(arguments).output()?)
}

fn notebook(cells: &[&str]) -> Value {
    let cells: Vec<Value> = cells
        .iter()
        .map(|code| json!({ "cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": null }))
        .collect();
    json!({ "nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells })
}
