//! Acceptance tests: one binary, one module a subject.

mod backbones;
mod bm25;
mod chains;
mod data;
mod directories;
mod families;
mod golden;
mod heads;
mod losses;
mod metrics;
mod minilm;
mod mining;
mod models;
mod shared;
mod tokenizer;
mod training;

use libtest_mimic::Arguments;

fn main() {
    let mut arguments = Arguments::from_args();
    // One after the other: the interrupt flag, which one of them raises, is the whole process's.
    arguments.test_threads.get_or_insert(1);
    let subjects = [
        backbones::trials(),
        bm25::trials(),
        chains::trials(),
        directories::trials(),
        data::trials(),
        heads::trials(),
        losses::trials(),
        metrics::trials(),
        minilm::trials(),
        mining::trials(),
        models::trials(),
        tokenizer::trials(),
        training::trials(),
    ];
    libtest_mimic::run(&arguments, subjects.into_iter().flatten().collect()).exit();
}
