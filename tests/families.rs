//! A small model of every family, batches for it, and what their names have in common.

use kensaku::nn::{
    Activation, BertConfig, DebertaConfig, DistilBertConfig, Encoder, EncoderConfig, LayerType, ModernBertConfig,
    MpnetConfig, PackedBatch, RobertaConfig,
};
use kensaku::random::Philox;

/// A small model of every family, with real dropout rates and odd shapes.
pub fn families() -> Vec<(&'static str, EncoderConfig)> {
    let bert = BertConfig {
        vocab_size: 70,
        hidden_size: 36,
        num_attention_heads: 3,
        intermediate_size: 50,
        max_position_embeddings: 320,
        initializer_range: 0.2,
        ..Default::default()
    };
    let electra = BertConfig { model_type: "electra".to_owned(), embedding_size: Some(20), ..bert.clone() };
    let distilbert = DistilBertConfig {
        vocab_size: 70,
        dim: 36,
        n_heads: 3,
        hidden_dim: 50,
        max_position_embeddings: 320,
        initializer_range: 0.2,
        ..Default::default()
    };
    let deberta = DebertaConfig {
        vocab_size: 70,
        hidden_size: 36,
        num_attention_heads: 3,
        intermediate_size: 50,
        max_position_embeddings: 320,
        position_buckets: 16,
        initializer_range: 0.2,
        pooler_dropout: 0.1,
        ..Default::default()
    };
    let roberta = RobertaConfig {
        vocab_size: 70,
        hidden_size: 36,
        num_attention_heads: 3,
        intermediate_size: 50,
        max_position_embeddings: 324,
        initializer_range: 0.2,
        hidden_act: Activation::GeluTanh,
        ..Default::default()
    };
    let xlm_roberta = RobertaConfig { model_type: "xlm-roberta".to_owned(), pad_token_id: 3, ..roberta.clone() };
    let mpnet = MpnetConfig {
        vocab_size: 70,
        hidden_size: 36,
        num_attention_heads: 3,
        intermediate_size: 50,
        max_position_embeddings: 324,
        initializer_range: 0.2,
        ..Default::default()
    };
    let modernbert = ModernBertConfig {
        vocab_size: 70,
        hidden_size: 36,
        num_hidden_layers: 4,
        num_attention_heads: 3,
        intermediate_size: 50,
        max_position_embeddings: 320,
        local_attention: 12,
        initializer_range: 0.2,
        embedding_dropout: 0.1,
        attention_dropout: 0.1,
        mlp_dropout: 0.1,
        ..Default::default()
    };
    let biased = ModernBertConfig {
        norm_bias: true,
        attention_bias: true,
        mlp_bias: true,
        layer_types: Some(vec![LayerType::SlidingAttention, LayerType::FullAttention]),
        num_hidden_layers: 2,
        local_rope_theta: None,
        hidden_activation: Activation::GeluTanh,
        ..modernbert.clone()
    };
    vec![
        ("bert", bert.into()),
        ("deberta", deberta.into()),
        ("distilbert", distilbert.into()),
        ("electra", electra.into()),
        ("modernbert", modernbert.into()),
        ("modernbert_with_biases", biased.into()),
        ("mpnet", mpnet.into()),
        ("roberta", roberta.into()),
        ("xlm_roberta", xlm_roberta.into()),
    ]
}

/// A constant added to all keys of a row cancels in the softmax.
pub fn cancels(name: &str) -> bool {
    ["key.bias", "k_lin.bias", "attn.k.bias"].iter().any(|end| name.ends_with(end))
}

/// A name without what stands before it in a model with a head.
pub fn plain(name: &str) -> &str {
    let prefixes = ["bert.", "deberta.", "distilbert.", "electra.", "model.", "mpnet.", "roberta."];
    prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// A random model, a batch for it, and a gradient of its hidden states.
pub fn tiny(config: EncoderConfig) -> (Encoder, PackedBatch, Vec<f32>) {
    with_lengths(&LENGTHS, config)
}

/// Of sequences: one token, whole groups of a mask, and parts of them.
pub const LENGTHS: [usize; 5] = [1, 7, 50, 16, 2];

/// The same with sequences of these lengths.
pub fn with_lengths(lengths: &[usize], config: EncoderConfig) -> (Encoder, PackedBatch, Vec<f32>) {
    let width = config.hidden_size();
    let mut rng = Philox::new(11);
    let batch =
        PackedBatch::new(lengths.iter().map(|length| (0..*length).map(|_| rng.below(70) as u32).collect::<Vec<_>>()));
    let upstream = (0..batch.tokens() * width).map(|_| rng.normal() as f32).collect();
    (Encoder::new(config, 1).unwrap(), batch, upstream)
}
