//! Names of what lies on the hub: `org/name`, with a branch, tag or commit as in `org/name@v1.0`.

use std::fmt;
use std::path::Path;

use hf_hub::{Repo, RepoType};

use crate::{Error, Result};

/// A repository of the hub at one revision.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) id: String,
    pub(crate) revision: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Model,
    Dataset,
}

/// The branch that a name without a revision means.
pub(crate) const MAIN: &str = "main";
/// As the hub has it.
const LONGEST: usize = 96;

impl Name {
    /// Reads `org/name` or `org/name@revision`; `None` for what can be no name.
    pub(crate) fn parse(text: &str, kind: Kind) -> Option<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let (org, name) = id.split_once('/')?;
        let is_part = |part: &str| {
            let marked = |c: char| c == '.' || c == '-';
            let ends = part.starts_with(marked) || part.ends_with(marked);
            let known = part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            known && !part.is_empty() && !ends && !part.contains("--") && !part.contains("..")
        };
        // A revision becomes a part of paths and of addresses.
        let is_revision = revision.split('/').all(|part| {
            let known = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(known)
        });
        (is_part(org) && is_part(name) && id.len() <= LONGEST && is_revision).then(|| Self {
            id: id.to_owned(),
            revision: revision.to_owned(),
            kind,
        })
    }

    /// The same of a path; `None` for what can only be a path.
    pub(crate) fn of_path(path: &Path) -> Option<Self> {
        Self::parse(path.to_str()?, Kind::Model)
    }

    /// The same, or an error.
    pub(crate) fn expect(text: &str, kind: Kind) -> Result<Self> {
        Self::parse(text, kind).ok_or_else(|| Error::Setting {
            field: "name",
            value: format!("{text:?}"),
            expected: "a name of the hub: \"org/name\" or \"org/name@revision\"".to_owned(),
        })
    }

    /// The path of its pages: `org/name`, `datasets/org/name`.
    pub(crate) fn page(&self) -> String {
        match self.kind {
            Kind::Model => self.id.clone(),
            Kind::Dataset => format!("datasets/{}", self.id),
        }
    }

    /// The path of its part of the API.
    pub(crate) fn api(&self) -> String {
        match self.kind {
            Kind::Model => format!("api/models/{}", self.id),
            Kind::Dataset => format!("api/datasets/{}", self.id),
        }
    }

    /// The revision as one part of an address.
    pub(crate) fn revision_in_url(&self) -> String {
        self.revision.replace('/', "%2F").replace('+', "%2B")
    }

    /// For the cache.
    pub(crate) fn repo(&self) -> Repo {
        let kind = match self.kind {
            Kind::Model => RepoType::Model,
            Kind::Dataset => RepoType::Dataset,
        };
        Repo::with_revision(self.id.clone(), kind, self.revision.clone())
    }
}

/// As it is written in a cell.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.revision {
            MAIN => f.write_str(&self.id),
            revision => write!(f, "{}@{revision}", self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        let name = |text: &str| Name::parse(text, Kind::Model).map(|name| (name.id, name.revision));
        let pair = |id: &str, revision: &str| Some((id.to_owned(), revision.to_owned()));
        assert_eq!(name("org/a-b_c.d"), pair("org/a-b_c.d", "main"));
        assert_eq!(name("org/name@v1.0"), pair("org/name", "v1.0"));
        assert_eq!(name("org/name@refs/pr/1"), pair("org/name", "refs/pr/1"));
        for other in [
            "name",
            "/org/name",
            "./org/name",
            "../name",
            "org/..",
            "a/b/c",
            "org/",
            "org/na me",
            "org/name@",
            "org/name@../x",
            "org/name@a//b",
            "org/a--b",
            "org/-a",
            "org/a.",
            "org/検索",
            "",
        ] {
            assert_eq!(name(other), None, "{other}");
        }
        assert_eq!(name(&format!("org/{}", "a".repeat(93))), None);
    }
}
