//! Settings of a model directory that change vectors: honoured and written back, or refused by name.

mod directories;
mod models;

use std::fs;

use kensaku::model::{BiEncoder, BiEncoderConfig, Role};
use kensaku::nn::BertConfig;
use kensaku::text::{Tokenizer, WordPieceConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::golden::{floats, json as read};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("settings::texts_are_lower_cased_where_the_directory_says_so", directories::lower_case),
        test("settings::all_prompts_are_kept_and_the_default_one_is_used", directories::prompts),
        test("settings::the_maximum_length_of_older_versions", directories::older_lengths),
        test("settings::what_is_not_computed_is_refused_by_name", directories::refused),
        test("settings::modules_are_those_that_are_known_in_their_order", directories::modules),
        test("settings::errors_name_the_file_of_a_setting", directories::file_names),
        test("settings::of_a_loaded_model_can_be_changed", models::changed),
        test("settings::python_is_told_which_inputs_an_encoder_takes", directories::input_names),
        test("settings::the_tokens_of_a_prompt_are_those_without_its_closing_one", models::prompt_tokens),
        test("settings::a_text_without_tokens_has_the_vector_0", models::no_tokens),
        test("settings::no_vector_is_nan", models::not_finite),
        test("settings::a_prompt_leaves_room_for_a_text", models::room),
        test("settings::weights_in_int8_are_those_of_now", models::int8),
        test("settings::many_texts_are_encoded_as_single_ones", models::windows),
        test("settings::a_pass_wants_a_number_for_each_text", models::lengths),
        test("settings::saving_keeps_a_readme_and_needs_a_name", directories::saving),
        test("settings::rotations_are_made_for_the_positions_that_there_are", directories::rotations),
    ]
}

const TEXTS: [&str; 4] = ["a red house", "RED HOUSE Green", "the dog by the tree", "where is the car"];

fn encoder() -> BertConfig {
    BertConfig {
        hidden_size: 32,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        intermediate_size: 64,
        max_position_embeddings: 64,
        initializer_range: 0.2,
        ..Default::default()
    }
}

fn small(lowercase: bool, config: BiEncoderConfig) -> BiEncoder {
    let words = WordPieceConfig { vocab_size: 300, min_frequency: 1, lowercase, ..Default::default() };
    let tokenizer = Tokenizer::train_wordpiece(&TEXTS, &words).unwrap();
    BiEncoder::new(encoder(), tokenizer, BiEncoderConfig { max_length: 32, ..config }, 7).unwrap()
}

fn saved(model: &BiEncoder) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path()).unwrap();
    dir
}

/// Changes a JSON file.
fn edit(dir: &TempDir, name: &str, change: impl FnOnce(&mut Value)) {
    let path = dir.path().join(name);
    let mut value = read(&path);
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn message(dir: &TempDir) -> String {
    BiEncoder::load(dir.path()).unwrap_err().to_string()
}

fn vectors(model: &BiEncoder, role: Role) -> Vec<f32> {
    floats(&model.encode(&TEXTS, role).unwrap())
}

/// A tokenizer of single words, with no special tokens around a text.
fn bare_tokenizer() -> Tokenizer {
    let words = ["[UNK]", "a", "red", "house", "query"];
    let vocab: serde_json::Map<String, Value> =
        words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id.into())).collect();
    let file = json!({
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]" },
    });
    Tokenizer::from_bytes(file.to_string()).unwrap()
}
