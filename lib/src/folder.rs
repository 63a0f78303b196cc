//! Folders of models, which may come from anyone: only files in them are read, nothing else on the machine.

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// The path of a file in a folder, whether or not it exists. A link has to stay in the folder, or to lead to where the
/// cache of Hugging Face's hub keeps the files of its snapshots.
pub(crate) fn file(dir: &Path, name: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    let outside = |problem: String| Error::Model {
        path: path.clone(),
        problem,
        expected: "a file in the folder of the model".to_owned(),
    };
    let is_name = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(name).components().all(is_name) {
        return Err(outside("it lies outside of the folder".to_owned()));
    }
    let (Ok(folder), Ok(target)) = (dir.canonicalize(), path.canonicalize()) else { return Ok(path) };
    if !target.starts_with(&folder) && !in_cache(&folder, &target) {
        return Err(outside(format!("it is a link to {}", target.display())));
    }
    Ok(path)
}

/// Whether a folder is a snapshot of the hub's cache, `models--x--y/snapshots/revision`, and a file one of its
/// `models--x--y/blobs`.
fn in_cache(folder: &Path, target: &Path) -> bool {
    let blobs = target.parent().filter(|blobs| blobs.ends_with("blobs"));
    blobs.and_then(Path::parent).is_some_and(|model| {
        let name = model.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("models--") && folder.starts_with(model.join("snapshots"))
    })
}

/// The content of a file, which has to have an end.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).map_err(Error::io(path))?;
    Ok(bytes)
}

/// Opens a file; a device or a pipe may never end.
pub(crate) fn open(path: &Path) -> Result<fs::File> {
    if !fs::metadata(path).map_err(Error::io(path))?.is_file() {
        return Err(Error::Model {
            path: path.to_owned(),
            problem: "it is not a file".to_owned(),
            expected: "a regular file".to_owned(),
        });
    }
    fs::File::open(path).map_err(Error::io(path))
}

/// Reads a JSON file of a folder.
pub(crate) fn read_json<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<T> {
    let path = file(dir, name)?;
    serde_json::from_slice(&read(&path)?).map_err(|source| Error::Json { path, source })
}

/// The same, or null where there is no such file.
pub(crate) fn optional_json(dir: &Path, name: &str) -> Result<Value> {
    if file(dir, name)?.exists() { read_json(dir, name) } else { Ok(Value::Null) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_stay_in_the_folder_or_in_the_cache_of_the_hub() {
        use std::os::unix::fs::symlink;

        let root = tempfile::tempdir().unwrap();
        let snapshot = root.path().join("models--a--b/snapshots/1");
        let blobs = root.path().join("models--a--b/blobs");
        fs::create_dir_all(snapshot.join("1_Pooling")).unwrap();
        fs::create_dir_all(&blobs).unwrap();
        fs::write(blobs.join("0123"), "{}").unwrap();
        fs::write(root.path().join("secret"), "{}").unwrap();
        symlink("../../blobs/0123", snapshot.join("config.json")).unwrap();
        symlink("../../../blobs/0123", snapshot.join("1_Pooling/config.json")).unwrap();
        symlink("../../../secret", snapshot.join("tokenizer.json")).unwrap();
        assert_eq!(read_json::<Value>(&snapshot, "config.json").unwrap(), serde_json::json!({}));
        assert!(file(&snapshot, "1_Pooling/config.json").is_ok());
        assert!(file(&snapshot.join("1_Pooling"), "config.json").is_ok());
        for name in ["tokenizer.json", "../1/config.json", "/etc/hostname"] {
            let message = file(&snapshot, name).unwrap_err().to_string();
            assert!(message.ends_with("expected a file in the folder of the model"), "{message}");
        }
        // Nothing else that has `snapshots` and `blobs` is the cache.
        let other = root.path().join("mine");
        fs::create_dir_all(other.join("snapshots/1")).unwrap();
        fs::create_dir_all(other.join("blobs")).unwrap();
        fs::write(other.join("blobs/0123"), "{}").unwrap();
        symlink("../../blobs/0123", other.join("snapshots/1/config.json")).unwrap();
        assert!(file(&other.join("snapshots/1"), "config.json").is_err());
        // Nor are the blobs of another model.
        symlink(other.join("blobs/0123"), snapshot.join("vocab.txt")).unwrap();
        assert!(file(&snapshot, "vocab.txt").is_err());
        // A link to the folder of the model is the user's own.
        let link = root.path().join("link");
        symlink(&snapshot, &link).unwrap();
        assert!(file(&link, "config.json").is_ok());
        assert_eq!(optional_json(&link, "absent.json").unwrap(), Value::Null);
        assert!(open(Path::new("/dev/zero")).unwrap_err().to_string().contains("it is not a file"));
    }
}
