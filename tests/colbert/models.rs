//! Model directories against what PyLate and sentence-transformers compute from them, and back.

use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use kensaku::loss::Interaction;
use kensaku::model::{BiEncoder, ColBert, ColBertConfig, Role, TokenEmbeddings, TokenPooling};
use serde_json::{Value, json as value};

use crate::golden::{Tensors, distance, fixture, floats, json, within};
use crate::shared::{Trials, test};

/// The tolerance of embeddings, of the order of f32 rounding in both; scores are sums over a query's tokens.
const EMBEDDING: f64 = 1e-5;

pub(super) fn trials() -> Trials {
    let models = [
        "pylate_colbert",
        "pylate_colbert_attend",
        "pylate_colbert_no_expansion",
        "st62_multi_vector",
        "st62_multi_vector_colbert",
    ];
    let mut trials = Vec::from(models.map(|name| {
        test(&format!("colbert::{name}_equals_its_library"), move || {
            let model = ColBert::load(fixture("models").join(name)).unwrap();
            equals_golden(&model, name);
            let saved = tempfile::tempdir().unwrap();
            model.save(saved.path()).unwrap();
            let again = ColBert::load(saved.path()).unwrap();
            assert_eq!(again.config(), model.config());
            equals_golden(&again, name);
        })
    }));
    trials.extend([
        test("colbert::a_new_model_of_any_encoder", any_encoder),
        test("colbert::is_saved_with_its_settings", settings_are_saved),
        test("colbert::ranks_documents", rank),
        test("colbert::token_pooling_equals_sentence_transformers", token_pooling),
        test("colbert::documents_are_pooled", pooled_docs),
        test("colbert::settings_that_cannot_be_meant", settings),
        test("colbert::directories_that_cannot_be_read", directories),
    ]);
    trials
}

fn sentences(expected: &Value) -> Vec<&str> {
    expected["sentences"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn equals_golden(model: &ColBert, name: &str) {
    let dir = fixture("models").join(name);
    let expected = json(&dir.join("expected.json"));
    let tensors = Tensors::read(&dir.join("expected.safetensors"));
    let sentences = sentences(&expected);
    let [queries, docs] = [(Role::Query, "query"), (Role::Doc, "document")].map(|(role, kind)| {
        let features = format!("{kind}_features.input_ids");
        let ids = tensors.tensor(&features).to_vec2::<i64>().unwrap();
        let ours = model.tokenize(&sentences, role).unwrap();
        let texts = model.encode(&sentences, role).unwrap();
        assert_eq!(texts.len(), sentences.len());
        for (text, (ours, theirs)) in ours.iter().zip(&ids).enumerate() {
            // What follows is padding.
            let theirs = theirs[..ours.len()].iter().map(|id| *id as u32);
            assert!(ours.iter().copied().eq(theirs), "{kind} {text}: {ours:?}");
            let (ours, theirs) = (texts.matrix(text).unwrap(), tensors.tensor(&format!("{kind}.{text}")));
            assert_eq!(ours.dims(), theirs.dims(), "{kind} {text}");
            within(&format!("{name}: {kind} {text}"), distance(&floats(&ours), &floats(theirs)), EMBEDDING);
        }
        texts
    });
    let similarity = model.similarity(&queries, &docs).unwrap();
    let off = distance(&floats(&similarity), &tensors.floats("similarity_query_document"));
    println!("{name}: scores off by {off:.1e}");
    within("similarity", off, EMBEDDING);
}

/// Of a Hugging Face directory, and of a bi-encoder's: hidden states are the encoder's, the rest is new.
fn any_encoder() {
    for name in ["st62_bi_cls", "st53_bi_mean_normalize"] {
        let dir = fixture("models").join(name);
        assert!(ColBert::load(&dir).unwrap_err().to_string().contains("`ColBert::from_encoder` makes a new model"));
        let config = ColBertConfig { dim: 8, query_length: 16, doc_length: 24, ..ColBertConfig::default() };
        let model = ColBert::from_encoder(&dir, config.clone(), 7).unwrap();
        let bi = BiEncoder::load(&dir).unwrap();
        let words = bi.encoder().parameters().values("embeddings.word_embeddings.weight").unwrap();
        let grown = model.encoder().parameters().values("embeddings.word_embeddings.weight").unwrap();
        let width = model.encoder().config().hidden_size();
        assert_eq!(grown.len(), words.len() + 2 * width, "two markers");
        assert_eq!(&grown[..words.len()], words);
        assert!(grown[words.len()..].iter().all(|value| *value != 0.0));
        let last = "encoder.layer.1.output.dense.weight";
        assert_eq!(model.encoder().parameters().values(last).unwrap(), bi.encoder().parameters().values(last).unwrap());
        assert_eq!(model.encoder().parameters().values("linear.weight").unwrap().len(), 8 * width);

        let docs = model.encode(&["a text", "another text, it is longer."], Role::Doc).unwrap();
        let lengths = floats(&docs.vectors.sqr().unwrap().sum(1).unwrap());
        assert!(lengths.iter().all(|length| (length - 1.0).abs() < 1e-5));
        let saved = tempfile::tempdir().unwrap();
        model.save(saved.path()).unwrap();
        let again = ColBert::load(saved.path()).unwrap();
        assert_eq!(again.config(), &config);
        let same = again.encode(&["a text", "another text, it is longer."], Role::Doc).unwrap();
        assert_eq!((floats(&same.vectors), same.bounds), (floats(&docs.vectors), docs.bounds));
        // Other weights with another seed.
        let other = ColBert::from_encoder(&dir, config, 8).unwrap();
        let weights = |model: &ColBert| model.encoder().parameters().values("linear.weight").unwrap().to_vec();
        assert_ne!(weights(&other), weights(&model));
    }
}

fn settings_are_saved() {
    let model = ColBert::load(fixture("models/pylate_colbert")).unwrap();
    let config = ColBertConfig {
        query_length: 20,
        doc_length: 40,
        query_marker: "[unused0]".to_owned(),
        doc_marker: String::new(),
        expand_queries: false,
        attend_to_expansion: true,
        skip_words: vec!["the".to_owned()],
        interaction: Interaction::Mean,
        token_pooling: TokenPooling { pool_factor: 1.5, protected_tokens: 2, normalize: false },
        ..model.config().clone()
    };
    let model = model.with_config(config.clone()).unwrap();
    let saved = tempfile::tempdir().unwrap();
    model.save(saved.path()).unwrap();
    assert_eq!(ColBert::load(saved.path()).unwrap().config(), &config);
    let files: Vec<Value> = ["modules.json", "1_Dense/config.json", "sentence_bert_config.json"]
        .map(|name| json(&saved.path().join(name)))
        .to_vec();
    assert_eq!(files[0][1]["type"], "pylate.models.Dense.Dense");
    assert_eq!((&files[1]["in_features"], &files[1]["out_features"]), (&value!(32), &value!(16)));
    assert_eq!(files[2]["max_seq_length"], 40);
}

/// Clusters, their order and their means.
fn token_pooling() {
    let tensors = Tensors::read(&fixture("token_pooling/pooled.safetensors"));
    let docs: Vec<Vec<f32>> = (0..6).map(|doc| tensors.floats(&format!("doc.{doc}"))).collect();
    let mut bounds = vec![0];
    docs.iter().for_each(|doc| bounds.push(bounds[bounds.len() - 1] + doc.len() / 8));
    let vectors = Tensor::from_vec(docs.concat(), (bounds[6], 8), &Device::Cpu).unwrap();
    let docs = TokenEmbeddings::new((0..6).map(|doc| doc.to_string()).collect(), vectors, bounds).unwrap();
    let cases = json(&fixture("token_pooling/cases.json"));
    for (case, settings) in cases.as_array().unwrap().iter().enumerate() {
        let pooling: TokenPooling = serde_json::from_value(settings.clone()).unwrap();
        let pooled = docs.pooled(pooling).unwrap();
        for doc in 0..6 {
            let theirs = tensors.floats(&format!("case.{case}.{doc}"));
            let off = distance(&floats(&pooled.matrix(doc).unwrap()), &theirs);
            within(&format!("{pooling:?}, document {doc}"), off, 1e-6);
        }
    }
}

fn pooled_docs() {
    let model = ColBert::load(fixture("models/pylate_colbert")).unwrap();
    let pooling = TokenPooling { pool_factor: 2.0, ..TokenPooling::default() };
    let config = ColBertConfig { token_pooling: pooling, ..model.config().clone() };
    let pooled = model.clone().with_config(config.clone()).unwrap();
    let texts = ["Paris is the capital and largest city of France", "", "search engines rank documents"];
    let (whole, fewer) = (model.encode(&texts, Role::Doc).unwrap(), pooled.encode(&texts, Role::Doc).unwrap());
    assert!(fewer.bounds[3] < whole.bounds[3]);
    let expected = whole.pooled(pooling).unwrap();
    assert_eq!((&fewer.bounds, floats(&fewer.vectors)), (&expected.bounds, floats(&expected.vectors)));
    let queries = [&model, &pooled].map(|model| floats(&model.encode(&texts, Role::Query).unwrap().vectors));
    assert_eq!(queries[0], queries[1]);
    let wrong = TokenPooling { pool_factor: 0.0, ..pooling };
    let wrong = model.with_config(ColBertConfig { token_pooling: wrong, ..config }).unwrap_err().to_string();
    assert!(wrong.starts_with("pool_factor = 0"), "{wrong}");

    // As a module of sentence-transformers.
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture("models/st62_multi_vector_colbert"), dir.path());
    let path = dir.path().join("modules.json");
    let mut modules = json(&path);
    let kind = "sentence_transformers.multi_vector_encoder.modules.token_pooling.HierarchicalTokenPooling";
    let module = value!({ "idx": 4, "name": "4", "path": "4_HierarchicalTokenPooling", "type": kind });
    modules.as_array_mut().unwrap().push(module);
    fs::write(path, modules.to_string()).unwrap();
    let home = dir.path().join("4_HierarchicalTokenPooling");
    fs::create_dir(&home).unwrap();
    let mut stored = value!({ "pool_factor": 3.0, "num_protected_tokens": 2, "tasks": ["document"] });
    fs::write(home.join("config.json"), stored.to_string()).unwrap();
    let read = ColBert::load(dir.path()).unwrap().config().token_pooling;
    assert_eq!(read, TokenPooling { pool_factor: 3.0, protected_tokens: 2, normalize: false });
    stored["tasks"] = value!(["query"]);
    fs::write(home.join("config.json"), stored.to_string()).unwrap();
    assert!(ColBert::load(dir.path()).unwrap_err().to_string().contains("`tasks` is [\"query\"]"));
}

fn rank() {
    let model = ColBert::load(fixture("models/pylate_colbert")).unwrap();
    let docs = ["sparse encoders use an inverted index", "Paris is the capital of France", "the quick brown fox"];
    let query = "What is the capital of France?";
    let ranked = model.rank(query, &docs).unwrap();
    let scores = model
        .encode(&[query], Role::Query)
        .and_then(|query| model.similarity(&query, &model.encode(&docs, Role::Doc)?));
    let scores = floats(&scores.unwrap());
    assert!(ranked.is_sorted_by(|a, b| a.score >= b.score));
    assert!(ranked.iter().all(|ranked| scores[ranked.index] == ranked.score) && ranked.len() == 3);
    assert!(model.rank::<&str>(query, &[]).unwrap().is_empty());

    // The mean does not depend on how many tokens a query is filled up to.
    let mean = model.with_interaction(Interaction::Mean).unwrap();
    let of = |role, texts: &[&str]| mean.encode(texts, role).unwrap();
    let means = floats(&mean.similarity(&of(Role::Query, &[query]), &of(Role::Doc, &docs)).unwrap());
    assert!(means.iter().zip(&scores).all(|(mean, sum)| (mean * 12.0 - sum).abs() < 1e-5));
    // No text at all.
    let none: TokenEmbeddings = of(Role::Doc, &[]);
    assert_eq!((none.len(), mean.similarity(&none, &none).unwrap().dims()), (0, &[0, 0][..]));
}

fn settings() {
    let model = || ColBert::load(fixture("models/pylate_colbert")).unwrap();
    let error = |change: fn(&mut ColBertConfig)| {
        let mut config = model().config().clone();
        change(&mut config);
        model().with_config(config).unwrap_err().to_string()
    };
    assert!(error(|config| config.dim = 4).contains("dim = 4: expected 16"));
    assert!(error(|config| config.query_length = 3).contains("query_length = 3: expected 4 to 64"));
    assert!(error(|config| config.doc_length = 65).contains("doc_length = 65: expected 4 to 64"));
    assert!(error(|config| config.interaction = Interaction::Xtr { k: 3 }).contains("`loss::XTR` trains"));
    assert!(error(|config| config.query_marker = "[Z]".to_owned()).contains("query_marker = \"[Z]\""));
    let plain = model().encode(&["a"], Role::Plain).unwrap_err().to_string();
    assert!(plain.starts_with("role = Plain: expected Query or Doc"), "{plain}");
    let none = ColBertConfig { dim: 0, ..ColBertConfig::default() };
    let error = ColBert::from_encoder(fixture("models/st62_bi_cls"), none, 1).unwrap_err().to_string();
    assert!(error.starts_with("dim = 0"), "{error}");
}

/// What changes vectors and is not computed is refused by name.
fn directories() {
    let min = ColBert::load(fixture("models/st62_multi_vector_expansion_attend")).unwrap_err().to_string();
    assert!(min.contains("the prompt `"), "{min}");
    assert!(BiEncoder::load(fixture("models/pylate_colbert")).is_err());
    let changed = |name: &str, pointer: &str, new: Value| {
        let dir = tempfile::tempdir().unwrap();
        copy(&fixture("models/pylate_colbert"), dir.path());
        let mut stored = json(&dir.path().join(name));
        match pointer {
            "" => stored = new,
            pointer => stored[pointer] = new,
        }
        fs::write(dir.path().join(name), stored.to_string()).unwrap();
        ColBert::load(dir.path()).map(|model| format!("{model:?}")).unwrap_or_else(|error| error.to_string())
    };
    let settings = "config_sentence_transformers.json";
    for (name, key, new, expected) in [
        (settings, "model_type", value!("SparseEncoder"), "model_type is \"SparseEncoder\""),
        (settings, "prompts", value!({ "query": "find: " }), "the prompt `query`"),
        (settings, "truncate_dim", value!(4), "truncate_dim is 4"),
        (settings, "query_length", value!("long"), "`query_length` is \"long\""),
        (settings, "query_prefix", value!("[Z]"), "query_marker = \"[Z]\""),
        (settings, "similarity_fn_name", value!("dot"), "similarity `dot`"),
        ("1_Dense/config.json", "bias", value!(true), "`bias` is true"),
        ("1_Dense/config.json", "use_residual", value!(true), "`use_residual` is true"),
        ("1_Dense/config.json", "activation_function", value!("torch.nn.modules.activation.Tanh"), "Tanh"),
        ("modules.json", "", value!([]), "no modules"),
        ("modules.json", "", value!({}), "not a list"),
    ] {
        let found = changed(name, key, new);
        assert!(found.contains(expected), "{expected}: {found}");
    }
    // What is not there is PyLate's default.
    let defaults = changed(settings, "skiplist_words", Value::Null);
    assert!(defaults.starts_with("ColBert (bert, 2 layers of width 32"), "{defaults}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to)
        } else {
            fs::write(to, fs::read(entry.path()).unwrap()).unwrap()
        }
    }
}
