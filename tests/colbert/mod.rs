//! Late interaction: models and losses against PyLate and sentence-transformers, training, and where it refuses.

mod losses;
mod models;
mod training;

use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    let mut trials = models::trials();
    trials.extend(losses::trials());
    trials.extend([
        test("colbert::multi_vector_mnrl_equals_sentence_transformers", training::peer),
        test("colbert::grad_cache_equals_the_whole_batch", || training::grad_cache().unwrap()),
        test("colbert::gradients_are_slopes", || training::slopes().unwrap()),
        test("colbert::learns_and_resumes_bit_for_bit", || training::resumes().unwrap()),
        test("colbert::refuses_losses_of_vectors", || training::refusals().unwrap()),
    ]);
    trials
}
