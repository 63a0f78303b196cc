//! `kensaku export`: a notebook as an ordinary cargo project.

mod manifest;
mod options;
mod program;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::dylib::workspace;
use crate::{files, ipynb};

/// The start of each manifest written here: projects with it may be overwritten.
const MARK: &str = "# Made by `kensaku export`";

/// Writes the project of `notebook` into `folder`.
pub(crate) fn export(notebook: &Path, folder: &Path) -> Result<()> {
    let cells = ipynb::read(notebook)?;
    ensure_free(folder)?;
    let name = notebook.file_stem().and_then(|name| name.to_str()).context("the notebook has no name")?;
    let program = program::of(ipynb::cells(&cells), name)?;
    let workspace = workspace();
    let manifest = manifest::of(name, &program, &workspace)?;
    let write = |name: &str, content: &str| files::write(&folder.join(name), content.as_bytes());
    write("Cargo.toml", &manifest)?;
    write("Cargo.lock", &manifest::lock(&workspace)?)?;
    let text = options::as_results(program.text, program.main);
    write("src/main.rs", &formatted(&text))?;
    write(".gitignore", "/displays\n/target\n")?;
    println!("wrote {}: run `cargo run --release` there", folder.display());
    Ok(())
}

fn ensure_free(folder: &Path) -> Result<()> {
    let Ok(mut entries) = std::fs::read_dir(folder) else { return Ok(()) };
    let ours = std::fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.starts_with(MARK));
    ensure!(ours || entries.next().is_none(), "{} is not empty and not an exported notebook", folder.display());
    Ok(())
}

/// Formats with rustfmt, if available; code that does not parse stays as it is.
fn formatted(text: &str) -> String {
    let format = || -> Option<String> {
        let folder = tempfile::tempdir().ok()?;
        let file = folder.path().join("main.rs");
        std::fs::write(&file, text).ok()?;
        let mut rustfmt = Command::new("rustfmt");
        // rustfmt would look for the program's modules, which are elsewhere.
        rustfmt.args(["--edition", "2024", "--config", "max_width=120,use_small_heuristics=Max"]);
        let output = rustfmt.stdin(std::fs::File::open(&file).ok()?).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()
    };
    format().unwrap_or_else(|| text.to_owned())
}
