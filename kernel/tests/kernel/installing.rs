//! `kensaku install`, `uninstall` and `doctor`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Result;
use serde_json::{Value, json};

use crate::client::build_dylib;

#[test]
fn uninstall_removes_only_what_was_installed() -> Result<()> {
    build_dylib();
    let folder = tempfile::tempdir()?;
    let prefix = folder.path().to_str().unwrap_or_default();
    let other = folder.path().join("share/jupyter/kernels/python3/kernel.json");
    std::fs::create_dir_all(other.parent().unwrap_or(folder.path()))?;
    std::fs::write(&other, "{}")?;
    let before = files(folder.path())?;

    succeed(&["install", "--prefix", prefix])?;
    succeed(&["install", "--prefix", prefix, "--name", "second"])?;
    let kernels = folder.path().join("share/jupyter/kernels");
    let spec = |name: &str| -> Result<Value> {
        Ok(serde_json::from_str(&std::fs::read_to_string(kernels.join(name).join("kernel.json"))?)?)
    };
    let first = spec("kensaku")?;
    assert_eq!(first["display_name"], "Rust (kensaku)");
    assert_eq!(first["language"], "rust");
    assert_eq!(first["interrupt_mode"], "message");
    assert_eq!(first["metadata"]["debugger"], json!(false));
    assert_eq!(spec("second")?["display_name"], "Rust (second)");
    for logo in ["logo-32x32.png", "logo-64x64.png"] {
        assert!(std::fs::read(kernels.join("kensaku").join(logo))?.starts_with(b"\x89PNG"));
    }
    assert!(std::fs::read_to_string(kernels.join("kensaku/logo-svg.svg"))?.starts_with("<svg"));

    succeed(&["uninstall", "--prefix", prefix])?;
    succeed(&["uninstall", "--prefix", prefix, "--name", "second"])?;
    assert_eq!(files(folder.path())?, before);
    let again = kensaku(&["uninstall", "--prefix", prefix])?;
    assert_eq!(again.status.code(), Some(1));
    let foreign = kensaku(&["uninstall", "--prefix", prefix, "--name", "python3"])?;
    assert_eq!(foreign.status.code(), Some(1));
    assert_eq!(files(folder.path())?, before);
    Ok(())
}

#[test]
fn the_doctor_finds_what_is_installed_and_what_is_missing() -> Result<()> {
    build_dylib();
    let folder = tempfile::tempdir()?;
    let doctor = |environment: &[(&str, &Path)]| -> Result<(Option<i32>, String)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kensaku"));
        let data = folder.path().join("jupyter");
        command.arg("doctor").env("JUPYTER_DATA_DIR", data).env("VIRTUAL_ENV", folder.path());
        let output = command.envs(environment.iter().copied()).output()?;
        Ok((output.status.code(), String::from_utf8(output.stdout)?))
    };
    let (code, healthy) = doctor(&[])?;
    assert_eq!(code, Some(0), "{healthy}");
    for line in
        ["ok  rustc ", "ok  library ", "ok  linker ", "ok  cells ", "ok  types ", "--  kernelspec ", "ok  threads "]
    {
        assert!(healthy.lines().any(|found| found.starts_with(line)), "{line}: {healthy}");
    }
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty)?;
    let (code, without_rust) = doctor(&[("PATH", &empty)])?;
    assert_eq!(code, Some(1));
    assert!(without_rust.contains("NO  rustc       not found on PATH: install Rust"), "{without_rust}");

    // Like rustup's rustc if no toolchain is installed.
    let rustc = empty.join("rustc");
    std::fs::write(&rustc, "#!/bin/sh\necho 'error: no default toolchain' >&2\nexit 1\n")?;
    std::fs::set_permissions(&rustc, std::fs::Permissions::from_mode(0o755))?;
    let (code, without_toolchain) = doctor(&[("PATH", &empty)])?;
    assert_eq!(code, Some(1));
    let said = ["NO  rustc       does not run: error: no default toolchain", "`rustc -vV` failed: error: no default"];
    assert!(said.iter().all(|text| without_toolchain.contains(text)), "{without_toolchain}");

    let spec = folder.path().join("jupyter/kernels/kensaku");
    std::fs::create_dir_all(&spec)?;
    std::fs::write(spec.join("kernel.json"), json!({ "argv": ["/no/such/kensaku"] }).to_string())?;
    let (code, gone) = doctor(&[])?;
    assert_eq!(code, Some(1));
    assert!(gone.contains("starts /no/such/kensaku, which no longer exists: run `kensaku install`"), "{gone}");
    Ok(())
}

#[test]
fn a_command_ends_with_the_reader_of_its_output() -> Result<()> {
    build_dylib();
    let folder = tempfile::tempdir()?;
    let prefix = folder.path().to_str().unwrap_or_default();
    let commands: [&[&str]; 4] =
        [&["doctor"], &["help"], &["install", "--prefix", prefix], &["uninstall", "--prefix", prefix]];
    for arguments in commands {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_kensaku")).args(arguments).stdout(writer).output()?;
        let said = String::from_utf8(output.stderr)?;
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
    Ok(())
}

fn succeed(arguments: &[&str]) -> Result<()> {
    let output = kensaku(arguments)?;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    Ok(())
}

fn kensaku(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(env!("CARGO_BIN_EXE_kensaku")).args(arguments).output()?)
}

/// Every file and folder below `folder`.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
