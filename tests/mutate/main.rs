//! What happens to files that are damaged: readers' files, model folders of every family, checkpoints and indexes are
//! changed at random, and read. What comes of it may be an error or a value, but no panic, no abort, no endless loop, and memory
//! stays below ten times the input plus 100 MB.
//!
//! ```text
//! cargo test --release -p kensaku-tests --test mutate                                       a few seconds, as in CI
//! cargo test --release -p kensaku-tests --test mutate -- --cases 4000 --seed 7 jsonl        by hand
//! ```
//!
//! A change is a function of seed, target and number. Each input that does harm is kept, in the folder that `--keep`
//! names or in `target/tmp/mutate`, and goes through the same code again with `--replay FOLDER TARGET`.

mod arguments;
mod checkpoints;
#[allow(dead_code)]
#[path = "../families.rs"]
mod families;
mod indexes;
mod inputs;
mod limit;
mod mutation;
mod readers;
mod run;
mod target;
mod watch;
#[path = "../words.rs"]
mod words;

use std::process::ExitCode;

use libtest_mimic::{Failed, Trial};

use arguments::{Arguments, Role};
use target::{Target, targets};

#[global_allocator]
static LIMITED: limit::Limited = limit::Limited;

fn main() -> ExitCode {
    let arguments = Arguments::of(std::env::args().skip(1));
    match &arguments.role {
        Role::Child { target, first, place } => run::run(&named(target), &arguments, *first, place),
        Role::Replay { folder, target } => (named(target).read)(folder),
        Role::Parent => {
            let trials = targets().into_iter().map(|target| trial(target, &arguments)).collect();
            let rest = ["mutate".to_owned()].into_iter().chain(arguments.rest.clone());
            return libtest_mimic::run(&libtest_mimic::Arguments::from_iter(rest), trials).exit_code();
        }
    }
    ExitCode::SUCCESS
}

fn named(name: &str) -> Target {
    targets().into_iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target `{name}`"))
}

fn trial(target: Target, arguments: &Arguments) -> Trial {
    let arguments = arguments.clone();
    Trial::test(format!("mutate::{}", target.name), move || match watch::watch(&target, &arguments) {
        harm if harm.is_empty() => Ok(()),
        harm => Err(Failed::from(harm.join("\n"))),
    })
}
