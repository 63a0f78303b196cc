//! Memory: what the engine, the trainer and files take.

mod beside;
mod counting;
mod engine;
mod splade;

use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    let mut trials = vec![
        test("memory::batches_and_steps_copy_no_texts", || beside::shared_texts().unwrap()),
        test("memory::frozen_parameters_have_no_gradients_and_moments", || beside::frozen().unwrap()),
        test("memory::a_stream_holds_a_window_of_texts", || beside::stream().unwrap()),
        test("memory::encoding_holds_a_window_of_texts", || beside::windows().unwrap()),
        test("memory::saving_holds_no_copy_of_the_weights", || beside::saving().unwrap()),
        test("memory::a_splade_step_never_holds_all_scores", || splade::step().unwrap()),
    ];
    for (name, config) in engine::families() {
        let (again, rounded, bytes, wide) = (config.clone(), config.clone(), config.clone(), config);
        trials.push(test(&format!("memory::{name}_is_computed_again_bit_for_bit"), move || {
            engine::checkpointing(&again)
        }));
        trials.push(test(&format!("memory::{name}_in_bf16_is_near"), move || engine::bf16(&rounded)));
        trials.push(test(&format!("memory::{name}_in_int8_is_near"), move || engine::int8(&bytes)));
        trials.push(test(&format!("memory::{name}_steady_steps_allocate_no_buffer"), move || engine::steady(&wide)));
    }
    trials
}
