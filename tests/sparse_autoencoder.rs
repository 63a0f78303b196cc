//! Sparse codes of dense vectors: trained with and without the model, resumed, and against sentence-transformers.

use candle_core::{DType, Device, Tensor};
use kensaku::loss::{CSR, MultipleNegativesRanking, Similarity};
use kensaku::model::{Embeddings, SparseAutoEncoder, SparseAutoEncoderConfig};
use kensaku::train::{CheckpointConfig, MicroBatch, Step, TrainConfig, Trainer, grad_check};
use kensaku::{Error, Result};
use serde_json::json;

use crate::golden::{distance, fixture, floats, json as read_json, within};
use crate::shared::{Trials, test};
use crate::training::{config, losses, small, weights, words};

pub fn trials() -> Trials {
    vec![
        test("sparse_autoencoder::equals_sentence_transformers", || equals_python().unwrap()),
        test("sparse_autoencoder::what_cannot_be_read_is_said", refusals),
        test("sparse_autoencoder::learns_to_reconstruct_a_frozen_model", || learns().unwrap()),
        test("sparse_autoencoder::trains_with_the_model", || with_model().unwrap()),
        test("sparse_autoencoder::resumes_bit_for_bit", || resumes().unwrap()),
        test("sparse_autoencoder::silence_is_counted_once_a_batch", || once_a_batch().unwrap()),
    ]
}

fn matrix(value: &serde_json::Value) -> Tensor {
    let rows: Vec<Vec<f32>> = serde_json::from_value(value.clone()).unwrap();
    Tensor::new(rows, &Device::Cpu).unwrap()
}

fn equals_python() -> Result<()> {
    let expected = read_json(&fixture("sparse_autoencoder/expected.json"));
    let saved = tempfile::tempdir().unwrap();
    let first = SparseAutoEncoder::load(fixture("sparse_autoencoder"))?;
    first.save(saved.path())?;
    for model in [first, SparseAutoEncoder::load(saved.path())?] {
        let dims = SparseAutoEncoderConfig { input_dim: 16, hidden_dim: 24, k: 2, k_aux: 6, ..Default::default() };
        assert_eq!(*model.config(), SparseAutoEncoderConfig { normalize: true, ..dims });
        let vectors = matrix(&expected["vectors"]);
        let codes = model.encode_vectors(&vectors)?;
        let found = distance(&floats(&codes.to_dense()?), &floats(&matrix(&expected["codes"])));
        within("codes", found, 1e-5);
        let found = distance(&floats(&model.reconstruct(&vectors)?), &floats(&matrix(&expected["reconstructed"])));
        within("reconstruction", found, 1e-5);
        assert_eq!(codes.active_dims(), 2.0);
        let ids = ["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec();
        let embeddings = model.encode(&Embeddings::new(ids.clone(), vectors.clone())?)?;
        assert_eq!((embeddings.ids, &embeddings.vectors), (ids, &codes));
        // The larger codes hold the smaller ones.
        let larger = model.clone().with_k(3)?.encode_vectors(&vectors)?;
        assert!(larger.active_dims() > 2.0 && larger.words().len() <= 18);
        assert!((0..6).all(|row| codes.row(row).0.iter().all(|latent| larger.row(row).0.contains(latent))));
        assert_eq!(model.with_k(25).unwrap_err().to_string(), "k = 25: expected 1 to 24, hidden_dim");
    }
    Ok(())
}

fn refusals() {
    let model = SparseAutoEncoder::load(fixture("sparse_autoencoder")).unwrap();
    let error = model.encode_vectors(&Tensor::zeros((2, 15), DType::F32, &Device::Cpu).unwrap()).unwrap_err();
    assert!(error.to_string().contains("(n, 16)"), "{error}");
    let infinite = (Tensor::ones((1, 16), DType::F32, &Device::Cpu).unwrap() / 0.0).unwrap();
    assert!(matches!(model.encode_vectors(&infinite), Err(Error::VectorNotFinite { text: 0, .. })));
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path()).unwrap();
    let problem = |config: serde_json::Value| {
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        SparseAutoEncoder::load(dir.path()).unwrap_err().to_string()
    };
    let found = problem(json!({ "hidden_dim": 24 }));
    assert!(found.contains("there is no `input_dim`"), "{found}");
    let found = problem(json!({ "input_dim": 16, "hidden_dim": 24, "gates": 3 }));
    assert!(found.contains("unknown field `gates`"), "{found}");
    let found = problem(json!({ "input_dim": 16, "hidden_dim": 24, "k": 99 }));
    assert!(found.contains("k = 99"), "{found}");
    let found = problem(json!({ "input_dim": 8, "hidden_dim": 24 }));
    assert!(found.contains("[24, 16]"), "{found}");
    assert!(SparseAutoEncoder::load(dir.path().join("nowhere")).is_err());
}

fn csr() -> CSR {
    CSR { hidden_dim: 64, k: 4, dead_threshold: 6, ..CSR::default() }
}

/// Everything of the model.
fn frozen() -> Vec<String> {
    vec!["^embeddings\\.".to_owned(), "^encoder\\.".to_owned()]
}

fn term(step: &Step, name: &str) -> f64 {
    step.terms.iter().find(|(own, _)| own == name).unwrap().1
}

fn learns() -> Result<()> {
    let data = words()?;
    let model = small(&data, 1)?;
    let (before, vectors) =
        (weights(&model), model.encode_texts(&["the red car 0", "the blue tree 6", "the old dog 17"])?);
    let config = TrainConfig { freeze: frozen(), epochs: 30, learning_rate: 1e-2, ..config() };
    let mut trainer = Trainer::new(model, csr(), config)?;
    let error = |codes: &SparseAutoEncoder| -> Result<f32> {
        Ok((codes.reconstruct(&vectors)? - &vectors)?.sqr()?.mean_all()?.to_scalar::<f32>()?)
    };
    let first = error(&SparseAutoEncoder::from_loss(&csr(), trainer.loss_parameters())?)?;
    let steps = trainer.steps(&data)?.collect::<Result<Vec<_>>>()?;
    let (start, end) = (&steps[0], &steps[steps.len() - 1]);
    // With 4k latents a quarter of them is open, which reconstructs from the start.
    let (open, shut) = (term(start, "reconstruction k"), term(end, "reconstruction k"));
    assert!(shut < 0.5 * open, "{open} to {shut}");
    assert_eq!(end.grad_norm, 0.0, "nothing of the model is trained");
    assert!(weights(trainer.model()) == before);
    let codes = SparseAutoEncoder::from_loss(&csr(), trainer.loss_parameters())?;
    let last = error(&codes)?;
    assert!(last < 0.5 * first, "{first} to {last}");
    let silent = trainer.loss_parameters().values("loss.sae.last_nonzero")?;
    assert!(silent.contains(&1.0) && silent.iter().all(|silent| *silent >= 1.0), "{silent:?}");
    // Four queries at most, of 64.
    assert!(codes.encode_vectors(&vectors)?.active_dims() <= 4.0);
    Ok(())
}

fn with_model() -> Result<()> {
    let data = words()?;
    let model = small(&data, 1)?;
    let before = weights(&model);
    let ranking = MultipleNegativesRanking { similarity: Similarity::Dot, ..Default::default() };
    let loss = CSR { k_aux: 0, ..CSR { loss: ranking, ..csr() } };
    let mut trainer = Trainer::new(model, loss.clone(), config())?;
    let batch = trainer.batch(&data, &[0, 1, 2, 3])?;
    let check = grad_check(trainer.model(), &loss, &batch)?;
    assert!(check.passes() && check.columns.len() == 5, "{check}");
    let course = losses(&mut trainer, &data, usize::MAX)?;
    let mean = |steps: &[f64]| steps.iter().sum::<f64>() / steps.len() as f64;
    let (start, end) = (mean(&course[..5]), mean(&course[25..]));
    assert!(end < 0.95 * start, "{start} to {end}");
    assert!(weights(trainer.model()) != before);
    Ok(())
}

fn values(trainer: &Trainer) -> Vec<u32> {
    let table = trainer.loss_parameters();
    let values = table.entries().iter().flat_map(|entry| table.values(&entry.name).unwrap());
    values.map(|value| value.to_bits()).collect()
}

/// State included, also where the user freezes parameters of the loss.
fn resumes() -> Result<()> {
    let data = words()?;
    for freeze in [Vec::new(), frozen(), vec!["^loss\\.sae\\.pre_bias$".to_owned()]] {
        let dir = tempfile::tempdir().unwrap();
        let saving = |every| TrainConfig {
            checkpoint: Some(CheckpointConfig { dir: dir.path().into(), every, keep: 9 }),
            freeze: freeze.clone(),
            ..config()
        };
        let mut whole = Trainer::new(small(&data, 1)?, csr(), TrainConfig { freeze: freeze.clone(), ..config() })?;
        let expected = losses(&mut whole, &data, usize::MAX)?;
        let mut first = Trainer::new(small(&data, 1)?, csr(), saving(13))?;
        losses(&mut first, &data, 15)?;
        let mut second = Trainer::new(small(&data, 1)?, csr(), saving(100))?;
        assert_eq!(second.resume(dir.path())?.step, 13);
        assert!(second.loss_parameters().values("loss.sae.last_nonzero")?.iter().any(|silent| *silent > 0.0));
        assert_eq!(losses(&mut second, &data, usize::MAX)?, expected[13..]);
        assert!(values(&second) == values(&whole), "parameters and state after the last step");
    }
    Ok(())
}

/// With GradCache as without; and each of several batches of a step, the later ones from where the earlier have left it.
fn once_a_batch() -> Result<()> {
    let data = words()?;
    let trainer = |micro_batch| {
        let learning_rate_mapping = vec![("^loss".to_owned(), 0.0)];
        let config = TrainConfig { micro_batch, dropout: false, freeze: frozen(), learning_rate_mapping, ..config() };
        Trainer::new(small(&data, 1)?, csr(), config)
    };
    let silence =
        |trainer: &Trainer| Ok::<_, Error>(trainer.loss_parameters().values("loss.sae.last_nonzero")?.to_vec());
    let (mut whole, mut parts, mut together) = (trainer(None)?, trainer(Some(MicroBatch::Texts(5)))?, trainer(None)?);
    let batches = [whole.batch(&data, &[0, 1, 2, 3])?, whole.batch(&data, &[20, 21, 22])?];
    whole.step(&batches[0])?;
    let first = silence(&whole)?;
    // Two columns are each read twice.
    assert!(first.contains(&4.0) && first.iter().all(|silent| (1.0..=4.0).contains(silent)), "{first:?}");
    whole.step(&batches[1])?;
    let second = silence(&whole)?;
    assert!(second.contains(&8.0), "{second:?}");
    parts.step(&batches[0])?;
    assert_eq!(silence(&parts)?, first);
    together.accumulated_step(&batches)?;
    assert_eq!(silence(&together)?, second);
    Ok(())
}
