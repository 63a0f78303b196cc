//! The crates a session uses: links to cargo's files, and one dylib per `:dep`.
//!
//! The links do not change when cargo rebuilds a crate, for this session or another. The dylib contains the crates that
//! a `:dep` has added and that are in no earlier dylib. Cells link to it like to kensaku's, so that all cells share one
//! copy of the crates' statics.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::shared::Shared;
use crate::dylib::Dylib;
use crate::rustc::{Links, Rustc};
use crate::session::Crate;

/// The files of one session.
pub(super) struct Own {
    folder: TempDir,
    /// The latest file of each name, with its identity.
    files: HashMap<OsString, (Identity, PathBuf)>,
    /// How often crates were added.
    rounds: usize,
    links: Links,
    /// The crates in a dylib.
    inside: BTreeSet<PathBuf>,
    rustc: Rustc,
    _lock: File,
}

type Identity = (u64, u64, SystemTime);

impl Own {
    pub(super) fn new(shared: &Shared, dylib: &Dylib) -> Result<Self> {
        let (folder, lock) = shared.session()?;
        let (files, inside) = (HashMap::new(), BTreeSet::new());
        let (links, rustc) = (Links::default(), Rustc::new(dylib));
        Ok(Self { folder, files, rounds: 0, links, inside, rustc, _lock: lock })
    }

    /// Links to `built`; returns the link of each file.
    pub(super) fn adopt(&mut self, built: &[PathBuf]) -> Result<HashMap<PathBuf, PathBuf>> {
        self.rounds += 1;
        // A new folder: older links have the same names and are still needed.
        let folder = self.latest();
        std::fs::create_dir(&folder).context("creating a folder for crates")?;
        let mut places = HashMap::new();
        for file in built {
            // A crate of the dylib needs no link.
            if let Ok(held) = std::fs::read_link(file) {
                places.insert(file.clone(), held);
                continue;
            }
            let facts = file.metadata().with_context(|| format!("reading {}", file.display()))?;
            let identity = (facts.ino(), facts.len(), facts.modified()?);
            let name = file.file_name().context("a library without a file name")?;
            let place = match self.files.get(name) {
                Some((known, place)) if *known == identity => place.clone(),
                _ => {
                    let place = folder.join(name);
                    std::fs::hard_link(file, &place)
                        .or_else(|_| std::fs::copy(file, &place).map(drop))
                        .with_context(|| format!("linking to {}", file.display()))?;
                    self.files.insert(name.to_owned(), (identity, place.clone()));
                    place
                }
            };
            places.insert(file.clone(), place);
        }
        Ok(places)
    }

    /// The link arguments for code that names `libraries`, with those of build scripts. Crates that are in no
    /// dylib yet are linked into one; if that fails, cells link to the crates themselves, and
    /// rustc's errors are returned second.
    pub(super) fn links(&mut self, libraries: &[(String, PathBuf)], native: Links) -> (Links, Option<String>) {
        let folder = self.latest();
        self.links.native.extend(native.native);
        self.links.run_time.extend(native.run_time);
        self.links.folders.insert(folder.clone());
        let failed = match libraries.iter().all(|(_, library)| self.inside.contains(library)) {
            true => None,
            false => match self.link(&folder, libraries) {
                Ok(dylib) => {
                    self.links.dylib = Some(dylib);
                    self.links.run_time.insert(folder);
                    self.inside.extend(libraries.iter().map(|(_, library)| library.clone()));
                    None
                }
                Err(error) => Some(format!("{error:#}")),
            },
        };
        (self.links.clone(), failed)
    }

    fn link(&self, folder: &Path, libraries: &[(String, PathBuf)]) -> Result<(String, PathBuf)> {
        let name = format!("kensaku_dep_{}", self.rounds);
        let given = libraries.iter().cloned();
        let crates: Vec<Crate> =
            given.map(|(name, library)| Crate { name, library, sources: None, links: self.links.clone() }).collect();
        let before = self.links.dylib.iter().map(|(name, _)| name.as_str());
        let all = std::iter::once("kensaku").chain(before).chain(libraries.iter().map(|(name, _)| name.as_str()));
        let source = folder.join(format!("{name}.rs"));
        let text: String = all.map(|name| format!("extern crate {name} as _;\n")).collect();
        std::fs::write(&source, text).with_context(|| format!("writing {}", source.display()))?;
        let library = folder.join(format!("lib{name}.{}", std::env::consts::DLL_EXTENSION));
        let mut rustc = self.rustc.call(&crates);
        rustc
            .arg(format!("--crate-name={name}"))
            .args(["--crate-type=dylib", "-Cprefer-dynamic", "-Copt-level=3", "-Cstrip=debuginfo"])
            .arg("-o")
            .arg(&library)
            .arg(&source);
        let output = rustc.output().context("running rustc")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok((name, library))
    }

    fn latest(&self) -> PathBuf {
        self.folder.path().join(self.rounds.to_string())
    }
}
