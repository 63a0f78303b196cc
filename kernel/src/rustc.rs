//! rustc, called for code that links to the dylib.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dylib::Dylib;
use crate::session::Crate;
use crate::toolchain;

/// The compiler of the dylib, which no other can take the place of.
pub(crate) struct Rustc {
    program: PathBuf,
    dylib: PathBuf,
    dependencies: PathBuf,
}

impl Rustc {
    pub(crate) fn new(dylib: &Dylib) -> Self {
        Self { program: dylib.compiler(), dylib: dylib.library.clone(), dependencies: dylib.dependencies.clone() }
    }

    /// A call for code that can name kensaku and `crates`.
    pub(crate) fn call(&self, crates: &[Crate]) -> Command {
        let mut rustc = Command::new(&self.program);
        toolchain::as_before(&mut rustc).arg("--edition=2024");
        let added = crates.iter().map(|added| (added.name.as_str(), added.library.as_path()));
        for (name, library) in std::iter::once(("kensaku", self.dylib.as_path())).chain(added) {
            rustc.arg("--extern").arg(joined([name.as_ref(), "=".as_ref(), library.as_os_str()]));
        }
        // What a crate was built from lies beside it.
        let beside = crates.iter().filter_map(|added| added.library.parent());
        let folders: BTreeSet<&Path> = beside.chain([self.dependencies.as_path()]).collect();
        for folder in folders {
            rustc.arg(joined(["-Ldependency=".as_ref(), folder.as_os_str()]));
        }
        rustc
    }

    /// A call that explains an error's code.
    pub(crate) fn explain(&self, code: &str) -> Command {
        let mut rustc = Command::new(&self.program);
        toolchain::as_before(&mut rustc).args(["--explain", code]);
        rustc
    }

    /// A call that checks such code and makes nothing. Types are printed so that they compile as they
    /// stand, and are never cut.
    pub(crate) fn types(&self, crates: &[Crate]) -> Command {
        let mut rustc = self.call(crates);
        rustc
            .args(["--crate-name=cell", "--crate-type=lib", "--emit=metadata", "--error-format=json"])
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["-Ztrim-diagnostic-paths=no", "-Zwrite-long-types-to-disk=no", "--diagnostic-width=100000"]);
        rustc
    }
}

/// An argument of several parts, one of them a path.
pub(crate) fn joined<const N: usize>(parts: [&OsStr; N]) -> OsString {
    parts.into_iter().collect()
}
