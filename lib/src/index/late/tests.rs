use candle_core::Device;
use proptest::prelude::*;

use super::*;
use crate::index::file::assert_damage_is_refused;
use crate::loss::max_sim;
use crate::random::Philox;

/// What finds everything that codes can find.
const ALL: LateSearch = LateSearch { nprobe: usize::MAX, ndocs: usize::MAX, centroid_score_threshold: f32::MIN };

/// Texts with these numbers of tokens, and ids whose order is not that of the rows.
fn embeddings(lengths: &[usize], width: usize, mut row: impl FnMut() -> Vec<f32>) -> TokenEmbeddings {
    let mut bounds = vec![0];
    lengths.iter().for_each(|length| bounds.push(bounds[bounds.len() - 1] + length));
    let values: Vec<f32> = (0..bounds[lengths.len()]).flat_map(|_| row()).collect();
    let vectors = Tensor::from_vec(values, (bounds[lengths.len()], width), &Device::Cpu).unwrap();
    let ids = (0..lengths.len()).rev().map(|text| format!("e{text}")).collect();
    TokenEmbeddings::new(ids, vectors, bounds).unwrap()
}

/// Vectors of length 1 around `centres` of them, as those of words are in a model.
fn clustered(lengths: &[usize], width: usize, centres: usize, seed: u64) -> TokenEmbeddings {
    let mut normal = Philox::new(1);
    let centres: Vec<f32> = (0..centres * width).map(|_| normal.normal() as f32).collect();
    let mut rng = Philox::new(seed);
    embeddings(lengths, width, || {
        let centre = &centres[rng.below(centres.len() / width) * width..][..width];
        let row: Vec<f32> = centre.iter().map(|value| value + 0.4 * rng.normal() as f32).collect();
        let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
        row.into_iter().map(|value| value / length).collect()
    })
}

/// Ids and scores of all documents for each query, best first.
fn brute_force(docs: &TokenEmbeddings, queries: &TokenEmbeddings) -> Vec<Vec<(String, f32)>> {
    let scores = max_sim(&queries.vectors, &queries.bounds, &docs.vectors, &docs.bounds).unwrap();
    let sorted = |scores: Vec<f32>| {
        let mut hits: Vec<(String, f32)> = docs.ids.iter().cloned().zip(scores).collect();
        hits.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| b.0.cmp(&a.0)));
        hits
    };
    scores.to_vec2::<f32>().unwrap().into_iter().map(sorted).collect()
}

fn hits(run: &Run, query_id: &str) -> Vec<(String, f32)> {
    run.hits(query_id).iter().map(|hit| (hit.doc_id.to_owned(), hit.score as f32)).collect()
}

proptest! {
    /// Whole numbers, so that sums are exact and many are equal.
    #[test]
    fn exact_is_max_sim(
        lengths in prop::collection::vec(0..6_usize, 1..60),
        asked in prop::collection::vec(0..5_usize, 1..5),
        width in 1..20_usize,
        k in 0..30_usize,
        seed in any::<u64>(),
    ) {
        let mut rng = Philox::new(seed);
        let mut row = || (0..width).map(|_| (rng.uniform() * 5.0).floor() as f32 - 2.0).collect::<Vec<_>>();
        let (docs, queries) = (embeddings(&lengths, width, &mut row), embeddings(&asked, width, &mut row));
        let index = LateIndex::new(&docs, LateConfig::EXACT).unwrap();
        let run = index.search(&queries, k).unwrap();
        for (query_id, mut expected) in queries.ids.iter().zip(brute_force(&docs, &queries)) {
            expected.truncate(k);
            prop_assert_eq!(hits(&run, query_id), expected);
        }
    }

    /// A search that looks at everything ranks by MaxSim with the vectors that codes stand for.
    #[test]
    fn codes_are_scored_as_what_they_stand_for(
        lengths in prop::collection::vec(1..9_usize, 1..50),
        asked in prop::collection::vec(1..20_usize, 1..5),
        nbits in prop_oneof![Just(1_u8), Just(2), Just(4)],
        (width, centroids) in (1..20_usize, 1..40_usize),
        unit in any::<bool>(),
        k in 1..60_usize,
        seed in any::<u64>(),
    ) {
        let mut rng = Philox::new(seed);
        let mut row = || {
            let row: Vec<f32> = (0..width).map(|_| rng.normal() as f32).collect();
            let length = if unit { row.iter().map(|value| value * value).sum::<f32>().sqrt() } else { 1.0 };
            row.into_iter().map(|value| value / length).collect::<Vec<_>>()
        };
        let (docs, queries) = (embeddings(&lengths, width, &mut row), embeddings(&asked, width, &mut row));
        let config = LateConfig { nbits: Some(nbits), centroids: Some(centroids), search: ALL, ..LateConfig::PLAID };
        let index = LateIndex::new(&docs, config).unwrap();
        let decoded = decoded(&index);
        let run = index.search(&queries, k).unwrap();
        for (query_id, expected) in queries.ids.iter().zip(brute_force(&decoded, &queries)) {
            let found = hits(&run, query_id);
            prop_assert_eq!(found.len(), k.min(docs.len()));
            for ((doc_id, score), (_, expected_score)) in found.iter().zip(&expected) {
                let (_, own) = expected.iter().find(|(other, _)| other == doc_id).unwrap();
                prop_assert!((score - own).abs() < 1e-3 && (score - expected_score).abs() < 1e-3, "{} {} {}", score, own, expected_score);
            }
        }
    }
}

/// The documents of an index as it knows them.
fn decoded(index: &LateIndex) -> TokenEmbeddings {
    let Tokens::Coded(coded) = &index.tokens else { panic!("codes") };
    let mut rows = Vec::new();
    coded.codec.decoder().decode(&coded.centroids, &coded.residuals, &coded.scales, &mut rows);
    let bounds: Vec<usize> = index.bounds(0..index.len()).collect();
    let vectors = Tensor::from_vec(rows, (bounds[index.len()], index.width), &Device::Cpu).unwrap();
    TokenEmbeddings::new(index.doc_ids.iter().map(ToString::to_string).collect(), vectors, bounds).unwrap()
}

/// With a centroid for every different vector, codes stand for the vectors themselves.
#[test]
fn vectors_that_are_centroids_are_exact() {
    let mut rng = Philox::new(5);
    let different: Vec<Vec<f32>> = (0..30).map(|_| (0..24).map(|_| rng.normal() as f32).collect()).collect();
    let lengths: Vec<usize> = (0..300).map(|doc| 1 + doc % 13).collect();
    let mut row = || different[rng.below(30)].clone();
    let (docs, queries) = (embeddings(&lengths, 24, &mut row), embeddings(&[7, 32, 1], 24, &mut row));
    let config = LateConfig { centroids: Some(60), kmeans_iterations: 12, search: ALL, ..LateConfig::PLAID };
    let index = LateIndex::new(&docs, config).unwrap();
    let run = index.search(&queries, 300).unwrap();
    for (query_id, expected) in queries.ids.iter().zip(brute_force(&docs, &queries)) {
        for ((_, score), (_, expected)) in hits(&run, query_id).iter().zip(&expected) {
            assert!((score - expected).abs() < 1e-3 * expected.abs().max(1.0), "{score} {expected}");
        }
    }
}

/// The share of the ten best documents that a search in codes finds.
fn recall(docs: &TokenEmbeddings, queries: &TokenEmbeddings, config: LateConfig) -> f64 {
    let exact = LateIndex::new(docs, LateConfig::EXACT).unwrap().search(queries, 10).unwrap();
    let run = LateIndex::new(docs, config).unwrap().search(queries, 10).unwrap();
    let shared = |query_id: &String| {
        let exact: Vec<&str> = exact.hits(query_id).doc_ids().collect();
        run.hits(query_id).doc_ids().filter(|doc_id| exact.contains(doc_id)).count()
    };
    queries.ids.iter().map(shared).sum::<usize>() as f64 / (10 * queries.len()) as f64
}

#[test]
fn codes_find_most_of_what_is_best() {
    let mut rng = Philox::new(8);
    let lengths: Vec<usize> = (0..1_500).map(|_| 5 + rng.below(25)).collect();
    let (docs, queries) = (clustered(&lengths, 32, 200, 2), clustered(&[16; 40], 32, 200, 3));
    let with = |nbits, search| LateConfig { nbits: Some(nbits), search, ..LateConfig::PLAID };
    let usual = LateConfig::PLAID.search;
    let found = [4, 2, 1].map(|nbits| recall(&docs, &queries, with(nbits, usual)));
    assert!(found[0] > 0.9 && found[1] > 0.75 && found[2] > 0.5, "{found:?}");
    // Every selection is one: the best of few are worse, but still most of them.
    let few = recall(&docs, &queries, with(4, LateSearch { nprobe: 2, ndocs: 400, centroid_score_threshold: 0.3 }));
    assert!(few > 0.6 && few <= found[0], "{few}");
}

#[test]
fn threads_change_nothing() {
    let lengths: Vec<usize> = (0..400).map(|doc| 1 + doc % 9).collect();
    let docs = clustered(&lengths, 16, 50, 4);
    let index = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| LateIndex::new(&docs, LateConfig::PLAID).unwrap())
    };
    let (one, three) = (index(1), index(3));
    let (Tokens::Coded(one), Tokens::Coded(three)) = (&one.tokens, &three.tokens) else { panic!("codes") };
    assert!(one == three);
}

#[test]
fn what_cannot_be_searched_is_named() {
    let (good, mut bad) = (clustered(&[3, 2], 4, 9, 1), clustered(&[3, 2], 4, 9, 1));
    for odd in [f32::NAN, f32::INFINITY, 1e20] {
        let mut values = bad.vectors.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values[17] = odd;
        bad.vectors = Tensor::from_vec(values, (5, 4), &Device::Cpu).unwrap();
        let message = LateIndex::new(&bad, LateConfig::PLAID).unwrap_err().to_string();
        assert!(message.starts_with("the vector of document `e0` is not finite"), "{message}");
        let message = LateIndex::new(&good, LateConfig::EXACT).unwrap().search(&bad, 1).unwrap_err().to_string();
        assert!(message.starts_with("the vector of query `e0` is not finite"), "{message}");
    }
    let message = LateIndex::new(&good, LateConfig { nbits: Some(3), ..LateConfig::PLAID }).unwrap_err().to_string();
    assert_eq!(message, "nbits = 3: expected 1, 2 or 4");
    let index = LateIndex::new(&good, LateConfig::PLAID).unwrap();
    let message = index.search(&clustered(&[3], 5, 9, 1), 1).unwrap_err().to_string();
    assert!(message.contains("(tokens, 4) as the documents have"), "{message}");
    let message = index.with_search(LateSearch { nprobe: 0, ..ALL }).unwrap_err().to_string();
    assert_eq!(message, "nprobe = 0: expected at least 1");
    let mut changed = good.clone();
    changed.ids.pop();
    assert!(LateIndex::new(&changed, LateConfig::PLAID).unwrap_err().to_string().contains("3 bounds for 1 ids"));
    changed = good;
    changed.ids[1] = changed.ids[0].clone();
    assert!(LateIndex::new(&changed, LateConfig::EXACT).unwrap_err().to_string().contains("duplicate text id `e1`"));
}

#[test]
fn nothing_to_find() {
    for config in [LateConfig::EXACT, LateConfig::PLAID] {
        let index = LateIndex::new(&clustered(&[], 4, 9, 1), config.clone()).unwrap();
        assert!(index.is_empty());
        let run = index.search(&clustered(&[2, 0], 4, 9, 1), 5).unwrap();
        assert!(run.len() == 2 && run.iter().all(|(_, hits)| hits.is_empty()));
        // Documents without tokens.
        let index = LateIndex::new(&clustered(&[0, 0], 4, 9, 1), config).unwrap();
        index.search(&clustered(&[2, 0], 4, 9, 1), 5).unwrap();
    }
}

#[test]
fn what_is_loaded_is_what_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.safetensors");
    let search = LateSearch { nprobe: 3, ..LateConfig::PLAID.search };
    for config in [LateConfig::EXACT, LateConfig { nbits: Some(2), search, ..LateConfig::PLAID }] {
        for docs in [clustered(&[3, 1, 4, 0, 5], 6, 9, 1), clustered(&[], 6, 9, 1)] {
            let saved = LateIndex::new(&docs, config.clone()).unwrap();
            saved.save(&path).unwrap();
            let loaded = LateIndex::load(&path).unwrap();
            assert_eq!((loaded.config(), loaded.width, &loaded.ends), (saved.config(), saved.width, &saved.ends));
            match (&loaded.tokens, &saved.tokens) {
                (Tokens::Exact(loaded), Tokens::Exact(saved)) => {
                    assert!(matches!(loaded, Array::Mapped { .. }) && loaded == saved);
                }
                (Tokens::Coded(loaded), Tokens::Coded(saved)) => {
                    assert!(matches!(loaded.residuals, Array::Mapped { .. }) && loaded == saved);
                }
                _ => panic!("another kind"),
            }
            assert_eq!(loaded.search(&docs, 5).unwrap(), saved.search(&docs, 5).unwrap());
            // Over the file that is mapped.
            loaded.save(&path).unwrap();
        }
    }
}

#[test]
fn a_file_that_is_damaged_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.safetensors");
    for config in [LateConfig::EXACT, LateConfig { nbits: Some(1), ..LateConfig::PLAID }] {
        LateIndex::new(&clustered(&[2, 1], 3, 2, 1), config).unwrap().save(&path).unwrap();
        assert_damage_is_refused(&path, |path| LateIndex::load(path).map(drop));
    }
}
