//! Directories of model2vec, and those that are wrong.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use kensaku::loss::Similarity;
use kensaku::model::{BiEncoder, Role, StaticEmbedding, StaticEmbeddingConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{TEXTS, small, tokenizer, vectors};
use crate::golden::json as read_json;

/// A directory with these tensors.
fn directory(tensors: &[(&str, Tensor)], config: Value) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tensors: HashMap<&str, Tensor> = tensors.iter().cloned().collect();
    candle_core::safetensors::save(&tensors, dir.path().join("model.safetensors")).unwrap();
    tokenizer().save(dir.path()).unwrap();
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    dir
}

fn table(rows: usize) -> Tensor {
    let numbers: Vec<f32> = (0..rows * 4).map(|place| (place * 29 % 31) as f32 / 7.0 - 2.0).collect();
    Tensor::from_vec(numbers, (rows, 4), &Device::Cpu).unwrap()
}

fn message(dir: &Path) -> String {
    StaticEmbedding::load(dir).unwrap_err().to_string()
}

pub(super) fn model2vec() {
    let tokenizer = tokenizer();
    let ids = tokenizer.vocab_size();
    // Five rows for all tokens, each token with a weight.
    let (shared, mapping) = (table(5), (0..ids).map(|id| (id * 3 % 5) as i64).collect::<Vec<_>>());
    let weights: Vec<f32> = (0..ids).map(|id| 0.5 + (id % 9) as f32).collect();
    let tensors = [
        ("embeddings", shared.to_dtype(DType::F16).unwrap()),
        ("mapping", Tensor::new(mapping.clone(), &Device::Cpu).unwrap()),
        ("weights", Tensor::new(weights.clone(), &Device::Cpu).unwrap()),
    ];
    let rows = shared.to_dtype(DType::F16).unwrap().to_dtype(DType::F32).unwrap().to_vec2::<f32>().unwrap();
    for normalize in [true, false] {
        let dir = directory(&tensors, json!({ "model_type": "model2vec", "normalize": normalize }));
        let model = StaticEmbedding::load(dir.path()).unwrap();
        assert_eq!((model.config().normalize, model.config().skip_unknown), (normalize, true));
        let text = "a red 検索 house";
        let known: Vec<u32> = (tokenizer.encode_batch(&["a red house"], 64).unwrap()[0].iter().copied())
            .filter(|id| !tokenizer.token(*id).unwrap().starts_with('['))
            .collect();
        assert_eq!(model.tokenize(&[text], Role::Plain).unwrap()[0], known);
        let mut expected = vec![0.0; 4];
        for id in &known {
            let (row, weight) = (&rows[mapping[*id as usize] as usize], weights[*id as usize]);
            expected.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * weight / known.len() as f32);
        }
        if normalize {
            let length = expected.iter().map(|value| value * value).sum::<f32>().sqrt();
            expected.iter_mut().for_each(|value| *value /= length);
        }
        let found = vectors(&model, &[text, "検索", ""]);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
        assert_eq!(found[4..], [0.0; 8]);

        let saved = tempfile::tempdir().unwrap();
        model.save(saved.path()).unwrap();
        let config = read_json(&saved.path().join("config.json"));
        assert_eq!((&config["model_type"], &config["normalize"]), (&json!("model2vec"), &json!(normalize)));
        let again = StaticEmbedding::load(saved.path()).unwrap();
        assert_eq!((again.config(), vectors(&again, &[text, "検索", ""])), (model.config(), found.clone()));
        // Without the file for sentence-transformers.
        for name in ["modules.json", "config_sentence_transformers.json"] {
            fs::remove_file(saved.path().join(name)).unwrap();
        }
        assert_eq!(vectors(&StaticEmbedding::load(saved.path()).unwrap(), &[text, "検索", ""]), found);
    }
}

pub(super) fn settings() {
    let config = StaticEmbeddingConfig {
        normalize: false,
        max_length: Some(3),
        query_prompt: "where ".to_owned(),
        doc_prompt: "the ".to_owned(),
        prompts: [("cluster".to_owned(), "tree ".to_owned())].into(),
        default_prompt: Some("cluster".to_owned()),
        similarity: Similarity::Manhattan,
        ..Default::default()
    };
    let model = small(config.clone());
    assert_eq!(model.encodings(&["the dog by the tree"], Role::Query).unwrap().truncated, 1);
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path()).unwrap();
    let again = StaticEmbedding::load(dir.path()).unwrap();
    assert_eq!(again.config(), &config);
    for role in [Role::Query, Role::Doc, Role::Plain] {
        let [ours, theirs] =
            [&model, &again].map(|model| model.encode(&TEXTS, role).unwrap().to_vec2::<f32>().unwrap());
        assert_eq!(ours, theirs);
    }
    assert_eq!(read_json(&dir.path().join("tokenizer.json"))["truncation"]["max_length"], 3);
    assert_eq!(vectors(&model, &["dog"]), vectors(&model.clone().with_prompts("", "").unwrap(), &["dog"]));
    let prompted = model.encode(&["dog"], Role::Doc).unwrap().to_vec2::<f32>().unwrap();
    let plain = model.with_config(StaticEmbeddingConfig { default_prompt: None, ..config.clone() }).unwrap();
    assert_eq!(prompted, plain.encode_texts(&["the dog"]).unwrap().to_vec2::<f32>().unwrap());
    let error = plain.with_max_length(Some(0)).unwrap_err().to_string();
    assert!(error.starts_with("max_length = 0"), "{error}");
}

pub(super) fn wrong() {
    let ids = tokenizer().vocab_size();
    let model2vec = json!({ "model_type": "model2vec", "normalize": true });
    let with = |tensors: &[(&str, Tensor)]| directory(tensors, model2vec.clone());
    let few = with(&[("embeddings", table(ids - 1))]);
    assert!(message(few.path()).contains(&format!("expected a row for each of the {ids} ids")));
    let list = |values: Vec<i64>| Tensor::new(values, &Device::Cpu).unwrap();
    for (mapping, expected) in [
        (list(vec![7; ids]), "element 0 of `mapping`"),
        (list(vec![-1; ids]), "element 0 of `mapping`"),
        (list(vec![0; ids - 1]), "a row for each"),
        (table(2), "the shape of `mapping` is [2, 4]"),
        (Tensor::new(vec![0.5_f32; ids], &Device::Cpu).unwrap(), "`mapping` is F32"),
    ] {
        let dir = with(&[("embeddings", table(5)), ("mapping", mapping)]);
        let message = message(dir.path());
        assert!(message.contains(expected), "{message}");
    }
    let short = with(&[("embeddings", table(ids)), ("weights", Tensor::new(vec![1_f32; 3], &Device::Cpu).unwrap())]);
    assert!(message(short.path()).contains("the shape of `weights` is [3]"));
    assert!(message(with(&[("other", table(ids))]).path()).contains("no table"));
    let other = directory(&[("embeddings", table(ids))], json!({ "model_type": "bert" }));
    assert!(message(other.path()).contains("model_type is \"bert\""));
    let nan = (table(ids) * f64::NAN).unwrap();
    assert!(message(with(&[("embeddings", nan)]).path()).contains("finite weights"));

    let dir = tempfile::tempdir().unwrap();
    small(StaticEmbeddingConfig::default()).save(dir.path()).unwrap();
    let change = |name: &str, change: &dyn Fn(&mut Value)| {
        let (path, before) = (dir.path().join(name), fs::read(dir.path().join(name)).unwrap());
        let mut value = read_json(&path);
        change(&mut value);
        fs::write(&path, value.to_string()).unwrap();
        let message = message(dir.path());
        fs::write(path, before).unwrap();
        message
    };
    let own = "config_sentence_transformers.json";
    let left = json!({ "direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0 });
    assert!(change("tokenizer.json", &|value| value["truncation"] = left.clone()).contains("side \"Left\""));
    let far = change(own, &|value| value["similarity_fn_name"] = json!("hamming"));
    assert!(far.contains("`cosine`, `dot`, `euclidean` or `manhattan`"), "{far}");
    assert!(change(own, &|value| value["truncate_dim"] = json!(4)).contains("truncate_dim is 4"));
    let modules = json!([{ "path": "", "type": "sentence_transformers.models.Transformer" }]);
    assert!(
        change("modules.json", &|value| *value = modules.clone()).contains("module `sentence_transformers.models.T")
    );
    let turned = change("modules.json", &|value| value.as_array_mut().unwrap().reverse());
    assert!(turned.contains("Normalize, StaticEmbedding"), "{turned}");
    assert!(BiEncoder::load(dir.path()).unwrap_err().to_string().contains("StaticEmbedding"));
    assert!(message(Path::new("/nowhere")).contains("no such folder"));
}
