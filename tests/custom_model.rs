//! Models whose head is a closure.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::ops::softmax;
use kensaku::loss::{MultipleNegativesRanking, cross_entropy, custom};
use kensaku::model::{BiEncoder, BiEncoderConfig, CustomConfig, CustomHead, CustomModel, Model, Role};
use kensaku::random::Philox;
use kensaku::train::{CheckpointConfig, MicroBatch, TrainConfig, Trainer, grad_check};
use kensaku::{Error, Result};

use crate::golden::within;
use crate::shared::{Trials, test};
use crate::training::{config, small, words};

pub fn trials() -> Trials {
    vec![
        test("custom_model::a_mean_by_hand_trains_as_the_librarys", || mean().unwrap()),
        test("custom_model::parameters_of_a_head_train_and_are_kept", || attention().unwrap()),
        test("custom_model::a_vector_per_token_is_compared_by_maxsim", || tokens().unwrap()),
        test("custom_model::gradients_of_a_head_are_checked", || checks().unwrap()),
        test("custom_model::heads_that_cannot_be_are_refused", || refusals().unwrap()),
    ]
}

fn on(model: &BiEncoder, head: CustomHead) -> Result<CustomModel> {
    let config = CustomConfig { max_length: model.config().max_length, ..Default::default() };
    CustomModel::on(model.encoder().clone(), model.tokenizer().clone(), head, config)
}

/// A mean of tokens, weighted by how they answer a query that is learned.
fn attentive() -> Result<CustomHead> {
    let head = CustomHead::new(|hidden| {
        let query = hidden.parameter("query")?;
        hidden.each(|states| Ok(states.broadcast_mul(&softmax(&states.matmul(query)?, 0)?)?.sum(0)?))
    });
    head.parameter("query", &Tensor::zeros((32, 1), DType::F32, &Device::Cpu)?)
}

fn losses<M: Model>(trainer: &mut Trainer<M>, steps: usize) -> Result<Vec<f64>> {
    trainer.steps(&words()?)?.take(steps).map(|step| Ok(step?.loss)).collect()
}

fn mean() -> Result<()> {
    let data = words()?;
    let config = TrainConfig { dropout: true, ..config() };
    let plain = BiEncoderConfig { normalize: false, ..small(&data, 1)?.config().clone() };
    let model = small(&data, 1)?.with_config(plain)?;
    let own = on(&model, CustomHead::new(|hidden| hidden.each(|states| Ok(states.mean(0)?))))?;
    let texts = ["where is the red car 5", "the old dog"];
    let ours = own.encode(&texts, Role::Query)?;
    let theirs = model.encode(&texts, Role::Query)?;
    let far = (&ours.vectors - &theirs)?.abs()?.max_all()?.to_scalar::<f32>()?;
    within("vectors", far, 1e-6);
    assert_eq!(own.similarity(&ours, &ours)?.dims(), [2, 2]);
    let loss = MultipleNegativesRanking::default;
    let expected = losses(&mut Trainer::new(model, loss(), config.clone())?, 12)?;
    let parts = TrainConfig { micro_batch: Some(MicroBatch::Texts(5)), ..config.clone() };
    for config in [config, parts] {
        for (found, expected) in losses(&mut Trainer::new(own.clone(), loss(), config)?, 12)?.iter().zip(&expected) {
            within("loss", (found - expected).abs(), 1e-4);
        }
    }
    Ok(())
}

fn attention() -> Result<()> {
    let data = words()?;
    let dir = tempfile::tempdir().unwrap();
    let model = || on(&small(&data, 1)?, attentive()?);
    let saving = |every| TrainConfig {
        checkpoint: Some(CheckpointConfig { dir: dir.path().join("checkpoints"), every, keep: 9 }),
        ..config()
    };
    // A loss of any model's scores.
    let loss = || custom(|batch| cross_entropy(&(batch.scores()? * 20.0)?, &batch.own()?));
    let mut whole = Trainer::new(model()?, loss(), config())?;
    let course = losses(&mut whole, usize::MAX)?;
    assert!(course[29] < 0.3 * course[0], "{course:?}");
    let query = |model: &CustomModel| Ok::<_, Error>(model.encoder().parameters().values("head.query")?.to_vec());
    let trained = query(whole.model())?;
    assert!(trained.iter().any(|value| value.abs() > 1e-2), "{trained:?}");

    let mut first = Trainer::new(model()?, loss(), saving(7))?;
    losses(&mut first, 9)?;
    let mut second = Trainer::new(model()?, loss(), saving(7))?;
    assert_eq!(second.resume(dir.path().join("checkpoints"))?.step, 7);
    assert_eq!(losses(&mut second, usize::MAX)?, course[7..]);

    let folder = dir.path().join("model");
    whole.model().save(&folder)?;
    let again = CustomModel::load(&folder, attentive()?)?;
    assert_eq!(query(&again)?, trained);
    let texts = ["where is the red car 5"];
    let vectors = |model: &CustomModel| Ok::<_, Error>(model.encode_texts(&texts)?.vectors.to_vec2::<f32>()?);
    assert_eq!(vectors(&again)?, vectors(whole.model())?);
    let other = CustomHead::new(|hidden| hidden.each(|states| Ok(states.mean(0)?)));
    let error = CustomModel::load(&folder, other).unwrap_err().to_string();
    assert!(error.contains("there is a tensor `head.query`"), "{error}");
    Ok(())
}

fn tokens() -> Result<()> {
    let data = words()?;
    let head = CustomHead::new(|hidden| {
        let rows = hidden.states.matmul(hidden.parameter("map")?)?;
        kensaku::loss::normalize(&rows)
    });
    let mut rng = Philox::new(1);
    let map: Vec<f32> = (0..32 * 8).map(|_| 0.2 * rng.normal() as f32).collect();
    let head = head.parameter("map", &Tensor::from_vec(map, (32, 8), &Device::Cpu)?)?;
    let model = on(&small(&data, 1)?, head)?;
    let rows = model.encode(&["the red car 5", "dog"], Role::Doc)?;
    assert_eq!((rows.vectors.dim(1)?, rows.bounds.len()), (8, 3));
    assert!(rows.bounds[2] > 4);
    assert_eq!(model.similarity(&rows, &rows)?.dims(), [2, 2]);
    let loss = MultipleNegativesRanking { scale: 1.0, ..Default::default() };
    let course = losses(&mut Trainer::new(model, loss, config())?, usize::MAX)?;
    assert!(course[29] < 0.7 * course[0], "{course:?}");
    Ok(())
}

fn checks() -> Result<()> {
    let data = words()?;
    let batch = |model: &CustomModel| {
        let trainer = Trainer::new(model.clone(), MultipleNegativesRanking::default(), config())?;
        trainer.batch(&data, &[0, 1, 2, 3])
    };
    let right = on(&small(&data, 1)?, attentive()?)?;
    let check = grad_check(&right, &MultipleNegativesRanking::default(), &batch(&right)?)?;
    assert!(check.passes(), "{check}");
    let text = check.to_string();
    assert!(text.contains("\nhidden states ") && text.contains("\nhead.query "), "{text}");

    // Half of the gradient is lost.
    let wrong = CustomHead::new(|hidden| {
        hidden.each(|states| Ok(((states.mean(0)? * 0.5)? + (states.mean(0)?.detach() * 0.5)?)?))
    });
    let wrong = on(&small(&data, 1)?, wrong)?;
    let check = grad_check(&wrong, &MultipleNegativesRanking::default(), &batch(&wrong)?)?;
    assert!(!check.passes() && check.largest() > 0.4, "{check}");

    let cut = on(&small(&data, 1)?, CustomHead::new(|hidden| hidden.each(|states| Ok(states.mean(0)?.detach()))))?;
    let checked = grad_check(&cut, &MultipleNegativesRanking::default(), &batch(&cut)?).unwrap_err();
    let trained = losses(&mut Trainer::new(cut, MultipleNegativesRanking::default(), config())?, 1).unwrap_err();
    for error in [checked, trained] {
        assert!(matches!(&error, Error::DetachedHead), "{error}");
    }
    Ok(())
}

fn refusals() -> Result<()> {
    let data = words()?;
    let model = small(&data, 1)?;
    let message = |head: CustomHead| on(&model, head).unwrap_err().to_string();
    let error = message(CustomHead::new(|hidden| Ok(hidden.states.mean_all()?)));
    assert!(error.contains("(2, dim), a vector for each text"), "{error}");
    let error = message(CustomHead::new(|hidden| Ok(hidden.states.matmul(hidden.parameter("map")?)?)));
    assert!(error.contains("`CustomHead::new(..).parameter(\"map\", &value)?`"), "{error}");
    let error = attentive()?.parameter("query", &Tensor::zeros(1, DType::F32, &Device::Cpu)?).unwrap_err().to_string();
    assert_eq!(error, "name = query: expected another name: the head has a parameter of this one");
    let scale = Var::ones(32, DType::F32, &Device::Cpu)?;
    let held = CustomHead::new(move |hidden| hidden.each(|states| Ok((states.mean(0)? * scale.as_tensor())?)));
    assert!(message(held).starts_with("the head uses a candle `Var` that nothing trains"));
    let error = message(CustomHead::new(|hidden| hidden.each(|states| Ok(states.clone()))));
    assert!(error.contains("the vector of a text: found shape [3, 32]; expected (dim,)"), "{error}");
    let unused = attentive()?.parameter("bias", &Tensor::zeros(1, DType::F32, &Device::Cpu)?)?;
    let mut trainer = Trainer::new(on(&model, unused)?, MultipleNegativesRanking::default(), config())?;
    let error = losses(&mut trainer, 1).unwrap_err().to_string();
    assert!(error.contains("`head.bias` got no gradient"), "{error}");
    Ok(())
}
