//! The trainer: against sentence-transformers, over its whole course, and where it refuses.

mod compared;
mod course;
mod fronts;
mod labels;
mod large;
mod lists;
mod parameters;
pub mod peer;
mod refusals;
mod rounds;
mod sets;
mod streams;

use kensaku::Result;
use kensaku::data::{Texts, TrainingSet};
use kensaku::model::{BiEncoder, BiEncoderConfig};
use kensaku::nn::BertConfig;
use kensaku::text::{Tokenizer, WordPieceConfig};
use kensaku::train::{MicroBatch, TrainConfig, Trainer};
use polars::prelude::df;

use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("training::bi_encoder_mnrl_equals_sentence_transformers", || peer::bi_encoder("bi_encoder_mnrl", None)),
        test("training::bi_encoder_cached_mnrl_equals_sentence_transformers", || {
            // Part by part, as the peer's `mini_batch_size`.
            peer::bi_encoder("bi_encoder_cached_mnrl", Some(MicroBatch::Texts(2)));
        }),
        test("training::bi_encoder_dense_cosent_equals_sentence_transformers", || peer::dense(None)),
        test("training::bi_encoder_dense_cosent_in_parts_equals_sentence_transformers", || {
            peer::dense(Some(MicroBatch::Texts(5)));
        }),
        test("training::splade_mnrl_equals_sentence_transformers", || peer::splade(None)),
        test("training::splade_mnrl_in_parts_equals_sentence_transformers", || {
            peer::splade(Some(MicroBatch::Texts(4)));
        }),
        test("training::learns_and_repeats", || course::learns().unwrap()),
        test("training::same_losses_with_any_threads", || course::threads().unwrap()),
        test("training::frozen_parameters_stay", || course::frozen().unwrap()),
        test("training::fronts_make_the_tokens_of_their_models", || fronts::of_every_model().unwrap()),
        test("training::continues_after_an_interrupt", || course::continues().unwrap()),
        test("training::gives_the_step_that_was_running", || course::running().unwrap()),
        test("training::goes_on_with_another_training_set", || rounds::rounds().unwrap()),
        test("training::a_round_has_settings_of_its_own", || rounds::settings_of_a_round().unwrap()),
        test("training::steps_by_hand_are_no_part_of_the_plan", || rounds::by_hand().unwrap()),
        test("training::a_batch_of_several_sets_has_the_loss_of_its_set", || sets::own_losses().unwrap()),
        test("training::several_sets_resume_bit_for_bit", || sets::resumed().unwrap()),
        test("training::several_sets_validate_and_are_refused", || sets::validated_and_refused().unwrap()),
        test("training::batches_are_grouped_by_label_or_length", || sets::grouped().unwrap()),
        test("training::memory_is_steady", || course::steady_memory().unwrap()),
        test("training::says_what_is_wrong", || refusals::mistakes().unwrap()),
        test("training::refuses_batches_that_cannot_be", || refusals::odd_batches().unwrap()),
        test("training::refuses_settings_that_cannot_be_meant", || refusals::odd_settings().unwrap()),
        test("training::labels_may_be_lists", || labels::lists().unwrap()),
        test("training::labels_are_lists_in_files", || labels::files().unwrap()),
        test("training::labels_may_be_classes_of_single_texts", || labels::classes().unwrap()),
        test("training::a_guide_sees_the_texts", || labels::guide().unwrap()),
        test("training::a_step_reports_every_term", || labels::terms().unwrap()),
        test("training::parameters_of_a_loss_train_at_rates_of_their_own", || {
            parameters::train_at_rates_of_their_own().unwrap();
        }),
        test("training::parameters_of_a_loss_are_in_checkpoints", || parameters::are_in_checkpoints().unwrap()),
        test("training::parameters_of_a_loss_are_handed_over", || parameters::are_handed_over().unwrap()),
        test("training::parameters_of_a_loss_classify", || parameters::classify().unwrap()),
        test("training::losses_are_compared_from_one_start", || compared::compared().unwrap()),
        test("training::losses_are_compared_on_labels", || compared::labelled_and_refused().unwrap()),
        test("training::lists_of_documents_equal_sentence_transformers", || lists::equals().unwrap()),
        test("training::lists_of_documents_have_any_length", || lists::trains().unwrap()),
        test("training::lists_that_do_not_fit_are_refused", || lists::refused().unwrap()),
        test("training::lists_of_documents_are_in_files", || lists::files().unwrap()),
        test("training::an_epoch_of_a_stream_sees_each_row_once", || streams::epochs().unwrap()),
        test("training::a_stream_is_resumed_bit_for_bit", || streams::resumed().unwrap()),
        test("training::a_stream_is_one_of_several_sets", || streams::mixed().unwrap()),
        test("training::streams_that_do_not_fit_are_refused", || streams::refused().unwrap()),
        large::five_million(),
    ]
}

/// Questions that share words with their answers, enough to learn from.
pub fn words() -> Result<TrainingSet> {
    let noun = |n: usize| {
        format!("{}{}", ["red", "blue", "old", "new", "tall"][n % 5], ["car", "tree", "house", "dog"][n / 5 % 4])
    };
    let numbers = 0..60;
    let queries: Vec<String> = numbers.clone().map(|n| format!("where is the {} {n}", noun(n))).collect();
    let positives: Vec<String> = numbers.map(|n| format!("the {} {n} stands over there", noun(n))).collect();
    TrainingSet::new(df!("query" => queries, "positive" => positives)?)
}

pub fn small(data: &TrainingSet, seed: u64) -> Result<BiEncoder> {
    let tokenizer = Tokenizer::train_wordpiece(
        &data.columns().iter().flat_map(Texts::iter).collect::<Vec<_>>(),
        &WordPieceConfig { vocab_size: 150, ..Default::default() },
    )?;
    let encoder = BertConfig { hidden_size: 32, intermediate_size: 64, ..Default::default() };
    BiEncoder::new(encoder, tokenizer, BiEncoderConfig { max_length: 32, ..Default::default() }, seed)
}

pub fn config() -> TrainConfig {
    TrainConfig { batch_size: 12, epochs: 6, learning_rate: 5e-3, ..Default::default() }
}

pub fn losses(trainer: &mut Trainer, data: &TrainingSet, at_most: usize) -> Result<Vec<f64>> {
    trainer.steps(data)?.take(at_most).map(|step| Ok(step?.loss)).collect()
}

/// All weights, to compare bit for bit.
pub fn weights(model: &BiEncoder) -> Vec<u32> {
    let parameters = model.encoder().parameters();
    let values = parameters.entries().iter().flat_map(|entry| parameters.values(&entry.name).unwrap());
    values.map(|value| value.to_bits()).collect()
}
