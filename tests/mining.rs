//! Mined negatives against sentence-transformers, and with BM25 on a small corpus.

use kensaku::Result;
use kensaku::data::{Corpus, Qrels, Queries, TrainingSet};
use kensaku::eval::Run;
use kensaku::mine::{MineConfig, RandomConfig, Sampling, bm25_negatives, hard_negatives, random_negatives};
use polars::prelude::*;
use serde_json::Value;

use crate::golden::{fixture, json};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("mining::sentence_transformers", || sentence_transformers().unwrap()),
        test("mining::bm25", || bm25().unwrap()),
        test("mining::settings_and_ids_are_checked", || what_cannot_be_mined_is_said().unwrap()),
    ]
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

fn rows(set: &TrainingSet) -> Vec<Vec<String>> {
    let columns = set.columns();
    let mut rows: Vec<Vec<String>> =
        (0..set.len()).map(|row| columns.iter().map(|column| column[row].to_owned()).collect()).collect();
    rows.sort();
    rows
}

/// `mine_hard_negatives` of sentence-transformers 6.2 on random embeddings: queries with several
/// positives, a corpus with duplicate texts, ranks cut off below and above.
fn sentence_transformers() -> Result<()> {
    let golden = json(&fixture("mining/top.json"));
    let texts = strings(&golden["corpus"]);
    let doc_ids: Vec<String> = (0..texts.len()).map(|row| format!("doc{row}")).collect();
    let corpus = Corpus::new(df!("doc_id" => &doc_ids, "text" => &texts)?)?;
    let names = strings(&golden["queries"]);
    let queries = Queries::new(df!("query_id" => &names, "text" => &names)?)?;
    let mut qrels = Qrels::new();
    for pair in golden["pairs"].as_array().unwrap() {
        let (query, text) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
        qrels.insert(query, &doc_ids[texts.iter().position(|other| other == text).unwrap()], 1);
    }
    let mut run = Run::new();
    for (name, scores) in names.iter().zip(golden["scores"].as_array().unwrap()) {
        let hits = doc_ids.iter().zip(scores.as_array().unwrap());
        run.insert(name, hits.map(|(doc_id, score)| (doc_id, score.as_f64().unwrap())));
    }
    for case in golden["cases"].as_array().unwrap() {
        let number = |name: &str| case[name].as_u64().unwrap() as usize;
        let config = MineConfig {
            num_negatives: number("num_negatives"),
            range_min: number("range_min"),
            range_max: number("range_max"),
            ..MineConfig::default()
        };
        let mut expected: Vec<Vec<String>> = case["rows"].as_array().unwrap().iter().map(strings).collect();
        expected.sort();
        assert_eq!(rows(&hard_negatives(&queries, &qrels, &corpus, &run, &config)?), expected, "{}", case["name"]);
    }
    Ok(())
}

fn pets() -> Result<(Queries, Qrels, Corpus)> {
    let corpus = Corpus::new(df!(
        "doc_id" => ["d1", "d2", "d3", "d4", "d5", "d6"],
        "text" => ["cats purr", "cats sleep", "cats purr", "dogs bark", "do cats purr", "cats and dogs"],
    )?)?;
    let queries =
        Queries::new(df!("query_id" => ["q1", "q2", "q3"], "text" => ["do cats purr", "barking", "unjudged"])?)?;
    let mut qrels = Qrels::new();
    qrels.insert("q1", "d1", 2);
    qrels.insert("q1", "d2", 0);
    qrels.insert("q2", "d4", 1);
    Ok((queries, qrels, corpus))
}

/// d1 is the positive, d3 has its text, d5 is the query itself; d2 is judged not relevant, so it may
/// be a negative, tied with d6 ("and" is no term). q2 has one hit, its positive, and drops out; q3 has
/// no positive.
fn bm25() -> Result<()> {
    let (queries, qrels, corpus) = pets()?;
    let set = bm25_negatives(&queries, &qrels, &corpus, MineConfig { num_negatives: 2, ..MineConfig::default() })?;
    assert_eq!(
        set.frame().get_column_names(),
        ["query", "positive", "negative", "negative_2", "query_id", "positive_id", "negative_id", "negative_2_id"]
    );
    assert_eq!(rows(&set), [["do cats purr", "cats purr", "cats and dogs", "cats sleep"]]);
    let id = |column: &str| set.frame().column(column).unwrap().str().unwrap().get(0).unwrap().to_owned();
    assert_eq!(["query_id", "positive_id", "negative_id", "negative_2_id"].map(id), ["q1", "d1", "d6", "d2"]);
    Ok(())
}

fn what_cannot_be_mined_is_said() -> Result<()> {
    let texts = |texts: [&str; 2]| df!("query_id" => ["q", "r"], "text" => texts);
    let mut qrels = Qrels::new();
    qrels.insert("q", "a", 1);
    let mut other = Run::new();
    other.insert("s", [("b", 1.0)]);
    let docs = Corpus::new(df!("doc_id" => ["a", "b", "c"], "text" => ["x", "y", "z"])?)?;
    let mined = hard_negatives(&Queries::new(texts(["x", "y"])?)?, &qrels, &docs, &other, MineConfig::default());
    let expected = "none of the 1 queries of the run is among the 2 queries: there is nothing to mine from";
    assert_eq!(mined.unwrap_err().to_string(), expected);

    let (queries, mut qrels, corpus) = pets()?;
    let mine = |qrels: &Qrels, run: &Run, config: MineConfig| {
        hard_negatives(&queries, qrels, &corpus, run, &config).unwrap_err().to_string()
    };
    let config = MineConfig { range_min: 5, range_max: 6, num_negatives: 2, sampling: Sampling::Random, seed: 1 };
    assert_eq!(mine(&qrels, &Run::new(), config), "range_max = 6: expected at least range_min + num_negatives = 5 + 2");
    let none = MineConfig { num_negatives: 0, ..MineConfig::default() };
    assert_eq!(mine(&qrels, &Run::new(), none), "num_negatives = 0: expected a number of at least 1");
    // As many columns as negatives are made only where a query can have them.
    for num_negatives in [6, 10_000_000, usize::MAX] {
        let expected = format!("num_negatives = {num_negatives}: expected fewer than the 6 documents of the corpus");
        let many = MineConfig { num_negatives, range_max: usize::MAX, ..MineConfig::default() };
        assert_eq!(mine(&qrels, &Run::new(), many.clone()), expected);
        assert_eq!(bm25_negatives(&queries, &qrels, &corpus, many).unwrap_err().to_string(), expected);
        let random = random_negatives(&queries, &qrels, &corpus, RandomConfig { num_negatives, seed: 1 });
        assert_eq!(random.unwrap_err().to_string(), expected);
    }

    let mut run = Run::new();
    run.insert("q1", [("d9", 1.0)]);
    assert_eq!(
        mine(&qrels, &run, MineConfig::default()),
        "run, query `q1`: unknown document id `d9`; expected one of the 6 ids of the corpus"
    );
    qrels.insert("q2", "d8", 1);
    assert_eq!(
        mine(&qrels, &Run::new(), MineConfig::default()),
        "qrels, query `q2`: unknown document id `d8`; expected one of the 6 ids of the corpus"
    );
    Ok(())
}
