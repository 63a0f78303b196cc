//! Two towers in training.

use candle_core::{Device, Tensor, Var};
use kensaku::Result;
use kensaku::data::TrainingSet;
use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::{BiEncoder, Model, Part, Role, TwoTowers};
use kensaku::nn::{Activations, Dropout, Lora, PackedBatch};
use kensaku::random::Philox;
use kensaku::train::{CheckpointConfig, KeepBest, MicroBatch, TrainConfig, Trainer, ValidationConfig, grad_check};

use super::{TEXTS, doc, model, query};
use crate::golden::{floats, within};
use crate::training::{config, words};

fn ranking() -> MultipleNegativesRanking {
    MultipleNegativesRanking::default()
}

fn losses(trainer: &mut Trainer<TwoTowers>, at_most: usize) -> Result<Vec<f64>> {
    trainer.steps(&words()?)?.take(at_most).map(|step| Ok(step?.loss)).collect()
}

fn bits(model: &TwoTowers) -> Vec<u32> {
    let parameters = model.parameters();
    let values = parameters.entries().iter().flat_map(|entry| parameters.values(&entry.name).unwrap());
    values.map(|value| value.to_bits()).collect()
}

/// The vectors of one tower's part, and its gradients from that of the vectors.
fn pass(
    tower: &mut BiEncoder,
    part: &Part,
    dropout: Option<Dropout>,
    upstream: impl Fn(&[f32]) -> Vec<f32>,
) -> Result<Vec<f32>> {
    let mut activations = Activations::training();
    activations.set_dropout(dropout);
    let outputs = tower.forward(part, &mut activations)?;
    tower.parameters_mut().zero_grads();
    tower.backward(part, &mut activations, &outputs, &upstream(&outputs.values))?;
    Ok(outputs.values)
}

/// Of a trainer's step: those of two bi-encoders, of the same loss by hand.
pub(super) fn gradients() -> Result<()> {
    let data = words()?;
    let config = TrainConfig { dropout: false, max_grad_norm: None, ..config() };
    let mut trainer = Trainer::new(model(1)?, ranking(), config)?;
    let batch = trainer.batch(&data, &[0, 1, 2, 3, 4, 5])?;
    let step = trainer.step(&batch)?;

    let (mut queries, mut docs) = (query(&data, 1)?, doc(&data, 1)?);
    let parts = [0, 1].map(|column| Part { batch: batch.columns[column].clone(), columns: vec![column; 6] });
    let [q, d] = [
        queries.forward(&parts[0], &mut Activations::inference())?.values,
        docs.forward(&parts[1], &mut Activations::inference())?.values,
    ];
    let [q, d] = [q, d].map(|values| Var::from_tensor(&Tensor::from_vec(values, (6, 32), &Device::Cpu).unwrap()));
    let (q, d) = (q?, d?);
    let scores = (q.matmul(&d.t()?)? * 20.0)?;
    let own = Tensor::arange(0_u32, 6, &Device::Cpu)?;
    let loss = candle_nn::loss::cross_entropy(&scores, &own)?;
    within("loss", (f64::from(loss.to_scalar::<f32>()?) - step.loss).abs(), 1e-6);
    let grads = loss.backward()?;
    pass(&mut queries, &parts[0], None, |_| floats(grads.get(&q).unwrap()))?;
    pass(&mut docs, &parts[1], None, |_| floats(grads.get(&d).unwrap()))?;
    for (prefix, tower) in [("query", &queries), ("document", &docs)] {
        for entry in tower.encoder().parameters().entries() {
            let expected = tower.encoder().parameters().grad(&entry.name)?;
            let found = trainer.model().parameters().grad(&format!("{prefix}.{}", entry.name))?;
            let size = expected.iter().fold(1e-3_f32, |size, value| size.max(value.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                within(&format!("{prefix}.{}", entry.name), (found - expected).abs() / size, 2e-4);
            }
        }
    }
    Ok(())
}

/// In any order, and of either alone; the rows are those of two bi-encoders, bit for bit, as if their tokens had the numbers
/// that they have in the whole part.
pub(super) fn slopes() -> Result<()> {
    let dropped = Dropout { seed: 3, step: 1, first_token: 40 };
    for (order, dropout) in [
        (vec![0, 2, 1, 3], None),
        (vec![0, 2, 1, 3], Some(dropped)),
        (vec![0, 1, 2, 3], Some(dropped)),
        (vec![0, 1], Some(dropped)),
        (vec![2, 3], Some(dropped)),
    ] {
        slopes_of(&order, dropout)?;
    }
    Ok(())
}

fn slopes_of(order: &[usize], dropout: Option<Dropout>) -> Result<()> {
    let (data, model) = (words()?, model(1)?);
    let queries = model.tokenize(&["where is the red car 5", "the dog"], Role::Query)?;
    let docs = model.tokenize(&["the red car 5 stands over there", "a tree"], Role::Doc)?;
    let ids = order.iter().map(|text| if *text < 2 { &queries[*text] } else { &docs[*text - 2] });
    let columns: Vec<usize> = order.iter().map(|text| usize::from(*text > 1)).collect();
    let part = Part { batch: PackedBatch::new(ids), columns: columns.clone() };
    let value = |model: &TwoTowers| -> Result<(f64, Vec<f32>, Vec<f32>)> {
        let mut activations = Activations::inference();
        activations.set_dropout(dropout);
        let values = model.forward(&part, &mut activations)?.values;
        let mut rng = Philox::new(5);
        let upstream: Vec<f32> = values.iter().map(|_| rng.normal() as f32).collect();
        let sum = values.iter().zip(&upstream).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        Ok((sum, upstream, values))
    };
    let mut trained = model.clone();
    let mut activations = Activations::training();
    activations.set_dropout(dropout);
    let outputs = trained.forward(&part, &mut activations)?;
    trained.parameters_mut().zero_grads();
    let (_, upstream, values) = value(&model)?;
    trained.backward(&part, &mut activations, &outputs, &upstream)?;

    let rows = |all: &[f32], own: usize| -> Vec<f32> {
        let of_column = |(row, column): (&[f32], &usize)| (*column == own).then(|| row.to_vec());
        all.chunks(32).zip(&columns).filter_map(of_column).flatten().collect()
    };
    let towers = [(query(&data, 1)?, "query", &queries), (doc(&data, 1)?, "document", &docs)];
    for (column, (mut tower, prefix, ids)) in towers.into_iter().enumerate() {
        let count = rows(&values, column).len() / 32;
        let before = columns.iter().position(|own| *own == column).map_or(0, |first| part.batch.bounds[first]);
        let own = Part { batch: PackedBatch::new(&ids[..count]), columns: vec![column; count] };
        let shifted = dropout.map(|own| Dropout { first_token: own.first_token + before as u32, ..own });
        assert_eq!(pass(&mut tower, &own, shifted, |_| rows(&upstream, column))?, rows(&values, column));
        for entry in tower.encoder().parameters().entries() {
            let expected = tower.encoder().parameters().grad(&entry.name)?;
            assert_eq!(trained.parameters().grad(&format!("{prefix}.{}", entry.name))?, expected);
        }
    }
    for name in [
        "query.2_Dense.residual.weight",
        "query.transformer.layer.0.ffn.lin2.bias",
        "document.encoder.layer.0.output.dense.bias",
    ] {
        let grad = trained.parameters().grad(name)?;
        for (place, grad) in grad.iter().enumerate().take(6) {
            let moved = |step: f32| -> Result<f64> {
                let mut model = model.clone();
                model.parameters_mut().values_mut(name)?[place] += step;
                Ok(value(&model)?.0)
            };
            let slope = (moved(2e-3)? - moved(-2e-3)?) / 4e-3;
            let off = (slope - f64::from(*grad)).abs() / slope.abs().max(1.0);
            assert!(off < 2e-2, "{name} {place} of {order:?}: {slope} and {grad}");
        }
    }
    Ok(())
}

pub(super) fn learns() -> Result<()> {
    let data = words()?;
    for dropout in [false, true] {
        let config = TrainConfig { dropout, ..config() };
        let mut whole = Trainer::new(model(1)?, ranking(), config.clone())?;
        let course = losses(&mut whole, usize::MAX)?;
        let last = course[25..].iter().sum::<f64>() / 5.0;
        println!("loss {:.3} to {last:.3}", course[0]);
        assert!(last < 0.6 * course[0], "{course:?}");
        for tower in ["query", "document"] {
            let moved = |model: &TwoTowers| {
                let entries = model.parameters().entries();
                let own: Vec<_> = entries.iter().filter(|entry| entry.name.starts_with(tower)).collect();
                own.iter().map(|entry| model.parameters().values(&entry.name).unwrap().to_vec()).collect::<Vec<_>>()
            };
            for (now, before) in moved(whole.model()).iter().zip(moved(&model(1)?)) {
                assert_ne!(*now, before);
            }
        }
        // The masks of parts are those of the whole batch.
        for micro_batch in [MicroBatch::Texts(5), MicroBatch::Tokens(60)] {
            let parts = TrainConfig { micro_batch: Some(micro_batch), ..config.clone() };
            let in_parts = losses(&mut Trainer::new(model(1)?, ranking(), parts)?, 10)?;
            for (found, expected) in in_parts.iter().zip(&course) {
                within("loss in parts", (found - expected).abs(), 1e-3 * expected.abs());
            }
        }
    }
    let trainer = Trainer::new(model(1)?, ranking(), config())?;
    let check = grad_check(&model(1)?, &ranking(), &trainer.batch(&data, &[0, 1, 2, 3])?)?;
    assert!(check.passes(), "{check}");
    Ok(())
}

pub(super) fn frozen() -> Result<()> {
    let start = model(1)?;
    for (tower, other) in [("query", "document"), ("document", "query")] {
        let freeze = TrainConfig { freeze: vec![format!("^{tower}\\.")], ..config() };
        let mut trainer = Trainer::new(start.clone(), ranking(), freeze)?;
        let course = losses(&mut trainer, usize::MAX)?;
        assert!(course[29] < course[0], "{course:?}");
        let role = |name: &str| if name == "query" { Role::Query } else { Role::Doc };
        let vectors =
            |model: &TwoTowers, name: &str| Ok::<_, kensaku::Error>(floats(&model.encode(&TEXTS, role(name))?));
        assert_eq!(vectors(trainer.model(), tower)?, vectors(&start, tower)?);
        assert_ne!(vectors(trainer.model(), other)?, vectors(&start, other)?);
    }
    // Of one tower a head alone.
    let freeze = vec!["^query\\.(?!2_Dense)".to_owned()];
    assert!(Trainer::new(start.clone(), ranking(), TrainConfig { freeze, ..config() }).is_err(), "no look-ahead");
    let freeze = vec!["^query\\.(embeddings|transformer)".to_owned(), "^document\\.embeddings".to_owned()];
    let mut trainer = Trainer::new(start.clone(), ranking(), TrainConfig { freeze, ..config() })?;
    losses(&mut trainer, 5)?;
    for entry in start.parameters().entries() {
        let (before, now) =
            (start.parameters().values(&entry.name)?, trainer.model().parameters().values(&entry.name)?);
        let trained = entry.name.starts_with("query.2_Dense") || entry.name.starts_with("document.encoder");
        assert_eq!(before != now, trained, "{}", entry.name);
    }
    Ok(())
}

/// 30 steps in one go, and 13, a new trainer from other weights, and 17; dropout is on.
pub(super) fn resumes() -> Result<()> {
    let mut whole = Trainer::new(model(1)?, ranking(), config())?;
    let expected = losses(&mut whole, usize::MAX)?;
    let dir = tempfile::tempdir().unwrap();
    let saving = |every| {
        let checkpoint = CheckpointConfig { dir: dir.path().to_owned(), every, keep: 2 };
        TrainConfig { checkpoint: Some(checkpoint), ..config() }
    };
    let mut parts = losses(&mut Trainer::new(model(1)?, ranking(), saving(13))?, 13)?;
    // Of it Python and `load` read the model.
    let path = dir.path().join("step-00000013");
    assert_eq!(TwoTowers::load(&path)?.parameters().entries(), whole.model().parameters().entries());
    let mut again = Trainer::new(model(2)?, ranking(), saving(100))?;
    assert_eq!(again.resume(dir.path())?.step, 13);
    parts.extend(losses(&mut again, usize::MAX)?);
    assert_eq!(parts, expected);
    assert!(bits(again.model()) == bits(whole.model()));

    let (query, doc) = model(2)?.into_towers();
    let refused = |model: TwoTowers| {
        let found = Trainer::new(model, ranking(), saving(100))?.resume(&path).unwrap_err().to_string();
        Ok::<_, kensaku::Error>(found)
    };
    let found = refused(TwoTowers::new(query.clone().with_max_length(9)?, doc.clone())?)?;
    assert!(found.contains("`query.max_length: 20`, this one `query.max_length: 9`"), "{found}");
    let swapped = BiEncoder::new(query.encoder().config().clone(), doc.tokenizer().clone(), query.config().clone(), 1)?;
    let found = refused(TwoTowers::new(swapped, doc)?)?;
    assert!(found.contains("shape") || found.contains("tokenizer"), "{found}");
    Ok(())
}

/// Adapters of the documents' tower; the weights that they stand beside are in no checkpoint.
pub(super) fn adapters() -> Result<()> {
    let adapted = |seed: u64| {
        let (query, doc) = model(1)?.into_towers();
        let lora = Lora { rank: 4, dropout: 0.1, targets: "query|value|dense".into(), seed, ..Default::default() };
        TwoTowers::new(query, doc.with_lora(lora)?)
    };
    let names: Vec<String> = adapted(1)?.parameters().entries().iter().map(|entry| entry.name.clone()).collect();
    assert!(names.iter().all(|name| name.starts_with("query.") || name.contains(".lora_")), "{names:?}");
    let mut whole = Trainer::new(adapted(1)?, ranking(), config())?;
    let expected = losses(&mut whole, usize::MAX)?;
    assert!(expected[29] < expected[0], "{expected:?}");
    let dir = tempfile::tempdir().unwrap();
    let saving = |every| {
        let checkpoint = CheckpointConfig { dir: dir.path().to_owned(), every, keep: 2 };
        TrainConfig { checkpoint: Some(checkpoint), ..config() }
    };
    let mut parts = losses(&mut Trainer::new(adapted(1)?, ranking(), saving(13))?, 13)?;
    let mut again = Trainer::new(adapted(1)?, ranking(), saving(100))?;
    assert_eq!(again.resume(dir.path())?.step, 13);
    parts.extend(losses(&mut again, usize::MAX)?);
    assert_eq!(parts, expected);
    assert!(bits(again.model()) == bits(whole.model()));
    // Saved, they are merged.
    let saved = tempfile::tempdir().unwrap();
    whole.model().save(saved.path())?;
    let merged = TwoTowers::load(saved.path())?;
    for role in [Role::Query, Role::Doc] {
        let [ours, theirs] = [&merged, whole.model()].map(|model| floats(&model.encode(&TEXTS, role).unwrap()));
        within("merged", crate::golden::distance(&ours, &theirs), 1e-5);
    }
    Ok(())
}

pub(super) fn validated() -> Result<()> {
    let data = words()?;
    let dir = tempfile::tempdir().unwrap();
    for keep_best in [KeepBest::Memory, KeepBest::Directory(dir.path().join("best"))] {
        let validation = ValidationConfig { keep_best, ..Default::default() };
        let mut trainer = Trainer::new(model(1)?, ranking(), TrainConfig { validation, ..config() })?;
        trainer.validate_on(&TrainingSet::new(data.frame().slice(0, 24))?)?;
        trainer.validate_with("norm", |model| {
            let rows = model.encode(&TEXTS[..2], Role::Query)?;
            Ok(f64::from(rows.sqr()?.sum_all()?.to_scalar::<f32>()?))
        })?;
        losses(&mut trainer, usize::MAX)?;
        let values = &trainer.evaluations().last().unwrap().values;
        assert_eq!(values.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["loss", "norm"]);
        within("unit", (values[1].1 - 2.0).abs(), 1e-4);
        let preflight = trainer.preflight(&data)?.to_string();
        assert!(
            preflight.contains("max_length = 20 tokens for queries and 32 for documents")
                || preflight.contains("memory")
        );
        let card = trainer.card(&data)?;
        assert_eq!(card.training.unwrap().columns.len(), 2);
        trainer.into_best_model()?.encode(&TEXTS, Role::Doc)?;
    }
    Ok(())
}
