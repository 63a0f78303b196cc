//! Completion of paths, for `:load`.

use std::path::Path;

use super::offer::Offer;

/// The folders and Rust files that complete `written`, relative to `folder`, and the part of the name already written.
pub(super) fn offers(folder: &Path, written: &str) -> (Vec<Offer>, String) {
    let (parent, name) = written.rsplit_once('/').map_or(("", written), |(parent, name)| (parent, name));
    let parent = if written.starts_with('/') && parent.is_empty() { "/" } else { parent };
    let entries = std::fs::read_dir(folder.join(parent)).into_iter().flatten().flatten();
    let offers = entries.filter_map(|entry| {
        let found = entry.file_name().into_string().ok()?;
        if found.starts_with('.') && !name.starts_with('.') {
            return None;
        }
        match entry.path().is_dir() {
            true => Some(Offer::new(format!("{found}/"), "folder", "", 1)),
            false => found.ends_with(".rs").then(|| Offer::new(found, "file", "", 0)),
        }
    });
    (offers.collect(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_files_and_folders_are_offered() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("parts")).expect("a folder in it");
        for file in ["a.rs", "b.txt", ".hidden.rs", "parts/c.rs"] {
            std::fs::write(folder.path().join(file), "").expect("a file");
        }
        let names = |written: &str| {
            let (offers, name) = offers(folder.path(), written);
            let mut names: Vec<String> = offers.into_iter().map(|offer| offer.text).collect();
            names.sort();
            (names, name)
        };
        assert_eq!(names(""), (vec!["a.rs".to_owned(), "parts/".to_owned()], String::new()));
        assert_eq!(names("parts/c"), (vec!["c.rs".to_owned()], "c".to_owned()));
        assert_eq!(names("nowhere/x").0, [""; 0]);
    }
}
