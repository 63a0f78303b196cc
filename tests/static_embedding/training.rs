//! Trainings of a table.

use candle_core::{Device, Tensor, Var};
use kensaku::data::{Texts, TrainingSet};
use kensaku::loss::{
    AnglE, CoSENT, Contrastive, CosineSimilarity, Distance, GlobalOrthogonalRegularization, InfoNCE, Loss, MSE,
    MarginMSE, Matryoshka, MegaBatchMargin, MultipleNegativesRanking, OnlineContrastive, Similarity, Triplet,
};
use kensaku::model::{
    BiEncoder, BiEncoderConfig, DistilConfig, Model, Part, Role, StaticEmbedding, StaticEmbeddingConfig,
};
use kensaku::nn::{Activations, BertConfig, PackedBatch};
use kensaku::text::{Tokenizer, WordPieceConfig};
use kensaku::train::{CheckpointConfig, MicroBatch, TrainConfig, Trainer, grad_check};
use kensaku::{Error, Result, interrupt};
use polars::prelude::{NamedFrom, Series, df};

use super::small;
use crate::golden::{relative_distance, within};
use crate::training::words;

fn model(data: &TrainingSet, seed: u64) -> Result<StaticEmbedding> {
    let texts = data.columns();
    let texts: Vec<&str> = texts.iter().flat_map(Texts::iter).collect();
    let tokenizer = Tokenizer::train_wordpiece(&texts, &WordPieceConfig { vocab_size: 150, ..Default::default() })?;
    StaticEmbedding::new(16, tokenizer, StaticEmbeddingConfig::default(), seed)
}

fn config() -> TrainConfig {
    TrainConfig { batch_size: 12, epochs: 6, learning_rate: 0.1, ..Default::default() }
}

fn table(model: &StaticEmbedding) -> Vec<f32> {
    model.parameters().values("embedding.weight").unwrap().to_vec()
}

/// Rows are gathered, averaged and normalised by candle.
pub(super) fn gradient() -> Result<()> {
    let sequences = [vec![3_u32, 5, 5, 9], vec![5], vec![], vec![11, 3]];
    for normalize in [true, false] {
        let mut model = small(StaticEmbeddingConfig { normalize, ..Default::default() });
        let rows = model.parameters().len() / 8;
        let variable = Var::from_tensor(&model.parameters().tensor("embedding.weight")?)?;
        let weights: Vec<f32> = (0..32).map(|place| (place * 13 % 17) as f32 - 8.0).collect();
        let part = Part { batch: PackedBatch::new(&sequences), columns: vec![0, 0, 1, 1] };
        let mut activations = Activations::training();
        let outputs = model.forward(&part, &mut activations)?;
        let mut loss = Tensor::new(0_f32, &Device::Cpu)?;
        for (index, ids) in sequences.iter().enumerate().filter(|(_, ids)| !ids.is_empty()) {
            let mean = variable.index_select(&Tensor::new(ids.as_slice(), &Device::Cpu)?, 0)?.mean(0)?;
            let vector = if normalize { mean.broadcast_div(&mean.sqr()?.sum_all()?.sqrt()?)? } else { mean };
            let (own, found) = (vector.to_vec1::<f32>()?, &outputs.values[index * 8..(index + 1) * 8]);
            assert!(own.iter().zip(found).all(|(a, b)| (a - b).abs() < 1e-6));
            loss = (loss + (vector * Tensor::new(&weights[index * 8..(index + 1) * 8], &Device::Cpu)?)?.sum_all()?)?;
        }
        assert_eq!(outputs.values[16..24], [0.0; 8]);
        model.backward(&part, &mut activations, &outputs, &weights)?;
        let expected = loss.backward()?.get(&variable).unwrap().flatten_all()?.to_vec1::<f32>()?;
        let found = model.parameters().grad("embedding.weight")?;
        within("gradient", relative_distance(&found, &expected), 1e-6);
        let touched = |row: usize| found[row * 8..(row + 1) * 8].iter().any(|value| *value != 0.0);
        assert_eq!((0..rows).filter(|row| touched(*row)).collect::<Vec<_>>(), [3, 5, 9, 11]);
    }
    Ok(())
}

/// 30 steps in one go, and 13, a new trainer from other weights, and 17; with any number of threads.
pub(super) fn resumes() -> Result<()> {
    let data = words()?;
    let run = |trainer: &mut Trainer<StaticEmbedding>, most: usize| -> Result<Vec<f64>> {
        trainer.steps(&data)?.take(most).map(|step| Ok(step?.loss)).collect()
    };
    let trainer = |seed, config| Trainer::new(model(&data, seed)?, MultipleNegativesRanking::default(), config);
    let mut whole = trainer(1, config())?;
    let losses = run(&mut whole, usize::MAX)?;
    assert!(losses.len() == 30 && losses[29] < 0.5 * losses[0], "{losses:?}");
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = CheckpointConfig { dir: dir.path().to_owned(), every: 13, keep: 2 };
    let saving = TrainConfig { checkpoint: Some(checkpoint), ..config() };
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let mut parts = one.install(|| run(&mut trainer(1, saving.clone())?, 13))?;
    let mut second = trainer(2, saving)?;
    assert_eq!(second.resume(dir.path())?.step, 13);
    parts.extend(run(&mut second, usize::MAX)?);
    assert_eq!(parts, losses);
    assert!(table(second.model()) == table(whole.model()));
    assert!(second.preflight(&data)?.frame()?.height() > 5);
    let loaded = StaticEmbedding::load(dir.path().join("step-00000030"))?;
    assert!(table(&loaded) == table(whole.model()));
    Ok(())
}

pub(super) fn parts() -> Result<()> {
    let data = words()?;
    let run = |micro_batch| -> Result<(Vec<f64>, Vec<f32>)> {
        let config = TrainConfig { micro_batch, ..config() };
        let mut trainer = Trainer::new(model(&data, 1)?, MultipleNegativesRanking::default(), config)?;
        let losses = trainer.steps(&data)?.take(4).map(|step| Ok(step?.loss)).collect::<Result<_>>()?;
        Ok((losses, table(trainer.model())))
    };
    let (whole, parts) = (run(None)?, run(Some(MicroBatch::Texts(5)))?);
    assert!(whole.0.iter().zip(&parts.0).all(|(a, b)| (a - b).abs() < 1e-4), "{whole:?} {parts:?}");
    within("weights", relative_distance(&parts.1, &whole.1), 1e-3);
    Ok(())
}

/// Each lowers itself, and its gradient is right.
pub(super) fn all_losses() -> Result<()> {
    let pairs = words()?;
    let columns = pairs.columns();
    let texts = |index: usize| columns[index].to_vec();
    let mut turned = texts(1);
    turned.rotate_left(7);
    let triples = || df!("query" => texts(0), "positive" => texts(1), "negative" => &turned);
    let triples = TrainingSet::new(triples()?)?;
    let labelled = |label: &dyn Fn(usize) -> f32| {
        let labels: Vec<f32> = (0..columns[0].len()).map(label).collect();
        TrainingSet::new(df!("query" => texts(0), "positive" => &texts(1), "label" => labels)?)
    };
    let classes = labelled(&|row| (row % 3 > 0) as u8 as f32)?;
    let scores = labelled(&|row| (row % 5) as f32 / 4.0)?;
    let teacher: Vec<Vec<f32>> = (0..columns[0].len()).map(|row| vec![(row % 7) as f32 / 7.0; 16]).collect();
    let lists: Vec<Series> = teacher.iter().map(|row| NamedFrom::new("".into(), row)).collect();
    let taught = TrainingSet::new(df!("query" => texts(0), "positive" => texts(1), "label" => lists)?)?;
    let margins: Vec<f32> = (0..columns[0].len()).map(|row| (row % 4) as f32 / 8.0).collect();
    let margins =
        TrainingSet::new(df!("query" => texts(0), "positive" => texts(1), "negative" => &turned, "label" => margins)?)?;
    let ranking = |similarity| MultipleNegativesRanking { similarity, ..Default::default() };
    let cases: Vec<(&str, &TrainingSet, Box<dyn Loss>)> = vec![
        ("ranking", &triples, Box::new(ranking(Similarity::Cosine))),
        ("ranking by dot", &pairs, Box::new(MultipleNegativesRanking { scale: 2.0, ..ranking(Similarity::Dot) })),
        ("ranking by Euclid", &pairs, Box::new(ranking(Similarity::Euclidean))),
        (
            "ranking by Manhattan",
            &pairs,
            Box::new(MultipleNegativesRanking { scale: 4.0, ..ranking(Similarity::Manhattan) }),
        ),
        ("info nce", &pairs, Box::new(InfoNCE::default())),
        ("triplet", &triples, Box::new(Triplet { distance: Distance::Cosine, margin: 0.5 })),
        ("cosine", &scores, Box::new(CosineSimilarity::default())),
        ("cosent", &scores, Box::new(CoSENT { similarity: Similarity::Euclidean, ..Default::default() })),
        ("angle", &scores, Box::new(AnglE::default())),
        ("contrastive", &classes, Box::new(Contrastive::default())),
        ("online contrastive", &classes, Box::new(OnlineContrastive::default())),
        ("mega batch", &pairs, Box::new(MegaBatchMargin::default())),
        ("mse", &taught, Box::new(MSE)),
        ("margin mse", &margins, Box::new(MarginMSE::default())),
        ("matryoshka", &pairs, Box::new(Matryoshka::new(MultipleNegativesRanking::default(), vec![16, 8]))),
        ("orthogonal", &pairs, Box::new(GlobalOrthogonalRegularization::default())),
    ];
    for (name, data, loss) in cases {
        let model = model(&pairs, 3)?;
        let trainer = Trainer::new(model.clone(), MultipleNegativesRanking::default(), config())?;
        let mut batch = trainer.batch(data, &[0, 1, 2, 3, 4, 5])?;
        batch.rows.clear();
        let check = grad_check(&model, loss.as_ref(), &batch)?;
        assert!(check.passes(), "{name}\n{check}");
        let mut trainer = Trainer::new(model, loss, TrainConfig { epochs: 12, ..config() })?;
        let losses: Vec<f64> = trainer.steps(data)?.map(|step| Ok(step?.loss)).collect::<Result<_>>()?;
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        assert!(mean(&losses[losses.len() - 5..]) < mean(&losses[..5]), "{name} {losses:?}");
    }
    Ok(())
}

pub(super) fn odd() -> Result<()> {
    // A query without tokens, and one of unknown words alone.
    let pairs = words()?;
    let data = TrainingSet::new(
        df!("query" => ["", "検索", "the red car"], "positive" => ["the car", "the tree", "the house"])?,
    )?;
    let mut model = model(&pairs, 1)?;
    for skip_unknown in [false, true] {
        model = model.with_config(StaticEmbeddingConfig { skip_unknown, ..Default::default() })?;
        let mut trainer = Trainer::new(model.clone(), MultipleNegativesRanking::default(), config())?;
        for step in trainer.steps(&data)? {
            assert!(step?.grad_norm.is_finite());
        }
    }
    let mut activations = Activations::training();
    let part = Part { batch: PackedBatch::new([[100_000]]), columns: vec![0] };
    let error = model.forward(&part, &mut activations).unwrap_err().to_string();
    assert!(error.starts_with("token id in a batch: found 100000"), "{error}");
    let part = Part { batch: PackedBatch { bounds: vec![0, 9], ..PackedBatch::new([[1]]) }, columns: vec![0] };
    assert!(model.forward(&part, &mut activations).is_err());
    assert_eq!(model.encode::<&str>(&[], Role::Plain)?.dims(), [0, 16]);
    model.parameters_mut().values_mut("embedding.weight")?[..].fill(f32::NAN);
    assert!(matches!(model.encode_texts(&["", "car"]), Err(Error::VectorNotFinite { text: 1, .. })));
    assert!(model.save(tempfile::tempdir().unwrap().path()).is_err());
    let error = StaticEmbedding::new(0, super::tokenizer(), StaticEmbeddingConfig::default(), 1).unwrap_err();
    assert!(error.to_string().starts_with("dim = 0"));
    Ok(())
}

pub(super) fn interrupted() -> Result<()> {
    let small = BertConfig { hidden_size: 16, intermediate_size: 16, ..Default::default() };
    let encoder = BiEncoder::new(small, super::tokenizer(), BiEncoderConfig::default(), 1)?;
    interrupt::set(true);
    let stopped = StaticEmbedding::distil(&encoder, &DistilConfig::default());
    interrupt::set(false);
    assert!(matches!(stopped, Err(Error::Interrupted { .. })));
    let model = StaticEmbedding::distil(&encoder, &DistilConfig { dims: Some(4), ..Default::default() })?;
    // Saved as one of model2vec, and loaded again.
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path())?;
    assert!(table(&StaticEmbedding::load(dir.path())?) == table(&model));
    Ok(())
}
