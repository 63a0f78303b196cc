//! What holds for all ways of mining, on random judgements over a corpus with duplicate texts.

use std::collections::HashSet;

use polars::prelude::{Column, df};
use proptest::prelude::*;

use super::*;
use crate::data::{Corpus, Qrels, Queries, TrainingSet};
use crate::eval::Run;
use crate::show::recorder;

const QUERIES: usize = 3;

#[derive(Debug)]
struct Case {
    queries: Queries,
    qrels: Qrels,
    corpus: Corpus,
    run: Run,
}

/// At least four documents with one of few texts, "query 1" among them, and for each query a grade or none and a
/// score or none for each.
fn case() -> impl Strategy<Value = Case> {
    let cell = || (prop::option::of(0i64..2), prop::option::of(0i8..4));
    let doc = (0..8usize, [cell(), cell(), cell()]);
    prop::collection::vec(doc, 4..16).prop_map(|docs| {
        let id = |doc: usize| format!("d{doc}");
        let texts: Vec<String> =
            docs.iter().map(|(text, _)| if *text == 0 { "query 1".into() } else { format!("text {text}") }).collect();
        let corpus = df!("doc_id" => (0..docs.len()).map(id).collect::<Vec<_>>(), "text" => texts);
        let query_ids: Vec<String> = (0..QUERIES).map(|query| format!("q{query}")).collect();
        let query_texts: Vec<String> = (0..QUERIES).map(|query| format!("query {query}")).collect();
        let (mut qrels, mut run) = (Qrels::new(), Run::new());
        for (query, query_id) in query_ids.iter().enumerate() {
            let mut hits = Vec::new();
            for (doc, (_, cells)) in docs.iter().enumerate() {
                let (grade, score) = cells[query];
                grade.into_iter().for_each(|grade| qrels.insert(query_id, id(doc), grade));
                hits.extend(score.map(|score| (id(doc), f64::from(score))));
            }
            run.insert(query_id, hits);
        }
        Case {
            queries: Queries::new(df!("query_id" => query_ids, "text" => query_texts).unwrap()).unwrap(),
            qrels,
            corpus: Corpus::new(corpus.unwrap()).unwrap(),
            run,
        }
    })
}

/// The ids of a training set, one row an example: query, positive, negatives.
fn ids(set: &TrainingSet, num_negatives: usize) -> Vec<Vec<String>> {
    let negatives = (1..=num_negatives).map(crate::data::negative_column);
    let names = ["query".to_owned(), "positive".to_owned()].into_iter().chain(negatives);
    let columns: Vec<Vec<String>> =
        names.map(|name| crate::data::strings(set.frame(), &format!("{name}_id"))).collect();
    (0..set.len()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect()
}

/// The texts a query must not get, and the positives it has.
fn known(case: &Case, query_id: &str) -> (HashSet<String>, Vec<String>) {
    let (doc_ids, texts) = (case.corpus.doc_ids(), case.corpus.texts());
    let relevant: Vec<usize> =
        (0..doc_ids.len()).filter(|doc| case.qrels.is_relevant(query_id, &doc_ids[*doc])).collect();
    let query = format!("query {}", &query_id[1..]);
    let never = relevant.iter().map(|doc| texts[*doc].clone()).chain([query]).collect();
    (never, relevant.into_iter().map(|doc| doc_ids[doc].clone()).collect())
}

/// The ids `mine` returns and what it displays.
fn mined(num_negatives: usize, mine: impl FnOnce() -> TrainingSet) -> (Vec<Vec<String>>, Vec<String>) {
    let (set, messages) = recorder::record("mining left out", mine);
    (ids(&set, num_negatives), recorder::texts(&messages).into_iter().map(str::to_owned).collect())
}

/// Checks what [`mined`] returns. `pool` says which texts there were to choose from for a query.
fn check(
    case: &Case,
    (rows, messages): &(Vec<Vec<String>>, Vec<String>),
    num_negatives: usize,
    pool: impl Fn(&str) -> HashSet<String>,
) {
    let (doc_ids, texts) = (case.corpus.doc_ids(), case.corpus.texts());
    let text = |doc_id: &String| texts[doc_ids.iter().position(|id| id == doc_id).unwrap()].clone();
    for row in rows {
        let (never, _) = known(case, &row[0]);
        let negatives: HashSet<String> = row[2..].iter().map(text).collect();
        assert!(case.qrels.is_relevant(&row[0], &row[1]));
        assert!(negatives.is_disjoint(&never), "{row:?}");
        assert_eq!(negatives.len(), num_negatives, "{row:?}");
    }
    let (mut judged, mut dropped) = (0, 0);
    for query_id in case.queries.query_ids() {
        let (never, positives) = known(case, &query_id);
        let enough = pool(&query_id).difference(&never).count() >= num_negatives;
        let found: HashSet<&String> = rows.iter().filter(|row| row[0] == query_id).map(|row| &row[1]).collect();
        let expected = if enough { positives.iter().collect() } else { HashSet::new() };
        assert_eq!(found, expected, "{query_id}");
        judged += usize::from(!positives.is_empty());
        dropped += usize::from(!positives.is_empty() && !enough);
    }
    let message =
        format!("mining left out {dropped} of {judged} queries: they have fewer than {num_negatives} negatives");
    assert_eq!(*messages, if dropped > 0 { vec![message] } else { vec![] });
}

proptest! {
    #[test]
    fn random(case in case(), num_negatives in 1usize..4, seed: u64) {
        let mine = |seed| {
            let config = RandomConfig { num_negatives, seed, topic: None };
            mined(num_negatives, || random_negatives(&case.queries, &case.qrels, &case.corpus, &config).unwrap())
        };
        let found = mine(seed);
        check(&case, &found, num_negatives, |_| case.corpus.texts().into_iter().collect());
        prop_assert_eq!(found, mine(seed));
    }

    /// Documents of one topic are drawn as if there were no others.
    #[test]
    fn random_of_a_topic(case in case(), num_negatives in 1usize..3, seed: u64, topics in prop::collection::vec(prop::option::of(0..3_u8), 16)) {
        let topic = |doc: usize| topics[doc].map(i64::from);
        let column = Column::new("cluster".into(), (0..case.corpus.len()).map(topic).collect::<Vec<_>>());
        let corpus = Corpus::new(case.corpus.frame().hstack(&[column]).unwrap()).unwrap();
        let config = RandomConfig { num_negatives, seed, topic: Some("cluster".to_owned()) };
        let found = mined(num_negatives, || random_negatives(&case.queries, &case.qrels, &corpus, &config).unwrap());
        let (doc_ids, texts) = (corpus.doc_ids(), corpus.texts());
        check(&case, &found, num_negatives, |query_id| {
            let relevant = (0..doc_ids.len()).filter(|doc| case.qrels.is_relevant(query_id, &doc_ids[*doc]));
            let own: HashSet<Option<i64>> = relevant.map(topic).filter(Option::is_some).collect();
            (0..doc_ids.len()).filter(|doc| own.contains(&topic(*doc))).map(|doc| texts[doc].clone()).collect()
        });
    }

    /// Each run gives what it gives alone, where the runs before it have taken nothing.
    #[test]
    fn union(case in case(), quotas in prop::collection::vec(1usize..3, 1..4), reversed: bool) {
        let Case { queries, qrels, corpus, run } = &case;
        let mut other = Run::new();
        for (query_id, hits) in run.iter() {
            let hits: Vec<(String, f64)> =
                hits.iter().map(|hit| (hit.doc_id.to_owned(), if reversed { -hit.score } else { hit.score })).collect();
            other.insert(query_id, hits);
        }
        let total: usize = quotas.iter().sum();
        prop_assume!(total < corpus.len());
        let config = |num_negatives| MineConfig { num_negatives, ..Default::default() };
        let runs: Vec<(&Run, MineConfig)> =
            quotas.iter().enumerate().map(|(number, quota)| (if number % 2 == 0 { run } else { &other }, config(*quota))).collect();
        let union = mine_union(queries, qrels, corpus, &runs).unwrap();
        let frame = union.frame().unwrap();
        let texts: std::collections::HashMap<String, String> = corpus.doc_ids().into_iter().zip(corpus.texts()).collect();
        let (ids, docs) = (crate::data::strings(&frame, "query_id"), crate::data::strings(&frame, "doc_id"));
        let of_run = |row: usize| frame.column("run").map_or(0, |runs| runs.u64().unwrap().get(row).unwrap() as usize);
        let positive = |row: usize| frame.column("positive").unwrap().bool().unwrap().get(row).unwrap();
        for query_id in queries.query_ids() {
            let rows: Vec<usize> = (0..ids.len()).filter(|row| ids[*row] == query_id && !positive(*row)).collect();
            let mut taken = known(&case, &query_id).0;
            let mut expected = Vec::new();
            let judged = !known(&case, &query_id).1.is_empty();
            for (number, (run, config)) in runs.iter().enumerate().filter(|_| judged) {
                let mut left = config.num_negatives;
                for hit in run.hits(&query_id) {
                    if left > 0 && taken.insert(texts[hit.doc_id].clone()) {
                        expected.push((number, hit.doc_id.to_owned()));
                        left -= 1;
                    }
                }
            }
            let found: Vec<(usize, String)> = rows.iter().map(|row| (of_run(*row), docs[*row].clone())).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn hard(case in case(), num_negatives in 1usize..4, seed: u64, at_random: bool) {
        let sampling = if at_random { Sampling::Random } else { Sampling::Top };
        let mine = |seed, range_min| {
            let config = MineConfig { num_negatives, range_min, sampling, seed, ..MineConfig::default() };
            let Case { queries, qrels, corpus, run } = &case;
            mined(num_negatives, || hard_negatives(queries, qrels, corpus, run, &config).unwrap())
        };
        let (found, later) = (mine(seed, 0), mine(seed, 1).0);
        let (doc_ids, texts) = (case.corpus.doc_ids(), case.corpus.texts());
        let pool = |query_id: &str| -> HashSet<String> {
            let returned = |doc: &usize| case.run.hits(query_id).doc_ids().any(|doc_id| doc_id == doc_ids[*doc]);
            (0..doc_ids.len()).filter(returned).map(|doc| texts[doc].clone()).collect()
        };
        check(&case, &found, num_negatives, pool);
        prop_assert_eq!(&found, &mine(seed, 0));
        // Negatives keep the order of the run, and with range_min they are a later part of it.
        for row in found.0.iter().chain(&later) {
            let rank = |doc_id: &String| case.run.hits(&row[0]).doc_ids().position(|hit| hit == doc_id).unwrap();
            prop_assert!(row[2..].iter().map(rank).is_sorted_by(|a, b| a < b));
        }
        if !at_random {
            for row in later {
                let first = found.0.iter().find(|other| other[..2] == row[..2]).unwrap();
                prop_assert_eq!(&first[3..], &row[2..row.len() - 1]);
            }
        }
    }
}

/// With `Sampling::Random` every document of the range is drawn, and none beyond it.
#[test]
fn a_random_sample_of_the_range() {
    let doc_ids: Vec<String> = (0..20).map(|doc| format!("d{doc:02}")).collect();
    let corpus = Corpus::new(df!("doc_id" => &doc_ids, "text" => &doc_ids).unwrap()).unwrap();
    let queries = Queries::new(df!("query_id" => ["q"], "text" => ["query"]).unwrap()).unwrap();
    let mut qrels = Qrels::new();
    qrels.insert("q", "d00", 1);
    let mut run = Run::new();
    let hits = doc_ids.iter().enumerate().map(|(rank, id)| (id.clone(), -(rank as f64)));
    run.insert("q", hits);
    let drawn = (0..200).flat_map(|seed| {
        let config = MineConfig {
            num_negatives: 2,
            range_min: 4,
            range_max: 9,
            sampling: Sampling::Random,
            seed,
            ..Default::default()
        };
        ids(&hard_negatives(&queries, &qrels, &corpus, &run, &config).unwrap(), 2).remove(0).split_off(2)
    });
    let drawn: HashSet<String> = drawn.collect();
    // d00 is the positive and has no rank.
    assert_eq!(drawn, ["d05", "d06", "d07", "d08", "d09"].map(str::to_owned).into());
}
