//! Where the hub is, and who asks.

use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use hf_hub::Cache;

use super::name::Name;
use crate::{Error, Result};

/// A hub and its cache on this machine. The functions of the module and `load` use [`Hub::from_env`]; another one is for
/// programs that serve several users, and for tests.
///
/// ```
/// use kensaku::hub::Hub;
///
/// let hub = Hub { endpoint: "http://127.0.0.1:8080".to_owned(), token: None, ..Hub::from_env()? };
/// assert!(hub.cache.is_absolute());
/// # Ok::<(), kensaku::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Hub {
    /// The address without a slash at its end.
    pub endpoint: String,
    /// The folder that Python's huggingface_hub shares.
    pub cache: PathBuf,
    /// For private repositories and for writing.
    pub token: Option<String>,
    /// Use the cache alone.
    pub offline: bool,
}

impl Hub {
    /// As Python's huggingface_hub reads the environment.
    ///
    /// | variable | meaning | default |
    /// |---|---|---|
    /// | `HF_ENDPOINT` | the hub's address | `https://huggingface.co` |
    /// | `HF_HOME` | the folder of cache and token | `$XDG_CACHE_HOME/huggingface`, `~/.cache/huggingface` |
    /// | `HF_HUB_CACHE` | the cache | `$HF_HOME/hub` |
    /// | `HF_TOKEN` | the token | that of the file |
    /// | `HF_TOKEN_PATH` | the file of the token, which `hf auth login` writes | `$HF_HOME/token` |
    /// | `HF_HUB_DISABLE_IMPLICIT_TOKEN` | `1`: do not send the token | |
    /// | `HF_HUB_OFFLINE` | `1`: use the cache alone | |
    pub fn from_env() -> Result<Self> {
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let expected = "an address such as https://huggingface.co";
        crate::error::expect("HF_ENDPOINT", &endpoint, expected, endpoint.starts_with("http"))?;
        let home = match path("HF_HOME")? {
            Some(home) => home,
            None => match path("XDG_CACHE_HOME")? {
                Some(cache) => cache.join("huggingface"),
                None => home()?.join(".cache/huggingface"),
            },
        };
        let cache = path("HF_HUB_CACHE")?.or(path("HUGGINGFACE_HUB_CACHE")?).unwrap_or_else(|| home.join("hub"));
        let file = path("HF_TOKEN_PATH")?.unwrap_or_else(|| home.join("token"));
        let stored = || fs::read_to_string(file).ok().map(|token| token.trim().to_owned());
        let token = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(stored);
        let token = token.filter(|token| !token.is_empty() && !flag("HF_HUB_DISABLE_IMPLICIT_TOKEN"));
        let cache = std::path::absolute(&cache).map_err(Error::io(cache))?;
        Ok(Self { endpoint, cache, token, offline: flag("HF_HUB_OFFLINE") || flag("TRANSFORMERS_OFFLINE") })
    }

    /// The folder of a repository in the cache.
    pub(super) fn folder(&self, name: &Name) -> PathBuf {
        self.cache.join(name.repo().folder_name())
    }

    /// The folder of a commit.
    pub(super) fn snapshot(&self, name: &Name, commit: &str) -> PathBuf {
        Cache::new(self.cache.clone()).repo(name.repo()).pointer_path(commit)
    }
}

const ENDPOINT: &str = "https://huggingface.co";

/// The token is no one else's business.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = if self.token.is_some() { "with a token" } else { "without a token" };
        let offline = if self.offline { ", offline" } else { "" };
        write!(f, "Hub ({}, {token}{offline}; cache: {})", self.endpoint, self.cache.display())
    }
}

/// A variable that is set to something.
fn text(variable: &str) -> Option<String> {
    env::var(variable).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn flag(variable: &str) -> bool {
    text(variable).is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&&*value.to_uppercase()))
}

fn path(variable: &str) -> Result<Option<PathBuf>> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let path = PathBuf::from(value);
    Ok(Some(match path.strip_prefix("~") {
        Ok(rest) => home()?.join(rest),
        Err(_) => path,
    }))
}

fn home() -> Result<PathBuf> {
    home::home_dir().ok_or_else(|| Error::Setting {
        field: "HF_HOME",
        value: "not set".to_owned(),
        expected: "a folder for the cache, as there is no home directory".to_owned(),
    })
}
