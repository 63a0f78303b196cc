//! Queries without an encoder: a weight for each word.

use kensaku::Result;
use kensaku::loss::SpladeLoss;
use kensaku::model::{Model, Part, QueryWeights, Role, Splade, SpladeConfig};
use kensaku::nn::{Activations, PackedBatch};
use kensaku::train::{CheckpointConfig, MicroBatch, TrainConfig, Trainer};
use serde_json::{Value, json};

use super::{run, small};
use crate::golden::{self, fixture, within};
use crate::training::{config, words};

/// A small model whose queries are looked up.
fn inference_free(seed: u64) -> Result<Splade> {
    let (model, data) = (small(seed)?, words()?);
    let docs: Vec<String> = data.columns()[1].iter().map(str::to_owned).collect();
    let (tokenizer, weights) = (model.tokenizer().clone(), model.idf(&docs)?);
    model.with_query_weights(tokenizer, &weights)
}

pub(super) fn looks_up() -> Result<()> {
    let model = inference_free(1)?;
    let weights = model.query_weights().unwrap().to_vec();
    let texts = ["where is the red house", "house house", ""];
    let vectors = model.encode(&texts, Role::Query)?;
    for (text, ids) in model.tokenize(&texts, Role::Query)?.iter().enumerate() {
        let mut words = ids.clone();
        words.sort_unstable();
        words.dedup();
        let (found, own) = vectors.row(text);
        assert_eq!(found, words, "text {text} without special tokens");
        assert!(own.iter().zip(found).all(|(weight, word)| *weight == weights[*word as usize]));
    }
    assert!(vectors.row(2).0.is_empty());
    // Documents and plain texts are encoded as before.
    let plain = small(1)?;
    assert_eq!(model.encode(&texts, Role::Doc)?, plain.encode(&texts, Role::Doc)?);
    assert_eq!(model.encode_texts(&texts)?, plain.encode_texts(&texts)?);
    // A rare word weighs more than one of every document, by the formula.
    let id = |word: &str| model.tokenizer().id(word).unwrap() as usize;
    assert!(weights[id("red")] > weights[id("the")]);
    within("idf", (f64::from(weights[id("the")]) - (0.5_f64 / 60.5).ln_1p()).abs(), 1e-6);

    let most = model.clone().with_max_active_dims(Some(1))?.encode(&texts, Role::Query)?;
    assert_eq!([most.row(0).0.len(), most.row(1).0.len(), most.row(2).0.len()], [1, 1, 0]);
    let prompted = model.clone().with_prompts("house ", "")?.encode(&["red"], Role::Query)?;
    assert_eq!(prompted, model.encode(&["house red"], Role::Query)?);
    let cut = SpladeConfig { query_length: Some(2), ..model.config().clone() };
    let cut = model.clone().with_config(cut)?;
    assert_eq!(cut.encodings(&["where is the red house"], Role::Query)?.truncated, 1);
    assert_eq!(cut.encode(&texts[..1], Role::Query)?, model.encode(&["where is"], Role::Query)?);

    let short = model.clone().with_query_weights(model.tokenizer().clone(), &[1.0]).unwrap_err().to_string();
    assert!(short.contains("weights of query words"), "{short}");
    let message = |model: Splade, query_weights| {
        model.clone().with_config(SpladeConfig { query_weights, ..model.config().clone() }).unwrap_err().to_string()
    };
    assert!(message(plain.clone(), QueryWeights::Fixed).contains("`with_query_weights` gives"));
    assert!(message(model, QueryWeights::Encoded).contains("Trained or Fixed"));
    let length = SpladeConfig { query_length: Some(9), ..plain.config().clone() };
    assert!(plain.with_config(length).unwrap_err().to_string().starts_with("query_length = 9"));
    Ok(())
}

pub(super) fn saves_query_weights() -> Result<()> {
    let model = inference_free(1)?;
    let config = SpladeConfig {
        query_weights: QueryWeights::Fixed,
        query_prompt: "where is ".to_owned(),
        max_active_dims: Some(9),
        ..model.config().clone()
    };
    let model = model.with_config(config)?;
    let saved = tempfile::tempdir().unwrap();
    small(1)?.save(saved.path())?;
    model.save(saved.path())?;
    let mut names: Vec<String> = std::fs::read_dir(saved.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "README.md",
        "config_sentence_transformers.json",
        "document_0_MLMTransformer",
        "document_1_SpladePooling",
        "modules.json",
        "query_0_SparseStaticEmbedding",
        "router_config.json",
    ];
    assert_eq!(names, expected);
    let router = golden::json(&saved.path().join("router_config.json"));
    let theirs = golden::json(&fixture("models/st53_splade_inference_free/router_config.json"));
    assert_eq!(router, theirs);
    let again = Splade::load(saved.path())?;
    assert_eq!((again.config(), again.query_weights()), (model.config(), model.query_weights()));
    let texts = ["where is the red house"];
    for role in [Role::Query, Role::Doc] {
        assert_eq!(again.encode(&texts, role)?, model.encode(&texts, role)?);
    }
    // And back to a model without.
    small(1)?.save(saved.path())?;
    assert!(!saved.path().join("router_config.json").exists());
    assert!(Splade::load(saved.path())?.query_weights().is_none());
    Ok(())
}

/// Of queries and documents by turns, and of either alone.
pub(super) fn slopes() -> Result<()> {
    let model = inference_free(1)?;
    let queries = model.tokenize(&["where is the red house", "the house"], Role::Query)?;
    let docs = model.tokenize(&["the red house stands over there", "a car"], Role::Doc)?;
    for order in [vec![0, 2, 1, 3], vec![0, 1], vec![2, 3]] {
        let ids = order.iter().map(|text| if *text < 2 { &queries[*text] } else { &docs[*text - 2] });
        let columns = order.iter().map(|text| usize::from(*text > 1)).collect();
        let part = Part { batch: PackedBatch::new(ids), columns };
        let value = |model: &Splade| -> Result<(f64, Vec<f32>)> {
            let values = model.forward(&part, &mut Activations::inference())?.values;
            let upstream = (0..values.len()).map(|index| ((index * 37 % 101) as f32 - 50.0) / 50.0).collect::<Vec<_>>();
            Ok((values.iter().zip(&upstream).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum(), upstream))
        };
        let mut trained = model.clone();
        let mut activations = Activations::training();
        let outputs = trained.forward(&part, &mut activations)?;
        assert_eq!(outputs.values.len(), order.len() * model.dim());
        trained.parameters_mut().zero_grads();
        let upstream = value(&model)?.1;
        trained.backward(&part, &mut activations, &outputs, &upstream)?;
        for (name, places) in [
            ("query.weight", (0..model.dim()).collect::<Vec<_>>()),
            ("cls.predictions.bias", (0..20).collect()),
            ("encoder.layer.0.output.dense.bias", (0..8).collect()),
        ] {
            let grad = trained.parameters().grad(name)?;
            for place in places {
                let moved = |step: f32| -> Result<f64> {
                    let mut model = model.clone();
                    model.parameters_mut().values_mut(name)?[place] += step;
                    Ok(value(&model)?.0)
                };
                let slope = (moved(2e-3)? - moved(-2e-3)?) / 4e-3;
                let off = (slope - f64::from(grad[place])).abs() / slope.abs().max(1.0);
                assert!(off < 2e-2, "{name} {place} of {order:?}: {slope} and {}", grad[place]);
            }
        }
    }
    Ok(())
}

pub(super) fn trains_query_weights() -> Result<()> {
    let loss = || SpladeLoss::new(SpladeLoss::default().loss, 3e-2, None);
    let model = inference_free(1)?;
    let before = model.query_weights().unwrap().to_vec();
    let (whole, trained) = run(model.clone(), loss(), config())?;
    let (first, last) = (whole[0], whole[whole.len() - 1]);
    println!("loss {first:.3} to {last:.3}");
    assert!(last < 0.9 * first, "{first} to {last}");
    assert_ne!(trained.query_weights().unwrap(), before);
    // In parts, with dropout, as the whole batch.
    let dropped = TrainConfig { dropout: true, ..config() };
    let (whole, _) = run(model.clone(), loss(), dropped.clone())?;
    let parts = TrainConfig { micro_batch: Some(MicroBatch::Texts(5)), ..dropped };
    let (in_parts, _) = run(model.clone(), loss(), parts)?;
    for (whole, parts) in whole.iter().zip(&in_parts) {
        within("loss in parts", (whole - parts).abs(), 2e-2 * whole.abs());
    }
    // A fixed table stays, whatever the decay; the encoder does not.
    let fixed = SpladeConfig { query_weights: QueryWeights::Fixed, ..model.config().clone() };
    let (_, trained) = run(model.clone().with_config(fixed)?, loss(), config())?;
    assert_eq!(trained.query_weights().unwrap(), before);
    let table = "embeddings.word_embeddings.weight";
    assert_ne!(trained.encoder().parameters().values(table)?, model.encoder().parameters().values(table)?);
    // A checkpoint holds the table.
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = Some(CheckpointConfig { dir: dir.path().to_owned(), every: 5, keep: 2 });
    let saving = TrainConfig { checkpoint, ..config() };
    let data = words()?;
    let (expected, _) = run(model.clone(), loss(), config())?;
    let mut trainer = Trainer::new(model.clone(), loss(), saving.clone())?;
    trainer.steps(&data)?.take(7).try_for_each(|step| step.map(drop))?;
    let mut again = Trainer::new(model, loss(), saving)?;
    assert_eq!(again.resume(dir.path())?.step, 5);
    let rest = again.steps(&data)?.map(|step| Ok(step?.loss)).collect::<Result<Vec<_>>>()?;
    assert_eq!(rest, expected[5..]);
    Ok(())
}

pub(super) fn router_errors() {
    let changed = |change: &dyn Fn(&mut Value)| {
        let (from, to) = (fixture("models/st62_splade_inference_free"), tempfile::tempdir().unwrap());
        crate::models::copy(&from, to.path());
        let path = to.path().join("router_config.json");
        let mut stored = golden::json(&path);
        change(&mut stored);
        std::fs::write(path, stored.to_string()).unwrap();
        Splade::load(to.path()).unwrap_err().to_string()
    };
    let route = changed(&|stored| stored["parameters"]["default_route"] = "query".into());
    assert!(route.contains("`default_route` is \"query\"; expected `document`"), "{route}");
    let third = changed(&|stored| stored["structure"]["title"] = json!([]));
    assert!(third.contains("`title` with") && third.contains("expected the routes `query`"), "{third}");
    let outside = changed(&|stored| {
        stored["structure"]["query"] = json!(["../x"]);
        stored["types"]["../x"] = "a.SparseStaticEmbedding".into();
    });
    assert!(outside.contains("outside"), "{outside}");
    let mapped = changed(&|stored| stored["parameters"]["route_mappings"] = json!({ "a": "query" }));
    assert!(mapped.contains("`route_mappings` is"), "{mapped}");
}
