//! The cross-encoder: reranks BM25's best 100 from nDCG@10 0.683 to 0.687 with seed 42.

use std::collections::HashMap;

use anyhow::Result;
use kensaku::mine::Sampling;
use kensaku::prelude::*;

use crate::{SEED, Task};

/// Every n-th document also gives a claim.
const CLAIMS: usize = 2;

/// Starts from the bi-encoder that `bi` has saved, finds the positive among BM25's hits, and orders them as the bi-encoder does.
pub fn run(task: &Task) -> Result<()> {
    let Task { data, .. } = task;
    let (train, test) = (data.split("train")?, data.split("test")?);
    let bm25 = Bm25::new(&data.corpus, Bm25Params::default())?;
    let found = bm25.search(&test.queries, 100)?;
    task.report("BM25", &found)?;

    let mined = |queries: &Queries, qrels: &Qrels, seed: u64| -> Result<DataFrame> {
        let config =
            MineConfig { num_negatives: 5, range_max: 50, sampling: Sampling::Random, seed, ..Default::default() };
        let hits = bm25.search(queries, 100)?;
        Ok(hard_negatives(queries, qrels, &data.corpus, &hits, config)?.frame().clone())
    };
    let (claims, about) = conclusions(&data.corpus)?;
    let lists = mined(&train.queries, &train.qrels, SEED)?
        .vstack(&mined(&train.queries, &train.qrels, SEED + 1)?)?
        .vstack(&mined(&claims, &about, SEED)?)?;
    let teacher = BiEncoder::load(task.models.join("scifact-bi"))?.with_max_length(160)?;
    let lists = taught(&teacher, &data.corpus, lists)?;
    println!("{} lists, {:.0?}", lists.len(), task.begin.elapsed());

    let config = CrossEncoderConfig { max_length: 112, ..Default::default() };
    let model = CrossEncoder::on(teacher.encoder().clone(), teacher.tokenizer().clone(), 1, config, SEED)?;
    let config = TrainConfig {
        batch_size: 8,
        learning_rate: 1e-4,
        learning_rate_mapping: vec![("pooler|classifier".to_owned(), 5e-4)],
        freeze: vec!["embeddings".to_owned(), "layer\\.[01]\\.".to_owned()],
        dropout: false,
        seed: SEED,
        ..Default::default()
    };
    let loss = loss::custom(|batch| {
        let scores = batch.own_scores()?;
        let found = loss::cross_entropy(&scores, &batch.own()?)?;
        Ok((found + loss::kl_divergence(&scores, &(batch.labels()? * 20.0)?)?)?)
    });
    let model = task.train(model, loss, &lists, config)?;
    model.save(task.models.join("scifact-cross"))?;
    task.report("reranked", &model.rerank(&found, &test.queries, &data.corpus, 100)?)
}

/// The last sentences of abstracts as claims, each relevant to its own abstract: more training data. Documents are mostly cut
/// before their last sentence.
fn conclusions(corpus: &Corpus) -> Result<(Queries, Qrels)> {
    let (mut ids, mut claims, mut qrels) = (Vec::new(), Vec::new(), Qrels::new());
    for (id, text) in corpus.iter_ids().zip(corpus.iter_texts()).step_by(CLAIMS) {
        let Some((_, claim)) = text.trim_end().rsplit_once(". ") else { continue };
        if (40..240).contains(&claim.len()) {
            qrels.insert(id, id, 1);
            ids.push(id.to_owned());
            claims.push(claim.to_owned());
        }
    }
    Ok((Queries::new(df!("query_id" => ids, "text" => claims)?)?, qrels))
}

/// Lists with the bi-encoder's cosines as labels.
fn taught(teacher: &BiEncoder, corpus: &Corpus, lists: DataFrame) -> Result<TrainingSet> {
    let texts = corpus.texts();
    let docs = teacher.encode(&texts, Role::Doc)?;
    let numbers: HashMap<&str, u32> = texts.iter().map(String::as_str).zip(0..).collect();
    let set = TrainingSet::with_teacher(lists, |columns| {
        let queries = teacher.encode(&columns[0], Role::Query)?;
        let cosines = columns[1..].iter().map(|column| {
            let rows: Vec<u32> = column.iter().map(|text| numbers[text]).collect();
            pairwise_cosine(&queries, &docs.index_select(&Tensor::new(rows, &Device::Cpu)?, 0)?)
        });
        Ok(Tensor::stack(&cosines.collect::<kensaku::Result<Vec<_>>>()?, 1)?)
    })?;
    Ok(set)
}
