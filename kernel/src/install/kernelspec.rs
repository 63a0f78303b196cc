//! The folder of a kernelspec: its content, writing it and removing it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::files;

/// The file that describes the kernel; written last, so that front ends see a complete folder.
pub(super) const FILE: &str = "kernel.json";

const LOGOS: [(&str, &[u8]); 3] = [
    ("logo-32x32.png", include_bytes!("../../assets/logo-32x32.png")),
    ("logo-64x64.png", include_bytes!("../../assets/logo-64x64.png")),
    ("logo-svg.svg", include_bytes!("../../assets/logo-svg.svg")),
];

/// A kernelspec and the other files of its folder.
pub(super) struct Kernelspec {
    pub(super) spec: Value,
    /// Paths in the folder, and contents.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

impl Kernelspec {
    pub(super) fn new(spec: Value) -> Self {
        let files = LOGOS.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect();
        Self { spec, files }
    }

    /// Writes all files. The kernelspec lists them, so that exactly these can be removed.
    pub(super) fn write(mut self, folder: &Path) -> Result<()> {
        let before = read(folder).ok();
        if let Some(before) = &before {
            ensure_ours(folder, before)?;
        }
        let mut made = missing_folders(folder);
        made.extend(before.iter().flat_map(noted_folders));
        for (name, content) in &self.files {
            files::write(&folder.join(name), content)?;
        }
        let names: Vec<&String> = self.files.iter().map(|(name, _)| name).collect();
        self.spec["metadata"]["kensaku"] = json!({ "files": names, "folders": made });
        files::write(&folder.join(FILE), serde_json::to_string_pretty(&self.spec)?.as_bytes())
    }
}

/// Removes a kernelspec of ours, and the folders created for it, if they are empty.
pub(super) fn remove(folder: &Path) -> Result<()> {
    let spec = read(folder).with_context(|| format!("no kernel is installed in {}", folder.display()))?;
    ensure_ours(folder, &spec)?;
    let names = spec["metadata"]["kensaku"]["files"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in names.chain([FILE]) {
        let path = folder.join(name);
        ensure!(is_within(name), "{} lists {name}, which is outside of it", folder.display());
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("removing {}", path.display()));
            }
            _ => remove_empty(path.parent().filter(|parent| *parent != folder)),
        }
    }
    remove_empty(Some(folder));
    let mut made: Vec<PathBuf> = noted_folders(&spec).collect();
    made.sort_by_key(|made| std::cmp::Reverse(made.components().count()));
    made.retain(|made| folder.starts_with(made));
    made.iter().for_each(|made| remove_empty(Some(made)));
    made.retain(|made| made.exists());
    if made.is_empty() { Ok(()) } else { hand_over(made, folder) }
}

/// Moves the list of folders still in use to another kernelspec of ours in the same place.
fn hand_over(made: Vec<PathBuf>, folder: &Path) -> Result<()> {
    let siblings = folder.parent().and_then(|kernels| std::fs::read_dir(kernels).ok());
    for sibling in siblings.into_iter().flatten().flatten() {
        if let Ok(mut spec) = read(&sibling.path())
            && spec["metadata"]["kensaku"].is_object()
        {
            let folders: Vec<PathBuf> = noted_folders(&spec).chain(made).collect();
            spec["metadata"]["kensaku"]["folders"] = json!(folders);
            return files::write(&sibling.path().join(FILE), serde_json::to_string_pretty(&spec)?.as_bytes());
        }
    }
    Ok(())
}

/// The program that the kernelspec in `folder` starts.
pub(super) fn program(folder: &Path) -> Result<PathBuf> {
    let spec = read(folder)?;
    let program = spec["argv"][0].as_str().context("the kernelspec has no program")?;
    Ok(program.into())
}

fn read(folder: &Path) -> Result<Value> {
    let file = folder.join(FILE);
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}

/// Kernelspecs of others are neither replaced nor removed. Those of early versions have no list of files.
fn ensure_ours(folder: &Path, spec: &Value) -> Result<()> {
    let early = spec["argv"][1] == "kernel" && spec["display_name"] == "Rust (kensaku)";
    if early || spec["metadata"]["kensaku"].is_object() {
        return Ok(());
    }
    bail!("{} has another kernel: {}", folder.display(), spec["display_name"])
}

fn noted_folders(spec: &Value) -> impl Iterator<Item = PathBuf> {
    let folders = spec["metadata"]["kensaku"]["folders"].as_array().into_iter().flatten();
    folders.filter_map(|folder| Some(PathBuf::from(folder.as_str()?)))
}

fn missing_folders(folder: &Path) -> Vec<PathBuf> {
    folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect()
}

fn is_within(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// Removes a folder if it is empty.
fn remove_empty(folder: Option<&Path>) {
    if let Some(folder) = folder {
        let _ = std::fs::remove_dir(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(prefix: &Path) -> PathBuf {
        written_as("kensaku", prefix)
    }

    fn written_as(name: &str, prefix: &Path) -> PathBuf {
        let folder = prefix.join("share/jupyter/kernels").join(name);
        let mut kernelspec = Kernelspec::new(json!({ "argv": ["a"], "metadata": {} }));
        kernelspec.files.push(("config/more.txt".to_owned(), b"more".to_vec()));
        kernelspec.write(&folder).expect("it can be written");
        folder
    }

    #[test]
    fn written_files_are_removed() {
        let prefix = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(prefix.path().join("share")).expect("a folder");
        for _ in 0..2 {
            written(prefix.path());
        }
        // The first has created the folders, the second still needs them.
        let second = written_as("second", prefix.path());
        remove(&written(prefix.path())).expect("it is ours");
        assert!(second.join(FILE).exists());
        remove(&second).expect("it is ours");
        let left = std::fs::read_dir(prefix.path().join("share")).expect("it was there before").count();
        assert_eq!(left, 0);
    }

    #[test]
    fn files_of_others_stay() {
        let prefix = tempfile::tempdir().expect("a temporary folder");
        let folder = written(prefix.path());
        std::fs::write(folder.join("mine.js"), "").expect("a file");
        remove(&folder).expect("it is ours");
        let left: Vec<_> = std::fs::read_dir(&folder).expect("it stays").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["mine.js"]);
        std::fs::write(folder.join(FILE), "{\"display_name\": \"Other\"}").expect("a file");
        assert!(remove(&folder).is_err_and(|error| error.to_string().contains("Other")));
        assert!(Kernelspec::new(json!({})).write(&folder).is_err());
    }
}
