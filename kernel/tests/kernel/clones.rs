//! Clones of the repository that share a target folder.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

/// A package in place of a clone, with the cargo settings of this one.
fn clone(folder: &Path) -> Result<()> {
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cargo");
    std::fs::create_dir_all(folder.join(".cargo"))?;
    for name in ["config.toml", "rustc"] {
        std::fs::copy(settings.join(name), folder.join(".cargo").join(name))?;
    }
    std::fs::create_dir(folder.join("src"))?;
    std::fs::write(
        folder.join("Cargo.toml"),
        "[package]\nname = \"place\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    )?;
    std::fs::write(folder.join("src/main.rs"), "fn main() { print!(\"{}\", env!(\"CARGO_MANIFEST_DIR\")); }\n")?;
    Ok(())
}

/// The location that the package in `folder` prints.
fn place(folder: &Path, target: &Path) -> Result<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--offline"]).current_dir(folder).env("CARGO_TARGET_DIR", target);
    let output = cargo.env_remove("RUSTC_WORKSPACE_WRAPPER").output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn cargo_builds_each_clone_separately() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (first, second, target) = (folder.path().join("a"), folder.path().join("b"), folder.path().join("target"));
    // Both are written before the first is built, so that no file of the second is newer than that build.
    clone(&first)?;
    clone(&second)?;
    for clone in [&first, &second, &first] {
        assert_eq!(Path::new(&place(clone, &target)?), clone);
    }
    Ok(())
}
