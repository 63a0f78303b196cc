//! Settings of a model directory that change vectors: honoured and written back, or refused by name.

use std::fs;
use std::path::Path;

use kensaku::loss::Similarity;
use kensaku::model::{BiEncoder, BiEncoderConfig, Pooling, Precision, Role};
use kensaku::nn::{Activations, BertConfig, ModernBertConfig, PackedBatch};
use kensaku::text::{Tokenizer, WordPieceConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::families::families;
use crate::golden::{floats, json as read};
use crate::shared::{Trials, test};
use crate::words::word_tokenizer;

pub fn trials() -> Trials {
    vec![
        test("settings::texts_are_lower_cased_where_the_directory_says_so", lower_case),
        test("settings::all_prompts_are_kept_and_the_default_one_is_used", prompts),
        test("settings::the_maximum_length_of_older_versions", older_lengths),
        test("settings::what_is_not_computed_is_refused_by_name", refused),
        test("settings::modules_are_those_that_are_known_in_their_order", modules),
        test("settings::errors_name_the_file_of_a_setting", file_names),
        test("settings::of_a_loaded_model_can_be_changed", changed),
        test("settings::python_is_told_which_inputs_an_encoder_takes", input_names),
        test("settings::the_tokens_of_a_prompt_are_those_without_its_closing_one", prompt_tokens),
        test("settings::a_text_without_tokens_has_the_vector_0", no_tokens),
        test("settings::no_vector_is_nan", not_finite),
        test("settings::a_prompt_leaves_room_for_a_text", room),
        test("settings::weights_in_int8_are_those_of_now", int8),
        test("settings::many_texts_are_encoded_as_single_ones", windows),
        test("settings::a_pass_wants_a_number_for_each_text", lengths),
        test("settings::saving_keeps_a_readme_and_needs_a_name", saving),
        test("settings::rotations_are_made_for_the_positions_that_there_are", rotations),
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

fn lower_case() {
    let dir = saved(&small(false, BiEncoderConfig::default()));
    let cased = BiEncoder::load(dir.path()).unwrap().tokenize(&["RED HOUSE", "red house"], Role::Plain).unwrap();
    assert_ne!(cased[0], cased[1]);
    edit(&dir, "sentence_bert_config.json", |config| config["do_lower_case"] = true.into());
    let model = BiEncoder::load(dir.path()).unwrap();
    let again = BiEncoder::load(saved(&model).path()).unwrap();
    for model in [&model, &again] {
        let ids = model.tokenize(&["RED HOUSE [MASK]", "red house [MASK]"], Role::Plain).unwrap();
        assert_eq!(ids[0], ids[1]);
        assert_eq!(ids[0][1..3], cased[1][1..3]);
        assert!(ids[0].contains(&model.tokenizer().id("[MASK]").unwrap()));
    }
    assert_eq!(vectors(&model, Role::Plain), vectors(&again, Role::Plain));
}

fn prompts() {
    let dir = saved(&small(true, BiEncoderConfig::default()));
    edit(&dir, "config_sentence_transformers.json", |config| {
        config["prompts"] =
            json!({ "query": "where is ", "document": "the ", "passage": "a ", "clustering": "a dog ", "none": null });
        config["default_prompt_name"] = "clustering".into();
    });
    let model = BiEncoder::load(dir.path()).unwrap();
    let bare = BiEncoderConfig { default_prompt: None, ..model.config().clone() };
    let bare = model.clone().with_config(bare).unwrap();
    for (role, prompt) in [(Role::Query, "where is "), (Role::Doc, "the "), (Role::Plain, "a dog ")] {
        let prompted = TEXTS.map(|text| format!("{prompt}{text}"));
        assert_eq!(vectors(&model, role), floats(&bare.encode_texts(&prompted).unwrap()), "{role:?}");
    }
    let again = saved(&model);
    assert_eq!(BiEncoder::load(again.path()).unwrap().config(), model.config());
    let stored = read(&again.path().join("config_sentence_transformers.json"));
    let expected = json!({ "query": "where is ", "document": "the ", "passage": "a ", "clustering": "a dog " });
    assert_eq!((&stored["prompts"], &stored["default_prompt_name"]), (&expected, &json!("clustering")));

    edit(&dir, "config_sentence_transformers.json", |config| config["default_prompt_name"] = "absent".into());
    let said = message(&dir);
    assert!(said.contains("config_sentence_transformers.json: default_prompt = absent; expected one of"), "{said}");
}

fn older_lengths() {
    for family in ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"] {
        let dir = saved(&small(true, BiEncoderConfig::default()));
        fs::remove_file(dir.path().join("sentence_bert_config.json")).unwrap();
        let lengths = json!({ "max_seq_length": 12, "do_lower_case": false }).to_string();
        fs::write(dir.path().join(format!("sentence_{family}_config.json")), lengths).unwrap();
        let model = BiEncoder::load(dir.path()).unwrap();
        assert_eq!(model.config().max_length, 12, "{family}");
        // What another version has written goes with its model.
        model.save(dir.path()).unwrap();
        let left = fs::read_dir(dir.path()).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name().into_string().unwrap();
            name.starts_with("sentence_")
        });
        assert_eq!(left.count(), 1, "{family}");
    }
}

fn refused() {
    let model = small(true, BiEncoderConfig::default());
    let with = |name: &str, key: &str, value: Value| {
        let dir = saved(&model);
        edit(&dir, name, |config| config[key] = value);
        message(&dir)
    };
    for (name, key, value) in [
        ("config.json", "position_embedding_type", json!("relative_key")),
        ("config.json", "is_decoder", json!(true)),
        ("config.json", "add_cross_attention", json!(true)),
        ("config.json", "pruned_heads", json!({ "0": [1] })),
        ("config.json", "quantization_config", json!({ "bits": 4 })),
        ("config.json", "auto_map", json!({ "AutoModel": "modeling.Model" })),
        ("config.json", "layer_norm_eps", json!(-1.0)),
        ("config.json", "initializer_range", json!(-0.1)),
        ("config.json", "num_hidden_layers", json!(0)),
        ("config_sentence_transformers.json", "model_type", json!("SparseEncoder")),
        ("config_sentence_transformers.json", "truncate_dim", json!(8)),
        ("tokenizer_config.json", "truncation_side", json!("left")),
        ("tokenizer_config.json", "do_lower_case", json!(false)),
        ("tokenizer_config.json", "strip_accents", json!(false)),
        ("tokenizer_config.json", "tokenize_chinese_chars", json!(false)),
        ("sentence_bert_config.json", "config_args", json!({ "num_hidden_layers": 3 })),
        ("sentence_bert_config.json", "max_seq_length", json!("8")),
        ("sentence_bert_config.json", "max_seq_length", json!(8.0)),
        ("sentence_bert_config.json", "max_seq_length", json!(-1)),
        ("sentence_bert_config.json", "transformer_task", json!("fill-mask")),
        ("sentence_bert_config.json", "module_output_name", json!("sentence_embedding")),
    ] {
        let said = with(name, key, value);
        assert!(said.contains(name) && said.contains(key), "{key}: {said}");
    }
    let dir = saved(&model);
    fs::write(dir.path().join("adapter_config.json"), "{}").unwrap();
    assert!(message(&dir).contains("adapter_config.json: the weights of a PEFT adapter are not read"));
    // What agrees with the tokenizer, and what changes nothing.
    let dir = saved(&model);
    edit(&dir, "tokenizer_config.json", |config| config["do_lower_case"] = true.into());
    edit(&dir, "sentence_bert_config.json", |config| config["model_args"] = json!({ "trust_remote_code": true }));
    assert_eq!(vectors(&BiEncoder::load(dir.path()).unwrap(), Role::Plain), vectors(&model, Role::Plain));
    for value in [json!("absolute"), Value::Null] {
        let dir = saved(&model);
        edit(&dir, "config.json", |config| config["position_embedding_type"] = value);
        assert_eq!(vectors(&BiEncoder::load(dir.path()).unwrap(), Role::Plain), vectors(&model, Role::Plain));
    }
}

fn modules() {
    let model = small(true, BiEncoderConfig::default());
    let module =
        |kind: &str, path: &str| json!({ "type": format!("sentence_transformers.models.{kind}"), "path": path });
    let (transformer, pooling, normalize) =
        (module("Transformer", ""), module("Pooling", "1_Pooling"), module("Normalize", "2_Normalize"));
    let with = |modules: Value| {
        let dir = saved(&model);
        fs::write(dir.path().join("modules.json"), modules.to_string()).unwrap();
        BiEncoder::load(dir.path()).map(|model| model.config().normalize)
    };
    assert!(with(json!([transformer, pooling, normalize])).unwrap());
    assert!(!with(json!([transformer, pooling])).unwrap());
    for wrong in [
        json!({}),
        Value::Null,
        json!([]),
        json!([transformer]),
        json!([normalize, transformer, pooling]),
        json!([pooling, transformer]),
        json!([transformer, transformer, pooling]),
        json!([transformer, pooling, pooling]),
    ] {
        let said = with(wrong.clone()).unwrap_err().to_string();
        assert!(said.contains("modules.json") && said.contains("in this order"), "{wrong}: {said}");
    }
}

fn file_names() {
    let dir = saved(&small(true, BiEncoderConfig::default()));
    edit(&dir, "sentence_bert_config.json", |config| config["max_seq_length"] = 0.into());
    let said = message(&dir);
    assert!(said.contains("sentence_bert_config.json: max_length = 0; expected 2 to 64"), "{said}");
    edit(&dir, "config.json", |config| config["num_hidden_layers"] = 1_000_000_000.into());
    let said = message(&dir);
    assert!(said.contains("config.json: num_hidden_layers = 1000000000; expected 1 to 1000"), "{said}");
}

fn changed() {
    let model = small(true, BiEncoderConfig::default());
    let short = model.clone().with_max_length(4).unwrap();
    assert_eq!(short.tokenize(&["the dog by the tree"], Role::Plain).unwrap()[0].len(), 4);
    let error = model.clone().with_max_length(65).unwrap_err().to_string();
    assert_eq!(error, "max_length = 65: expected 2 to 64, the longest input of the encoder");
    let prompted = model.clone().with_prompts("where is ", "the ").unwrap();
    assert_eq!(
        floats(&prompted.encode(&["car"], Role::Doc).unwrap()),
        floats(&model.encode_texts(&["the car"]).unwrap())
    );
    let dot = model.clone().with_similarity(Similarity::Dot);
    let twice = (model.encode_texts(&TEXTS).unwrap() * 2.0).unwrap();
    let diagonal = |model: &BiEncoder| model.similarity(&twice, &twice).unwrap().to_vec2::<f32>().unwrap()[0][0];
    assert!((diagonal(&dot) - 4.0).abs() < 1e-5 && (diagonal(&model) - 1.0).abs() < 1e-5);
    let named = BiEncoderConfig { prompts: [("query".to_owned(), "x".to_owned())].into(), ..Default::default() };
    assert!(model.with_config(BiEncoderConfig { max_length: 8, ..named }).is_err());
}

fn input_names() {
    for (name, config) in families() {
        let model =
            BiEncoder::new(config, word_tokenizer(&[], &["a", "b"]).unwrap(), BiEncoderConfig::default(), 1).unwrap();
        let stored = read(&saved(&model).path().join("tokenizer_config.json"));
        let types = ["bert", "electra"].contains(&name);
        let expected = if types {
            json!(["input_ids", "token_type_ids", "attention_mask"])
        } else {
            json!(["input_ids", "attention_mask"])
        };
        assert_eq!(stored["model_input_names"], expected, "{name}");
    }
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

fn prompt_tokens() {
    let config = BiEncoderConfig {
        max_length: 16,
        query_prompt: "query a ".to_owned(),
        include_prompt: false,
        normalize: false,
        ..Default::default()
    };
    let bare = BiEncoder::new(encoder(), bare_tokenizer(), config.clone(), 1).unwrap();
    assert_eq!((bare.prompt_tokens(Role::Query), bare.prompt_tokens(Role::Doc)), (2, 0));
    // The mean is that of the last two hidden states.
    let ids = bare.tokenize(&["red house"], Role::Query).unwrap();
    assert_eq!(ids, [[4, 1, 2, 3]]);
    let mut activations = Activations::inference();
    bare.encoder().forward(&PackedBatch::new(&ids), &mut activations).unwrap();
    let rows: Vec<&[f32]> = activations.hidden().chunks_exact(32).collect();
    let ours = floats(&bare.encode(&["red house"], Role::Query).unwrap());
    for (index, value) in ours.iter().enumerate() {
        assert!((value - (rows[2][index] + rows[3][index]) / 2.0).abs() < 1e-6);
    }
    let closed = BiEncoder::new(encoder(), small(true, config.clone()).tokenizer().clone(), config, 1).unwrap();
    assert_eq!(closed.prompt_tokens(Role::Query), closed.tokenize(&["query a "], Role::Plain).unwrap()[0].len() - 1);
}

fn no_tokens() {
    for pooling in [Pooling::Mean, Pooling::Cls] {
        for normalize in [true, false] {
            let config = BiEncoderConfig { max_length: 16, pooling: pooling.clone(), normalize, ..Default::default() };
            let model = BiEncoder::new(encoder(), bare_tokenizer(), config, 1).unwrap();
            assert_eq!(model.encode_texts(&[""]).unwrap().to_vec2::<f32>().unwrap(), [[0.0; 32]]);
            let mixed = model.encode_texts(&["", "red"]).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(mixed[0], [0.0; 32]);
            assert_eq!(mixed[1], model.encode_texts(&["red"]).unwrap().to_vec2::<f32>().unwrap()[0]);
            let none: [&str; 0] = [];
            assert_eq!(model.encode_texts(&none).unwrap().dims(), [0, 32]);
        }
    }
}

fn not_finite() {
    let mut model = small(true, BiEncoderConfig::default());
    let parameters = model.encoder_mut().parameters_mut();
    parameters.values_mut("encoder.layer.0.output.LayerNorm.bias").unwrap().fill(3e38);
    parameters.values_mut("encoder.layer.0.output.LayerNorm.weight").unwrap().fill(3e38);
    let error = model.encode_texts(&["a", "red house"]).unwrap_err().to_string();
    assert!(error.starts_with("the vector of text ") && error.ends_with("expected finite numbers"), "{error}");
}

fn room() {
    let model = small(true, BiEncoderConfig::default());
    let error = model.clone().with_max_length(2).unwrap_err().to_string();
    assert_eq!(error, "max_length = 2: expected more than 2, the number of special tokens");
    let filled = model.clone().with_prompts("where is the red house", "").and_then(|model| model.with_max_length(7));
    let error = filled.unwrap_err().to_string();
    assert!(
        error.starts_with("max_length = 7: expected more than 7, the number of tokens of the prompt `where is"),
        "{error}"
    );
    assert!(model.with_max_length(3).is_ok());
}

fn int8() {
    let mut model = small(true, BiEncoderConfig::default()).with_precision(Precision::Int8);
    let before = vectors(&model, Role::Plain);
    let copy = model.clone();
    assert_eq!(vectors(&model, Role::Plain), before);
    let weight = "encoder.layer.0.output.dense.weight";
    model.encoder_mut().parameters_mut().values_mut(weight).unwrap().iter_mut().for_each(|value| *value *= -1.0);
    assert_ne!(vectors(&model, Role::Plain), before);
    assert_eq!(vectors(&copy, Role::Plain), before);
}

fn windows() {
    let model = small(true, BiEncoderConfig::default());
    let texts: Vec<String> = (0..8_200).map(|number| format!("the {}", TEXTS[number % 4])).collect();
    let all = model.encode(&texts, Role::Doc).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(all.len(), texts.len());
    for row in [0, 5, 8_190, 8_191, 8_192, 8_199] {
        assert_eq!(all[row], model.encode(&texts[row..=row], Role::Doc).unwrap().to_vec2::<f32>().unwrap()[0], "{row}");
    }
    let ids: Vec<String> = (0..texts.len()).map(|number| number.to_string()).collect();
    let titles: Vec<&str> = texts.iter().map(|_| "the").collect();
    let rest: Vec<&str> = (0..texts.len()).map(|number| TEXTS[number % 4]).collect();
    let frame = polars::prelude::df!("doc_id" => ids, "title" => titles, "text" => rest).unwrap();
    let docs = model.encode_docs(&kensaku::data::Corpus::new(frame).unwrap()).unwrap();
    assert_eq!(docs.vectors.to_vec2::<f32>().unwrap(), all);
}

fn lengths() {
    let mut model = small(true, BiEncoderConfig::default());
    let batch = PackedBatch::new([vec![2, 5, 3], vec![2, 3]]);
    let mut activations = Activations::training();
    let error = model.forward(&batch, &[0], &mut activations).unwrap_err().to_string();
    assert_eq!(error, "numbers of tokens to skip: found shape 1; expected 2");
    let pooled = model.forward(&batch, &[0, 0], &mut activations).unwrap();
    assert!(model.backward(&batch, &[0, 0], &mut activations, &pooled, &[0.0; 32]).is_err());
    assert!(model.backward(&batch, &[0, 0], &mut activations, &pooled, &[0.0; 64]).is_ok());
}

fn saving() {
    let (one, other) = (small(true, BiEncoderConfig::default()), small(false, BiEncoderConfig::default()));
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("model");
    one.save(&dir).unwrap();
    fs::write(dir.join("README.md"), "my card").unwrap();
    fs::write(dir.join("model.safetensors.index.json"), "{}").unwrap();
    let plain = BiEncoderConfig { normalize: false, ..other.config().clone() };
    let other = other.with_config(plain).unwrap();
    other.save(&dir).unwrap();
    assert_eq!(fs::read_to_string(dir.join("README.md")).unwrap(), "my card");
    assert!(!dir.join("model.safetensors.index.json").exists() && !dir.join("2_Normalize").exists());
    assert_eq!(vectors(&BiEncoder::load(&dir).unwrap(), Role::Plain), vectors(&other, Role::Plain));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    #[cfg(unix)]
    for name in ["model.safetensors", "config.json"] {
        use std::os::unix::fs::PermissionsExt;
        let probe = home.path().join("probe");
        fs::write(&probe, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&dir.join(name)), mode(&probe), "{name} has the mode of any new file");
    }
    let error = other.save("").unwrap_err().to_string();
    assert_eq!(error, "dir = \"\": expected the name of a folder");
}

/// A folder of a few kilobytes that claims widths and positions for gigabytes.
fn rotations() {
    let config = ModernBertConfig {
        hidden_size: 8,
        num_attention_heads: 1,
        intermediate_size: 8,
        max_position_embeddings: 131_072,
        local_attention: 4,
        ..Default::default()
    };
    let model = BiEncoder::new(config, bare_tokenizer(), BiEncoderConfig::default(), 1).unwrap();
    // Texts beyond the positions that are made at first.
    let long = "red ".repeat(1_500);
    let long = model.clone().with_max_length(2_000).unwrap().encode_texts(&[long.as_str(), "a"]).unwrap();
    assert_eq!(long.dims(), [2, 8]);
    let dir = saved(&model);
    edit(&dir, "config.json", |config| config["hidden_size"] = 1_000_000_000.into());
    let said = message(&dir);
    assert!(said.contains("expected `embeddings.tok_embeddings.weight` with shape"), "{said}");
    assert!(Path::new(dir.path()).exists());
}
