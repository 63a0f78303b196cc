//! `RUSTC_WRAPPER`: gives rustc the dylib for cells, and only for cells.

use std::env::ArgsOs;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Set by the session, with the folder of the dylib's dependencies.
pub(crate) const DEPENDENCIES_VARIABLE: &str = "KENSAKU_WRAP_DEPENDENCIES";

/// The crate that evcxr makes of a cell.
const CELL_CRATE: &str = "ctx";

/// The folder of dependencies, where this process was started by cargo in place of rustc.
pub(crate) fn dependencies() -> Option<OsString> {
    let dependencies = std::env::var_os(DEPENDENCIES_VARIABLE)?;
    let rustc = std::env::args_os().nth(1)?;
    let name = std::path::Path::new(&rustc).file_stem()?.to_str()?;
    name.contains("rustc").then_some(dependencies)
}

/// Becomes rustc.
pub(crate) fn run(arguments: ArgsOs, dependencies: OsString) -> std::io::Error {
    let arguments: Vec<OsString> = arguments.skip(1).collect();
    let mut rustc = Command::new(&arguments[0]);
    rustc.args(&arguments[1..]);
    if is_cell(&arguments) {
        rustc.args(link_arguments(dependencies));
        if !links(&arguments) {
            // Only for probes: types printed so that they compile as they stand, and never cut.
            rustc
                .env("RUSTC_BOOTSTRAP", "1")
                .args(["-Ztrim-diagnostic-paths=no", "-Zwrite-long-types-to-disk=no"])
                .arg("--diagnostic-width=100000");
        }
    }
    rustc.exec()
}

/// What makes `kensaku` known to a crate that rustc compiles.
pub(crate) fn link_arguments(dependencies: OsString) -> Vec<OsString> {
    let dylib = std::env::var_os(crate::child::DYLIB_VARIABLE).unwrap_or_default();
    let mut library = OsString::from("kensaku=");
    library.push(dylib);
    let mut search = OsString::from("-Ldependency=");
    search.push(dependencies);
    vec![OsString::from("--extern"), library, search]
}

fn is_cell(arguments: &[OsString]) -> bool {
    arguments.windows(2).any(|pair| pair[0] == "--crate-name" && pair[1] == CELL_CRATE)
}

fn links(arguments: &[OsString]) -> bool {
    let emitted = arguments.iter().filter_map(|argument| argument.to_str()?.strip_prefix("--emit="));
    emitted.flat_map(|list| list.split(',')).any(|kind| kind == "link")
}
