//! What a step of SPLADE takes.

use kensaku::Result;
use kensaku::loss::SpladeLoss;
use kensaku::model::{Model, Splade, SpladeConfig};
use kensaku::nn::BertConfig;
use kensaku::random::Philox;
use kensaku::text::Tokenizer;
use kensaku::train::{TokenBatch, TrainConfig, Trainer};
use serde_json::{Value, json};

use super::counting::peak;
use crate::golden::{fixture, json as read};

/// BERT's vocabulary.
const VOCAB: usize = 30_522;
const GIB: usize = 1 << 30;

/// 32 texts of 128 tokens through the shape of MiniLM: the scores of all words at all tokens alone would be half a GiB, and
/// as much again in the backward pass.
pub(super) fn step() -> Result<()> {
    let encoder = BertConfig {
        hidden_size: 384,
        num_hidden_layers: 6,
        num_attention_heads: 12,
        intermediate_size: 1_536,
        max_position_embeddings: 512,
        ..Default::default()
    };
    let model = Splade::new(encoder, tokenizer()?, SpladeConfig { max_length: 128, ..Default::default() }, 1)?;
    assert_eq!(model.dim(), VOCAB);
    let mut rng = Philox::new(7);
    let mut column = || {
        let text = |_| (0..128).map(|_| rng.below(VOCAB) as u32).collect::<Vec<_>>();
        kensaku::nn::PackedBatch::new((0..16).map(text).collect::<Vec<_>>())
    };
    let batch = TokenBatch { columns: vec![column(), column()], ..Default::default() };
    // Gradients and both moments.
    let fixed = 3 * size_of::<f32>() * model.parameters().len();
    let (trained, taken) = peak(|| {
        let mut trainer = Trainer::new(model, SpladeLoss::default(), TrainConfig::default())?;
        Ok::<_, kensaku::Error>((trainer.step(&batch)?, trainer))
    });
    let (first, mut trainer) = trained?;
    let beyond = taken.saturating_sub(fixed);
    let (second, again) = peak(|| trainer.step(&batch));
    let mib = |bytes: usize| bytes >> 20;
    println!(
        "{} MiB beyond weights and optimiser, of which the arena has {}; another step {} MiB; {:.1} s and {:.1} s",
        mib(beyond),
        mib(trainer.arena_bytes()),
        mib(again),
        first.seconds,
        second?.seconds
    );
    assert!(beyond < GIB, "{beyond} bytes for {} tokens", first.tokens);
    Ok(())
}

/// That of a golden model with as many words as BERT's.
fn tokenizer() -> Result<Tokenizer> {
    let mut stored: Value = read(&fixture("models/st62_splade_max/tokenizer.json"));
    let vocab = stored["model"]["vocab"].as_object_mut().unwrap();
    for id in vocab.len()..VOCAB {
        vocab.insert(format!("word{id}"), json!(id));
    }
    Tokenizer::from_bytes(stored.to_string())
}
