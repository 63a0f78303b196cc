//! The folder that a target writes its input into, and what reads it: the code of `tests/mutate`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Once;

use kensaku::Result;
use tempfile::TempDir;

#[allow(dead_code)]
#[path = "../../tests/families.rs"]
mod families;
#[allow(dead_code)]
#[path = "../../tests/mutate/indexes.rs"]
mod indexes;
#[allow(dead_code)]
#[path = "../../tests/mutate/inputs.rs"]
mod inputs;
#[path = "../../tests/mutate/readers.rs"]
pub mod readers;
#[path = "../../tests/words.rs"]
mod words;

/// Reads a file of these bytes.
pub fn file(bytes: &[u8], read: fn(&Path) -> Result<()>) {
    within(|_| {}, |folder| replaced(folder.join("input"), bytes, read));
}

/// Reads the file of an index with these bytes, whose checksum is put right: no input would get past it.
pub fn index(bytes: &[u8], read: fn(&Path) -> Result<()>) {
    let mended = |path: &Path| {
        indexes::rehash(path);
        read(path)
    };
    within(|_| {}, |folder| replaced(folder.join("input"), bytes, mended));
}

/// Reads a data set, one file of which has these bytes.
pub fn beir(file: &str, bytes: &[u8]) {
    within(inputs::beir, |folder| replaced(folder.join(file), bytes, |_| readers::beir(folder)));
}

/// Reads a model folder, one file of which has these bytes.
pub fn model(file: &str, bytes: &[u8]) {
    let (_, config) = families::families().remove(0);
    let write = |folder: &Path| inputs::model(&config, folder).expect("a model");
    within(write, |folder| replaced(folder.join(file), bytes, |_| readers::model(folder)));
}

/// Works in one folder a process, in memory where there is such a place.
fn within(write: impl FnOnce(&Path), work: impl FnOnce(&Path)) {
    // libFuzzer's hook aborts on any panic, even on one that the library catches and returns as an error. Without the hook
    // a panic that nothing catches still aborts, after it has left the target.
    static HOOK: Once = Once::new();
    HOOK.call_once(|| drop(std::panic::take_hook()));
    thread_local!(static FOLDER: RefCell<Option<TempDir>> = const { RefCell::new(None) });
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| {
            let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
            write(folder.path());
            folder
        });
        work(folder.path());
    });
}

/// An error is as good as a value.
fn replaced(file: PathBuf, bytes: &[u8], read: impl FnOnce(&Path) -> Result<()>) {
    std::fs::write(&file, bytes).expect("an input");
    drop(read(&file));
}
