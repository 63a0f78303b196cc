//! SPLADE: directories and vectors against sentence-transformers, training, and what is refused.

mod queries;

use std::path::Path;
use std::sync::{Arc, Mutex};

use candle_core::Tensor;
use kensaku::Result;
use kensaku::data::{Corpus, Queries, Texts};
use kensaku::loss::{Batch, Loss, MultipleNegativesRanking, RegularizerWarmup, SpladeLoss, Term};
use kensaku::model::{BiEncoder, Model, Role, Splade, SpladeConfig};
use kensaku::nn::{BertConfig, WordPooling};
use kensaku::text::{Tokenizer, WordPieceConfig};
use kensaku::train::{CheckpointConfig, MicroBatch, TrainConfig, Trainer};
use polars::prelude::df;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::golden::{self, Tensors, distance, fixture, floats, within};
use crate::shared::{Trials, test};
use crate::training::{config, words};

/// The tolerance of embeddings, of the order of f32 rounding in both.
const EMBEDDING: f64 = 1e-5;

pub fn trials() -> Trials {
    let models = [
        "st53_splade_inference_free",
        "st53_splade_max",
        "st62_splade_inference_free",
        "st62_splade_max",
        "st62_splade_max_log1p_relu",
        "st62_splade_sum",
    ];
    let mut trials = Vec::from(models.map(|name| {
        test(&format!("splade::{name}_equals_sentence_transformers"), move || {
            let model = Splade::load(fixture("models").join(name)).unwrap();
            equals_golden(&model, name);
            let saved = tempfile::tempdir().unwrap();
            model.save(saved.path()).unwrap();
            let again = Splade::load(saved.path()).unwrap();
            assert_eq!(again.config(), model.config());
            equals_golden(&again, name);
        })
    }));
    trials.extend([
        test("splade::directories_have_the_older_schema", schema),
        test("splade::a_masked_language_model_is_pooled_by_maxima", bare),
        test("splade::what_cannot_be_read_is_said", refusals),
        test("splade::settings_are_checked", settings),
        test("splade::encodes_queries_and_documents", || encodes().unwrap()),
        test("splade::learns_few_words_and_repeats_in_parts", || learns().unwrap()),
        test("splade::regularisers_warm_up", || warms_up().unwrap()),
        test("splade::resumes_bit_for_bit", || resumes().unwrap()),
        test("splade::queries_are_looked_up", || queries::looks_up().unwrap()),
        test("splade::weights_of_query_words_are_saved", || queries::saves_query_weights().unwrap()),
        test("splade::gradients_of_query_words_are_slopes", || queries::slopes().unwrap()),
        test("splade::weights_of_query_words_train_or_stay", || queries::trains_query_weights().unwrap()),
        test("splade::routers_that_cannot_be_read_are_named", queries::router_errors),
    ]);
    trials
}

fn equals_golden(model: &Splade, name: &str) {
    let dir = fixture("models").join(name);
    let expected = golden::json(&dir.join("expected.json"));
    let tensors = Tensors::read(&dir.join("expected.safetensors"));
    let sentences: Vec<&str> =
        expected["sentences"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let has = |tensor: &str| tensors.names().any(|name| name == tensor);
    for (index, ids) in model.tokenize(&sentences, Role::Plain).unwrap().iter().enumerate() {
        let theirs: Vec<u32> = tensors.floats(&format!("ids.{index}")).iter().map(|id| *id as u32).collect();
        assert_eq!(*ids, theirs, "{name}: text {index}");
    }
    if let Some(weights) = model.query_weights() {
        let dir = dir.join("query_0_SparseStaticEmbedding/model.safetensors");
        assert_eq!(weights, Tensors::read(&dir).floats("weight"));
    }
    for (role, tensor) in
        [(Role::Plain, "embeddings"), (Role::Query, "query_embeddings"), (Role::Doc, "document_embeddings")]
    {
        if has(tensor) {
            let ours = model.encode(&sentences, role).unwrap().to_dense().unwrap();
            near(&format!("{name}: {tensor}"), &floats(&ours), &tensors.floats(tensor));
        }
    }
    let [queries, docs] = [Role::Query, Role::Doc].map(|role| model.encode(&sentences, role).unwrap());
    near("similarity", &floats(&model.similarity(&queries, &docs).unwrap()), &tensors.floats("similarity"));

    let cut = "embeddings_max_active_dims_8";
    if has(cut) {
        let model = model.clone().with_max_active_dims(Some(8)).unwrap();
        let ours = model.encode_texts(&sentences).unwrap();
        assert!((0..ours.len()).all(|text| ours.row(text).0.len() <= 8));
        near(cut, &floats(&ours.to_dense().unwrap()), &tensors.floats(cut));
    }
    if let Some(active) = expected["sparsity_of_documents"]["active_dims"].as_f64() {
        assert_eq!(docs.active_dims(), active);
        assert!(format!("{docs:?}").starts_with("SparseVectors [8, 500], 2"), "{docs:?}");
        let decoded = model.decode(&docs, 5);
        for (ours, theirs) in decoded.iter().zip(expected["decode_first_three_top_5"].as_array().unwrap()) {
            for ((word, weight), theirs) in ours.iter().zip(theirs.as_array().unwrap()) {
                assert_eq!(word, theirs[0].as_str().unwrap());
                within(word, (f64::from(*weight) / theirs[1].as_f64().unwrap() - 1.0).abs(), EMBEDDING);
            }
            assert_eq!(ours.len(), 5);
        }
    }
}

/// Fails unless every number is within the tolerance; of numbers above 1, relative to theirs: a sum of 48 weights is as
/// large as 75, where f32 has steps of 8e-6.
fn near(what: &str, ours: &[f32], expected: &[f32]) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let off = |(ours, expected): (&f32, &f32)| f64::from((ours - expected).abs() / expected.abs().max(1.0));
    let largest = ours.iter().zip(expected).map(off).fold(0.0, |max, d| if d > max || d.is_nan() { d } else { max });
    println!("{what}: off by {largest:e}");
    within(what, largest, EMBEDDING);
}

/// A copy of a golden directory that a test may change.
fn copy(name: &str) -> TempDir {
    let (from, to) = (fixture("models").join(name), tempfile::tempdir().unwrap());
    for file in ["config.json", "model.safetensors", "modules.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(from.join(file), to.path().join(file)).unwrap();
    }
    for file in ["1_SpladePooling/config.json", "config_sentence_transformers.json", "sentence_bert_config.json"] {
        std::fs::create_dir_all(to.path().join(file).parent().unwrap()).unwrap();
        std::fs::copy(from.join(file), to.path().join(file)).unwrap();
    }
    to
}

fn schema() {
    let model = Splade::load(fixture("models/st62_splade_max_log1p_relu")).unwrap();
    let model = model.with_prompts("query: ", "").unwrap().with_max_active_dims(Some(40)).unwrap();
    let saved = tempfile::tempdir().unwrap();
    // A model of another architecture is replaced, and what is not of it kept.
    BiEncoder::load(fixture("models/st62_bi_mean_normalize")).unwrap().save(saved.path()).unwrap();
    std::fs::write(saved.path().join("notes.txt"), "mine").unwrap();
    model.save(saved.path()).unwrap();
    let read = |name: &str| golden::json(&saved.path().join(name));
    let home = "sentence_transformers.sparse_encoder.models";
    assert_eq!(
        read("modules.json"),
        json!([
            { "idx": 0, "name": "0", "path": "", "type": format!("{home}.MLMTransformer") },
            { "idx": 1, "name": "1", "path": "1_SpladePooling", "type": format!("{home}.SpladePooling") },
        ])
    );
    assert_eq!(
        read("1_SpladePooling/config.json"),
        json!({ "pooling_strategy": "max", "activation_function": "log1p_relu", "word_embedding_dimension": null })
    );
    let own = read("config_sentence_transformers.json");
    assert_eq!((&own["model_type"], &own["max_active_dims"]), (&json!("SparseEncoder"), &json!(40)));
    assert_eq!((&own["prompts"]["query"], &own["similarity_fn_name"]), (&json!("query: "), &json!("dot")));
    assert_eq!(read("config.json")["architectures"], json!(["BertForMaskedLM"]));
    assert_eq!(read("sentence_bert_config.json"), json!({ "max_seq_length": 48, "do_lower_case": false }));
    assert!(saved.path().join("notes.txt").exists() && !saved.path().join("1_Pooling").exists());
    assert_eq!(Splade::load(saved.path()).unwrap().config(), model.config());
}

fn bare() {
    let dir = copy("st62_splade_max");
    for file in ["modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"] {
        std::fs::remove_file(dir.path().join(file)).unwrap();
    }
    std::fs::remove_dir_all(dir.path().join("1_SpladePooling")).unwrap();
    equals_golden(&Splade::load(dir.path()).unwrap(), "st62_splade_max");
}

fn refusals() {
    let message = |dir: &Path| Splade::load(dir).unwrap_err().to_string();
    assert!(message(Path::new("/nowhere")).contains("no such folder"));
    let bi_encoder = message(&fixture("models/st62_bi_cls"));
    assert!(
        bi_encoder.contains("pooling.Pooling`; expected MLMTransformer (or Transformer) and SpladePooling"),
        "{bi_encoder}"
    );
    let changed = |file: &str, change: &dyn Fn(&mut Value)| {
        let dir = copy("st62_splade_max");
        let path = dir.path().join(file);
        let mut stored = golden::json(&path);
        change(&mut stored);
        std::fs::write(path, stored.to_string()).unwrap();
        message(dir.path())
    };
    let router = "sentence_transformers.base.modules.router.Router";
    let free = changed("modules.json", &|stored| *stored = json!([{ "path": "", "type": router }]));
    assert!(free.contains("router_config.json"), "{free}");
    let half = changed("modules.json", &|stored| _ = stored.as_array_mut().unwrap().pop());
    assert!(half.contains("modules.json: Transformer; expected"), "{half}");
    let pooling = "1_SpladePooling/config.json";
    for (file, key, value, expected) in [
        (pooling, "pooling_strategy", json!("mean"), "`pooling_strategy` is \"mean\"; expected `max` or `sum`"),
        (pooling, "activation_function", json!("gelu"), "`activation_function` is \"gelu\""),
        (pooling, "skip_special_tokens", json!(true), "`skip_special_tokens` is true"),
        ("config_sentence_transformers.json", "similarity_fn_name", json!("cosine"), "similarity \"cosine\""),
        ("config_sentence_transformers.json", "max_active_dims", json!(0), "max_active_dims is 0"),
        ("config_sentence_transformers.json", "model_type", json!("SentenceTransformer"), "`SparseEncoder`"),
        ("config_sentence_transformers.json", "default_prompt_name", json!("task"), "default_prompt = task"),
        ("sentence_bert_config.json", "transformer_task", json!("feature-extraction"), "expected `fill-mask`"),
    ] {
        let found = changed(file, &|stored| stored[key] = value.clone());
        assert!(found.contains(expected) && found.contains(file), "{found}");
    }
    // No head.
    let dir = copy("st62_splade_max");
    std::fs::copy(fixture("models/st62_bi_cls/model.safetensors"), dir.path().join("model.safetensors")).unwrap();
    assert!(message(dir.path()).contains("cls.predictions.transform"), "{}", message(dir.path()));
    // And the other way round.
    let sparse = BiEncoder::load(fixture("models/st62_splade_max")).unwrap_err().to_string();
    assert!(sparse.contains("SpladePooling"), "{sparse}");
}

fn settings() {
    let model = Splade::load(fixture("models/st62_splade_max")).unwrap();
    let message = |config: SpladeConfig| model.clone().with_config(config).unwrap_err().to_string();
    let default = model.config().clone();
    for (config, expected) in [
        (SpladeConfig { max_length: 1, ..default.clone() }, "max_length = 1: expected 2 to 64"),
        (SpladeConfig { max_length: 65, ..default.clone() }, "max_length = 65"),
        (SpladeConfig { max_length: 4, query_prompt: "search query".to_owned(), ..default.clone() }, "max_length = 4"),
        (SpladeConfig { max_active_dims: Some(0), ..default.clone() }, "max_active_dims = 0: expected at least 1"),
        (SpladeConfig { default_prompt: Some("task".to_owned()), ..default.clone() }, "default_prompt = task"),
    ] {
        let found = message(config);
        assert!(found.starts_with(expected), "{found}");
    }
}

fn encodes() -> Result<()> {
    let model = Splade::load(fixture("models/st62_splade_max"))?.with_prompts("query: ", "")?;
    let texts = ["a red house", "", "numbers such as 3 14 and 42 appear in a longer text"];
    let queries = model.encode_queries(&Queries::from_texts(texts)?)?;
    let corpus = Corpus::new(df!("doc_id" => ["c", "a", "b"], "text" => texts)?)?;
    let docs = model.encode_docs(&corpus)?;
    assert_eq!((docs.ids.as_slice(), docs.len()), (&["c", "a", "b"].map(str::to_owned)[..], 3));
    assert_eq!(docs.vectors, model.encode(&texts, Role::Doc)?);
    assert_eq!(queries.vectors, model.encode(&texts, Role::Query)?);
    assert_ne!(queries.vectors, docs.vectors);
    assert_eq!(queries.vectors, model.encode_texts(&texts.map(|text| format!("query: {text}")))?);
    // In passes of one text each, and none.
    let config = SpladeConfig { encode_tokens: 1, ..model.config().clone() };
    let alone = model.clone().with_config(config)?.encode(&texts, Role::Doc)?.to_dense()?;
    within("alone", distance(&floats(&alone), &floats(&docs.vectors.to_dense()?)), EMBEDDING);
    let none: [&str; 0] = [];
    assert_eq!(model.encode_texts(&none)?.to_dense()?.dims(), [0, 500]);

    let mut diverged = model;
    let parameters = diverged.parameters_mut();
    parameters.values_mut("embeddings.word_embeddings.weight")?.fill(f32::NAN);
    let error = diverged.encode_texts(&texts).unwrap_err().to_string();
    assert!(error.contains("the vector of text ") && error.contains("is NaN"), "{error}");
    assert!(diverged.save(tempfile::tempdir().unwrap().path()).unwrap_err().to_string().contains("holds NaN"));
    Ok(())
}

fn small(seed: u64) -> Result<Splade> {
    let data = words()?;
    let tokenizer = Tokenizer::train_wordpiece(
        &data.columns().iter().flat_map(Texts::iter).collect::<Vec<_>>(),
        &WordPieceConfig { vocab_size: 150, ..Default::default() },
    )?;
    let encoder = BertConfig { hidden_size: 32, intermediate_size: 64, ..Default::default() };
    Splade::new(encoder, tokenizer, SpladeConfig { max_length: 32, ..Default::default() }, seed)
}

fn run(model: Splade, loss: impl Loss + 'static, config: TrainConfig) -> Result<(Vec<f64>, Splade)> {
    let data = words()?;
    let mut trainer = Trainer::new(model, loss, config)?;
    let losses = trainer.steps(&data)?.map(|step| Ok(step?.loss)).collect::<Result<Vec<_>>>()?;
    Ok((losses, trainer.into_model()))
}

fn learns() -> Result<()> {
    let loss = || SpladeLoss::new(SpladeLoss::default().loss, 3e-2, Some(3e-2));
    let data = words()?;
    let texts: Vec<String> = data.columns()[1].iter().map(str::to_owned).collect();
    for pooling in [WordPooling::Max, WordPooling::Sum] {
        let model = small(1)?;
        let model = model.clone().with_config(SpladeConfig { pooling, ..model.config().clone() })?;
        let before = model.encode_texts(&texts)?.active_dims();
        let (whole, trained) = run(model.clone(), loss(), config())?;
        let parts = TrainConfig { micro_batch: Some(MicroBatch::Texts(5)), ..config() };
        let (in_parts, _) = run(model, loss(), parts)?;
        let after = trained.encode_texts(&texts)?.active_dims();
        let (first, last) = (whole[0], whole.last().copied().unwrap_or(f64::NAN));
        println!("{pooling:?}: loss {first:.3} to {last:.3}, {before:.1} words to {after:.1}");
        assert!(last < 0.7 * first, "{pooling:?}: {first} to {last}");
        assert!(after < 0.7 * before, "{pooling:?}: {before} words to {after}");
        for (whole, parts) in whole.iter().zip(&in_parts) {
            within("loss in parts", (whole - parts).abs(), 2e-2 * whole.abs());
        }
    }
    Ok(())
}

/// A loss that reports the weights of its terms, too.
struct Weighed(SpladeLoss, Arc<Mutex<Vec<f64>>>);

impl Loss for Weighed {
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        self.0.loss(batch)
    }

    fn terms(&self, batch: &Batch) -> Result<Vec<Term>> {
        let terms = self.0.terms(batch)?;
        self.1.lock().unwrap().push(terms[1].weight);
        Ok(terms)
    }
}

/// Quadratically over a third of the steps, from 0; validation sees whole weights.
fn warms_up() -> Result<()> {
    let warmup = Some(RegularizerWarmup::default());
    let loss = SpladeLoss { document_regularizer_weight: 0.5, regularizer_warmup: warmup, ..SpladeLoss::default() };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (losses, _) = run(small(1)?, Weighed(loss.clone(), Arc::clone(&seen)), config())?;
    let weights = seen.lock().unwrap().clone();
    assert_eq!((losses.len(), weights.len()), (30, 30));
    for (step, weight) in weights.iter().enumerate() {
        let share = (step as f64 / 10.0).min(1.0);
        within(&format!("weight of step {step}"), (weight - 0.5 * share * share).abs(), 1e-12);
    }
    let rows = Tensor::new(&[[2.0f32, 0.0]], &candle_core::Device::Cpu)?;
    assert_eq!(loss.terms(&Batch::pairs(rows.clone(), rows))?[1].weight, 0.5);
    Ok(())
}

fn resumes() -> Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let data = words()?;
    let (expected, _) = run(small(1)?, SpladeLoss::default(), config())?;
    let checkpoint = Some(CheckpointConfig { dir: dir.path().to_owned(), every: 5, keep: 2 });
    let saving = TrainConfig { checkpoint, ..config() };
    let mut trainer = Trainer::new(small(1)?, SpladeLoss::default(), saving.clone())?;
    trainer.steps(&data)?.take(7).try_for_each(|step| step.map(drop))?;
    let mut again = Trainer::new(small(2)?, SpladeLoss::default(), saving.clone())?;
    assert_eq!(again.resume(dir.path())?.step, 5);
    let rest = again.steps(&data)?.map(|step| Ok(step?.loss)).collect::<Result<Vec<_>>>()?;
    assert_eq!(rest, expected[5..]);
    // Of another pooling, or of another weight, it is another training.
    let model = small(1)?;
    let sum = model.clone().with_config(SpladeConfig { pooling: WordPooling::Sum, ..model.config().clone() })?;
    assert!(Trainer::new(sum, SpladeLoss::default(), saving.clone())?.resume(dir.path()).is_err());
    let heavier = SpladeLoss { document_regularizer_weight: 1.0, ..SpladeLoss::default() };
    assert!(Trainer::new(model, heavier, saving)?.resume(dir.path()).is_err());
    let dense = MultipleNegativesRanking::default();
    assert_eq!(small(1)?.scoring(), kensaku::loss::Scoring::Vectors(kensaku::loss::Similarity::Dot));
    assert!(dense.needs().reads.fits(small(1)?.scoring()));
    Ok(())
}
