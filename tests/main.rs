//! Acceptance tests: one binary, one module a subject.

mod backbones;
mod batches;
mod bm25;
mod chains;
mod checkpoints;
mod colbert;
mod cross_encoder;
mod custom_model;
mod data;
mod directories;
mod families;
mod fusion;
mod golden;
mod grad_check;
mod heads;
mod hostile;
mod hub;
mod large_batches;
mod lora;
mod losses;
mod memory;
mod metrics;
mod minilm;
mod mining;
mod models;
mod odd_texts;
mod optim;
mod preflight;
mod quantized;
mod readers;
mod settings;
mod shards;
mod shared;
mod sparse_autoencoder;
mod splade;
mod static_embedding;
mod teachers;
mod tokenizer;
mod training;
mod two_towers;
mod validation;
mod words;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    if let Some(code) = shards::child() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // One after the other: the interrupt flag, which one of them raises, is the whole process's.
    arguments.test_threads.get_or_insert(1);
    let subjects = [
        backbones::trials(),
        batches::trials(),
        bm25::trials(),
        chains::trials(),
        checkpoints::trials(),
        colbert::trials(),
        cross_encoder::trials(),
        custom_model::trials(),
        data::trials(),
        directories::trials(),
        fusion::trials(),
        heads::trials(),
        hostile::trials(),
        hub::trials(),
        grad_check::trials(),
        large_batches::trials(),
        lora::trials(),
        losses::trials(),
        memory::trials(),
        metrics::trials(),
        minilm::trials(),
        mining::trials(),
        models::trials(),
        odd_texts::trials(),
        optim::trials(),
        preflight::trials(),
        quantized::trials(),
        readers::trials(),
        settings::trials(),
        shards::trials(),
        sparse_autoencoder::trials(),
        splade::trials(),
        static_embedding::trials(),
        teachers::trials(),
        tokenizer::trials(),
        training::trials(),
        two_towers::trials(),
        validation::trials(),
    ];
    libtest_mimic::run(&arguments, subjects.into_iter().flatten().collect()).exit_code()
}
