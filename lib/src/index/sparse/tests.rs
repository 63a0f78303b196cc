use proptest::prelude::*;

use super::*;
use crate::index::file::assert_damage_is_refused;
use crate::model::SparseVectors;

const DIM: usize = 12;

/// Texts with words of all frequencies and whole weights, so that sums are exact and many are equal.
fn texts(least: i32) -> impl Strategy<Value = Vec<Vec<(u32, f32)>>> {
    let word = (0.0..1.0f64).prop_map(|share| (share * share * DIM as f64) as u32);
    let words = prop::collection::btree_map(word, (least..4).prop_map(|weight| weight as f32), 0..8);
    prop::collection::vec(words.prop_map(|words| words.into_iter().collect()), 0..300)
}

/// With ids whose order is not that of the rows.
fn embeddings(texts: &[Vec<(u32, f32)>]) -> SparseEmbeddings {
    let mut starts = vec![0];
    for text in texts {
        starts.push(starts[starts.len() - 1] + text.len());
    }
    let (words, weights) = texts.iter().flatten().copied().unzip();
    let ids = (0..texts.len()).rev().map(|row| format!("e{row}")).collect();
    SparseEmbeddings::new(ids, SparseVectors::new(DIM, starts, words, weights).unwrap()).unwrap()
}

/// All documents with a score above 0, as `(score, id)` from the best on.
fn brute_force(docs: &SparseEmbeddings, queries: &SparseEmbeddings) -> Vec<Vec<(f32, String)>> {
    if docs.is_empty() {
        return vec![Vec::new(); queries.len()];
    }
    let scores = queries.vectors.dot(&docs.vectors).unwrap().to_vec2::<f32>().unwrap();
    let best = |scores: Vec<f32>| {
        let mut hits: Vec<(f32, String)> =
            scores.into_iter().zip(docs.ids.iter().cloned()).filter(|(score, _)| *score > 0.0).collect();
        hits.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| b.1.cmp(&a.1)));
        hits
    };
    scores.into_iter().map(best).collect()
}

fn hits(run: &Run, query_id: &str) -> Vec<(f32, String)> {
    run.hits(query_id).iter().map(|hit| (hit.score as f32, hit.doc_id.to_owned())).collect()
}

proptest! {
    #[test]
    fn equals_all_products(docs in texts(0), queries in texts(-3), k in prop_oneof![0usize..4, 0usize..60, Just(usize::MAX)]) {
        let (docs, queries) = (embeddings(&docs), embeddings(&queries[..queries.len().min(20)]));
        let index = SparseIndex::new(&docs).unwrap();
        let run = index.search(&queries, k).unwrap();
        prop_assert_eq!(run.len(), queries.len());
        for (query_id, mut expected) in queries.ids.iter().zip(brute_force(&docs, &queries)) {
            expected.truncate(k);
            prop_assert_eq!(hits(&run, query_id), expected);
        }
    }
}

/// More documents than a window of the search, and lists of all lengths.
#[test]
fn many_documents() {
    let mut rng = crate::random::Philox::new(3);
    let mut text = |words: usize| -> Vec<(u32, f32)> {
        let mut words: Vec<u32> = (0..words).map(|_| (rng.uniform().powi(3) * DIM as f64) as u32).collect();
        words.sort_unstable();
        words.dedup();
        words.into_iter().map(|word| (word, (1.0 + rng.uniform() * 8.0).floor() as f32)).collect()
    };
    let docs: Vec<_> = (0..20_000).map(|_| text(6)).collect();
    let queries: Vec<_> = (0..30).map(|_| text(10)).collect();
    let (docs, queries) = (embeddings(&docs), embeddings(&queries));
    let index = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| SparseIndex::new(&docs).unwrap())
    };
    let (one, three) = (index(1), index(3));
    assert_eq!((&one.ends, &one.docs, &one.weights), (&three.ends, &three.docs, &three.weights));
    let expected = brute_force(&docs, &queries);
    for k in [1, 10, 100, 1_000] {
        let run = one.search(&queries, k).unwrap();
        for (query_id, expected) in queries.ids.iter().zip(&expected) {
            assert_eq!(hits(&run, query_id), expected[..k.min(expected.len())]);
        }
    }
}

#[test]
fn what_cannot_be_searched_is_named() {
    let docs = |weight| embeddings(&[vec![(1, 1.0)], vec![(1, weight)]]);
    let message = SparseIndex::new(&docs(-0.5)).unwrap_err().to_string();
    assert_eq!(message, "the vector of document `e0` is below 0 in places (-0.5): expected weights of at least 0");
    let mut changed = docs(1.0);
    changed.ids.push("one more".to_owned());
    let message = SparseIndex::new(&changed).unwrap_err().to_string();
    assert!(message.contains("2 vectors for 3 ids"), "{message}");
    changed.ids = vec!["e1".to_owned(); 2];
    assert!(SparseIndex::new(&changed).unwrap_err().to_string().contains("duplicate text id `e1`"));

    let index = SparseIndex::new(&docs(3e38)).unwrap();
    let message = index.search(&docs(2.0), 1).unwrap_err().to_string();
    assert!(message.starts_with("the vector of query `e0` is too large"), "{message}");
    let other = SparseEmbeddings::new(vec!["q".to_owned()], SparseVectors::new(3, vec![0, 0], vec![], vec![]).unwrap());
    let message = index.search(&other.unwrap(), 1).unwrap_err().to_string();
    assert!(message.contains("3 words") && message.contains("the 12 words of the documents"), "{message}");
}

#[test]
fn nothing_to_find() {
    let nothing = embeddings(&[]);
    let index = SparseIndex::new(&nothing).unwrap();
    assert!(index.is_empty() && index.search(&nothing, 5).unwrap().is_empty());
    let run = index.search(&embeddings(&[vec![(1, 1.0)], vec![]]), 5).unwrap();
    assert!(run.len() == 2 && run.iter().all(|(_, hits)| hits.is_empty()));
    assert_eq!(format!("{index:?}"), "SparseIndex { documents: 0, words: 12, weights: 0 }");
}

#[test]
fn what_is_loaded_is_what_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.safetensors");
    let docs = embeddings(&[vec![(1, 1.0), (3, 0.5)], vec![(3, 2.0)], vec![]]);
    for docs in [docs, embeddings(&[])] {
        let saved = SparseIndex::new(&docs).unwrap();
        saved.save(&path).unwrap();
        let loaded = SparseIndex::load(&path).unwrap();
        assert_eq!((&loaded.ends, &loaded.docs, &loaded.weights), (&saved.ends, &saved.docs, &saved.weights));
        assert!(matches!(loaded.weights, Array::Mapped { .. }));
        assert_eq!(loaded.search(&docs, 5).unwrap(), saved.search(&docs, 5).unwrap());
        // Over the file that is mapped.
        loaded.save(&path).unwrap();
    }
}

#[test]
fn a_file_that_is_damaged_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.safetensors");
    SparseIndex::new(&embeddings(&[vec![(1, 1.0), (3, 0.5)], vec![(3, 2.0)]])).unwrap().save(&path).unwrap();
    assert_damage_is_refused(&path, |path| SparseIndex::load(path).map(drop));
}
