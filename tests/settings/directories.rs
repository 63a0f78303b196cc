//! Settings of a directory: honoured and written back, or refused by name.

use std::fs;
use std::path::Path;

use kensaku::model::{BiEncoder, BiEncoderConfig, Role};
use kensaku::nn::ModernBertConfig;
use serde_json::{Value, json};

use super::{TEXTS, bare_tokenizer, edit, message, saved, small, vectors};
use crate::families::families;
use crate::golden::{floats, json as read};
use crate::words::word_tokenizer;

pub(super) fn lower_case() {
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

pub(super) fn prompts() {
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

pub(super) fn older_lengths() {
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

pub(super) fn refused() {
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
        ("config_sentence_transformers.json", "truncate_dim", json!("8")),
        ("1_Pooling/config.json", "include_prompt", Value::Null),
        ("1_Pooling/config.json", "include_prompt", json!(0)),
        ("1_Pooling/config.json", "pooling_mode_cls_token", json!("true")),
        ("tokenizer_config.json", "split_special_tokens", json!(true)),
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

pub(super) fn modules() {
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

pub(super) fn file_names() {
    let dir = saved(&small(true, BiEncoderConfig::default()));
    edit(&dir, "sentence_bert_config.json", |config| config["max_seq_length"] = 0.into());
    let said = message(&dir);
    assert!(said.contains("sentence_bert_config.json: max_length = 0; expected 2 to 64"), "{said}");
    edit(&dir, "config.json", |config| config["num_hidden_layers"] = 1_000_000_000.into());
    let said = message(&dir);
    assert!(said.contains("config.json: num_hidden_layers = 1000000000; expected 1 to 1000"), "{said}");
}

pub(super) fn input_names() {
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

pub(super) fn saving() {
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
pub(super) fn rotations() {
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
