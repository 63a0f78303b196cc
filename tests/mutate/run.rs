//! The process that reads: changes one file of the input after the other, and says which case it is at.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use kensaku::random::Philox;
use kensaku::show::{Display, Message, set_display};

use crate::arguments::Arguments;
use crate::limit::allow;
use crate::mutation::mutated;
use crate::target::Target;

/// What a case may need beyond ten times its input.
const FREE: usize = 100 << 20;

/// Progress bars are not looked at.
struct Nowhere;

impl Display for Nowhere {
    fn send(&self, _: &Message) {}
}

/// Reads the cases from `first` on, in an empty folder.
pub fn run(target: &Target, arguments: &Arguments, first: usize, place: &Path) {
    set_display(Box::new(Nowhere));
    (target.write)(place);
    let files: Vec<(PathBuf, Vec<u8>)> =
        below(place).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    let size: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    // What is made once and kept, such as threads and regular expressions, counts for no case.
    (target.read)(place);
    for case in first..cases(target, arguments) {
        restore(place, &files);
        let mut rng = Philox::stream(arguments.seed, case as u64);
        let (path, bytes) = &files[rng.below(files.len())];
        let changed = mutated(bytes, &mut rng);
        let budget = 10 * (size + changed.len()) + FREE;
        std::fs::write(path, changed).unwrap();
        if rng.below(2) == 0 {
            (target.mend)(place);
        }
        say(&format!("case {case}"));
        allow(budget);
        let read = catch_unwind(AssertUnwindSafe(|| (target.read)(place)));
        allow(usize::MAX);
        if read.is_err() {
            // The parent saves the input and starts another process, so the state after the panic does not matter.
            std::process::exit(1);
        }
    }
    say("done");
}

/// Nothing but the input without faults.
fn restore(place: &Path, files: &[(PathBuf, Vec<u8>)]) {
    std::fs::remove_dir_all(place).unwrap();
    for (path, bytes) in files {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// The number of cases of a target.
fn cases(target: &Target, arguments: &Arguments) -> usize {
    (arguments.cases * target.share).div_ceil(100)
}

fn say(word: &str) {
    println!("mutate: {word}");
    std::io::stdout().flush().unwrap();
}

/// All files below a folder, sorted.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
