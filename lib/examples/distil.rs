//! A teacher from another library: a BERT of candle-transformers, here with small random weights, and a bi-encoder that
//! learns its vectors.
//!
//! `cargo run --release -p kensaku --example distil`

use kensaku::candle_nn::{VarBuilder, VarMap};
use kensaku::candle_transformers::models::bert;
use kensaku::loss::MSE;
use kensaku::prelude::*;
use kensaku::random::Philox;

fn main() -> Result<()> {
    let (before, after) = distil()?;
    println!("squared distance from the teacher on unseen texts: {before:.4} before, {after:.4} after");
    Ok(())
}

/// The mean squared distance of the student's vectors from the teacher's on unseen texts, before and after.
pub fn distil() -> Result<(f64, f64)> {
    let texts = texts();
    let (unseen, seen) = texts.split_at(40);
    let tokenizer = Tokenizer::train_wordpiece(&texts, &WordPieceConfig { vocab_size: 120, ..Default::default() })?;
    let teacher = Teacher::new(tokenizer.clone())?;

    let encoder = BertConfig { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, ..Default::default() };
    let config = BiEncoderConfig { max_length: 32, normalize: false, ..Default::default() };
    let student = BiEncoder::new(encoder, tokenizer, config, 42)?;
    let distance = |student: &BiEncoder| -> Result<f64> {
        let (theirs, ours) = (teacher.encode(unseen)?, student.encode_texts(unseen)?);
        Ok(f64::from((theirs - ours)?.sqr()?.mean_all()?.to_scalar::<f32>()?))
    };
    let before = distance(&student)?;

    let data = TrainingSet::with_teacher(df!("text" => seen)?, |columns| teacher.encode(&columns[0]))?;
    let config = TrainConfig { batch_size: 16, epochs: 12, learning_rate: 5e-3, dropout: false, ..Default::default() };
    let mut trainer = Trainer::new(student, MSE, config)?;
    for step in trainer.steps(&data)? {
        step?;
    }
    Ok((before, distance(trainer.model())?))
}

/// Any model of candle-transformers that turns token ids into hidden states will do.
struct Teacher {
    bert: bert::BertModel,
    tokenizer: Tokenizer,
}

impl Teacher {
    fn new(tokenizer: Tokenizer) -> Result<Self> {
        let config = bert::Config {
            vocab_size: tokenizer.vocab_size(),
            hidden_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            intermediate_size: 64,
            max_position_embeddings: 64,
            ..Default::default()
        };
        let weights = VarMap::new();
        let bert = bert::BertModel::load(VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu), &config)?;
        // candle's generator has no seed on the processor.
        let mut rng = Philox::new(7);
        let weights = weights.data().lock().expect("no thread holds it");
        let mut names: Vec<_> = weights.iter().filter(|(_, var)| var.rank() == 2).collect();
        names.sort_by_key(|(name, _)| *name);
        for (_, var) in names {
            let numbers: Vec<f32> = (0..var.elem_count()).map(|_| 0.1 * rng.normal() as f32).collect();
            var.set(&Tensor::from_vec(numbers, var.shape(), &Device::Cpu)?)?;
        }
        Ok(Self { bert, tokenizer })
    }

    /// The mean of each text's hidden states `(n, 32)`.
    fn encode(&self, texts: &[&str]) -> Result<Tensor> {
        let encode = |ids: Vec<u32>| -> Result<Tensor> {
            let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
            Ok(self.bert.forward(&ids, &ids.zeros_like()?, None)?.mean(1)?.squeeze(0)?)
        };
        let vectors = self.tokenizer.encode_batch(texts, 32)?.into_iter().map(encode).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::stack(&vectors, 0)?)
    }
}

/// All of five words in an order without a pattern.
fn texts() -> Vec<&'static str> {
    let words = ["red", "blue", "old", "new", "car", "tree", "house", "dog", "stands", "runs", "there", "here"];
    let mut rng = Philox::new(3);
    let text = |_| (0..5).map(|_| words[rng.below(words.len())]).collect::<Vec<_>>().join(" ");
    (0..440).map(text).map(|text| &*text.leak()).collect()
}
