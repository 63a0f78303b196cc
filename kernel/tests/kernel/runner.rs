//! `kensaku run notebook.ipynb`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::client::{build_dylib, with_default_signals};

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
fn loaded_files_are_run_and_the_users_startup_files_are_not() -> Result<()> {
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

#[test]
fn tags_decide_which_cells_may_fail_and_which_are_skipped() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut content = notebook(&[
        "let a = 1;",
        "panic!(\"shown on purpose\");",
        "let n: u8 = \"no number\";",
        "std::process::exit(9);",
        " \n\t",
        "println!(\"{}\", a + 1);",
    ]);
    for (cell, tag) in [(1, "raises-exception"), (2, "raises-exception"), (3, "skip-execution")] {
        content["cells"][cell]["metadata"] = json!({ "tags": ["other", tag] });
    }
    let old = json!([{ "output_type": "stream", "name": "stdout", "text": "from the last run\n" }]);
    for cell in [3, 4] {
        content["cells"][cell]["execution_count"] = json!(7);
        content["cells"][cell]["outputs"] = old.clone();
    }
    let executed = executed(folder.path(), &content)?;
    let counts: Vec<&Value> = cells(&executed).iter().map(|cell| &cell["execution_count"]).collect();
    assert_eq!(json!(counts), json!([1, 2, 3, 7, null, 4]));
    assert_eq!(executed["cells"][1]["outputs"][0]["evalue"], "shown on purpose");
    assert_eq!(executed["cells"][2]["outputs"][0]["ename"], "CompileError");
    assert_eq!(executed["cells"][3]["outputs"], old);
    assert_eq!(executed["cells"][4]["outputs"], json!([]));
    assert_eq!(executed["cells"][5]["outputs"][0]["text"], "2\n");
    Ok(())
}

#[test]
fn only_outputs_are_changed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cells = json!([
        { "cell_type": "raw", "id": "r1", "metadata": { "format": "text/restructuredtext" }, "source": [".. note::\n"] },
        { "cell_type": "markdown", "id": "m1", "metadata": {}, "attachments": { "dot.png": { "image/png": "iVBORw0KGgo=" } },
          "source": "![dot](attachment:dot.png)" },
        { "cell_type": "code", "metadata": {}, "source": ["let a = 20;\n", "a + 1"] },
        { "cell_type": "code", "id": "same", "metadata": { "collapsed": true, "mine": { "k": [1, 0.1, "検"] } },
          "source": "println!(\"検索 {a}\");\r\n", "outputs": [], "execution_count": 3 },
        { "cell_type": "code", "id": "same", "metadata": {}, "source": [], "outputs": [], "execution_count": null },
    ]);
    let metadata = json!({ "kernelspec": { "name": "kensaku", "language": "rust" }, "authors": [{ "name": "A" }] });
    let content = json!({ "nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells });
    let mut executed = executed(folder.path(), &content)?;
    assert_eq!(executed["cells"][2]["outputs"][0]["data"]["text/plain"], "21");
    assert_eq!(executed["cells"][3]["outputs"][0]["text"], "検索 20\n");
    let mut before = content;
    for notebook in [&mut executed, &mut before] {
        for cell in notebook["cells"].as_array_mut().into_iter().flatten().filter(|cell| cell["cell_type"] == "code") {
            cell["outputs"] = json!([]);
            cell["execution_count"] = json!(null);
        }
    }
    assert_eq!(executed, before);
    Ok(())
}

#[test]
fn notebooks_without_cells_to_run_are_written() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for cells in [json!([]), json!([{ "cell_type": "markdown", "metadata": {}, "source": "text" }])] {
        let content = json!({ "nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells });
        assert_eq!(executed(folder.path(), &content)?, content);
    }
    Ok(())
}

#[test]
fn unsupported_files_are_refused_before_a_session_starts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut python = notebook(&["print('hi')"]);
    python["metadata"] = json!({ "kernelspec": { "name": "python3" }, "language_info": { "name": "python" } });
    let mut damaged = notebook(&["1", "2"]);
    damaged["cells"][1]["source"] = json!(5);
    let old = json!({ "nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{ "cells": [] }] });
    let good = notebook(&["1"]);
    let nowhere = folder.path().join("notebook.ipynb/out.ipynb");
    let cases: [(&Value, &[&std::ffi::OsStr], &str); 5] = [
        (&python, &[], "is written in python, not Rust"),
        (&damaged, &[], "cell 2 of 2: its source is a number"),
        (&old, &[], "is in notebook format 3, but only format 4 is supported"),
        (&good, &["--".as_ref(), "argument".as_ref()], "takes no arguments"),
        (&good, &["-o".as_ref(), nowhere.as_ref()], "cannot be written"),
    ];
    for (content, arguments, words) in cases {
        let output = run(folder.path(), content, arguments)?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
        assert!(said.contains(words), "{said}");
    }
    Ok(())
}

#[test]
fn cells_find_files_next_to_the_notebook() -> Result<()> {
    build_dylib();
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("notebooks"))?;
    std::fs::write(folder.path().join("notebooks/data.txt"), "beside")?;
    let code = ["std::fs::read_to_string(\"data.txt\")?", "!cat data.txt"];
    std::fs::write(folder.path().join("notebooks/relative.ipynb"), notebook(&code).to_string())?;
    // Paths on the command line are relative to the user's folder.
    let output = kensaku().args(["notebooks/relative.ipynb", "-o", "out.ipynb"]).current_dir(&folder).output()?;
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stdout)?.ends_with("wrote out.ipynb\n"));
    let executed = read(&folder.path().join("out.ipynb"))?;
    assert_eq!(executed["cells"][0]["outputs"][0]["data"]["text/plain"], "\"beside\"");
    assert_eq!(executed["cells"][1]["outputs"][0]["text"], "beside");
    Ok(())
}

#[test]
fn a_stopped_run_writes_what_it_has() -> Result<()> {
    build_dylib();
    let polls = "println!(\"begun\");\nloop { std::thread::sleep(std::time::Duration::from_millis(10)); }";
    let deaf = "println!(\"begun\");\nstd::thread::sleep(std::time::Duration::from_secs(600));";
    for (signal, code, cell) in [("INT", 130, polls), ("TERM", 143, deaf), ("HUP", 129, polls)] {
        let folder = tempfile::tempdir()?;
        let sessions = folder.path().join("tmp");
        std::fs::create_dir(&sessions)?;
        let mut content = notebook(&["20 + 1", cell, "println!(\"not reached\");"]);
        // The signal stops the run, not only the cell.
        content["cells"][1]["metadata"] = json!({ "tags": ["raises-exception"] });
        std::fs::write(folder.path().join("notebook.ipynb"), content.to_string())?;
        let mut run = kensaku();
        run.args(["notebook.ipynb", "-o", "out.ipynb"]).current_dir(&folder).env("TMPDIR", &sessions);
        let mut run = with_default_signals(&mut run).stdout(Stdio::piped()).spawn()?;
        let mut printed = BufReader::new(run.stdout.take().context("it prints")?).lines();
        printed.find(|line| line.as_ref().is_ok_and(|line| line == "begun")).context("the cell does not start")??;
        assert_eq!(std::fs::read_dir(&sessions)?.count(), 1, "the session has no folder");
        Command::new("kill").args([&format!("-{signal}"), &run.id().to_string()]).status()?;
        let rest: Vec<String> = printed.collect::<std::io::Result<_>>()?;
        assert_eq!(run.wait()?.code(), Some(code), "{rest:#?}");
        let executed = read(&folder.path().join("out.ipynb"))?;
        assert_eq!(executed["cells"][0]["outputs"][0]["data"]["text/plain"], "21");
        assert_eq!(executed["cells"][1]["outputs"][0]["text"], "begun\n");
        // A cell that does not react gets an error before it is killed.
        let outputs = executed["cells"][1]["outputs"].as_array().context("it has outputs")?;
        assert_eq!(outputs.last().context("it has an output")?["output_type"], "error", "{outputs:#?}");
        assert_eq!(executed["cells"][2]["execution_count"], json!(null));
        assert_eq!(std::fs::read_dir(&sessions)?.count(), 0, "{signal}: the session's folder is not removed");
    }
    Ok(())
}

#[test]
fn a_closed_stdout_does_not_end_the_run() -> Result<()> {
    build_dylib();
    let folder = tempfile::tempdir()?;
    let cells = ["println!(\"first\");", "for i in 0..100_000 { println!(\"{i}\"); }", "20 + 1"];
    std::fs::write(folder.path().join("notebook.ipynb"), notebook(&cells).to_string())?;
    let mut run = kensaku();
    run.args(["notebook.ipynb", "-o", "out.ipynb"]).current_dir(&folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = run.spawn()?;
    BufReader::new(run.stdout.take().context("it prints")?).read_line(&mut String::new())?;
    let output = run.wait_with_output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(output.status.success() && !said.contains("panicked"), "{said}");
    assert_eq!(read(&folder.path().join("out.ipynb"))?["cells"][2]["outputs"][0]["data"]["text/plain"], "21");
    Ok(())
}

#[test]
fn large_output_is_cut_in_the_file() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let code = "let line = \"x\".repeat(99);\nfor _ in 0..300_000 { println!(\"{line}\"); }";
    let executed = executed(folder.path(), &notebook(&[code, "2"]))?;
    let outputs = executed["cells"][0]["outputs"].as_array().context("outputs")?;
    let length = |name: &str| {
        let texts = outputs.iter().filter(|output| output["name"] == name).filter_map(|output| output["text"].as_str());
        texts.map(str::len).sum::<usize>()
    };
    assert!((9_900_000..=10_000_000).contains(&length("stdout")), "{} bytes", length("stdout"));
    assert!((1..1000).contains(&length("stderr")));
    assert_eq!(executed["cells"][1]["outputs"][0]["data"]["text/plain"], "2");
    Ok(())
}

/// The notebook after a successful run.
fn executed(folder: &Path, notebook: &Value) -> Result<Value> {
    let written = folder.join("executed.ipynb");
    let output = run(folder, notebook, &["-o".as_ref(), written.as_ref()])?;
    if !output.status.success() {
        bail!("{output:?}");
    }
    read(&written)
}

fn cells(notebook: &Value) -> &[Value] {
    notebook["cells"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn read(file: &Path) -> Result<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(file)?)?)
}

fn kensaku() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kensaku"));
    command.arg("run");
    command
}

fn run(folder: &Path, notebook: &Value, arguments: &[&std::ffi::OsStr]) -> Result<Output> {
    build_dylib();
    let file = folder.join("notebook.ipynb");
    std::fs::write(&file, notebook.to_string())?;
    let (options, rest) = arguments.split_at(if arguments.first().is_some_and(|first| *first == "-o") { 2 } else { 0 });
    Ok(kensaku().args(options).arg(file).args(rest).output()?)
}

fn notebook(cells: &[&str]) -> Value {
    let cells: Vec<Value> = cells
        .iter()
        .map(|code| json!({ "cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": null }))
        .collect();
    json!({ "nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells })
}
