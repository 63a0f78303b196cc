//! Where a model is: in a folder, or on the hub.

use std::borrow::Cow;
use std::path::Path;

use super::read::unusable;
use crate::hub::{Hub, Name};
use crate::{Error, Result};

/// The folder that a path means: itself where there is one, else that of the hub's model of this name in the cache, once its
/// settings have passed a check.
pub(in crate::model) fn place<'a>(path: &'a Path, check: &dyn Fn(&Path) -> Result<()>) -> Result<Cow<'a, Path>> {
    let Some(name) = Name::of_path(path).filter(|_| !path.exists()) else {
        check_folder(path)?;
        return Ok(Cow::Borrowed(path));
    };
    match Hub::from_env()?.fetch_checked(&name, check) {
        Ok(folder) => Ok(Cow::Owned(folder)),
        Err(Error::Hub { place, problem, advice }) if place == name.to_string() => {
            Err(Error::Hub { place, problem: format!("no such folder here, and {problem}"), advice })
        }
        Err(error) => Err(error),
    }
}

/// An error for what is no folder.
fn check_folder(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if dir.as_os_str().is_empty() {
        let expected = "a folder, or a model of the hub: \"org/name\"".to_owned();
        return Err(Error::Setting { field: "path", value: "\"\"".to_owned(), expected });
    }
    let problem = if dir.exists() { "a file, not a folder" } else { "no such folder" };
    let expected = "a sentence-transformers or Hugging Face directory, or a model of the hub: \"org/name\"";
    Err(unusable(dir, problem, expected))
}
