//! Acceptance tests: one binary, one module a subject.

mod backbones;
mod bm25;
mod golden;
mod losses;
mod metrics;
mod mining;
mod shared;

use libtest_mimic::Arguments;

fn main() {
    let arguments = Arguments::from_args();
    let trials = [backbones::trials(), bm25::trials(), losses::trials(), metrics::trials(), mining::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}
