//! Losses that see layers before the last: against sentence-transformers, and through the engine.

use candle_core::Var;
use kensaku::Result;
use kensaku::loss::{AdaptiveLayer, Batch, LayerWeighting, Loss, Matryoshka, MultipleNegativesRanking, custom};
use kensaku::model::{BiEncoder, BiEncoderConfig, Pooling};
use kensaku::nn::EncoderConfig;
use kensaku::train::{MicroBatch, TrainConfig, Trainer};
use serde_json::Value;

use super::golden::{compare, number};
use crate::golden::{Tensors, fixture, json, within};
use crate::shared::{Trials, test};
use crate::training::{config, small, words};

pub(super) fn trials() -> Trials {
    vec![
        test("losses::adaptive_layer_and_matryoshka_2d", golden),
        test("losses::layers_of_a_model_have_the_gradient_of_a_shorter_one", || shorter().unwrap()),
        test("losses::layers_are_drawn_and_refused", || drawn().unwrap()),
    ]
}

fn adaptive<L: Loss>(loss: L, params: &Value) -> AdaptiveLayer<L> {
    AdaptiveLayer {
        layers_per_step: None,
        last_layer_weight: number(params, "last_layer_weight", 1.0),
        prior_layers_weight: number(params, "prior_layers_weight", 1.0),
        kl_div_weight: number(params, "kl_div_weight", 1.0),
        kl_temperature: number(params, "kl_temperature", 0.3),
        layer_weighting: match params["layer_weighting"].as_str() {
            None | Some("uniform") => LayerWeighting::Uniform,
            Some("log") => LayerWeighting::Log,
            Some("linear") => LayerWeighting::Linear,
            Some(other) => panic!("{other}"),
        },
        ..AdaptiveLayer::new(loss)
    }
}

fn golden() {
    let dir = fixture("losses");
    let file = "dense_adaptive_layer_and_matryoshka_2d";
    let golden = json(&dir.join(format!("{file}.json")));
    let tensors = Tensors::read(&dir.join(format!("{file}.safetensors")));
    let cases = golden["cases"].as_array().unwrap();
    for case in cases {
        let names: Vec<&str> = case["inputs"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let inputs: Vec<(&str, Var)> =
            names.into_iter().map(|name| (name, Var::from_tensor(tensors.tensor(name)).unwrap())).collect();
        let columns = |layer: usize| {
            ["q", "p"]
                .map(|column| format!("in.{column}{layer}"))
                .map(|name| inputs.iter().find(|(known, _)| *known == name).unwrap().1.as_tensor().clone())
        };
        let last = inputs.len() / 2 - 1;
        let layers = (0..last).map(|layer| (layer, columns(layer).to_vec())).collect();
        let batch = Batch { layers, ..Batch::new(columns(last).to_vec()) };
        let (params, ranking) = (&case["params"], MultipleNegativesRanking::default());
        let loss: Box<dyn Loss> = match params["matryoshka_dims"].as_array() {
            None => Box::new(adaptive(ranking, params)),
            Some(dims) => {
                let dims: Vec<usize> = dims.iter().map(|dim| dim.as_u64().unwrap() as usize).collect();
                Box::new(adaptive(Matryoshka::new(ranking, dims), params))
            }
        };
        let inputs: Vec<(&str, &Var)> = inputs.iter().map(|(name, input)| (*name, input)).collect();
        compare(case, &tensors, &*loss, &batch, &inputs);
    }
    assert_eq!(cases.len(), 6);
}

/// What a loss of layer 1 alone does to a model of two layers, it does to the model of its first layer.
fn shorter() -> Result<()> {
    let data = words()?;
    for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Max] {
        let settings = |model: &BiEncoder| BiEncoderConfig { pooling: pooling.clone(), ..model.config().clone() };
        let deep = small(&data, 1)?;
        let deep = deep.clone().with_config(settings(&deep))?;
        let EncoderConfig::Bert(bert) = deep.encoder().config().clone() else { unreachable!("a BERT") };
        let bert = kensaku::nn::BertConfig { num_hidden_layers: 1, ..bert };
        let mut shallow = BiEncoder::new(bert, deep.tokenizer().clone(), settings(&deep), 2)?;
        for entry in shallow.encoder().parameters().entries().to_vec() {
            let values = deep.encoder().parameters().values(&entry.name)?.to_vec();
            shallow.encoder_mut().parameters_mut().values_mut(&entry.name)?.copy_from_slice(&values);
        }
        let config = TrainConfig { dropout: true, max_grad_norm: None, ..config() };
        let rows = [0, 1, 2, 3, 4, 5];
        let alone = AdaptiveLayer {
            layers_per_step: None,
            last_layer_weight: 0.0,
            kl_temperature: 0.0,
            ..AdaptiveLayer::new(MultipleNegativesRanking::default())
        };
        let mut trainer = Trainer::new(deep.clone(), OnLayer(alone, 1), config.clone())?;
        let step = trainer.step(&trainer.batch(&data, &rows)?)?;
        let mut expected = Trainer::new(shallow, MultipleNegativesRanking::default(), config)?;
        let wanted = expected.step(&expected.batch(&data, &rows)?)?;
        within(&format!("{pooling}: loss"), (step.loss - wanted.loss).abs(), 1e-5);
        let (deep, shallow) = (trainer.model().encoder().parameters(), expected.model().encoder().parameters());
        for entry in shallow.entries() {
            for (ours, theirs) in deep.grad(&entry.name)?.iter().zip(shallow.grad(&entry.name)?) {
                within(
                    &format!("{pooling}: {}", entry.name),
                    (ours - theirs).abs(),
                    1e-6 + 1e-4 * f64::from(theirs.abs()),
                );
            }
        }
        let above = deep.grad("encoder.layer.1.output.dense.weight")?;
        assert!(above.iter().all(|grad| grad.abs() < 1e-9), "nothing of the last layer takes part");
    }
    Ok(())
}

/// The loss of one layer before the last alone.
struct OnLayer(AdaptiveLayer<MultipleNegativesRanking>, usize);

impl Loss for OnLayer {
    fn loss(&self, batch: &Batch) -> Result<candle_core::Tensor> {
        let own = batch.layers.iter().find(|(layer, _)| *layer == self.1).map(|(_, columns)| columns.clone());
        // So little of the last layer that its parameters have a gradient, and nobody learns of it.
        let trace = (batch.columns[0].sum_all()? * 1e-12)?;
        let Some(columns) = own else { return Ok(trace) };
        Ok((self.0.loss.loss(&Batch { columns, layers: Vec::new(), ..batch.clone() })? + trace)?)
    }

    fn prior_layers(&self, layers: usize, rng: &mut kensaku::random::Philox) -> Result<Vec<usize>> {
        self.0.prior_layers(layers, rng)
    }
}

fn drawn() -> Result<()> {
    let data = words()?;
    let loss = || AdaptiveLayer::new(MultipleNegativesRanking::default());
    let mut trainer = Trainer::new(small(&data, 1)?, loss(), config())?;
    let mut seen = std::collections::BTreeSet::new();
    let (mut first, mut last) = (0.0, 0.0);
    for step in trainer.steps(&data)? {
        let step = step?;
        let names: Vec<&str> = step.terms.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names.len(), names[0], names[2]), (3, "last layer", "divergence"), "{names:?}");
        seen.insert(names[1].to_owned());
        (first, last) = if step.step == 1 { (step.loss, step.loss) } else { (first, step.loss) };
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["layer 0", "layer 1"]);
    assert!(last < 0.5 * first, "{first} to {last}");

    let parts = TrainConfig { micro_batch: Some(MicroBatch::Texts(4)), ..config() };
    let mut trainer = Trainer::new(small(&data, 1)?, loss(), parts)?;
    let error = trainer.steps(&data)?.next().unwrap().unwrap_err().to_string();
    assert!(error.starts_with("micro_batch = "), "{error}");
    let model = small(&data, 1)?;
    let head = kensaku::model::CustomHead::new(|hidden| hidden.each(|states| Ok(states.mean(0)?)));
    let own = kensaku::model::CustomModel::on(
        model.encoder().clone(),
        model.tokenizer().clone(),
        head,
        kensaku::model::CustomConfig { max_length: 32, ..Default::default() },
    )?;
    let error = Trainer::new(own, loss(), config())?.steps(&data)?.next().unwrap().unwrap_err().to_string();
    assert!(error.contains("a bi-encoder whose encoder has layers"), "{error}");
    // A closure sees none unless it asks.
    let blind = custom(|batch| {
        assert!(batch.layers.is_empty());
        kensaku::loss::cross_entropy(&batch.scores()?, &batch.own()?)
    });
    Trainer::new(small(&data, 1)?, blind, config())?.steps(&data)?.next().unwrap()?;
    Ok(())
}
