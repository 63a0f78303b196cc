//! Training a late-interaction model.

use candle_core::{DType, Tensor};
use kensaku::data::{Labels, Texts, TrainingSet};
use kensaku::loss::{
    Batch, CoSENT, CosineSimilarity, DistillKLDiv, Interaction, Loss, MarginMSE, MultipleNegativesRanking, XTR, custom,
};
use kensaku::model::{ColBert, ColBertConfig};
use kensaku::nn::BertConfig;
use kensaku::text::{Tokenizer, WordPieceConfig};
use kensaku::train::{CheckpointConfig, MicroBatch, TokenBatch, TrainConfig, Trainer, grad_check};
use kensaku::{Error, Result};
use polars::prelude::df;

use crate::golden::{fixture, relative_distance, within};
use crate::training::{config, peer, words};

/// The whole chain: token ids with expansion, encoder, projection, MaxSim, ranking loss, gradients, AdamW.
pub(super) fn peer() {
    let (golden, tensors) = peer::read("multi_vector_mnrl");
    let model = ColBert::load(fixture("models/st62_multi_vector_colbert")).unwrap();
    let texts = |column: usize| {
        let examples = golden["batch"].as_array().unwrap();
        examples.iter().map(|example| example[column].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let data = df!("query" => texts(0), "positive" => texts(1), "negative" => texts(2)).unwrap();
    let data = TrainingSet::new(data).unwrap();
    let loss = MultipleNegativesRanking { scale: 1.0, ..Default::default() };
    let mut trainer = peer::trainer(model, loss, None);
    let batch = trainer.batch(&data, &(0..data.len()).collect::<Vec<_>>()).unwrap();
    for (column, ours) in batch.columns.iter().enumerate().skip(1) {
        let theirs = tensors.unpadded(&format!("in.{column}.input_ids"), &format!("in.{column}.attention_mask"));
        assert_eq!(ours.ids, theirs.concat(), "column {column}");
    }
    let theirs = tensors.tensor("in.0.input_ids").to_vec2::<i64>().unwrap().concat();
    assert!(batch.columns[0].ids.iter().map(|id| i64::from(*id)).eq(theirs), "queries are filled up");
    peer::equals(&mut trainer, &batch, &golden, &tensors);
}

/// With weights far enough from zero that vectors differ, if `wide`.
fn small(data: &TrainingSet, interaction: Interaction, seed: u64, wide: bool) -> Result<ColBert> {
    let tokenizer = Tokenizer::train_wordpiece(
        &data.columns().iter().flat_map(Texts::iter).collect::<Vec<_>>(),
        &WordPieceConfig { vocab_size: 150, ..Default::default() },
    )?;
    let encoder = BertConfig {
        hidden_size: 32,
        num_attention_heads: 4,
        intermediate_size: 64,
        initializer_range: if wide { 0.2 } else { 0.02 },
        ..Default::default()
    };
    let config = ColBertConfig { dim: 16, query_length: 20, doc_length: 24, interaction, ..Default::default() };
    ColBert::new(encoder, tokenizer, config, seed)
}

/// Examples with a negative and a teacher's scores.
fn batch(model: &ColBert, data: &TrainingSet, examples: usize) -> Result<TokenBatch> {
    let trainer = Trainer::new(model.clone(), ranking(), TrainConfig::default())?;
    let rows: Vec<usize> = (0..examples).collect();
    let mut batch = trainer.batch(data, &rows)?;
    let others: Vec<usize> = rows.iter().map(|row| row + 7).collect();
    batch.columns.push(trainer.batch(data, &others)?.columns[1].clone());
    let labels = rows.iter().flat_map(|row| [*row as f32 / 4.0, 0.5]).collect();
    batch.labels = Some(Labels::lists(labels, 2)?);
    Ok(batch)
}

fn ranking() -> MultipleNegativesRanking {
    MultipleNegativesRanking { scale: 1.0, ..Default::default() }
}

fn losses() -> Vec<(&'static str, Box<dyn Loss>)> {
    vec![
        ("ranking", Box::new(ranking())),
        ("margins", Box::new(MarginMSE::default())),
        ("distillation", Box::new(DistillKLDiv::default())),
        ("closure", Box::new(custom(by_hand))),
        ("retrieved", Box::new(XTR::new(ranking(), 30))),
        ("retrieved distillation", Box::new(XTR::new(DistillKLDiv::default(), 30))),
    ]
}

fn by_hand(batch: &Batch) -> Result<Tensor> {
    kensaku::loss::cross_entropy(&(batch.scores()? * 0.5)?, &batch.own()?)
}

pub(super) fn grad_cache() -> Result<()> {
    let data = words()?;
    for interaction in [Interaction::Sum, Interaction::Mean] {
        let model = small(&data, interaction, 1, true)?;
        let batch = batch(&model, &data, 10)?;
        let gradient = |loss: Box<dyn Loss>, micro_batch| -> Result<(f64, Vec<f32>)> {
            // Dropout is on: both passes draw the same masks.
            let mut trainer = Trainer::new(model.clone(), loss, TrainConfig { micro_batch, ..config() })?;
            let loss = trainer.step(&batch)?.loss;
            let parameters = trainer.model().encoder().parameters();
            let names = parameters.entries().iter().map(|entry| parameters.grad(&entry.name));
            Ok((loss, names.collect::<Result<Vec<_>>>()?.concat()))
        };
        for number in 0..losses().len() {
            let pick = || losses().swap_remove(number);
            let (name, loss) = pick();
            let whole = gradient(loss, None)?;
            for micro_batch in [MicroBatch::Texts(1), MicroBatch::Texts(4), MicroBatch::Tokens(70)] {
                let parts = gradient(pick().1, Some(micro_batch))?;
                within(name, (parts.0 - whole.0).abs(), 1e-5);
                within(&format!("{name}, {micro_batch:?}"), relative_distance(&parts.1, &whole.1), 1e-5);
            }
        }
    }
    Ok(())
}

/// Where a token matches two others alike, a score has a kink, and its slope is not the gradient: of some batches, not of
/// most. What a query retrieves changes at once: scores of XTR have jumps, and are left out.
pub(super) fn slopes() -> Result<()> {
    let data = words()?;
    for interaction in [Interaction::Sum, Interaction::Mean] {
        for number in 0..losses().iter().filter(|(name, _)| !name.starts_with("retrieved")).count() {
            let mut passed = 0;
            for seed in 1..=5 {
                let model = small(&data, interaction, seed, true)?;
                let check = grad_check(&model, &*losses()[number].1, &batch(&model, &data, 3)?)?;
                assert_eq!(check.precision, DType::F64);
                passed += usize::from(check.passes());
            }
            assert!(passed >= 3, "{}: {passed} of 5 batches", losses()[number].0);
        }
    }
    Ok(())
}

/// Some steps in one go, and in two with a checkpoint between them.
pub(super) fn resumes() -> Result<()> {
    let data = words()?;
    let dir = tempfile::tempdir().unwrap();
    let trainer = |seed, checkpoint| {
        let config = TrainConfig { learning_rate: 1e-2, checkpoint, ..config() };
        Trainer::new(small(&data, Interaction::Sum, seed, false)?, ranking(), config)
    };
    let losses = |trainer: &mut Trainer<ColBert>, most| -> Result<Vec<f64>> {
        trainer.steps(&data)?.take(most).map(|step| Ok(step?.loss)).collect()
    };
    let saving = |every| Some(CheckpointConfig { dir: dir.path().to_owned(), every, keep: 2 });
    let whole = losses(&mut trainer(1, None)?, usize::MAX)?;
    assert!(whole.last().unwrap() < &(0.7 * whole[0]), "it learns: {whole:?}");
    let mut parts = losses(&mut trainer(1, saving(7))?, 7)?;
    let mut again = trainer(2, saving(100))?;
    assert_eq!(again.resume(dir.path())?.step, 7);
    parts.extend(losses(&mut again, usize::MAX)?);
    assert_eq!(parts, whole);
    Ok(())
}

/// A loss that reads a vector per text is refused by name, and what fits is named.
pub(super) fn refusals() -> Result<()> {
    let data = words()?;
    let model = small(&data, Interaction::Sum, 1, true)?;
    let scored = |score: &str| {
        let frame = data.frame().clone();
        let scores = vec![0.5_f32; frame.height()];
        let frame = frame.hstack(&[polars::prelude::Column::new(score.into(), scores)])?;
        TrainingSet::new(frame)
    };
    let with: [Box<dyn Loss>; 2] = [Box::new(CoSENT::default()), Box::new(CosineSimilarity::default())];
    for loss in with {
        let mut trainer = Trainer::new(model.clone(), loss, config())?;
        let error = trainer.steps(&scored("score")?).err().unwrap();
        assert!(matches!(error, Error::LossUnfit { .. }));
        let message = error.to_string();
        let found = message.contains("needs a model with a vector per text; found ");
        assert!(found && message.contains(" and a model with a vector per token"), "{message}");
    }
    // A closure is refused by what it asks for.
    let closure = custom(|batch: &Batch| Ok(batch.queries()?.sum_all()?));
    let mut trainer = Trainer::new(model.clone(), closure, config())?;
    let message = trainer.steps(&data)?.next().unwrap().unwrap_err().to_string();
    assert!(message.contains("a vector per token") && message.contains("`batch.scores()`"), "{message}");
    Ok(())
}
