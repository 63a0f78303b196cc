//! The engine with less memory, and in int8: what stays the same, and how near the rest is.

use kensaku::nn::{
    Activations, BertConfig, Dropout, Encoder, EncoderConfig, Memory, ModernBertConfig, MpnetConfig, PackedBatch,
    Storage,
};
use kensaku::random::Philox;

use super::counting::allocated;
use crate::families::cancels;
use crate::golden::{cosine, relative_distance, within};

/// Rounding to 8 significant bits moves a number by up to 2^-9 of itself.
const ROUNDED: f64 = 1e-2;

/// Norms behind the sums, norms first with a gate, and relative positions.
pub(super) fn families() -> [(&'static str, EncoderConfig); 3] {
    let (vocab_size, hidden_size, num_attention_heads, num_hidden_layers) = (70, 48, 3, 4);
    let bert = BertConfig {
        vocab_size,
        hidden_size,
        num_attention_heads,
        num_hidden_layers,
        intermediate_size: 90,
        initializer_range: 0.2,
        ..Default::default()
    };
    let modernbert = ModernBertConfig {
        vocab_size,
        hidden_size,
        num_attention_heads,
        num_hidden_layers,
        intermediate_size: 80,
        initializer_range: 0.2,
        mlp_dropout: 0.1,
        attention_dropout: 0.1,
        ..Default::default()
    };
    let mpnet = MpnetConfig {
        vocab_size,
        hidden_size,
        num_attention_heads,
        num_hidden_layers,
        intermediate_size: 90,
        initializer_range: 0.2,
        ..Default::default()
    };
    [("bert", bert.into()), ("modernbert", modernbert.into()), ("mpnet", mpnet.into())]
}

fn batch() -> PackedBatch {
    let mut rng = Philox::new(11);
    let lengths = [9, 40, 1, 23];
    PackedBatch::new(lengths.map(|length| (0..length).map(|_| 2 + rng.below(68) as u32).collect::<Vec<_>>()))
}

/// What a pass leaves.
struct Pass {
    hidden: Vec<f32>,
    grads: Vec<(String, Vec<f32>)>,
    bytes: usize,
}

fn pass(config: &EncoderConfig, memory: Memory, dropout: bool) -> Pass {
    let mut encoder = Encoder::new(config.clone(), 1).unwrap();
    let (batch, mut activations) = (batch(), Activations::with(memory));
    activations.set_dropout(dropout.then_some(Dropout { seed: 5, step: 3, first_token: 0 }));
    encoder.forward(&batch, &mut activations).unwrap();
    let hidden = activations.hidden().to_vec();
    let mut rng = Philox::new(12);
    let upstream: Vec<f32> = hidden.iter().map(|_| rng.normal() as f32).collect();
    encoder.backward(&batch, &mut activations, &upstream).unwrap();
    let parameters = encoder.parameters();
    let grad = |name: &str| (name.to_owned(), parameters.grad(name).unwrap());
    let grads = parameters.entries().iter().map(|entry| grad(&entry.name)).collect();
    Pass { hidden, grads, bytes: activations.bytes() }
}

pub(super) fn checkpointing(config: &EncoderConfig) {
    let whole = pass(config, Memory::default(), true);
    let again = pass(config, Memory { checkpointing: true, ..Default::default() }, true);
    assert_eq!(whole.hidden, again.hidden);
    for ((name, grad), (_, again)) in whole.grads.iter().zip(&again.grads) {
        assert_eq!(grad, again, "{name}");
    }
    assert!(again.bytes < whole.bytes, "{} bytes instead of {}", again.bytes, whole.bytes);
}

pub(super) fn bf16(config: &EncoderConfig) {
    let exact = pass(config, Memory::default(), false);
    let near = pass(config, Memory { storage: Storage::Bf16, ..Default::default() }, false);
    let distance = relative_distance(&near.hidden, &exact.hidden);
    assert!(distance > 0.0, "nothing was rounded");
    within("hidden states", distance, ROUNDED);
    for ((name, grad), (_, near)) in exact.grads.iter().zip(&near.grads) {
        // Rounded in each of four layers. That of a bias of keys is zero but for rounding.
        if !cancels(name) {
            within(name, relative_distance(near, grad), 3.0 * ROUNDED);
        }
    }
    assert!(near.bytes < exact.bytes, "{} bytes instead of {}", near.bytes, exact.bytes);
}

/// The cosine of every token's hidden state with that in f32.
pub(super) fn int8(config: &EncoderConfig) {
    let encoder = Encoder::new(config.clone(), 1).unwrap();
    let (batch, mut activations) = (batch(), Activations::inference());
    encoder.forward(&batch, &mut activations).unwrap();
    let exact = activations.hidden().to_vec();
    encoder.forward_int8(&batch, &mut activations, &encoder.quantize()).unwrap();
    let width = config.hidden_size();
    let mut moved = false;
    for (exact, near) in exact.chunks_exact(width).zip(activations.hidden().chunks_exact(width)) {
        let cosine = cosine(exact, near);
        assert!(cosine > 0.99, "cosine {cosine}");
        moved |= exact != near;
    }
    assert!(moved, "nothing was quantised");
}

/// Passes behind the first take all large memory from the arena: what is left are sums of columns and lists of tasks.
pub(super) fn steady(config: &EncoderConfig) {
    let mut encoder = Encoder::new(config.clone(), 1).unwrap();
    let batch = PackedBatch::new(vec![vec![5_u32; 200]; 20]);
    let mut activations = Activations::training();
    let mut passes = |step: u32| {
        let before = allocated();
        activations.set_dropout(Some(Dropout { seed: 5, step, first_token: 0 }));
        encoder.forward(&batch, &mut activations).unwrap();
        let upstream = vec![1e-3; activations.hidden().len()];
        encoder.backward(&batch, &mut activations, &upstream).unwrap();
        (allocated() - before, activations.bytes())
    };
    let (first, arena) = passes(1);
    assert!(first > arena * 9 / 10, "{first} bytes for an arena of {arena}");
    for step in 2..5 {
        let (again, same) = passes(step);
        println!("{again} bytes beside an arena of {same}");
        assert_eq!(same, arena);
        assert!(again < arena / 20, "{again} bytes beside an arena of {arena}");
    }
}
