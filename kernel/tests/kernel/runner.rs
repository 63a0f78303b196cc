//! `kensaku run`, as a user types it.

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
fn a_script_gets_its_arguments_and_gives_its_code() -> Result<()> {
    let code = "let name = std::env::args().nth(1).unwrap_or_default();\n// %% second cell\nprintln!(\"hello {name}\");\n1 + 1\n// %%\nstd::process::exit(7);";
    let output = script(code, &["--", "world"])?;
    assert_eq!(String::from_utf8(output.stdout)?, "hello world\n2\n");
    assert_eq!(output.status.code(), Some(7));
    Ok(())
}

#[test]
fn a_scripts_error_is_code_one() -> Result<()> {
    let output = script("let n: i32 = \"x\".parse()?;\nprintln!(\"{n}\");", &[])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr)?.contains("invalid digit"));
    let output = script("let n: i32 = 1;\n\nlet m: String = n;", &[])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr)?.contains("script.rs:3:17"));
    Ok(())
}

#[test]
fn a_script_may_have_a_main() -> Result<()> {
    let code = "use kensaku::anyhow::Result;\n\nfn main() -> Result<()> {\n    println!(\"main\");\n    Ok(())\n}\n";
    let output = script(code, &[])?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout)?, "main\n");
    Ok(())
}

#[test]
fn the_kernelspec_is_written_where_it_is_asked_for() -> Result<()> {
    build_dylib();
    let folder = tempfile::tempdir()?;
    let status =
        Command::new(env!("CARGO_BIN_EXE_kensaku")).args(["install", "--prefix"]).arg(folder.path()).status()?;
    assert!(status.success());
    let spec = folder.path().join("share/jupyter/kernels/kensaku/kernel.json");
    let spec: Value = serde_json::from_str(&std::fs::read_to_string(spec)?)?;
    assert_eq!(spec["display_name"], "Rust (kensaku)");
    assert_eq!(spec["language"], "rust");
    Ok(())
}

fn run(folder: &Path, notebook: &Value, arguments: &[&std::ffi::OsStr]) -> Result<Output> {
    build_dylib();
    let file = folder.join("notebook.ipynb");
    std::fs::write(&file, notebook.to_string())?;
    Ok(Command::new(env!("CARGO_BIN_EXE_kensaku")).arg("run").arg(file).args(arguments).output()?)
}

fn script(code: &str, arguments: &[&str]) -> Result<Output> {
    build_dylib();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("script.rs");
    std::fs::write(&file, code)?;
    Ok(Command::new(env!("CARGO_BIN_EXE_kensaku")).arg("run").arg(file).args(arguments).output()?)
}

fn notebook(cells: &[&str]) -> Value {
    let cells: Vec<Value> = cells
        .iter()
        .map(|code| json!({ "cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": null }))
        .collect();
    json!({ "nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells })
}
