//! What a repository holds.

use std::path::{Component, Path};

use serde_json::Value;

use super::http::{Http, hub_error};
use super::name::Name;
use crate::Result;

/// The files of a repository at one commit.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<Remote>,
}

/// A file of the hub.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Remote {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) checksum: Checksum,
}

/// By which the hub tells contents apart; it is the name of a file in the cache's `blobs`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Checksum {
    /// Of a large file.
    Sha256(String),
    /// Of any other, as git computes it.
    Git(String),
}

impl Checksum {
    pub(super) fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }
}

impl Listing {
    pub(super) async fn fetch(http: &Http<'_>, name: &Name) -> Result<Self> {
        let place = name.to_string();
        let url = http.url(&format!("{}/revision/{}?blobs=true", name.api(), name.revision_in_url()));
        let stored = http.json(&place, || http.get(&url)).await?;
        Self::read(&stored).ok_or_else(|| {
            let problem = format!("{} lists its files in another way than the hub's API", http.hub.endpoint);
            hub_error(place, problem, "check HF_ENDPOINT")
        })
    }

    fn read(stored: &Value) -> Option<Self> {
        let commit = stored["sha"].as_str().filter(|commit| is_hex(commit))?.to_owned();
        let files = stored["siblings"].as_array()?.iter().map(Remote::read).collect::<Option<_>>()?;
        Some(Self { commit, files })
    }
}

impl Remote {
    /// `None` for a file whose path or checksum could lead out of the cache.
    fn read(stored: &Value) -> Option<Self> {
        let path = stored["rfilename"].as_str()?.to_owned();
        let inside = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
        let lfs = &stored["lfs"];
        let (size, checksum) = match lfs["sha256"].as_str().or(lfs["oid"].as_str()) {
            Some(hex) => (lfs["size"].as_u64().or(stored["size"].as_u64())?, Checksum::Sha256(hex.to_owned())),
            None => (stored["size"].as_u64()?, Checksum::Git(stored["blobId"].as_str()?.to_owned())),
        };
        (inside && !path.is_empty() && is_hex(checksum.hex())).then_some(Self { path, size, checksum })
    }

    /// Its folder, empty for that of the repository, and its name there.
    pub(super) fn parts(&self) -> (&str, &str) {
        self.path.rsplit_once('/').unwrap_or(("", &self.path))
    }
}

fn is_hex(text: &str) -> bool {
    (40..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_listing_is_read_and_one_that_leads_elsewhere_is_not() {
        let (git, sha) = ("a".repeat(40), "b".repeat(64));
        let small = json!({ "rfilename": "1_Pooling/config.json", "size": 2, "blobId": git });
        let large = json!({
            "rfilename": "model.safetensors", "size": 9, "blobId": git, "lfs": { "sha256": sha, "size": 9, "pointerSize": 130 },
        });
        let listing = Listing::read(&json!({ "sha": git, "siblings": [small, large] })).unwrap();
        assert_eq!(listing.files[0].parts(), ("1_Pooling", "config.json"));
        assert_eq!(listing.files[1].checksum, Checksum::Sha256(sha.clone()));
        for (key, value) in [("rfilename", "../x"), ("rfilename", "/etc/x"), ("rfilename", ""), ("blobId", "../../x")] {
            let mut file = small.clone();
            file[key] = value.into();
            assert!(Listing::read(&json!({ "sha": git, "siblings": [file] })).is_none(), "{value}");
        }
        assert!(Listing::read(&json!({ "sha": "../x", "siblings": [] })).is_none());
    }
}
