//! The first notebook as an ordinary program: train the library's small model on Rust's documentation and compare it
//! with BM25 on held-out queries.
//!
//! `cargo run --release -p kensaku --example quickstart`

use std::time::Instant;

use kensaku::prelude::*;

fn main() -> Result<()> {
    let start = Instant::now();
    let data = rustdoc()?;
    let (train, test) = (data.split("train")?, data.split("test")?);
    println!("{data}\n{:.1?} to read", start.elapsed());

    let measures = ["nDCG@10", "RR@10", "R@100"];
    let bm25 = Bm25::new(&data.corpus, Bm25Params::default())?;
    let baseline = evaluate(&test.qrels, &bm25.search(&test.queries, 100)?, &measures)?;
    println!("BM25\n{baseline}");
    let triples = bm25_negatives(
        &train.queries,
        &train.qrels,
        &data.corpus,
        MineConfig { num_negatives: 1, ..Default::default() },
    )?;
    println!("{} triples, {:.1?}", triples.len(), start.elapsed());

    let model = BiEncoder::tiny()?.with_max_length(64)?;
    let score = |model: &BiEncoder| -> Result<Report> {
        let index = FlatIndex::new(model.encode_docs(&data.corpus)?, Similarity::Cosine)?;
        evaluate(&test.qrels, &index.search(&model.encode_queries(&test.queries)?, 100)?, &measures)
    };
    println!("before\n{}{:.1?}", score(&model)?, start.elapsed());

    let settings = TrainConfig { batch_size: 64, learning_rate: 5e-4, epochs: 1, ..Default::default() };
    let mut trainer = Trainer::new(model, MultipleNegativesRanking::default(), settings)?;
    for step in trainer.steps(&triples)? {
        let step = step?;
        if step.step % 20 == 1 {
            println!("{step}");
        }
    }
    println!("trained {:.1?}\n{}", start.elapsed(), score(trainer.model())?);
    println!("{:.1?}", start.elapsed());
    Ok(())
}
