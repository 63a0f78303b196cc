//! rustc, called for programs of cells.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;

use anyhow::{Context, Result};

use super::scope::Crate;
use crate::cell::{Diagnostic, Program, file_name};
use crate::dylib::Dylib;
use crate::toolchain::{self, BUILD, Build, DIAGNOSTICS};

/// How cells are compiled.
#[derive(Debug, Clone)]
pub(crate) struct Compiler {
    rustc: PathBuf,
    dylib: PathBuf,
    dependencies: PathBuf,
    /// The session's folder.
    folder: PathBuf,
    pub(crate) opt_level: String,
    pub(crate) crates: Vec<Crate>,
    /// The folders of what `:dep` has built.
    pub(crate) search: Vec<PathBuf>,
}

impl Compiler {
    pub(crate) fn new(dylib: &Dylib, folder: &Path) -> Self {
        Self {
            rustc: dylib.compiler(),
            dylib: dylib.library.clone(),
            dependencies: dylib.dependencies.clone(),
            folder: folder.to_owned(),
            opt_level: "0".to_owned(),
            crates: Vec::new(),
            search: Vec::new(),
        }
    }

    /// Checks the `number`th program in the background and gives its errors. Types are printed so
    /// that they compile as they stand, and are never cut.
    pub(crate) fn check(&self, program: &Program, number: usize) -> Result<JoinHandle<Vec<Diagnostic>>> {
        let folder = self.folder.join("probe");
        let file = folder.join(file_name(number));
        write(&file, &program.text)?;
        let mut rustc = Command::new(&self.rustc);
        toolchain::as_before(&mut rustc)
            .current_dir(&folder)
            .args(["--crate-name=cell", "--crate-type=lib", "--emit=metadata"])
            .args(self.arguments())
            .arg(&file)
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["-Ztrim-diagnostic-paths=no", "-Zwrite-long-types-to-disk=no"])
            .arg("--diagnostic-width=100000");
        let thread = std::thread::Builder::new().name("kensaku-types".to_owned());
        Ok(thread.spawn(move || {
            let said = rustc.output().map(|output| output.stderr).unwrap_or_default();
            Diagnostic::errors(&String::from_utf8_lossy(&said))
        })?)
    }

    /// Writes down how the `number`th program is compiled when evcxr asks for it; gives its file.
    pub(crate) fn prepare(&self, program: &Program, number: usize) -> Result<PathBuf> {
        let file = self.folder.join("programs").join(file_name(number));
        write(&file, &program.text)?;
        let library = self.folder.join(format!("programs/libctx.{}", std::env::consts::DLL_EXTENSION));
        let opt_level = format!("-Copt-level={}", self.opt_level);
        let mut arguments: Vec<String> = ["--crate-name=ctx", "--crate-type=cdylib", "--emit=link", "src/lib.rs"]
            .into_iter()
            // One name for the crate of every cell, so that a type is the same type in all of them.
            .chain(["-Cmetadata=cell", "-Cprefer-dynamic", "-Cdebuginfo=line-tables-only"])
            .chain(["-Cdebug-assertions=on", "-Coverflow-checks=on", opt_level.as_str()])
            .map(str::to_owned)
            .collect();
        arguments.extend(self.arguments());
        arguments.push("-o".to_owned());
        arguments.push(library.to_string_lossy().into_owned());
        let build = Build { rustc: self.rustc.clone(), arguments, library };
        write(&self.folder.join(BUILD), &serde_json::to_string(&build)?)?;
        Ok(file)
    }

    /// What rustc said about the program that was compiled last.
    pub(crate) fn said(&self) -> Vec<Diagnostic> {
        let lines = std::fs::read_to_string(self.folder.join(DIAGNOSTICS)).unwrap_or_default();
        Diagnostic::errors(&lines)
    }

    /// What rustc said, as it stands: a linker's words are not in its errors.
    pub(crate) fn said_whole(&self) -> String {
        std::fs::read_to_string(self.folder.join(DIAGNOSTICS)).unwrap_or_default()
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--edition=2024".to_owned(), "--error-format=json".to_owned()];
        let mut known = |name: &str, library: &Path| {
            arguments.push("--extern".to_owned());
            arguments.push(format!("{name}={}", library.display()));
        };
        known("kensaku", &self.dylib);
        for Crate { name, library, .. } in &self.crates {
            known(name, library);
        }
        for folder in std::iter::once(&self.dependencies).chain(&self.search) {
            arguments.push(format!("-Ldependency={}", folder.display()));
        }
        arguments
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
