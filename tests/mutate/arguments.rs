//! The command line, and that of the processes that read.

use std::path::{Path, PathBuf};

/// Cases per target unless told otherwise: a few seconds for all of them.
const CASES: usize = 1_000;

#[derive(Clone)]
pub struct Arguments {
    pub cases: usize,
    pub seed: u64,
    /// Where inputs that do harm are kept.
    pub keep: PathBuf,
    pub role: Role,
    /// What is left for the test harness: filters, `--list` and the like.
    pub rest: Vec<String>,
}

#[derive(Clone)]
pub enum Role {
    /// Starts processes that read, and watches them.
    Parent,
    /// Reads the cases from `first` on, in a separate folder.
    Child { target: String, first: usize, place: PathBuf },
    /// Reads a folder that was kept, as it is.
    Replay { target: String, folder: PathBuf },
}

impl Arguments {
    pub fn of(mut given: impl Iterator<Item = String>) -> Self {
        let keep = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutate");
        let mut all = Self { cases: CASES, seed: 1, keep, role: Role::Parent, rest: Vec::new() };
        while let Some(argument) = given.next() {
            let mut value = || given.next().unwrap_or_else(|| panic!("`{argument}` needs a value"));
            match argument.as_str() {
                "--cases" => all.cases = number(&value()) as usize,
                "--seed" => all.seed = number(&value()),
                "--keep" => all.keep = value().into(),
                "--child" => {
                    let (target, first) = (value(), number(&value()) as usize);
                    all.role = Role::Child { target, first, place: value().into() };
                }
                "--replay" => {
                    let folder = value().into();
                    all.role = Role::Replay { target: value(), folder };
                }
                _ => all.rest.push(argument),
            }
        }
        all
    }

    /// The command line of a process that reads from a case on.
    pub fn of_child(&self, target: &str, first: usize, place: &Path) -> Vec<String> {
        let place = place.display().to_string();
        let words = ["--child", target, &first.to_string(), &place, "--cases", &self.cases.to_string(), "--seed"];
        words.into_iter().map(str::to_owned).chain([self.seed.to_string()]).collect()
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is not a number"))
}
