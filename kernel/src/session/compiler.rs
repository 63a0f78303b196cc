//! Calls of rustc for the programs of cells.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, Result};

use super::scope::Crate;
use super::workplace::{PROBES, PROGRAMS};
use crate::cell::{Diagnostic, Program, entry, file_name};
use crate::dylib::Dylib;
use crate::rustc::{Rustc, joined};
use crate::toolchain::{BUILD, Build, DIAGNOSTICS};

/// How cells are compiled.
pub(crate) struct Compiler {
    rustc: Rustc,
    /// The session's folder.
    folder: PathBuf,
    pub(crate) opt_level: String,
}

impl Compiler {
    pub(crate) fn new(dylib: &Dylib, folder: &Path) -> Self {
        Self { rustc: Rustc::new(dylib), folder: folder.to_owned(), opt_level: "0".to_owned() }
    }

    /// Checks the `number`th program, which can use `crates`, in the background, and returns its errors.
    pub(crate) fn check(
        &self,
        program: &Program,
        number: usize,
        crates: &[Crate],
    ) -> Result<JoinHandle<Vec<Diagnostic>>> {
        let folder = self.folder.join(PROBES);
        let file = folder.join(file_name(number));
        write(&file, &program.text)?;
        let mut rustc = self.rustc.types(crates);
        rustc.current_dir(&folder).arg(&file);
        let thread = std::thread::Builder::new().name("kensaku-types".to_owned());
        Ok(thread.spawn(move || {
            let said = rustc.output().map(|output| output.stderr).unwrap_or_default();
            Diagnostic::errors(&String::from_utf8_lossy(&said))
        })?)
    }

    /// Prepares the call of rustc for the `number`th program, which evcxr triggers. Programs of one `generation` share
    /// their types.
    pub(crate) fn prepare(&self, program: &Program, number: usize, generation: u64, crates: &[Crate]) -> Result<()> {
        let folder = self.folder.join(PROGRAMS);
        let file = folder.join(file_name(number));
        write(&file, &program.text)?;
        let library = folder.join(format!("libctx.{}", std::env::consts::DLL_EXTENSION));
        let mut rustc = self.rustc.call(crates);
        rustc
            .args(["--crate-name=ctx", "--crate-type=cdylib", "--emit=link", "--error-format=json"])
            .arg(format!("-Cmetadata=cell-{generation}"))
            .args(["-Cprefer-dynamic", "-Cdebuginfo=line-tables-only"])
            .args(["-Cdebug-assertions=on", "-Coverflow-checks=on"])
            .arg(format!("-Copt-level={}", self.opt_level))
            .arg("-o")
            .arg(&library);
        for other in &program.libraries {
            rustc.arg(joined(["-Clink-arg=".as_ref(), other.as_os_str()]));
        }
        let mut build = Build::new(&rustc, library, file, entry(number));
        build.second_name = (!program.statics.is_empty()).then(|| self.library(number));
        write(&self.folder.join(BUILD), &serde_json::to_string(&build)?)
    }

    /// The library of the `number`th program, for later ones to link to.
    pub(crate) fn library(&self, number: usize) -> PathBuf {
        self.folder.join(PROGRAMS).join(file_name(number)).with_extension(std::env::consts::DLL_EXTENSION)
    }

    /// rustc's unparsed output for the last program: the linker's output is not in its errors.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.folder.join(DIAGNOSTICS)).unwrap_or_default()
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}
