//! Model directories against what sentence-transformers computes from them, and back.

use kensaku::Result;
use kensaku::loss::Similarity;
use kensaku::model::{BiEncoder, BiEncoderConfig, Model, Pooling, Precision, Role};
use kensaku::nn::{DenseActivation, VectorModule};
use serde_json::Value;

use crate::golden::{Tensors, cosine, distance, fixture, floats, json, within};
use crate::shared::{Trials, test};

/// The tolerance of embeddings, of the order of f32 rounding in both.
const EMBEDDING: f64 = 1e-5;

pub fn trials() -> Trials {
    let models = [
        "st53_bi_cls",
        "st53_bi_mean_dense",
        "st53_bi_mean_max_16",
        "st53_bi_mean_normalize",
        "st53_bi_prompts_excluded",
        "st62_bi_cls",
        "st62_bi_concat_pooling",
        "st62_bi_lasttoken",
        "st62_bi_max",
        "st62_bi_max_seq_length_16",
        "st62_bi_mean_dense",
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
    trials.extend([
        test("models::what_cannot_be_read_is_said", errors),
        test("models::modules_in_any_order_are_saved", || modules().unwrap()),
        test("models::modules_that_cannot_be_read_are_named", module_errors),
        test("models::prompts_have_names", || named_prompts().unwrap()),
        test("models::vectors_are_cut", || truncation().unwrap()),
    ]);
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
    let cut = "embeddings_truncate_dim_8";
    if has(cut) {
        let model = model.clone().with_truncate_dim(Some(8)).unwrap();
        let ours = model.encode(&sentences, Role::Plain).unwrap();
        assert_eq!((ours.dims(), model.dim()), (&[sentences.len(), 8][..], 8));
        within(cut, distance(&floats(&ours), &tensors.floats(cut)), EMBEDDING);
    }
    let ours = model.encode(&sentences, Role::Plain).unwrap();
    let similarity = model.similarity(&ours, &ours).unwrap();
    within("similarity", distance(&floats(&similarity), &tensors.floats("similarity")), 1e-4);
    let dot = expected["similarity_fn_name"] == "dot";
    assert_eq!(model.config().similarity, if dot { Similarity::Dot } else { Similarity::Cosine });
}

const TEXTS: [&str; 3] = ["a red house", "", "numbers such as 3 14 and 42 appear in a longer text"];

fn module_list() -> Vec<VectorModule> {
    let dense = |dim, bias, activation| VectorModule::Dense { dim, bias, activation, residual: false };
    vec![
        VectorModule::Normalize,
        dense(12, false, DenseActivation::Relu),
        VectorModule::LayerNorm,
        dense(8, true, DenseActivation::Gelu),
    ]
}

/// As sentence-transformers lists them, with the weights of each in its folder.
fn modules() -> Result<()> {
    let plain = BiEncoder::load(fixture("models/st62_bi_mean_normalize"))?;
    let model = plain.clone().with_modules(module_list(), 5)?;
    assert_eq!((model.dim(), model.encode_texts(&TEXTS)?.dims()), (8, &[3, 8][..]));
    let saved = tempfile::tempdir().unwrap();
    // The folders of other modules do not stay.
    BiEncoder::load(fixture("models/st62_bi_mean_dense"))?.save(saved.path())?;
    model.save(saved.path())?;
    let kinds: Vec<Value> = json(&saved.path().join("modules.json"))
        .as_array()
        .unwrap()
        .iter()
        .map(|module| serde_json::json!([module["path"], module["type"].as_str().unwrap().rsplit('.').next()]))
        .collect();
    assert_eq!(
        Value::from(kinds),
        serde_json::json!([
            ["", "Transformer"],
            ["1_Pooling", "Pooling"],
            ["2_Normalize", "Normalize"],
            ["3_Dense", "Dense"],
            ["4_LayerNorm", "LayerNorm"],
            ["5_Dense", "Dense"],
            ["6_Normalize", "Normalize"],
        ])
    );
    assert!(!saved.path().join("2_Dense").exists());
    assert_eq!(json(&saved.path().join("4_LayerNorm/config.json")), serde_json::json!({ "dimension": 12 }));
    let dense = json(&saved.path().join("5_Dense/config.json"));
    assert_eq!(dense["activation_function"], "torch.nn.modules.activation.GELU");
    let again = BiEncoder::load(saved.path())?;
    assert_eq!(again.config(), model.config());
    assert_eq!(floats(&again.encode_texts(&TEXTS)?), floats(&model.encode_texts(&TEXTS)?));
    // Without modules it is the encoder that it was.
    let without = again.with_modules(Vec::new(), 1)?;
    assert_eq!(floats(&without.encode_texts(&TEXTS)?), floats(&plain.encode_texts(&TEXTS)?));

    let message = |config: BiEncoderConfig| model.clone().with_config(config).unwrap_err().to_string();
    let other = BiEncoderConfig { modules: vec![VectorModule::LayerNorm], ..model.config().clone() };
    assert!(message(other).contains("`with_modules` draws others"));
    let wide = Pooling::Concat(vec![Pooling::Cls, Pooling::Max]);
    let wide = message(BiEncoderConfig { pooling: wide, ..model.config().clone() });
    assert_eq!(wide, "pooling = cls and max: expected one that makes 32 numbers, not 64, for the modules after it");
    Ok(())
}

fn module_errors() {
    let changed = |file: &str, key: &str, value: Value| {
        let (from, to) = (fixture("models/st62_bi_mean_dense"), tempfile::tempdir().unwrap());
        copy(&from, to.path());
        let path = to.path().join(file);
        let mut stored = json(&path);
        stored[key] = value;
        std::fs::write(path, stored.to_string()).unwrap();
        BiEncoder::load(to.path()).unwrap_err().to_string()
    };
    let config = "2_Dense/config.json";
    for (key, value, expected) in [
        ("activation_function", serde_json::json!("torch.nn.modules.activation.Hardtanh"), "expected Tanh, Identity"),
        ("activation_function", serde_json::json!("mine.Tanh"), "`activation_function` is \"mine.Tanh\""),
        ("use_residual", true.into(), "expected `residual.weight` with shape [16, 32]"),
        ("use_residual", "no".into(), "`use_residual` is \"no\"; expected true or false"),
        ("module_input_name", serde_json::json!("token_embeddings"), "expected `sentence_embedding`"),
        ("out_features", 17.into(), "expected `linear.weight` with shape [17, 32]"),
        ("out_features", 0.into(), "`out_features` is 0"),
        ("bias", false.into(), "there is a tensor `linear.bias`; expected `linear.weight`"),
        ("dropout", serde_json::json!(0.1), "`dropout` is 0.1; expected no other settings of the module"),
    ] {
        let found = changed(config, key, value);
        assert!(found.contains(expected), "{expected}: {found}");
    }
    let found = changed("3_Normalize/config.json", "module_input_name", serde_json::json!("token_embeddings"));
    assert!(found.contains("3_Normalize"), "{found}");
    let found = changed("config_sentence_transformers.json", "truncate_dim", 0.into());
    assert!(found.contains("truncate_dim is 0"), "{found}");
}

/// The whole folder.
pub fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            std::fs::create_dir(to.join(&name)).unwrap();
            copy(&path, &to.join(&name));
        } else {
            std::fs::copy(&path, to.join(&name)).unwrap();
        }
    }
}

fn named_prompts() -> Result<()> {
    let model = BiEncoder::load(fixture("models/st62_bi_prompts_excluded"))?;
    let prompts = [("cluster".to_owned(), "a topic: ".to_owned())].into();
    let model = model.clone().with_config(BiEncoderConfig { prompts, ..model.config().clone() })?;
    let named = |name: &str| Ok::<_, kensaku::Error>(floats(&model.encode_with_prompt(&TEXTS, name)?));
    assert_eq!(named("query")?, floats(&model.encode(&TEXTS, Role::Query)?));
    assert_eq!(named("document")?, floats(&model.encode(&TEXTS, Role::Doc)?));
    let default = BiEncoderConfig { default_prompt: Some("cluster".to_owned()), ..model.config().clone() };
    assert_eq!(named("cluster")?, floats(&model.clone().with_config(default)?.encode_texts(&TEXTS)?));
    let unknown = model.encode_with_prompt(&TEXTS, "topic").unwrap_err().to_string();
    assert_eq!(unknown, "prompt = topic: expected one of query, document, cluster");
    Ok(())
}

fn truncation() -> Result<()> {
    let model = BiEncoder::load(fixture("models/st62_bi_mean_normalize"))?;
    let cut = model.clone().with_truncate_dim(Some(5))?;
    let whole = model.encode_texts(&TEXTS)?.narrow(1, 0, 5)?;
    assert_eq!(floats(&cut.encode_texts(&TEXTS)?), floats(&whole));
    // Training sees all.
    assert_eq!((cut.dim(), Model::width(&cut)), (5, 32));
    let saved = tempfile::tempdir().unwrap();
    cut.save(saved.path())?;
    assert_eq!(json(&saved.path().join("config_sentence_transformers.json"))["truncate_dim"], 5);
    assert_eq!(BiEncoder::load(saved.path())?.config(), cut.config());
    let message = |dim| model.clone().with_truncate_dim(Some(dim)).unwrap_err().to_string();
    assert_eq!(message(33), "truncate_dim = 33: expected 1 to 32, the width of its vectors, or None");
    assert!(message(0).starts_with("truncate_dim = 0"));
    Ok(())
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
