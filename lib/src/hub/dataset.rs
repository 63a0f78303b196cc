//! Data sets of the hub.

use std::path::PathBuf;

use super::Hub;
use super::fetch::Found;
use super::http::hub_error;
use super::listing::Remote;
use super::name::{Kind, MAIN, Name};
use super::plan::{Plan, PlannedFile};
use crate::data::Dataset;
use crate::data::read::{BeirFiles, Strictness, find, splits};
use crate::show;
use crate::{Error, Result};

impl Hub {
    /// See [`hub::dataset`](super::dataset()).
    pub fn dataset(&self, name: &str) -> Result<Dataset> {
        let name = Name::expect(name, Kind::Dataset)?;
        let dir = self.fetch_chosen(&name, &|files| {
            let chosen: Vec<Remote> = files.iter().filter(|file| is_part(file)).cloned().collect();
            for part in ["corpus.jsonl", "queries.jsonl"] {
                if !chosen.iter().any(|file| file.path.starts_with(part)) {
                    let problem = format!("it has no {part}: it is no data set in the format of BEIR");
                    return Err(hub_error(&name, problem, "fetch its files one by one with `hub::dataset_file`"));
                }
            }
            Ok(chosen)
        })?;
        let part = |part: &str| {
            let missing = || hub_error(&name, format!("the cache has no {part} of it"), "unset HF_HUB_OFFLINE once");
            find(&dir, part).ok_or_else(missing)
        };
        let (corpus, queries) = (part("corpus.jsonl")?, part("queries.jsonl")?);
        let own = dir.join("qrels");
        let qrels = if own.is_dir() { splits(&own)? } else { splits(&self.judgements(&name)?)? };
        let short = name.id.rsplit('/').next().unwrap_or(&name.id).to_owned();
        BeirFiles { name: short, corpus, queries, qrels }.read(Strictness::Strict).map(|(data, _)| data)
    }

    /// See [`hub::dataset_file`](super::dataset_file).
    pub fn dataset_file(&self, name: &str, path: &str) -> Result<PathBuf> {
        let name = Name::expect(name, Kind::Dataset)?;
        let dir = self.fetch_chosen(&name, &|files| {
            let found: Vec<Remote> = files.iter().filter(|file| file.path == path).cloned().collect();
            if found.is_empty() {
                let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).take(MOST).collect();
                let more = files.len().saturating_sub(MOST);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let advice = format!("its files are: {}{more}", names.join(", "));
                return Err(hub_error(&name, format!("it has no file {path}"), advice));
            }
            Ok(found)
        })?;
        let file = dir.join(path);
        let inside =
            std::path::Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        match inside && file.is_file() {
            true => Ok(file),
            false => Err(hub_error(&name, format!("the cache has no {path} of it"), "unset HF_HUB_OFFLINE once")),
        }
    }

    /// The folder of the judgements that are a repository of their own, as those of BeIR are.
    fn judgements(&self, name: &Name) -> Result<PathBuf> {
        let beside = Name { id: format!("{}-qrels", name.id), revision: MAIN.to_owned(), kind: Kind::Dataset };
        let files = |files: &[Remote]| Ok(files.iter().filter(|file| is_judged(file)).cloned().collect());
        self.fetch_chosen(&beside, &files).map_err(|error| match error {
            Error::Hub { problem, .. } => {
                let problem = format!("it has no folder qrels, and {}: {problem}", beside.id);
                hub_error(
                    name,
                    problem,
                    "choose a data set that has judgements, or read its parts with `hub::dataset_file`",
                )
            }
            other => other,
        })
    }

    /// Fetches some files of a repository, and gives its folder.
    fn fetch_chosen(&self, name: &Name, choose: &dyn Fn(&[Remote]) -> Result<Vec<Remote>>) -> Result<PathBuf> {
        let listing = match self.find(name)? {
            Found::Cached(dir) => return Ok(dir),
            Found::Listed(listing) => listing,
        };
        let files = choose(&listing.files)?;
        let plan = Plan {
            name: name.to_string(),
            commit: listing.commit.clone(),
            files: PlannedFile::of(self, name, &files),
            architecture: None,
            versions: Vec::new(),
            problem: None,
        };
        plan.check_space(&self.cache)?;
        if plan.missing_bytes() > 0 {
            show::note(&plan.to_string());
        }
        self.fetch_files(name, &listing.commit, &files)?;
        self.write_ref(name, &listing.commit)?;
        Ok(self.snapshot(name, &listing.commit))
    }
}

/// File names in a message.
const MOST: usize = 20;

fn has_end(name: &str, ends: &[&str]) -> bool {
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    ends.iter().any(|end| name.ends_with(end))
}

/// Whether a file is a part of a data set in the format of BEIR.
fn is_part(file: &Remote) -> bool {
    match file.parts() {
        ("", name) => {
            name == "README.md" || (has_end(name, &["corpus.jsonl", "queries.jsonl"]) && !name.starts_with('.'))
        }
        ("qrels", _) => is_judged(file),
        _ => false,
    }
}

fn is_judged(file: &Remote) -> bool {
    has_end(&file.path, &[".tsv", ".jsonl"])
}
