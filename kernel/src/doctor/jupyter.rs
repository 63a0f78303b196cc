//! Checks Jupyter and the installed kernelspecs.

use super::{Finding, output_of};
use crate::install;

pub(super) fn kernelspecs() -> Vec<Finding> {
    let own = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let found = install::installed().into_iter().map(|folder| match install::program(&folder) {
        Ok(program) if !program.exists() => {
            let (folder, program) = (folder.display(), program.display());
            Finding::bad(
                "kernelspec",
                format!("{folder} starts {program}, which no longer exists: run `kensaku install`"),
            )
        }
        Ok(program) if program.canonicalize().ok() != own => {
            let (folder, program) = (folder.display(), program.display());
            Finding::advice("kernelspec", format!("{folder} starts another kensaku, {program}"))
        }
        Ok(_) => Finding::good("kernelspec", format!("{} starts this kensaku", folder.display())),
        Err(error) => Finding::bad("kernelspec", format!("{error:#}: run `kensaku install`")),
    });
    let found: Vec<Finding> = found.collect();
    match found.is_empty() {
        true => vec![Finding::advice("kernelspec", "not installed for Jupyter: run `kensaku install`")],
        false => found,
    }
}

pub(super) fn jupyter() -> Finding {
    let version = |name: &str| Some(format!("{name} {}", output_of("jupyter", &[name, "--version"])?));
    let found: Vec<String> = ["lab", "notebook"].into_iter().filter_map(version).collect();
    match found.is_empty() {
        true => {
            Finding::advice("Jupyter", "not found on PATH: run `pip install jupyterlab` (not needed for `kensaku run`)")
        }
        false => Finding::good("Jupyter", found.join(", ")),
    }
}
