//! Gradients of adapters against candle's of the merged weights, and against differences.

use candle_core::{DType, Tensor};

use super::*;
use crate::nn::reference::Reference;
use crate::nn::{
    Activations, BertConfig, DebertaConfig, EncoderConfig, Memory, ModernBertConfig, MpnetConfig, PackedBatch,
};

fn families() -> Vec<EncoderConfig> {
    let bert = BertConfig {
        vocab_size: 70,
        hidden_size: 24,
        num_attention_heads: 3,
        intermediate_size: 50,
        initializer_range: 0.2,
        ..Default::default()
    };
    let modernbert = ModernBertConfig {
        vocab_size: 70,
        hidden_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        intermediate_size: 50,
        local_attention: 6,
        initializer_range: 0.2,
        ..Default::default()
    };
    let mpnet = MpnetConfig {
        vocab_size: 70,
        hidden_size: 24,
        num_attention_heads: 3,
        intermediate_size: 50,
        initializer_range: 0.2,
        ..Default::default()
    };
    let deberta = DebertaConfig {
        vocab_size: 70,
        hidden_size: 24,
        num_attention_heads: 3,
        intermediate_size: 50,
        position_buckets: 8,
        initializer_range: 0.2,
        ..Default::default()
    };
    vec![bert.into(), modernbert.into(), mpnet.into(), deberta.into()]
}

/// An encoder whose adapters are not 0, a batch, and a gradient of its hidden states.
fn adapted(config: EncoderConfig, settings: Lora) -> (Encoder, PackedBatch, Vec<f32>) {
    let mut rng = Philox::new(11);
    let lengths = [1, 7, 30, 2];
    let ids = lengths.map(|length| (0..length).map(|_| rng.below(70) as u32).collect::<Vec<_>>());
    let batch = PackedBatch::new(ids);
    let mut encoder = Encoder::new(config, 1).unwrap();
    encoder.add_lora(&settings, false).unwrap();
    encoder.parameters.values.fill_with(|| 0.2 * rng.normal() as f32);
    let upstream = (0..batch.tokens() * encoder.spec.width).map(|_| rng.normal() as f32).collect();
    (encoder, batch, upstream)
}

fn settings() -> Lora {
    Lora { rank: 3, alpha: 4.5, ..Default::default() }
}

/// The norm of the difference over that of the second.
fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(theirs).map(|(ours, theirs)| ours - theirs));
    difference / norm(&mut theirs.iter().copied()).max(1e-12)
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// `dB = s dW Aᵀ` and `dA = s Bᵀ dW`, with candle's `dW` of the same model in plain ops.
#[test]
fn gradients_are_those_of_the_merged_weights() {
    for config in families() {
        let (mut encoder, batch, upstream) = adapted(config.clone(), settings());
        let reference = Reference::new(&encoder).unwrap();
        let hidden = reference.forward(&batch, None).unwrap();
        let weights = Tensor::from_slice(&upstream, hidden.shape(), hidden.device()).unwrap();
        let grads = (&hidden * weights).unwrap().sum_all().unwrap().backward().unwrap();

        let mut activations = Activations::training();
        encoder.forward(&batch, &mut activations).unwrap();
        assert!(distance(activations.hidden(), &flat(&hidden)) < 1e-5, "{config:?}");
        encoder.backward(&batch, &mut activations, &upstream).unwrap();
        let adapters = encoder.lora.clone().unwrap();
        let table = encoder.parameters();
        let tensor = |name: String| table.tensor(&name).unwrap();
        let mut seen = 0;
        for adapter in adapters.layers.iter().flatten().flatten() {
            let name = format!("{}.weight", adapter.module);
            let (_, variable) = reference.parameters().iter().find(|(own, _)| *own == name).unwrap();
            let d_weight = (grads.get(variable).unwrap() * 1.5).unwrap();
            let (a, b) = (tensor(format!("{}{A}", adapter.module)), tensor(format!("{}{B}", adapter.module)));
            let d_b = flat(&d_weight.matmul(&a.t().unwrap()).unwrap());
            let d_a = flat(&b.t().unwrap().matmul(&d_weight).unwrap());
            for (ours, theirs) in [(&adapter.a, d_a), (&adapter.b, d_b)] {
                let off = distance(&table.grads[ours.clone()], &theirs);
                assert!(off < 1e-5, "{name}: {off:e} ({config:?})");
            }
            seen += 1;
        }
        assert_eq!(table.entries().len(), 2 * seen);
        assert_eq!(table.grads.len(), table.len());
    }
}

/// With dropout of their inputs, of all else, and with checkpointing: along a random direction, in f32.
#[test]
fn gradients_are_slopes_with_dropout() {
    for config in families() {
        let (mut encoder, batch, upstream) = adapted(config.clone(), Lora { dropout: 0.3, ..settings() });
        let dropout = Some(Dropout { seed: 5, step: 2, first_token: 0 });
        let mut activations = Activations::training();
        activations.set_dropout(dropout);
        let mut value = |encoder: &Encoder| {
            encoder.forward(&batch, &mut activations).unwrap();
            let products = activations.hidden().iter().zip(&upstream).map(|(h, d)| f64::from(*h) * f64::from(*d));
            products.sum::<f64>()
        };
        let mut rng = Philox::new(3);
        let direction: Vec<f32> = (0..encoder.parameters().len()).map(|_| rng.normal() as f32).collect();
        let moved = |step: f32| {
            let mut moved = encoder.clone();
            moved.parameters.values.iter_mut().zip(&direction).for_each(|(value, d)| *value += step * d);
            moved
        };
        let step = 2e-4;
        let slope = (value(&moved(step)) - value(&moved(-step))) / f64::from(2.0 * step);
        let mut grads = Vec::new();
        for checkpointing in [false, true] {
            let mut activations = Activations::with(Memory { checkpointing, ..Default::default() });
            activations.set_dropout(dropout);
            encoder.parameters.zero_grads();
            encoder.forward(&batch, &mut activations).unwrap();
            encoder.backward(&batch, &mut activations, &upstream).unwrap();
            grads.push(encoder.parameters.grads.clone());
        }
        assert_eq!(grads[0], grads[1], "{config:?}");
        let expected: f64 = grads[0].iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        let size = grads[0].iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        assert!((slope - expected).abs() < 5e-3 * size, "{slope} {expected} {size} ({config:?})");
    }
}

#[test]
fn merged_it_computes_the_same() {
    for config in families() {
        let (encoder, batch, _) = adapted(config, settings());
        let hidden = |encoder: &Encoder, first: bool| {
            let mut activations = Activations::inference();
            match first {
                true => encoder.forward_first(&batch, &mut activations).unwrap(),
                false => encoder.forward(&batch, &mut activations).unwrap(),
            }
            activations.hidden().to_vec()
        };
        let merged = encoder.merged().into_owned();
        assert_eq!(merged.parameters().frozen(), 0);
        assert_eq!(merged.parameters().len(), encoder.parameters().frozen());
        for first in [false, true] {
            let (ours, theirs) = (hidden(&encoder, first), hidden(&merged, first));
            let off = ours.iter().zip(&theirs).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
            assert!(off < 1e-5, "{off}");
        }
        let int8 = |encoder: &Encoder| {
            let mut activations = Activations::inference();
            encoder.forward_int8(&batch, &mut activations, &encoder.quantize()).unwrap();
            activations.hidden().to_vec()
        };
        let off =
            int8(&encoder).iter().zip(int8(&merged)).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max);
        assert!(off < 1e-5, "{off}");
    }
}

/// At first nothing is added; layers below the lowest adapter keep nothing for a backward pass.
#[test]
fn it_begins_as_it_was() {
    let batch = PackedBatch::new([vec![1_u32; 9]]);
    let [config, ..] = &families()[..] else { panic!() };
    let plain = Encoder::new(config.clone(), 1).unwrap();
    let mut encoder = plain.clone();
    encoder.add_lora(&Lora { targets: r"layer\.1\..*value".into(), ..settings() }, false).unwrap();
    let names: Vec<&str> = encoder.parameters().entries().iter().map(|entry| entry.name.as_str()).collect();
    let module = "encoder.layer.1.attention.self.value";
    assert_eq!(names, [format!("{module}{A}"), format!("{module}{B}")]);
    assert!(encoder.cancels(&format!("{module}{A}")) && !encoder.cancels(&format!("{module}{B}")));
    let run = |encoder: &Encoder| {
        let mut activations = Activations::training();
        encoder.forward(&batch, &mut activations).unwrap();
        (activations.hidden().to_vec(), activations.lowest)
    };
    assert_eq!((run(&plain), run(&encoder).1), ((run(&encoder).0, 0), 1));
    assert!(format!("{encoder:?}").contains("LoRA of rank 3"), "{encoder:?}");
    encoder.merge_lora();
    assert_eq!(encoder.parameters.values, plain.parameters.values);
    assert_eq!(encoder.parameters().entries(), plain.parameters().entries());
}

#[test]
fn wrong_settings_are_named() {
    let [config, ..] = &families()[..] else { panic!() };
    let message =
        |settings: Lora| Encoder::new(config.clone(), 1).unwrap().add_lora(&settings, false).unwrap_err().to_string();
    assert_eq!(message(Lora { rank: 0, ..settings() }), "rank = 0: expected at least 1");
    assert_eq!(message(Lora { alpha: -1.0, ..settings() }), "alpha = -1: expected above 0");
    assert_eq!(message(Lora { dropout: 1.0, ..settings() }), "dropout = 1: expected 0 or more and below 1");
    let found = message(Lora { targets: "pooler".into(), ..settings() });
    let expected =
        "a pattern that matches weights of the layers, such as `encoder.layer.0.attention.self.query.weight`";
    assert_eq!(found, format!("targets = `pooler`: expected {expected}"));
    assert!(message(Lora { targets: "(".into(), ..settings() }).contains("a regular expression"));
    let mut encoder = Encoder::new(config.clone(), 1).unwrap();
    encoder.add_lora(&settings(), false).unwrap();
    assert!(encoder.add_lora(&settings(), false).unwrap_err().to_string().contains("merge_lora"));
}
