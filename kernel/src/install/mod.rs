//! Registers the kernel with Jupyter: writes a kernelspec, and removes it.

mod kernelspec;
mod place;
mod stock;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::dylib::Dylib;
use kernelspec::Kernelspec;
pub(crate) use place::Place;
pub(crate) use stock::serve as serve_stock;

/// The default name of the kernelspec's folder.
pub(crate) const NAME: &str = "kensaku";

/// Which kernelspec, and where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) place: Place,
    pub(crate) name: Option<String>,
    /// The binary of stock evcxr_jupyter, if the kernelspec is for that kernel.
    pub(crate) stock: Option<PathBuf>,
}

impl Target {
    /// Our own kernel, for this user.
    pub(crate) fn user() -> Self {
        Self { place: Place::User, name: None, stock: None }
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(if self.stock.is_some() { stock::NAME } else { NAME })
    }

    /// The title in front ends, which includes another name than the default.
    fn title(&self) -> String {
        match (&self.name, &self.stock) {
            (Some(name), _) => format!("Rust ({name})"),
            (None, Some(_)) => "Rust (stock evcxr + kensaku)".to_owned(),
            (None, None) => "Rust (kensaku)".to_owned(),
        }
    }

    fn folder(&self) -> Result<PathBuf> {
        let name = self.name();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        ensure!(
            name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(allowed),
            "`{name}` is not a valid name for a kernel: use letters, digits, `-`, `_` and `.`"
        );
        Ok(self.place.kernels()?.join(name))
    }
}

/// Builds the dylib and writes the kernelspec.
pub(crate) fn install(target: &Target) -> Result<()> {
    let dylib = Dylib::fresh()?;
    let folder = target.folder()?;
    let binary = std::env::current_exe().context("finding this binary")?;
    let kernelspec = match &target.stock {
        Some(evcxr) => stock::kernelspec(&target.title(), &binary, evcxr, &folder, &dylib)?,
        None => own(&target.title(), &binary),
    };
    kernelspec.write(&folder)?;
    println!("installed the kernel \"{}\" in {}", target.title(), folder.display());
    Ok(())
}

/// Removes what [`install`] has written for this target, but not the dylib, which is part of the build.
pub(crate) fn uninstall(target: &Target) -> Result<()> {
    let folder = target.folder()?;
    kernelspec::remove(&folder)?;
    println!("removed the kernel from {}", folder.display());
    Ok(())
}

/// The kernelspecs with the default name in the places where Jupyter is known to look.
pub(crate) fn installed() -> Vec<PathBuf> {
    let places = [Place::User, Place::Environment];
    let folders = places.iter().filter_map(|place| place.kernels().ok());
    folders.map(|kernels| kernels.join(NAME)).filter(|folder| folder.join(kernelspec::FILE).exists()).collect()
}

/// The program that a kernelspec starts.
pub(crate) fn program(folder: &Path) -> Result<PathBuf> {
    kernelspec::program(folder)
}

fn own(title: &str, binary: &Path) -> Kernelspec {
    Kernelspec::new(json!({
        "argv": [binary, "kernel", "{connection_file}"],
        "display_name": title,
        "language": "rust",
        "interrupt_mode": "message",
        "metadata": { "debugger": false },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: Option<&str>) -> Target {
        Target { place: Place::Prefix("/env".into()), name: name.map(str::to_owned), stock: None }
    }

    #[test]
    fn the_spec_starts_this_binary() {
        let spec = own("Rust (kensaku)", Path::new("/opt/kensaku")).spec;
        assert_eq!(spec["argv"], json!(["/opt/kensaku", "kernel", "{connection_file}"]));
        assert_eq!(spec["language"], "rust");
    }

    #[test]
    fn a_name_changes_folder_and_title() {
        let named = target(Some("mine-2"));
        assert_eq!(named.folder().expect("the name is fine"), Path::new("/env/share/jupyter/kernels/mine-2"));
        assert_eq!(named.title(), "Rust (mine-2)");
        assert_eq!(target(None).title(), "Rust (kensaku)");
        for bad in ["", "..", "a/b", "検索"] {
            assert!(target(Some(bad)).folder().is_err(), "{bad}");
        }
    }
}
