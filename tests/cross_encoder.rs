//! The cross-encoder against what sentence-transformers computes, and in training.

use std::path::Path;

use candle_core::Tensor;
use kensaku::data::{Corpus, Queries, TrainingSet};
use kensaku::eval::Run;
use kensaku::loss::{BinaryCrossEntropy, CosineSimilarity, LambdaLoss, Loss, MultipleNegativesRanking, custom};
use kensaku::model::{Activation, CrossEncoder};
use kensaku::nn::PackedBatch;
use kensaku::train::{CheckpointConfig, MicroBatch, TokenBatch, TrainConfig, Trainer, grad_check};
use kensaku::{Error, Result};
use polars::prelude::df;
use serde_json::json;

use crate::golden::{self, Tensors, distance, fixture, floats, within};
use crate::shared::{Trials, test};
use crate::training::peer;

pub fn trials() -> Trials {
    let models = [
        "st53_cross_encoder",
        "st53_cross_encoder_3_labels",
        "st53_cross_encoder_identity_max_24",
        "st62_cross_encoder",
        "st62_cross_encoder_3_labels",
    ];
    let mut trials = Vec::from(models.map(|name| {
        test(&format!("cross_encoder::{name}_equals_sentence_transformers"), move || equals(name).unwrap())
    }));
    trials.extend([
        test("cross_encoder::bce_chain_equals_sentence_transformers", || chain("bce", loss_of_bce, None)),
        test("cross_encoder::lambda_chain_equals_sentence_transformers", || chain("lambda", loss_of_lists, None)),
        test("cross_encoder::lambda_chain_in_parts", || {
            chain("lambda", loss_of_lists, Some(MicroBatch::Texts(2)));
        }),
        test("cross_encoder::parts_of_a_batch_are_dropped_as_the_whole", || dropped().unwrap()),
        test("cross_encoder::ranks_and_reranks", || ranks().unwrap()),
        test("cross_encoder::trains_resumes_and_refuses", || trains().unwrap()),
        test("cross_encoder::directories_that_are_something_else", || directories().unwrap()),
    ]);
    trials
}

fn equals(name: &str) -> Result<()> {
    let dir = fixture("models").join(name);
    let (expected, tensors) =
        (golden::json(&dir.join("expected.json")), Tensors::read(&dir.join("expected.safetensors")));
    let sentence = |index: &serde_json::Value| {
        expected["sentences"][index.as_u64().unwrap() as usize].as_str().unwrap().to_owned()
    };
    let pairs: Vec<(String, String)> =
        expected["pairs"].as_array().unwrap().iter().map(|pair| (sentence(&pair[0]), sentence(&pair[1]))).collect();
    let model = CrossEncoder::load(&dir)?;
    if tensors.names().any(|name| name == "pairs.input_ids") {
        let ids = model.tokenizer().encode_pairs(&pairs, model.config().max_length)?;
        assert_eq!(ids.ids, tensors.unpadded("pairs.input_ids", "pairs.attention_mask"));
        assert_eq!(ids.token_types, tensors.unpadded("pairs.token_type_ids", "pairs.attention_mask"));
    }
    let check = |model: &CrossEncoder| -> Result<()> {
        within("scores", distance(&floats(&model.predict(&pairs)?), &tensors.floats("scores")), 1e-5);
        let logits = model.clone().with_activation(Activation::Identity).predict(&pairs)?;
        within("logits", distance(&floats(&logits), &tensors.floats("logits")), 1e-5);
        if tensors.names().any(|name| name == "softmax") {
            let softmax = model.clone().with_activation(Activation::Softmax).predict(&pairs)?;
            within("softmax", distance(&floats(&softmax), &tensors.floats("softmax")), 1e-5);
        }
        Ok(())
    };
    check(&model)?;
    let saved = tempfile::tempdir().unwrap();
    model.save(saved.path())?;
    let again = CrossEncoder::load(saved.path())?;
    assert_eq!((again.config(), again.labels()), (model.config(), model.labels()));
    check(&again)
}

fn loss_of_bce() -> Box<dyn Loss> {
    Box::new(BinaryCrossEntropy { pos_weight: 2.0 })
}

fn loss_of_lists() -> Box<dyn Loss> {
    Box::new(LambdaLoss::default())
}

/// Three steps of training on the golden token ids.
fn chain(name: &str, loss: fn() -> Box<dyn Loss>, micro_batch: Option<MicroBatch>) {
    let (golden, tensors) = peer::read(&format!("cross_encoder_{name}"));
    let mut pairs = PackedBatch::new(tensors.unpadded("in.0.input_ids", "in.0.attention_mask"));
    pairs.token_types = tensors.unpadded("in.0.token_type_ids", "in.0.attention_mask").concat();
    let numbers = |values: &serde_json::Value| -> Vec<f32> {
        values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
    };
    let (labels, lists) = match golden["lists"].as_array() {
        None => (numbers(&golden["labels"]), Vec::new()),
        Some(lists) => {
            let labels: Vec<Vec<f32>> = lists.iter().map(|list| numbers(&list[2])).collect();
            let mut bounds = vec![0];
            labels.iter().for_each(|labels| bounds.push(bounds.last().unwrap() + labels.len()));
            (labels.concat(), bounds)
        }
    };
    let batch = TokenBatch { columns: vec![pairs], labels: Some(labels.into()), lists, ..Default::default() };
    let model = CrossEncoder::load(fixture("models/st62_cross_encoder")).unwrap();
    peer::equals(&mut peer::trainer(model, loss(), micro_batch), &batch, &golden, &tensors);
}

/// The head has a dropout of its own, which once drew by the place of a text in its part.
fn dropped() -> Result<()> {
    let texts = |what: &str| (0..6).map(|n| format!("{what} {n}")).collect::<Vec<_>>();
    let data = TrainingSet::new(
        df!("query" => texts("the red"), "positive" => texts("a red house"), "negative" => texts("the old tree over there"))?,
    )?;
    let losses = |micro_batch: Option<MicroBatch>| -> Result<Vec<f64>> {
        let config = TrainConfig { batch_size: 6, epochs: 3, learning_rate: 1e-3, micro_batch, ..Default::default() };
        let mut trainer = Trainer::new(small()?, MultipleNegativesRanking::default(), config)?;
        trainer.steps(&data)?.map(|step| Ok(step?.loss)).collect()
    };
    let whole = losses(None)?;
    for size in [1, 2, 5] {
        let parts = losses(Some(MicroBatch::Texts(size)))?;
        let near = whole.iter().zip(&parts).all(|(whole, part)| (whole - part).abs() < 1e-5);
        assert!(near, "{size} texts at a time: {parts:?}, not {whole:?}");
    }
    Ok(())
}

fn small() -> Result<CrossEncoder> {
    CrossEncoder::load(fixture("models/st62_cross_encoder"))
}

fn ranks() -> Result<()> {
    let model = small()?;
    let docs = ["paris is a city", "", "the capital of france", "paris is a city"];
    let ranked = model.rank("what is the capital of france?", &docs)?;
    assert!(ranked.is_sorted_by(|a, b| a.score >= b.score));
    let place = |index| ranked.iter().position(|ranked| ranked.index == index).unwrap();
    assert_eq!(place(3), place(0) + 1, "equal scores stay in order");
    let alone = model.score("what is the capital of france?", docs[2])?;
    assert_eq!(alone.to_bits(), ranked[place(2)].score.to_bits(), "a score does not depend on its neighbours");
    assert_eq!(model.predict::<&str, &str>(&[])?.dims(), [0]);

    let queries = Queries::new(df!("query_id" => ["q"], "text" => ["capital?"])?)?;
    let corpus = Corpus::new(df!("doc_id" => ["a", "b", "c"], "text" => docs[..3].to_vec())?)?;
    let mut run = Run::new();
    run.insert("q", [("a", 3.0), ("b", 2.0), ("c", 1.0)]);
    let reranked = model.rerank(&run, &queries, &corpus, 2)?;
    let found: Vec<&str> = reranked.hits("q").doc_ids().collect();
    assert_eq!(found.len(), 2);
    assert!(found.contains(&"a") && found.contains(&"b"));
    run.insert("q", [("z", 1.0)]);
    let error = model.rerank(&run, &queries, &corpus, 2).unwrap_err().to_string();
    assert_eq!(error, "run: unknown document id `z`; expected one of the 3 ids of the corpus");
    Ok(())
}

fn triples() -> Result<TrainingSet> {
    let texts = |what: &str| (0..12).map(|n| format!("{what} number {n}")).collect::<Vec<_>>();
    TrainingSet::new(df!("query" => texts("find"), "positive" => texts("found"), "negative" => texts("lost"))?)
}

fn trains() -> Result<()> {
    let data = triples()?;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("checkpoints");
    let checkpoint = CheckpointConfig { dir: dir.clone(), every: 2, keep: 2 };
    let config =
        |checkpoint| TrainConfig { batch_size: 4, epochs: 4, learning_rate: 1e-3, checkpoint, ..Default::default() };
    let ranking = MultipleNegativesRanking { scale: 1.0, ..Default::default() };
    let mut whole = Trainer::new(small()?, ranking.clone(), config(None))?;
    let losses: Vec<f64> = whole.steps(&data)?.map(|step| Ok(step?.loss)).collect::<Result<_>>()?;
    assert!(losses[losses.len() - 1] < losses[0], "{losses:?}");

    // Interrupted after 4 of 12 steps, and resumed.
    let mut first = Trainer::new(small()?, ranking.clone(), config(Some(checkpoint.clone())))?;
    first.steps(&data)?.take(4).try_for_each(|step| step.map(drop))?;
    drop(first);
    let mut second = Trainer::new(small()?, ranking.clone(), config(Some(checkpoint)))?;
    second.resume(&dir)?;
    let rest: Vec<f64> = second.steps(&data)?.map(|step| Ok(step?.loss)).collect::<Result<_>>()?;
    assert_eq!(rest, losses[4..], "bit for bit");

    // A closure of scores is a loss for this model as for any other, and its gradient is right.
    let by_hand = custom(|batch| kensaku::loss::cross_entropy(&batch.scores()?, &batch.own()?));
    let mut closure = Trainer::new(small()?, by_hand.clone(), config(None))?;
    let again: Vec<f64> = closure.steps(&data)?.map(|step| Ok(step?.loss)).collect::<Result<_>>()?;
    assert_eq!(again, losses);
    let check = grad_check(closure.model(), &by_hand, &closure.batch(&data, &[0, 1, 2])?)?;
    assert!(check.passes() && check.columns[0].name == "positive", "{check}");

    let refused = |loss: Box<dyn Loss>, data: &TrainingSet| -> Result<Error> {
        Ok(Trainer::new(small()?, loss, config(None))?.steps(data).err().unwrap())
    };
    let pairs = TrainingSet::new(data.frame().select(["query", "positive"])?)?;
    let alone = refused(Box::new(ranking), &pairs)?.to_string();
    let expected = "the loss MultipleNegativesRanking needs pairs with negatives, such as `hard_negatives` finds; found query, positive and a cross-encoder";
    assert_eq!(alone, expected);
    let vectors = refused(Box::<CosineSimilarity>::default(), &pairs)?.to_string();
    assert!(vectors.starts_with("the loss CosineSimilarity needs a model with a vector per text"), "{vectors}");
    let labels = refused(Box::<BinaryCrossEntropy>::default(), &pairs)?.to_string();
    assert!(labels.starts_with("the loss BinaryCrossEntropy needs pairs, and a score for each"), "{labels}");
    let no_docs = TrainingSet::new(df!("query" => ["a", "b"], "label" => [0, 1])?)?;
    let sum = custom(|batch| Ok(batch.scores()?.sum_all()?));
    assert!(Trainer::new(small()?, sum, config(None))?.steps(&no_docs)?.next().unwrap().is_err());
    let vectors = custom(|batch| Ok(batch.queries()?.sum_all()?));
    let error = Trainer::new(small()?, vectors, config(None))?.steps(&data)?.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("scores of pairs, as a cross-encoder makes them"), "{error}");
    Ok(())
}

fn copied(name: &str) -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("models").join(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::write(dir.path().join(path.file_name().unwrap()), std::fs::read(&path).unwrap()).unwrap();
        }
    }
    Ok(dir)
}

fn edit(path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let mut value = golden::json(path);
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

fn directories() -> Result<()> {
    let bi = CrossEncoder::load(fixture("models/st62_bi_cls")).unwrap_err().to_string();
    assert!(bi.contains("the architecture is `BertModel`") && bi.contains("`CrossEncoder::from_encoder`"), "{bi}");
    let converted = CrossEncoder::from_encoder(fixture("models/st62_bi_cls"), 1, 7)?;
    let score: Tensor = converted.predict(&[("a", "b")])?;
    assert_eq!(score.dims(), [1]);

    let refused = |file: &str, change: fn(&mut serde_json::Value)| -> Result<String> {
        let dir = copied("st62_cross_encoder")?;
        edit(&dir.path().join(file), change);
        Ok(CrossEncoder::load(dir.path()).unwrap_err().to_string())
    };
    let settings = "config_sentence_transformers.json";
    let activation = refused(settings, |value| value["activation_fn"] = json!("torch.nn.modules.activation.Tanh"))?;
    assert!(activation.contains("the activation is \"torch.nn.modules.activation.Tanh\""), "{activation}");
    let prompt = refused(settings, |value| value["prompts"] = json!({ "query": "find: " }))?;
    assert!(prompt.contains("there is a prompt `query`"), "{prompt}");
    let kind = refused(settings, |value| value["model_type"] = json!("SparseEncoder"))?;
    assert!(kind.contains("model_type is `SparseEncoder`"), "{kind}");
    let module = json!({ "idx": 1, "name": "1", "path": "1_Dense", "type": "a.Dense" });
    let dir = copied("st62_cross_encoder")?;
    edit(&dir.path().join("modules.json"), |value| value.as_array_mut().unwrap().push(module));
    let error = CrossEncoder::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("Transformer, Dense; expected Transformer alone"), "{error}");
    let short = small()?.with_max_length(3).unwrap_err().to_string();
    assert!(short.starts_with("max_length = 3: expected 4 to 64"), "{short}");
    Ok(())
}
