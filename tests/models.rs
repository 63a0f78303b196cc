//! Model directories against what sentence-transformers computes from them, and back.

use kensaku::loss::Similarity;
use kensaku::model::{BiEncoder, Precision, Role};
use serde_json::Value;

use crate::golden::{Tensors, cosine, distance, fixture, floats, json, within};
use crate::shared::{Trials, test};

/// The tolerance of embeddings, of the order of f32 rounding in both.
const EMBEDDING: f64 = 1e-5;

pub fn trials() -> Trials {
    let models = [
        "st53_bi_cls",
        "st53_bi_mean_max_16",
        "st53_bi_mean_normalize",
        "st53_bi_prompts_excluded",
        "st62_bi_cls",
        "st62_bi_concat_pooling",
        "st62_bi_lasttoken",
        "st62_bi_max",
        "st62_bi_max_seq_length_16",
        "st62_bi_mean_normalize",
        "st62_bi_mean_sqrt_len_tokens",
        "st62_bi_prompts",
        "st62_bi_prompts_excluded",
        "st62_bi_weightedmean",
    ];
    let mut trials = Vec::from(models.map(|name| {
        test(&format!("models::{name}_equals_sentence_transformers"), move || {
            let model = BiEncoder::load(fixture("models").join(name)).unwrap();
            equals_golden(&model, name);
            let saved = tempfile::tempdir().unwrap();
            model.save(saved.path()).unwrap();
            let again = BiEncoder::load(saved.path()).unwrap();
            assert_eq!(again.config(), model.config());
            equals_golden(&again, name);
            near_in_int8(&again);
        })
    }));
    trials.push(test("models::what_cannot_be_read_is_said", errors));
    trials
}

fn equals_golden(model: &BiEncoder, name: &str) {
    let dir = fixture("models").join(name);
    let expected = json(&dir.join("expected.json"));
    let tensors = Tensors::read(&dir.join("expected.safetensors"));
    let sentences: Vec<&str> =
        expected["sentences"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let has = |tensor: &str| tensors.names().any(|name| name == tensor);
    for (role, tensor) in
        [(Role::Plain, "embeddings"), (Role::Query, "query_embeddings"), (Role::Doc, "document_embeddings")]
    {
        if has(tensor) {
            let ours = model.encode(&sentences, role).unwrap();
            within(&format!("{name}: {tensor}"), distance(&floats(&ours), &tensors.floats(tensor)), EMBEDDING);
        }
    }
    let ours = model.encode(&sentences, Role::Plain).unwrap();
    let similarity = model.similarity(&ours, &ours).unwrap();
    within("similarity", distance(&floats(&similarity), &tensors.floats("similarity")), 1e-4);
    let dot = expected["similarity_fn_name"] == "dot";
    assert_eq!(model.config().similarity, if dot { Similarity::Dot } else { Similarity::Cosine });
}

/// Every vector points where that in f32 does, whatever is pooled.
fn near_in_int8(model: &BiEncoder) {
    let texts = ["one", "a little longer", "the longest of all these texts, so that it has more tokens"];
    let [exact, near] = [Precision::F32, Precision::Int8].map(|precision| {
        let vectors = model.clone().with_precision(precision).encode(&texts, Role::Plain).unwrap();
        vectors.to_vec2::<f32>().unwrap()
    });
    for (exact, near) in exact.iter().zip(&near) {
        let cosine = cosine(exact, near);
        assert!(cosine > 0.99 && exact != near, "cosine {cosine}");
    }
}

fn errors() {
    let message = |dir: &std::path::Path| BiEncoder::load(dir).unwrap_err().to_string();
    assert!(message(std::path::Path::new("/nowhere")).contains("no such folder"));
    let copy = tempfile::tempdir().unwrap();
    let write = |name: &str, value: Value| std::fs::write(copy.path().join(name), value.to_string()).unwrap();
    for name in ["config.json", "model.safetensors", "modules.json", "tokenizer.json"] {
        std::fs::copy(fixture("models/st62_bi_cls").join(name), copy.path().join(name)).unwrap();
    }
    std::fs::create_dir(copy.path().join("1_Pooling")).unwrap();
    let pooling = "1_Pooling/config.json";
    std::fs::copy(fixture("models/st62_bi_cls").join(pooling), copy.path().join(pooling)).unwrap();
    let mut config = json(&copy.path().join("config.json"));
    config["hidden_size"] = 16.into();
    write("config.json", config.clone());
    let shape = message(copy.path());
    assert!(shape.contains("embeddings.word_embeddings.weight") && shape.contains("[500, 16]"), "{shape}");
    config["num_attention_heads"] = Value::Null;
    write("config.json", config.clone());
    assert!(message(copy.path()).contains("`num_attention_heads` is null"));
    config["model_type"] = "t5".into();
    config["num_attention_heads"] = 4.into();
    write("config.json", config);
    assert!(message(copy.path()).contains("model_type is `t5`"));
    write("modules.json", serde_json::json!([{ "path": "", "type": "a.b.WordWeights" }]));
    assert!(message(copy.path()).contains("module `a.b.WordWeights`"));
}
