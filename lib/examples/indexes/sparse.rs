use anyhow::Result;
use kensaku::prelude::*;
use kensaku::random::Philox;
use kensaku::serde_json::json;

use crate::{searched, timed};

const WORDS: usize = 30_522;
/// Words of a document and of a query, as those of SPLADE models.
const DOC: usize = 120;
const QUERY: usize = 25;

/// Words with Zipf's distribution, and weights as `ln(1 + x)` of normal numbers gives them.
pub fn run(docs: usize) -> Result<()> {
    let mut rng = Philox::new(42);
    let (docs, queries) = (texts(docs, DOC, &mut rng)?, texts(1_000, QUERY, &mut rng)?);
    let (index, build_s) = timed(|| SparseIndex::new(&docs))?;
    println!("{}", json!({ "docs": docs.len(), "active": docs.vectors.active_dims(), "build_s": build_s }));
    for k in [10, 100, 1_000] {
        let (_, search_s) = searched(&index, &queries, k)?;
        println!("{}", json!({ "k": k, "queries_per_s": queries.len() as f64 / search_s }));
    }
    let some = SparseVectors::new(
        WORDS,
        queries.vectors.starts()[..21].to_vec(),
        queries.vectors.words()[..queries.vectors.starts()[20]].to_vec(),
        queries.vectors.weights()[..queries.vectors.starts()[20]].to_vec(),
    )?;
    let some = SparseEmbeddings::new(queries.ids[..20].to_vec(), some)?;
    let scores = some.vectors.dot(&docs.vectors)?;
    let (run, exact) = (index.search(&some, 100)?, Run::from_scores(&some.ids, &docs.ids, &scores, 100)?);
    let same = some.ids.iter().all(|query_id| run.hits(query_id).doc_ids().eq(exact.hits(query_id).doc_ids()));
    let folder = std::env::temp_dir().join(format!("kensaku-sparse-{}", std::process::id()));
    let (_, save_s) = timed(|| index.save(&folder))?;
    let (_, load_s) = timed(|| SparseIndex::load(&folder))?;
    std::fs::remove_file(&folder)?;
    println!("{}", json!({ "save_s": save_s, "load_s": load_s, "equals_all_products": same }));
    Ok(())
}

fn texts(count: usize, size: usize, rng: &mut Philox) -> Result<SparseEmbeddings> {
    let (mut starts, mut words, mut weights) = (vec![0], Vec::new(), Vec::new());
    for _ in 0..count {
        let mut own: Vec<u32> = (0..size).map(|_| (WORDS as f64).powf(rng.uniform()) as u32 - 1).collect();
        own.sort_unstable();
        own.dedup();
        weights.extend(own.iter().map(|_| (1.0 + rng.normal().abs()).ln() as f32));
        words.extend(own);
        starts.push(words.len());
    }
    let ids = (0..count).map(|row| format!("{row:07}")).collect();
    Ok(SparseEmbeddings::new(ids, SparseVectors::new(WORDS, starts, words, weights)?)?)
}
