//! Acceptance tests: one binary, one module a subject.

mod backbones;
mod data;
mod golden;
mod losses;
mod shared;
mod tokenizer;

use libtest_mimic::Arguments;

fn main() {
    let arguments = Arguments::from_args();
    let trials = [backbones::trials(), data::trials(), losses::trials(), tokenizer::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}
