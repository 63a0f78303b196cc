//! Acceptance tests: one binary, one module a subject.

mod backbones;
mod golden;
mod losses;
mod shared;

use libtest_mimic::Arguments;

fn main() {
    let arguments = Arguments::from_args();
    let trials = [backbones::trials(), losses::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}
