//! The process that watches: starts those that read, sees how they end, and keeps the inputs that did harm.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use crate::arguments::Arguments;
use crate::run::below;
use crate::target::Target;

/// A case that takes longer does not end.
const LONGEST: Duration = Duration::from_secs(60);
/// The most failures that are reported.
const MOST: usize = 20;
/// Beyond what the allocator counts, in KiB: maps of files, stacks of threads.
const ADDRESSES: u64 = 16 << 20;

/// What did harm: a line per case.
pub fn watch(target: &Target, arguments: &Arguments) -> Vec<String> {
    let (mut harm, mut first) = (Vec::new(), 0);
    while harm.len() < MOST {
        let place = folder();
        let input = place.path().join(target.name);
        std::fs::create_dir(&input).unwrap();
        let mut child = start(&arguments.of_child(target.name, first, &input));
        let (last, fault) = follow(&mut child);
        let Some(fault) = fault else { break };
        let Some(last) = last else {
            harm.push(format!("{}: the input without faults: {fault}", target.name));
            break;
        };
        let kept = arguments.keep.join(format!("{}-{}-{last}", target.name, arguments.seed));
        copy(&input, &kept);
        let told = format!("{} case {last}: {fault}\n  kept in {}", target.name, kept.display());
        match target.below {
            Some(known) if fault.contains(known) => println!("a fault of a crate below: {told}"),
            _ => harm.push(told),
        }
        first = last + 1;
    }
    harm
}

/// In memory where there is such a place: models are synced to the disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn start(arguments: &[String]) -> Child {
    let limited = format!("ulimit -v {ADDRESSES} 2>/dev/null; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited]).arg(std::env::current_exe().unwrap()).args(arguments);
    command.env("RAYON_NUM_THREADS", "2").env("POLARS_MAX_THREADS", "2").env_remove("RUST_BACKTRACE");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The last case that was begun, and how it ended if not well.
fn follow(child: &mut Child) -> (Option<usize>, Option<String>) {
    let words = lines(child.stdout.take().unwrap());
    let errors = lines(child.stderr.take().unwrap());
    let (mut last, mut done) = (None, false);
    let late = loop {
        match words.recv_timeout(LONGEST) {
            Ok(line) => match line.strip_prefix("mutate: ") {
                Some("done") => done = true,
                Some(word) => last = word.strip_prefix("case ").and_then(|case| case.parse().ok()).or(last),
                None => {}
            },
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    if late {
        // It may have ended by itself by now.
        let _ = child.kill();
    }
    let status = child.wait().unwrap();
    // The last words count: panics of earlier cases that became errors are told there, too.
    let told: Vec<String> =
        errors.iter().filter(|line| !line.trim().is_empty() && !line.starts_with("note: run with")).collect();
    let told = told[told.len().saturating_sub(4)..].join(" | ");
    let fault = match (late, done) {
        (true, _) => Some(format!("no end after {} s", LONGEST.as_secs())),
        (false, true) if status.success() => None,
        _ => Some(format!("{status}: {told}")),
    };
    (last, fault)
}

/// The lines that a process writes, as they come.
fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    for path in below(from) {
        let place: PathBuf = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(path, place).unwrap();
    }
}
