//! Checkpoints: resuming bit for bit, and what is refused.

mod folders;
mod resuming;

use std::fs;
use std::path::Path;

use kensaku::Result;
use kensaku::data::TrainingSet;
use kensaku::loss::MultipleNegativesRanking;
use kensaku::train::{CheckpointConfig, TrainConfig, Trainer};
use tempfile::TempDir;

use crate::shared::{Trials, test};
use crate::training::{config, losses, small, words};

pub fn trials() -> Trials {
    vec![
        test("checkpoints::resume_bit_for_bit", || resuming::bit_for_bit().unwrap()),
        test("checkpoints::resume_after_a_crash", || resuming::crash().unwrap()),
        test("checkpoints::resume_with_other_means_and_for_longer", || resuming::longer().unwrap()),
        test("checkpoints::resume_in_a_second_round", || resuming::second_round().unwrap()),
        test("checkpoints::a_folder_belongs_to_one_training", || folders::own_folder().unwrap()),
        test("checkpoints::two_trainings_do_not_share_a_folder", || folders::shared_folder().unwrap()),
        test("checkpoints::weights_that_diverged_are_not_written", || folders::diverged().unwrap()),
        test("checkpoints::the_best_is_of_the_way_that_was_taken", || folders::gone_back().unwrap()),
        test("checkpoints::a_best_that_cannot_be_read_stops_nothing", || folders::broken_best().unwrap()),
        test("checkpoints::damaged_ones_are_passed_over", || resuming::damaged().unwrap()),
        test("checkpoints::foreign_ones_are_refused", || resuming::foreign().unwrap()),
        test("checkpoints::keep_the_last_and_the_best", || folders::kept().unwrap()),
        test("checkpoints::an_interrupt_leaves_them_whole", || folders::interrupted().unwrap()),
        test("checkpoints::say_where_writing_failed", || folders::unwritable().unwrap()),
    ]
}

fn saving(dir: &Path, every: usize) -> TrainConfig {
    TrainConfig { checkpoint: Some(CheckpointConfig { dir: dir.to_owned(), every, keep: 2 }), ..config() }
}

fn trainer(data: &TrainingSet, seed: u64, config: TrainConfig) -> Result<Trainer> {
    Trainer::new(small(data, seed)?, MultipleNegativesRanking::default(), config)
}

/// A folder with checkpoints after steps 5 and 10, and the training set.
fn ten_steps() -> Result<(TempDir, TrainingSet)> {
    let (dir, data) = (tempfile::tempdir().unwrap(), words()?);
    losses(&mut trainer(&data, 1, saving(dir.path(), 5))?, &data, 12)?;
    assert_eq!(names(dir.path()), ["step-00000005", "step-00000010"]);
    Ok((dir, data))
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // The file that says whose folder it is.
    names.retain(|name| name != ".training");
    names.sort();
    names
}
