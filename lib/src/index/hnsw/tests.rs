use candle_core::{Device, Tensor};
use proptest::prelude::*;

use super::*;
use crate::index::FlatIndex;
use crate::index::file::assert_damage_is_refused;
use crate::random::Philox;

/// Vectors around centres, as those of texts are, with ids whose order is not that of the rows.
fn clustered(count: usize, width: usize, centres: usize, seed: u64) -> Embeddings {
    let mut normal = Philox::new(1);
    let centres: Vec<f32> = (0..centres * width).map(|_| normal.normal() as f32).collect();
    let mut rng = Philox::new(seed);
    let row = |_| {
        let centre = &centres[rng.below(centres.len() / width) * width..][..width];
        centre.iter().map(|value| value + 0.6 * rng.normal() as f32).collect::<Vec<_>>()
    };
    let values: Vec<f32> = (0..count).flat_map(row).collect();
    of(values, count, width)
}

fn of(values: Vec<f32>, count: usize, width: usize) -> Embeddings {
    let ids = (0..count).rev().map(|row| format!("e{row}")).collect();
    Embeddings::new(ids, Tensor::from_vec(values, (count, width), &Device::Cpu).unwrap()).unwrap()
}

/// The share of the best documents that are found; those that are have the scores of an exact search.
fn recall(docs: &Embeddings, queries: &Embeddings, config: HnswConfig, k: usize) -> f64 {
    let exact = FlatIndex::new(docs.clone(), config.similarity).unwrap().search(queries, docs.len()).unwrap();
    let run = HnswIndex::new(docs, config).unwrap().search(queries, k).unwrap();
    let mut found = 0;
    for query_id in &queries.ids {
        let best: Vec<&str> = exact.hits(query_id).doc_ids().take(k).collect();
        assert_eq!(run.hits(query_id).len(), k.min(docs.len()));
        for hit in run.hits(query_id) {
            let own = exact.hits(query_id).iter().find(|exact| exact.doc_id == hit.doc_id).unwrap();
            assert!((own.score - hit.score).abs() < 1e-3 * own.score.abs().max(1.0), "{} {}", own.score, hit.score);
            found += usize::from(best.contains(&hit.doc_id));
        }
    }
    found as f64 / (k.min(docs.len()) * queries.len()) as f64
}

proptest! {
    /// A search that keeps everything finds everything: all documents can be reached. Whole numbers, so that many vectors and many
    /// scores are equal.
    #[test]
    fn few_vectors_are_searched_exactly(
        (count, width) in (1..150_usize, 1..9_usize),
        similarity in prop_oneof![Just(Similarity::Dot), Just(Similarity::Euclidean), Just(Similarity::Manhattan)],
        m in 2..40_usize,
        k in 0..200_usize,
        seed in any::<u64>(),
    ) {
        let mut rng = Philox::new(seed);
        let mut numbers = |count: usize| -> Vec<f32> { (0..count).map(|_| (rng.uniform() * 5.0).floor() as f32 - 2.0).collect() };
        let (docs, queries) = (of(numbers(count * width), count, width), of(numbers(4 * width), 4, width));
        let config = HnswConfig { m, ef_search: 1_000, seed, ..similarity.into() };
        let index = HnswIndex::new(&docs, config).unwrap();
        let run = index.search(&queries, k).unwrap();
        let exact = FlatIndex::new(docs, similarity).unwrap().search(&queries, k).unwrap();
        prop_assert!(run.iter().all(|(_, hits)| hits.scores().is_sorted_by(|a, b| a >= b)));
        if 2 * m >= count {
            // Everything is everything's neighbour.
            prop_assert_eq!(run, exact);
        }
    }
}

#[test]
fn most_of_what_is_best_is_found() {
    let (docs, queries) = (clustered(3_000, 24, 60, 2), clustered(50, 24, 60, 3));
    for similarity in [Similarity::Cosine, Similarity::Dot, Similarity::Euclidean, Similarity::Manhattan] {
        let found = recall(&docs, &queries, HnswConfig { m: 16, ..similarity.into() }, 10);
        assert!(found > 0.97, "{similarity:?}: {found}");
    }
    let with = |ef_search| recall(&docs, &queries, HnswConfig { m: 8, ef_search, ..HnswConfig::default() }, 10);
    let found = [10, 40, 400].map(with);
    assert!(found.is_sorted() && found[2] > 0.98, "{found:?}");
}

#[test]
fn threads_change_nothing() {
    let docs = clustered(2_000, 8, 30, 4);
    let graph = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let config = HnswConfig { m: 6, ef_construction: 40, seed, ..HnswConfig::default() };
        pool.install(|| HnswIndex::new(&docs, config).unwrap().graph)
    };
    let one = graph(1, 1);
    assert!(one == graph(3, 1) && one != graph(1, 2));
    assert!(one.problem(2_000).is_none() && one.levels.contains(&1));
}

#[test]
fn vectors_that_are_all_the_same() {
    let docs = of(vec![1.0; 1_500 * 4], 1_500, 4);
    for similarity in [Similarity::Cosine, Similarity::Euclidean] {
        let run = HnswIndex::new(&docs, HnswConfig { m: 4, ..similarity.into() }).unwrap().search(&docs, 20).unwrap();
        assert!(run.iter().all(|(_, hits)| hits.len() == 20));
    }
}

#[test]
fn what_cannot_be_searched_is_named() {
    let good = clustered(3, 4, 2, 1);
    for similarity in [Similarity::Cosine, Similarity::Dot, Similarity::Euclidean, Similarity::Manhattan] {
        for odd in [f32::NAN, f32::INFINITY, 1e20] {
            let mut values = good.vectors.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            values[9] = odd;
            let bad = of(values, 3, 4);
            let message = HnswIndex::new(&bad, similarity).unwrap_err().to_string();
            assert!(message.starts_with("the vector of document `e0` is not finite"), "{message}");
            let message = HnswIndex::new(&good, similarity).unwrap().search(&bad, 1).unwrap_err().to_string();
            assert!(message.starts_with("the vector of query `e0` is not finite"), "{message}");
        }
    }
    let index = HnswIndex::new(&good, Similarity::Dot).unwrap();
    let message = index.search(&clustered(3, 5, 2, 1), 1).unwrap_err().to_string();
    assert!(message.contains("(n, 4) as the documents have"), "{message}");
    let message = HnswIndex::new(&good, HnswConfig { m: 1, ..HnswConfig::default() }).unwrap_err().to_string();
    assert_eq!(message, "m = 1: expected 2 to 1000");
    assert_eq!(index.with_ef_search(0).unwrap_err().to_string(), "ef_search = 0: expected at least 1");
}

#[test]
fn what_is_loaded_is_what_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.safetensors");
    for count in [700, 1, 0] {
        let docs = clustered(count, 5, 9, 1);
        let config = HnswConfig { m: 3, ..HnswConfig::default() };
        let saved = HnswIndex::new(&docs, config).unwrap();
        saved.save(&path).unwrap();
        let loaded = HnswIndex::load(&path).unwrap();
        assert_eq!((loaded.config(), loaded.width, &loaded.graph), (saved.config(), saved.width, &saved.graph));
        assert_eq!(loaded.codes, saved.codes);
        assert!(matches!(loaded.vectors, Array::Mapped { .. }));
        assert_eq!(loaded.search(&docs, 5).unwrap(), saved.search(&docs, 5).unwrap());
        // Over the file that is mapped.
        loaded.save(&path).unwrap();
        assert_eq!(saved.search(&docs, 5).unwrap().len(), count);
    }
}

#[test]
fn a_file_that_is_damaged_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.safetensors");
    HnswIndex::new(&clustered(4, 3, 2, 1), HnswConfig { m: 2, ..HnswConfig::default() }).unwrap().save(&path).unwrap();
    assert_damage_is_refused(&path, |path| HnswIndex::load(path).map(drop));
}
