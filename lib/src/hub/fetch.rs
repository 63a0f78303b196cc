//! A model into the cache: settings first, then the rest, if the settings are of a model that there is here.

use std::fs;
use std::path::{Path, PathBuf};

use hf_hub::Cache;
use serde_json::Value;

use super::Hub;
use super::download::{self, Meter};
use super::http::{Http, hub_error, is_unreached, run};
use super::listing::{Listing, Remote};
use super::name::{Kind, Name};
use super::plan::{Plan, PlannedFile};
use super::select;
use crate::show::{self, progress};
use crate::{Error, Result, files, folder};

/// Where a repository was found.
pub(super) enum Found {
    Cached(PathBuf),
    Listed(Listing),
}

impl Hub {
    /// The folder of a model in the cache, with all the files that this library reads. What is missing is fetched. See
    /// [`hub::fetch`](super::fetch).
    pub fn fetch(&self, name: &str) -> Result<PathBuf> {
        self.fetch_checked(&Name::expect(name, Kind::Model)?, &|_| Ok(()))
    }

    /// What [`Hub::fetch`] would do. Only settings are fetched.
    pub fn plan(&self, name: &str) -> Result<Plan> {
        let name = Name::expect(name, Kind::Model)?;
        if self.offline {
            let (commit, dir) = self.expect_cached(&name)?;
            return Plan::new(&name, &commit, &dir, PlannedFile::in_cache(&dir)?);
        }
        let listing = run("the look at the hub", async { Listing::fetch(&Http::new(self)?, &name).await })?;
        let files = self.settings(&name, &listing)?;
        let dir = self.snapshot(&name, &listing.commit);
        let mut plan = Plan::new(&name, &listing.commit, &dir, PlannedFile::of(self, &name, &files))?;
        let unreadable = select::unreadable(&listing.files, &files, &name.id);
        plan.problem = plan.problem.or(unreadable.map(|(problem, advice)| format!("{problem}; {advice}")));
        Ok(plan)
    }

    /// The same as [`Hub::fetch`], once the settings passed a check.
    pub(crate) fn fetch_checked(&self, name: &Name, check: &dyn Fn(&Path) -> Result<()>) -> Result<PathBuf> {
        let listing = match self.find(name)? {
            Found::Cached(dir) => return Ok(dir),
            Found::Listed(listing) => listing,
        };
        let files = self.settings(name, &listing)?;
        let dir = self.snapshot(name, &listing.commit);
        check(&dir)?;
        if let Some((problem, advice)) = select::unreadable(&listing.files, &files, &name.id) {
            return Err(hub_error(name, problem, advice));
        }
        let plan = Plan::new(name, &listing.commit, &dir, PlannedFile::of(self, name, &files))?;
        plan.check_space(&self.cache)?;
        if plan.missing_bytes() > 0 {
            show::note(&plan.to_string());
        }
        self.fetch_files(name, &listing.commit, &files)?;
        self.write_ref(name, &listing.commit)?;
        Ok(dir)
    }

    /// What the hub lists, or, offline and without a network, the folder of the cache.
    pub(super) fn find(&self, name: &Name) -> Result<Found> {
        if self.offline {
            return self.expect_cached(name).map(|(_, dir)| Found::Cached(dir));
        }
        match run("the look at the hub", async { Listing::fetch(&Http::new(self)?, name).await }) {
            Ok(listing) => Ok(Found::Listed(listing)),
            // As Python does it: without a network the cache will do.
            Err(error) if is_unreached(&error) => {
                let Some((commit, dir)) = self.cached(name) else { return Err(error) };
                log::warn!("{error}: the cache is used, with {name} at {}", &commit[..7.min(commit.len())]);
                Ok(Found::Cached(dir))
            }
            Err(error) => Err(error),
        }
    }

    /// Fetches what says how a model is made, and lists all that it needs.
    fn settings(&self, name: &Name, listing: &Listing) -> Result<Vec<Remote>> {
        let dir = self.snapshot(name, &listing.commit);
        let first = select::settings(&listing.files, &[""]);
        if first.is_empty() {
            let problem = "it has no config.json and no modules.json: it is no model of transformers";
            return Err(hub_error(name, problem, format!("see its files on {}/{}", self.endpoint, name.page())));
        }
        self.fetch_files(name, &listing.commit, &first)?;
        let folders = module_folders(&dir)?;
        let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
        self.fetch_files(name, &listing.commit, &select::settings(&listing.files, &folders))?;
        Ok(select::needed(&listing.files, &folders))
    }

    pub(super) fn fetch_files(&self, name: &Name, commit: &str, files: &[Remote]) -> Result<()> {
        let total: u64 = files.iter().filter(|file| !self.has(name, file)).map(|file| file.size).sum();
        let bar = progress(format!("{name} (kB)"), usize::try_from(total / 1_000).ok().filter(|total| *total > 0));
        let mut meter = Meter::new(bar);
        run("the download", async {
            let http = Http::new(self)?;
            for file in files {
                download::fetch(&http, name, commit, file, &mut meter).await?;
            }
            Ok(())
        })
    }

    /// Whether the cache has a file.
    pub(super) fn has(&self, name: &Name, file: &Remote) -> bool {
        let blob = self.folder(name).join("blobs").join(file.checksum.hex());
        fs::metadata(blob).is_ok_and(|found| found.len() == file.size)
    }

    /// The commit of a name, and its folder, as the cache has them.
    pub(super) fn cached(&self, name: &Name) -> Option<(String, PathBuf)> {
        let known = fs::read_to_string(self.ref_path(name)).ok().map(|commit| commit.trim().to_owned());
        let commit = known.unwrap_or_else(|| name.revision.clone());
        let dir = Cache::new(self.cache.clone()).repo(name.repo()).pointer_path(&commit);
        let is_commit = !commit.is_empty() && !commit.contains(['/', '\\']) && commit != "..";
        (is_commit && dir.is_dir()).then_some((commit, dir))
    }

    fn expect_cached(&self, name: &Name) -> Result<(String, PathBuf)> {
        self.cached(name).ok_or_else(|| {
            let problem = format!("HF_HUB_OFFLINE is set, and the cache {} does not have it", self.cache.display());
            hub_error(name, problem, "unset HF_HUB_OFFLINE once, or load it from a folder")
        })
    }

    fn ref_path(&self, name: &Name) -> PathBuf {
        self.folder(name).join("refs").join(&name.revision)
    }

    /// Notes which commit a branch or tag was at.
    pub(super) fn write_ref(&self, name: &Name, commit: &str) -> Result<()> {
        let path = self.ref_path(name);
        if name.revision == commit || fs::read_to_string(&path).is_ok_and(|known| known == commit) {
            return Ok(());
        }
        let home = path.parent().unwrap_or(&path);
        fs::create_dir_all(home).map_err(Error::io(home))?;
        files::write(&path, commit.as_bytes())
    }
}

/// The folders that `modules.json` names, and that of the model.
fn module_folders(dir: &Path) -> Result<Vec<String>> {
    let stored = folder::optional_json(dir, "modules.json")?;
    let path = |module: &Value| module["path"].as_str().map(|path| path.trim_matches('/').to_owned());
    let mut folders: Vec<String> = stored.as_array().into_iter().flatten().filter_map(path).collect();
    // A router's modules have folders, too.
    let router = folder::optional_json(dir, "router_config.json")?;
    folders.extend(router["types"].as_object().into_iter().flatten().map(|(id, _)| id.clone()));
    folders.push(String::new());
    folders.sort();
    folders.dedup();
    Ok(folders)
}
