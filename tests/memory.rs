//! The engine with less memory, and in int8: what stays the same, and how near the rest is.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kensaku::Result;
use kensaku::data::{Texts, TrainingSet};
use kensaku::loss::MultipleNegativesRanking;
use kensaku::model::BiEncoder;
use kensaku::nn::{
    Activations, BertConfig, Dropout, Encoder, EncoderConfig, Memory, ModernBertConfig, MpnetConfig, PackedBatch,
    Storage,
};
use kensaku::random::Philox;
use kensaku::train::{CheckpointConfig, TrainConfig, Trainer};

use crate::families::cancels;
use crate::golden::{cosine, relative_distance, within};
use crate::shared::{Trials, test};
use crate::training::{small, words};

/// Counts what the whole process allocates.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: by the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        // SAFETY: by the caller's word. The system's zeros take no memory before they are touched.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by the caller's word.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Rounding to 8 significant bits moves a number by up to 2^-9 of itself.
const ROUNDED: f64 = 1e-2;

pub fn trials() -> Trials {
    let mut trials = vec![
        test("memory::batches_and_steps_copy_no_texts", || shared_texts().unwrap()),
        test("memory::frozen_parameters_have_no_gradients_and_moments", || frozen().unwrap()),
    ];
    for (name, config) in families() {
        let (again, rounded, bytes, wide) = (config.clone(), config.clone(), config.clone(), config);
        trials.push(test(&format!("memory::{name}_is_computed_again_bit_for_bit"), move || checkpointing(&again)));
        trials.push(test(&format!("memory::{name}_in_bf16_is_near"), move || bf16(&rounded)));
        trials.push(test(&format!("memory::{name}_in_int8_is_near"), move || int8(&bytes)));
        trials.push(test(&format!("memory::{name}_steady_steps_allocate_no_buffer"), move || steady(&wide)));
    }
    trials
}

/// Norms behind the sums, norms first with a gate, and relative positions.
fn families() -> [(&'static str, EncoderConfig); 3] {
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

fn checkpointing(config: &EncoderConfig) {
    let whole = pass(config, Memory::default(), true);
    let again = pass(config, Memory { checkpointing: true, ..Default::default() }, true);
    assert_eq!(whole.hidden, again.hidden);
    for ((name, grad), (_, again)) in whole.grads.iter().zip(&again.grads) {
        assert_eq!(grad, again, "{name}");
    }
    assert!(again.bytes < whole.bytes, "{} bytes instead of {}", again.bytes, whole.bytes);
}

fn bf16(config: &EncoderConfig) {
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
fn int8(config: &EncoderConfig) {
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
fn steady(config: &EncoderConfig) {
    let mut encoder = Encoder::new(config.clone(), 1).unwrap();
    let batch = PackedBatch::new(vec![vec![5_u32; 200]; 20]);
    let mut activations = Activations::training();
    let mut passes = |step: u32| {
        let before = ALLOCATED.load(Relaxed);
        activations.set_dropout(Some(Dropout { seed: 5, step, first_token: 0 }));
        encoder.forward(&batch, &mut activations).unwrap();
        let upstream = vec![1e-3; activations.hidden().len()];
        encoder.backward(&batch, &mut activations, &upstream).unwrap();
        (ALLOCATED.load(Relaxed) - before, activations.bytes())
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

/// A table of 100 MB that is not trained: a step takes memory for the rest alone, and so does a checkpoint.
fn frozen() -> Result<()> {
    let data = words()?;
    let model = small(&data, 1)?;
    let EncoderConfig::Bert(config) = model.encoder().config().clone() else { panic!("not BERT") };
    let config = BertConfig { max_position_embeddings: 800_000, ..config };
    let model = BiEncoder::new(config, model.tokenizer().clone(), model.config().clone(), 1)?;
    let table = size_of_val(model.encoder().parameters().values("embeddings.position_embeddings.weight")?);
    let folder = tempfile::tempdir().unwrap();
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    };
    let before = resident();
    let train = TrainConfig {
        freeze: vec!["position_embeddings".to_owned()],
        checkpoint: Some(CheckpointConfig { dir: folder.path().to_owned(), every: 100, keep: 1 }),
        ..crate::training::config()
    };
    let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), train)?;
    for step in trainer.steps(&data)?.take(3) {
        step?;
    }
    let taken = resident().saturating_sub(before);
    assert!(taken < table / 2, "{taken} bytes beside a table of {table}");
    // Trained embeddings have them.
    let words = trainer.model().encoder().parameters().grad("embeddings.word_embeddings.weight")?;
    assert!(words.iter().any(|grad| *grad != 0.0));
    let path = trainer.checkpoint()?;
    assert!(std::fs::metadata(path.join("optimizer.safetensors")).unwrap().len() < table as u64 / 2);
    Ok(())
}

/// Of 8 MB of texts, a batch takes its own, and the plan of an epoch some bytes per text.
fn shared_texts() -> Result<()> {
    let texts =
        |first: usize| (first..first + 20_000).map(|n| format!("{n} {}", "red ".repeat(50))).collect::<Vec<_>>();
    let data = TrainingSet::new(polars::df!("query" => texts(0), "positive" => texts(20_000))?)?;
    let all: usize = data.columns().iter().flat_map(Texts::iter).map(str::len).sum();
    let mut trainer =
        Trainer::new(small(&words()?, 1)?, MultipleNegativesRanking::default(), crate::training::config())?;
    let batch = trainer.batch(&data, &(0..12).collect::<Vec<_>>())?;
    trainer.step(&batch)?;
    let before = ALLOCATED.load(Relaxed);
    trainer.batch(&data, &[7])?;
    let one = ALLOCATED.load(Relaxed) - before;
    assert!(one < all / 20, "{one} bytes for one row of {all}");
    let before = ALLOCATED.load(Relaxed);
    trainer.steps(&data)?.next().unwrap()?;
    let start = ALLOCATED.load(Relaxed) - before;
    assert!(start < all, "{start} bytes to start on {all}");
    Ok(())
}
