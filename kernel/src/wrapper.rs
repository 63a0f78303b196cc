//! The rustc that cargo calls for the crates of `:dep`.
//!
//! A crate in the dylib is not compiled again. The package that replaces it contains a link to the library,
//! cargo's output files become links to it as well, and calls for crates that depend on it get the targets of
//! these links. So all of them refer to the same crate as cells.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::rustc::joined;

/// The folder of the dylib's crates; set for cargo only.
pub(crate) const HELD_VARIABLE: &str = "KENSAKU_HELD";
/// The link to a held library, in the folder of the package that replaces it.
pub(crate) const LIBRARY: &str = "library";

/// The compiler that cargo would call, if this process replaces it.
pub(crate) fn rustc() -> Option<OsString> {
    std::env::var_os(HELD_VARIABLE)?;
    std::env::args_os().nth(1).filter(|program| Path::new(program).file_stem() == Some(OsStr::new("rustc")))
}

/// Compiles a crate, or links to the held one.
pub(crate) fn run(rustc: &OsStr) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(2).collect();
    let held = PathBuf::from(std::env::var_os(HELD_VARIABLE).unwrap_or_default());
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let library = package.and_then(|package| std::fs::read_link(package.join(LIBRARY)).ok());
    let result = match (Outputs::of(&arguments), library) {
        (Some(outputs), Some(library)) => outputs.link_to(&library).map(|()| ExitCode::SUCCESS),
        (outputs, _) => compile(rustc, &arguments, &held, outputs.as_ref()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn compile(rustc: &OsStr, arguments: &[OsString], held: &Path, outputs: Option<&Outputs>) -> Result<ExitCode> {
    let mut compiler = Command::new(rustc);
    let mut is_crate_name = false;
    for argument in arguments {
        let given = if is_crate_name { of_dylib(argument, held) } else { None };
        compiler.arg(given.as_deref().unwrap_or(argument));
        is_crate_name = argument == "--extern";
    }
    if let Some(outputs) = outputs {
        compiler.arg(joined(["-Ldependency=".as_ref(), held.as_os_str()]));
        // Sessions have links to these files, which must not change for them.
        outputs.remove();
        // Without `--cap-lints`, the source may change. Cargo keeps the crate's identity after a change,
        // but its types differ: old and new must not be mixed up.
        if !arguments.iter().any(|argument| argument == "--cap-lints") {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            compiler.arg(format!("-Cmetadata={}-{}", now.as_nanos(), std::process::id()));
        }
    }
    Err(compiler.exec()).with_context(|| format!("running {}", rustc.display()))
}

/// `name=file` with the held library, if the file is a link to it.
fn of_dylib(named: &OsStr, held: &Path) -> Option<OsString> {
    let (name, file) = named.to_str()?.split_once('=')?;
    let library = std::fs::read_link(file).ok().filter(|library| library.starts_with(held))?;
    Some(joined([name.as_ref(), "=".as_ref(), library.as_os_str()]))
}

/// The files that cargo expects.
struct Outputs {
    folder: PathBuf,
    /// The crate's name and cargo's suffix.
    name: String,
    kinds: &'static [&'static str],
}

impl Outputs {
    /// `None` for queries. Programs are build scripts, to which nothing is linked.
    fn of(arguments: &[OsString]) -> Option<Self> {
        let texts: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
        let behind = |option: &str| texts.iter().skip_while(|text| **text != option).nth(1).copied();
        let mark = texts.iter().find_map(|text| text.strip_prefix("extra-filename=")).unwrap_or_default();
        let kinds: &[&str] = match behind("--crate-type")? {
            "bin" => &[],
            "proc-macro" => &[std::env::consts::DLL_EXTENSION],
            _ => &["rlib", "rmeta"],
        };
        Some(Self { folder: behind("--out-dir")?.into(), name: format!("{}{mark}", behind("--crate-name")?), kinds })
    }

    fn libraries(&self) -> impl Iterator<Item = PathBuf> {
        self.kinds.iter().map(|kind| self.folder.join(format!("lib{}.{kind}", self.name)))
    }

    fn remove(&self) {
        for library in self.libraries() {
            // Missing the first time.
            let _ = std::fs::remove_file(library);
        }
    }

    fn link_to(&self, library: &Path) -> Result<()> {
        self.remove();
        for file in self.libraries() {
            std::os::unix::fs::symlink(library, &file).with_context(|| format!("creating {}", file.display()))?;
        }
        // It depends on no sources.
        let inputs = self.folder.join(format!("{}.d", self.name));
        std::fs::write(&inputs, "").with_context(|| format!("writing {}", inputs.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn outputs_are_read_from_the_call() {
        let folder = tempfile::tempdir().expect("a folder");
        let call = format!(
            "--crate-name serde x.rs --crate-type lib --emit=dep-info,metadata,link -C metadata=1 -C extra-filename=-ab \
             --out-dir {}",
            folder.path().display()
        );
        let outputs = Outputs::of(&arguments(&call)).expect("a library");
        outputs.link_to(Path::new("/held/libserde-1.rlib")).expect("links are created");
        // Once more, as after a change.
        outputs.link_to(Path::new("/held/libserde-1.rlib")).expect("links are replaced");
        for kind in ["rlib", "rmeta"] {
            let file = folder.path().join(format!("libserde-ab.{kind}"));
            let named = joined(["serde=".as_ref(), file.as_os_str()]);
            let given = of_dylib(&named, Path::new("/held"));
            assert_eq!(given, Some("serde=/held/libserde-1.rlib".into()));
            assert_eq!(of_dylib(&named, Path::new("/other")), None);
        }
        assert!(folder.path().join("serde-ab.d").exists());
        assert!(Outputs::of(&arguments("-vV")).is_none());
        let program = Outputs::of(&arguments("--crate-name build_script_build --crate-type bin --out-dir x"));
        assert_eq!(program.expect("a program").libraries().count(), 0);
    }
}
