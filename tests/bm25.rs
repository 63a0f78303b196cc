//! BM25 against bm25s, and on a real test collection.

use std::collections::HashMap;
use std::path::Path;

use kensaku::Result;
use kensaku::data::{Corpus, Qrels, Queries};
use kensaku::eval::evaluate;
use kensaku::index::{Bm25, Bm25Params};
use kensaku::text::Analyzer;
use polars::prelude::*;
use serde_json::Value;

use crate::golden::{fixture, json};
use crate::shared::{Trials, shared, test};

/// bm25s stores scores in single precision.
const RELATIVE: f64 = 1e-5;
const SCIFACT_NDCG_10: f64 = 0.66;

pub fn trials() -> Trials {
    vec![
        test("bm25::words", || assert_eq!(equals_bm25s(&fixture("bm25"), "words").unwrap(), 6 * (11 * 20 + 17))),
        shared("bm25::cranfield", "golden/bm25", |folder| {
            assert_eq!(equals_bm25s(&folder, "cranfield").unwrap(), 4 * 20 * 20);
        }),
        shared("bm25::scifact500", "golden/bm25", |folder| {
            assert_eq!(equals_bm25s(&folder, "scifact500").unwrap(), 4 * 20 * 20);
        }),
        shared("bm25::scifact", "data/scifact", |folder| scifact(&folder).unwrap()),
    ]
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= RELATIVE * b.abs()
}

/// The scores of the best 20 documents, the order of the documents where their scores differ, and number and sum of all
/// scores. Returns how many documents were compared.
fn equals_bm25s(folder: &Path, name: &str) -> Result<usize> {
    let tokens = json(&folder.join(format!("{name}.tokens.json")));
    let doc_ids = strings(&tokens["doc_ids"]);
    let corpus = Corpus::new(df!("doc_id" => &doc_ids, "text" => strings(&tokens["docs"]))?)?;
    let queries = strings(&tokens["queries"]);
    let queries = Queries::new(df!("query_id" => strings(&tokens["query_ids"]), "text" => queries)?)?;
    let expected = json(&folder.join(format!("{name}.expected.json")));
    let cases = expected["cases"].as_array().unwrap().iter().filter(|case| case["method"] == "lucene");
    let mut compared = 0;
    for case in cases {
        let (k1, b) = (case["k1"].as_f64().unwrap(), case["b"].as_f64().unwrap());
        let bm25 = Bm25::new(&corpus, Bm25Params { k1, b, analyzer: Analyzer::Whitespace })?;
        let run = bm25.search(&queries, usize::MAX)?;
        let best = bm25.search(&queries, 20)?;
        for row in case["rows"].as_array().unwrap() {
            let query_id = row["query_id"].as_str().unwrap();
            let hits = run.hits(query_id);
            assert!(best.hits(query_id).iter().eq(hits.iter().take(20)));
            assert_eq!(hits.len(), row["number_nonzero"].as_u64().unwrap() as usize);
            let sum: f64 = hits.iter().map(|hit| hit.score).sum();
            assert!(near(sum, row["sum_of_all_scores"].as_f64().unwrap()), "sum of {query_id}");

            let ours: HashMap<&str, f64> = hits.iter().map(|hit| (hit.doc_id, hit.score)).collect();
            let top = numbers(&row["top"]).into_iter().map(|doc| doc_ids[doc as usize].as_str());
            for ((doc_id, expected), hit) in top.zip(numbers(&row["scores"])).zip(hits) {
                assert!(near(hit.score, expected), "{query_id}: {} {expected}", hit.score);
                assert!(near(ours[doc_id], expected), "{query_id}, {doc_id}: {} {expected}", ours[doc_id]);
                // The same document, or another one that ties with it.
                assert!(hit.doc_id == doc_id || near(ours[doc_id], hit.score), "{query_id}: {} {doc_id}", hit.doc_id);
                compared += 1;
            }
        }
    }
    Ok(compared)
}

fn scifact(folder: &Path) -> Result<()> {
    let lines = |name: &str| -> Vec<Value> {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let field = |lines: &[Value], name: &str| -> Vec<String> {
        lines.iter().map(|line| line[name].as_str().unwrap().to_owned()).collect()
    };
    let (docs, queries) = (lines("corpus.jsonl"), lines("queries.jsonl"));
    let corpus = Corpus::new(df!(
        "doc_id" => field(&docs, "_id"), "title" => field(&docs, "title"), "text" => field(&docs, "text"),
    )?)?;
    let queries = Queries::new(df!("query_id" => field(&queries, "_id"), "text" => field(&queries, "text"))?)?;
    let mut qrels = Qrels::new();
    for line in std::fs::read_to_string(folder.join("qrels/test.tsv")).unwrap().lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        qrels.insert(columns[0], columns[1], columns[2].parse().unwrap());
    }

    for params in [Bm25Params::LUCENE, Bm25Params::ANSERINI] {
        let run = Bm25::new(&corpus, &params)?.search(&queries, 100)?;
        let report = evaluate(&qrels, &run, &["nDCG@10", "RR@10", "R@100"])?;
        println!("{params:?}\n{report}");
        assert_eq!(report.query_ids().len(), 300);
        let ndcg = report.mean("nDCG@10")?;
        assert!(ndcg >= SCIFACT_NDCG_10, "nDCG@10 is {ndcg}");
    }
    Ok(())
}
