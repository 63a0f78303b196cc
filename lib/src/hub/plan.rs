//! What a download would do.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Hub;
use super::http::hub_error;
use super::listing::Remote;
use super::name::Name;
use crate::show::{Message, Show};
use crate::{Error, Result, folder, nn};

/// What [`fetch`](super::fetch) or a `load` will fetch, and of what kind the model is.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// As it was asked for: `org/name` or `org/name@revision`.
    pub name: String,
    pub commit: String,
    pub files: Vec<PlannedFile>,
    /// As in `config.json`: `BertModel`.
    pub architecture: Option<String>,
    /// Of the tools that wrote it: `sentence_transformers 2.0.0`.
    pub versions: Vec<String>,
    /// Why it cannot be loaded, if its encoder is none of those that there are here.
    pub problem: Option<String>,
}

/// A file that a model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedFile {
    pub path: String,
    pub bytes: u64,
    /// Whether it is in the cache.
    pub cached: bool,
}

impl PlannedFile {
    pub(super) fn of(hub: &Hub, name: &Name, files: &[Remote]) -> Vec<Self> {
        let planned = |file: &Remote| Self { path: file.path.clone(), bytes: file.size, cached: hub.has(name, file) };
        files.iter().map(planned).collect()
    }

    /// The files of a folder of the cache.
    pub(super) fn in_cache(dir: &Path) -> Result<Vec<Self>> {
        let mut files = Vec::new();
        let mut folders = vec![dir.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(Error::io(&folder))? {
                let path = entry.map_err(Error::io(&folder))?.path();
                let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
                match fs::metadata(&path) {
                    Ok(found) if found.is_dir() => folders.push(path),
                    Ok(found) => files.push(Self { path: name, bytes: found.len(), cached: true }),
                    // A link to what was removed.
                    Err(_) => {}
                }
            }
        }
        files.sort_by(|first, second| first.path.cmp(&second.path));
        Ok(files)
    }
}

impl Plan {
    /// `dir` has the settings.
    pub(super) fn new(name: &Name, commit: &str, dir: &Path, files: Vec<PlannedFile>) -> Result<Self> {
        let encoder = encoder_folder(dir)?;
        let config = folder::optional_json(&encoder, "config.json")?;
        let own = folder::optional_json(dir, "config_sentence_transformers.json")?;
        let mut versions = Vec::new();
        for (tool, version) in own["__version__"].as_object().into_iter().flatten() {
            versions.extend(version.as_str().map(|version| format!("{tool} {version}")));
        }
        if versions.is_empty() {
            versions.extend(config["transformers_version"].as_str().map(|version| format!("transformers {version}")));
        }
        let modules: Value = folder::optional_json(dir, "modules.json")?;
        let of = modules[0]["type"].as_str().unwrap_or_default();
        // Static embeddings have no encoder; `load` checks the one of a router.
        let other = ["StaticEmbedding", "Router"].iter().any(|kind| of.ends_with(kind));
        let checked = !other && config["model_type"] != "model2vec";
        let problem = checked.then(|| nn::check_config(&encoder).err()).flatten().map(|error| error.to_string());
        Ok(Self {
            name: name.to_string(),
            commit: commit.to_owned(),
            files,
            architecture: config["architectures"][0].as_str().or(config["model_type"].as_str()).map(str::to_owned),
            versions,
            problem,
        })
    }

    /// Of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Of those to fetch.
    pub fn missing_bytes(&self) -> u64 {
        self.files.iter().filter(|file| !file.cached).map(|file| file.bytes).sum()
    }

    /// An error if the disk of the cache is too full.
    pub(super) fn check_space(&self, cache: &Path) -> Result<()> {
        let existing = cache.ancestors().find(|folder| folder.is_dir());
        let free = existing.and_then(|folder| fs4::available_space(folder).ok()).unwrap_or(u64::MAX);
        if free >= self.missing_bytes() {
            return Ok(());
        }
        let problem =
            format!("{} to fetch, but {} has {} left", size(self.missing_bytes()), cache.display(), size(free));
        Err(hub_error(&self.name, problem, "make room, or set HF_HUB_CACHE to a folder on another disk"))
    }
}

/// The folder of the first module, which has the encoder's `config.json`.
fn encoder_folder(dir: &Path) -> Result<PathBuf> {
    let modules: Value = folder::optional_json(dir, "modules.json")?;
    folder::file(dir, modules[0]["path"].as_str().unwrap_or_default())
}

/// `org/name at 0123abc: 9 files, 91.2 MB, of which 90.9 MB are fetched; BertModel; sentence_transformers 2.0.0`
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commit = &self.commit[..7.min(self.commit.len())];
        write!(f, "{} at {commit}: {} files, {}", self.name, self.files.len(), size(self.bytes()))?;
        match self.missing_bytes() {
            0 => f.write_str(", all in the cache")?,
            missing => write!(f, ", of which {} are fetched", size(missing))?,
        }
        for part in
            self.architecture.iter().chain((!self.versions.is_empty()).then(|| self.versions.join(", ")).as_ref())
        {
            write!(f, "; {part}")?;
        }
        match &self.problem {
            Some(problem) => write!(f, "\nIt cannot be loaded: {problem}"),
            None => Ok(()),
        }
    }
}

impl Show for Plan {
    fn bundle(&self) -> Message {
        Message::text(self.to_string())
    }
}

/// `12.3 MB`
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
