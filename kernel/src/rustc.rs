//! Calls of rustc for code that links to the dylib.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

use crate::dylib::Dylib;
use crate::session::Crate;
use crate::toolchain;

/// What crates outside of the dylib need for linking, apart from their own files.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Links {
    /// Folders with their dependencies.
    pub(crate) folders: BTreeSet<PathBuf>,
    /// Folders with other libraries, in the form that build scripts use.
    pub(crate) native: BTreeSet<String>,
    /// Search paths for libraries at run time.
    pub(crate) run_time: BTreeSet<PathBuf>,
    /// The name and the file of the dylib that contains them.
    pub(crate) dylib: Option<(String, PathBuf)>,
}

/// The compiler that has built the dylib: no other can link to it.
pub(crate) struct Rustc {
    program: PathBuf,
    dylib: PathBuf,
    dependencies: PathBuf,
}

impl Rustc {
    pub(crate) fn new(dylib: &Dylib) -> Self {
        Self { program: dylib.compiler(), dylib: dylib.library.clone(), dependencies: dylib.dependencies.clone() }
    }

    /// A call for code that can use kensaku and `crates`.
    pub(crate) fn call(&self, crates: &[Crate]) -> Command {
        let mut rustc = Command::new(&self.program);
        toolchain::as_before(&mut rustc).arg("--edition=2024");
        let links: Vec<&Links> = crates.iter().map(|added| &added.links).collect();
        let dylibs: BTreeSet<&(String, PathBuf)> = links.iter().filter_map(|links| links.dylib.as_ref()).collect();
        let dylibs = dylibs.into_iter().map(|(name, library)| (name.as_str(), library.as_path()));
        let added = crates.iter().map(|added| (added.name.as_str(), added.library.as_path()));
        for (name, library) in std::iter::once(("kensaku", self.dylib.as_path())).chain(dylibs).chain(added) {
            rustc.arg("--extern").arg(joined([name.as_ref(), "=".as_ref(), library.as_os_str()]));
        }
        let folders: BTreeSet<&PathBuf> = links.iter().flat_map(|links| &links.folders).collect();
        for folder in folders.into_iter().chain([&self.dependencies]) {
            rustc.arg(joined(["-Ldependency=".as_ref(), folder.as_os_str()]));
        }
        let native: BTreeSet<&String> = links.iter().flat_map(|links| &links.native).collect();
        rustc.args(native.into_iter().flat_map(|folder| ["-L", folder]));
        let run_time: BTreeSet<&PathBuf> = links.iter().flat_map(|links| &links.run_time).collect();
        for folder in run_time {
            rustc.arg(joined(["-Clink-arg=-Wl,-rpath,".as_ref(), folder.as_os_str()]));
        }
        rustc
    }

    /// A call that explains an error's code.
    pub(crate) fn explain(&self, code: &str) -> Command {
        let mut rustc = Command::new(&self.program);
        toolchain::as_before(&mut rustc).args(["--explain", code]);
        rustc
    }

    /// A call that only checks such code. Types are printed in full, as paths that compile.
    pub(crate) fn types(&self, crates: &[Crate]) -> Command {
        let mut rustc = self.call(crates);
        rustc
            .args(["--crate-name=cell", "--crate-type=lib", "--emit=metadata", "--error-format=json"])
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["-Ztrim-diagnostic-paths=no", "-Zwrite-long-types-to-disk=no", "--diagnostic-width=100000"]);
        rustc
    }
}

/// Joins the parts of an argument that contains a path.
pub(crate) fn joined<const N: usize>(parts: [&OsStr; N]) -> OsString {
    parts.into_iter().collect()
}
