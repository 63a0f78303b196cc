//! Models of four architectures trained on SciFact's 809 training queries from all-MiniLM-L6-v2, and measured on its
//! 300 test queries.
//!
//! `KENSAKU_MINILM=folder KENSAKU_SHARED=folder cargo run --release -p kensaku --example scifact -- bi models`
//!
//! The first argument is `bi`, `cross` (after it), `colbert` or `splade`; the second the folder that models are saved to.

#[path = "../algebra/mod.rs"]
mod algebra;
mod bi;
mod colbert;
mod cross;
mod splade;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use kensaku::mine::Sampling;
use kensaku::model::Model;
use kensaku::nn::{Activations, Encoder, PackedBatch};
use kensaku::prelude::*;

const SEED: u64 = 42;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, models] = &arguments[..] else { bail!("expected: scifact bi|cross|colbert|splade FOLDER") };
    let variable = |name, default: &str| PathBuf::from(std::env::var(name).unwrap_or_else(|_| default.to_owned()));
    let task = Task {
        data: read::beir(variable("KENSAKU_SHARED", "../shared").join("data/scifact"))?,
        minilm: variable("KENSAKU_MINILM", "all-MiniLM-L6-v2"),
        models: PathBuf::from(models),
        begin: Instant::now(),
    };
    match what.as_str() {
        "bi" => bi::run(&task),
        "cross" => cross::run(&task),
        "colbert" => colbert::run(&task),
        "splade" => splade::run(&task),
        _ => bail!("`{what}`: expected bi, cross, colbert or splade"),
    }
}

/// What all have in common.
struct Task {
    data: Dataset,
    minilm: PathBuf,
    models: PathBuf,
    begin: Instant,
}

impl Task {
    /// The training queries with a positive and a negative from BM25's best 20.
    fn triples(&self) -> Result<TrainingSet> {
        let train = self.data.split("train")?;
        let mine = MineConfig { range_max: 20, sampling: Sampling::Random, seed: SEED, ..Default::default() };
        Ok(bm25_negatives(&train.queries, &train.qrels, &self.data.corpus, mine)?)
    }

    /// Trains, and says every tenth step.
    fn train<M: Model>(
        &self,
        model: M,
        loss: impl Loss + 'static,
        data: &TrainingSet,
        config: TrainConfig,
    ) -> Result<M> {
        let mut trainer = Trainer::new(model, loss, config)?;
        for step in trainer.steps(data)? {
            let step = step?;
            if step.step % 10 == 0 {
                println!("{step}, {:.0?}", self.begin.elapsed());
            }
        }
        Ok(trainer.into_model())
    }

    /// Says how good a run of the test queries is.
    fn report(&self, what: &str, run: &Run) -> Result<()> {
        let means = evaluate(&self.data.split("test")?.qrels, run, &["nDCG@10", "R@100"])?;
        let (ndcg, recall) = (means.mean("nDCG@10")?, means.mean("R@100")?);
        println!("{what}: nDCG@10 {ndcg:.4}, R@100 {recall:.4}, seed {SEED}, {:.0?}", self.begin.elapsed());
        Ok(())
    }
}

/// The hidden states of all tokens `(tokens, H)`.
fn hidden_states(encoder: &Encoder, ids: &[Vec<u32>]) -> Result<Tensor> {
    let mut activations = Activations::inference();
    let mut states = Vec::new();
    for ids in ids.chunks(16) {
        let batch = PackedBatch::new(ids);
        encoder.forward(&batch, &mut activations)?;
        let shape = (batch.tokens(), encoder.config().hidden_size());
        states.push(Tensor::from_slice(activations.hidden(), shape, &Device::Cpu)?);
    }
    Ok(Tensor::cat(&states, 0)?)
}
