//! Putting a new folder in the place of an old one, so that a crash leaves one of them whole.

use std::fs;
use std::io;
use std::path::Path;

use super::text::FAMILIES;
use crate::files::{exchange, folder_aside, sync_folder};
use crate::model::is_generated;
use crate::nn::Parameters;
use crate::{Error, Result};

/// Files and folders of a model by any tool. Those of an old model are not kept next to a new one.
const OF_A_MODEL: &str = "
    config.json config_kensaku.json head model.safetensors model.safetensors.index.json pytorch_model.bin pytorch_model.bin.index.json
    tokenizer.json tokenizer_config.json special_tokens_map.json added_tokens.json vocab.txt vocab.json merges.txt
    sentencepiece.bpe.model spiece.model modules.json config_sentence_transformers.json router_config.json onnx openvino";

/// Modules whose folders have a number before their name, such as `1_Pooling`, and a route before that in a router, such as
/// `query_0_SparseStaticEmbedding`.
const MODULES: &str = "
    Dense HierarchicalTokenPooling LayerNorm MLMTransformer MultiVectorMask Normalize Pooling SparseStaticEmbedding SpladePooling
    StaticEmbedding Transformer";

fn is_of_a_model(name: &str) -> bool {
    let within = |start, end| name.strip_prefix(start).and_then(|name| name.strip_suffix(end));
    // `model-00001-of-00002.safetensors`
    let part = within("model-", ".safetensors").and_then(|part| part.split_once("-of-"));
    let part =
        part.is_some_and(|(part, of)| [part, of].iter().all(|number| number.bytes().all(|c| c.is_ascii_digit())));
    let length = within("sentence_", "_config.json").is_some_and(|family| FAMILIES.contains(&family));
    let numbered = ["query_", "document_"].into_iter().find_map(|route| name.strip_prefix(route)).unwrap_or(name);
    let module = numbered.split_once('_').is_some_and(|(number, kind)| {
        number.parse::<u8>().is_ok() && MODULES.split_whitespace().any(|known| known == kind)
    });
    part || length || module || OF_A_MODEL.split_whitespace().any(|own| own == name)
}

/// Replaces `dir` with a model of these parameters, see [`replace`]. An error for a parameter that is NaN or infinite: nothing
/// is written then.
pub(in crate::model) fn replace_model(
    dir: &Path,
    parameters: &Parameters,
    create: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    if let Some((name, value)) = parameters.not_finite() {
        let expected = "finite weights: the training has diverged".to_owned();
        return Err(Error::Model { path: dir.to_owned(), problem: format!("`{name}` holds {value}"), expected });
    }
    replace(dir, create)
}

/// Replaces `dir` with a folder that `create` fills. Files that do not belong to the old model are kept, such as an edited
/// README or the user's notes. If `dir` has no model but other files, the new files are added one by one; an error if one of
/// them is there.
pub(in crate::model) fn replace(dir: &Path, create: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if dir.as_os_str().is_empty() {
        return Err(Error::Setting {
            field: "dir",
            value: "\"\"".to_owned(),
            expected: "the name of a folder".to_owned(),
        });
    }
    fs::create_dir_all(dir).map_err(Error::io(dir))?;
    // A link to a folder stays, and what it leads to is replaced.
    let dir = dir.canonicalize().map_err(Error::io(dir))?;
    let beside = dir.parent().filter(|_| has_model(&dir) || is_empty(&dir)).filter(|home| !stays(&dir, home));
    // Not everyone may write into the folder above.
    let (aside, within) = match beside.and_then(|home| folder_aside(home, &dir).ok()) {
        Some(aside) => (aside, false),
        None => (folder_aside(&dir, &dir).map_err(Error::io(&dir))?, true),
    };
    create(aside.path())?;
    if within && !has_model(&dir) {
        check_free(aside.path(), &dir)?;
    }
    let placed = match within {
        true => remove_stale(aside.path(), &dir).and_then(|()| put_into(aside.path(), &dir)),
        false => swap(aside.path(), &dir),
    };
    placed.map_err(Error::io(dir))
}

fn has_model(dir: &Path) -> bool {
    let has = |name: &str| dir.join(name).exists();
    let weights =
        ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
    has("modules.json") || has("config.json") && weights.into_iter().any(has)
}

/// An error if a file of a new model would take the place of one that is of something else.
fn check_free(new: &Path, dir: &Path) -> Result<()> {
    for entry in fs::read_dir(new).map_err(Error::io(new))? {
        let name = entry.map_err(Error::io(new))?.file_name();
        if name != "README.md" && dir.join(&name).exists() {
            let name = name.to_string_lossy().into_owned();
            let problem = format!("`{name}` is there, but it is not part of a model");
            return Err(Error::Model {
                path: dir.to_owned(),
                problem,
                expected: "another folder to save to".to_owned(),
            });
        }
    }
    Ok(())
}

/// Whether a file is a model card that nobody has edited: that of a new model takes its place.
fn is_generated_card(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "README.md")
        && fs::read_to_string(path).is_ok_and(|card| is_generated(&card))
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// Whether a folder cannot be moved: it is the working directory, contains it, or is a mount point.
fn stays(dir: &Path, home: &Path) -> bool {
    let current = std::env::current_dir().and_then(|current| current.canonicalize());
    current.is_ok_and(|current| current.starts_with(dir)) || device(dir) != device(home)
}

#[cfg(unix)]
fn device(dir: &Path) -> Option<u64> {
    std::os::unix::fs::MetadataExt::dev(&fs::metadata(dir).ok()?).into()
}

#[cfg(not(unix))]
fn device(_: &Path) -> Option<u64> {
    None
}

/// Makes the new folder whole, and exchanges the two.
fn swap(new: &Path, dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        if !name.to_str().is_some_and(is_of_a_model) && !is_generated_card(&path) {
            link(&path, &new.join(&name))?;
        }
    }
    sync(new)?;
    fs::set_permissions(new, fs::metadata(dir)?.permissions())?;
    exchange(new, dir)?;
    sync_folder(dir.parent().unwrap_or(dir))
}

/// Gives a file, or all files of a folder, a second name, in place of a file of that name.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_dir() {
        fs::create_dir_all(to)?;
        fs::set_permissions(to, fs::metadata(from)?.permissions())?;
        return fs::read_dir(from)?.try_for_each(|entry| {
            let entry = entry?;
            link(&entry.path(), &to.join(entry.file_name()))
        });
    }
    if fs::symlink_metadata(to).is_ok() {
        fs::remove_file(to)?;
    }
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        // Where a file system has no second names.
        Err(_) => fs::copy(from, to).map(|_| ()),
    }
}

/// Removes the files of an old model that a new one does not have.
fn remove_stale(new: &Path, dir: &Path) -> io::Result<()> {
    if !has_model(dir) {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
        if name.to_str().is_some_and(is_of_a_model) && !new.join(&name).exists() {
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    Ok(())
}

/// Moves files one by one; `modules.json`, by which the folder is a model's, last.
fn put_into(new: &Path, dir: &Path) -> io::Result<()> {
    let mut names: Vec<_> = fs::read_dir(new)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort_by_key(|name| name == "modules.json");
    for name in names {
        let (from, to) = (new.join(&name), dir.join(&name));
        if name == "README.md" && to.exists() && !is_generated_card(&to) {
            continue;
        }
        if from.is_dir() && to.exists() {
            put_into(&from, &to)?;
        } else {
            fs::rename(from, to)?;
        }
    }
    sync_folder(dir)
}

/// Syncs a folder and those in it; their files are synced as they are written.
fn sync(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        }
    }
    sync_folder(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn model(text: &'static str) -> impl Fn(&Path) -> Result<()> {
        move |dir| {
            fs::create_dir(dir.join("1_Pooling")).unwrap();
            for name in ["1_Pooling/config.json", "config.json", "model.safetensors", "modules.json", "README.md"] {
                fs::write(dir.join(name), text).unwrap();
            }
            Ok(())
        }
    }

    const FILES: [&str; 5] = ["1_Pooling", "README.md", "config.json", "model.safetensors", "modules.json"];

    #[test]
    fn a_model_takes_the_place_of_another_and_leaves_what_is_not_its() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("model");
        replace(&dir, model("first")).unwrap();
        assert_eq!(names(&dir), FILES);
        fs::write(dir.join("README.md"), "edited").unwrap();
        fs::create_dir_all(dir.join("notes/deep")).unwrap();
        fs::write(dir.join("notes/deep/a.txt"), "mine").unwrap();
        fs::write(dir.join("pytorch_model.bin"), "first").unwrap();
        replace(&dir, model("second")).unwrap();
        assert_eq!(fs::read_to_string(dir.join("model.safetensors")).unwrap(), "second");
        assert_eq!(fs::read_to_string(dir.join("README.md")).unwrap(), "edited");
        assert_eq!(fs::read_to_string(dir.join("notes/deep/a.txt")).unwrap(), "mine");
        assert!(!dir.join("pytorch_model.bin").exists());
        assert_eq!(names(home.path()), ["model"]);
    }

    #[test]
    fn what_fails_leaves_the_old_model_whole() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("model");
        replace(&dir, model("first")).unwrap();
        let failing = |dir: &Path| {
            fs::write(dir.join("model.safetensors"), "half").unwrap();
            Err(Error::Chart { problem: "no".to_owned() })
        };
        assert!(replace(&dir, failing).is_err());
        assert_eq!(fs::read_to_string(dir.join("model.safetensors")).unwrap(), "first");
        assert_eq!((names(home.path()), names(&dir).len()), (vec!["model".to_owned()], FILES.len()));
    }

    #[test]
    fn in_a_folder_that_stays_a_model_replaces_another_file_by_file() {
        let home = tempfile::tempdir().unwrap();
        let (dir, new) = (home.path().join("model"), home.path().join("new"));
        replace(&dir, model("first")).unwrap();
        fs::write(dir.join("pytorch_model.bin"), "first").unwrap();
        fs::write(dir.join("README.md"), "edited").unwrap();
        fs::create_dir(&new).unwrap();
        model("second")(&new).unwrap();
        remove_stale(&new, &dir).and_then(|()| put_into(&new, &dir)).unwrap();
        assert_eq!(names(&dir), FILES);
        assert_eq!(fs::read_to_string(dir.join("1_Pooling/config.json")).unwrap(), "second");
        assert_eq!(fs::read_to_string(dir.join("README.md")).unwrap(), "edited");
    }

    #[test]
    fn a_folder_of_other_things_keeps_them() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("run.trec"), "mine").unwrap();
        replace(home.path(), model("first")).unwrap();
        assert_eq!(fs::read_to_string(home.path().join("run.trec")).unwrap(), "mine");
        assert_eq!(names(home.path()).len(), FILES.len() + 1);
        // A file of the same name is not of a model.
        let home = tempfile::tempdir().unwrap();
        let mine = ["config.json", "vocab.txt", "model-notes.safetensors", "sentence_split_config.json"];
        mine.iter().for_each(|name| fs::write(home.path().join(name), "mine").unwrap());
        let refused = replace(home.path(), model("first")).unwrap_err().to_string();
        assert!(refused.contains("`config.json` is there, but it is not part of a model"), "{refused}");
        assert_eq!(names(home.path()).len(), mine.len());
        assert!(mine.iter().all(|name| fs::read_to_string(home.path().join(name)).unwrap() == "mine"));
        assert!(is_of_a_model("model-00001-of-00002.safetensors") && is_of_a_model("sentence_xlm-roberta_config.json"));
        assert!(is_of_a_model("4_Normalize") && is_of_a_model("query_0_SparseStaticEmbedding"));
        assert!(!is_of_a_model("2_notes") && !is_of_a_model("Dense") && !is_of_a_model("query_notes"));
        assert!(!is_of_a_model("model-notes.safetensors") && !is_of_a_model("sentence_split_config.json"));
    }

    #[cfg(unix)]
    #[test]
    fn a_private_folder_stays_private() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("model");
        replace(&dir, model("first")).unwrap();
        fs::create_dir(dir.join("notes")).unwrap();
        for path in [dir.clone(), dir.join("notes")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
        }
        replace(&dir, model("second")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&dir), mode(&dir.join("notes"))), (0o700, 0o700));
    }

    #[test]
    fn no_name_is_no_folder() {
        assert!(replace(Path::new(""), model("first")).unwrap_err().to_string().starts_with("dir = \"\""));
    }
}
