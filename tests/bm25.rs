//! BM25 against bm25s, and on a real test collection.

use std::collections::HashMap;
use std::path::Path;

use kensaku::Result;
use kensaku::data::{Corpus, Qrels, Queries};
use kensaku::eval::evaluate;
use kensaku::index::{Bm25, Bm25Params, Bm25Variant};
use kensaku::text::Analyzer;
use polars::prelude::*;
use serde_json::Value;

use crate::golden::{fixture, json};
use crate::shared::{Trials, shared, test};

/// bm25s stores scores in single precision.
const RELATIVE: f64 = 1e-5;
/// Of Lucene's settings and of Anserini's.
const SCIFACT_NDCG_10: [f64; 2] = [0.66, 0.675];
const JSQUAD_NDCG_10: f64 = 0.92;

pub fn trials() -> Trials {
    vec![
        test("bm25::words", || assert_eq!(equals_bm25s(&fixture("bm25"), "words").unwrap(), 6 * (11 * 20 + 17))),
        shared("bm25::cranfield", "golden/bm25", |folder| {
            assert_eq!(equals_bm25s(&folder, "cranfield").unwrap(), 10 * 20 * 20);
        }),
        shared("bm25::scifact500", "golden/bm25", |folder| {
            assert_eq!(equals_bm25s(&folder, "scifact500").unwrap(), 10 * 20 * 20);
        }),
        shared("bm25::scifact", "data/scifact", |folder| scifact(&folder).unwrap()),
        shared("bm25::jsquad", "data/jglue", |folder| jsquad(&folder.join("jsquad-v1.3/valid-v1.3.json")).unwrap()),
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
    let mut compared = 0;
    for case in expected["cases"].as_array().unwrap() {
        let (k1, b) = (case["k1"].as_f64().unwrap(), case["b"].as_f64().unwrap());
        let delta = case["delta"].as_f64().unwrap_or_default();
        let variant = match case["method"].as_str().unwrap() {
            "lucene" => Bm25Variant::Lucene,
            "robertson" => Bm25Variant::Robertson,
            "atire" => Bm25Variant::Atire,
            "bm25l" => Bm25Variant::Bm25L { delta },
            "bm25+" => Bm25Variant::Bm25Plus { delta },
            other => panic!("{other}"),
        };
        let bm25 = Bm25::new(&corpus, Bm25Params { k1, b, variant, analyzer: Analyzer::Whitespace })?;
        let run = bm25.search(&queries, usize::MAX)?;
        let best = bm25.search(&queries, 20)?;
        for row in case["rows"].as_array().unwrap() {
            let query_id = row["query_id"].as_str().unwrap();
            let hits = run.hits(query_id);
            assert!(best.hits(query_id).iter().eq(hits.iter().take(20)));
            // BM25L and BM25+ give every document the least score; those without a word of the query are no hits.
            let minimum = row["minimum"].as_f64().unwrap_or_default();
            let nonzero = if minimum > 0.0 { corpus.len() } else { hits.len() };
            assert_eq!(nonzero, row["number_nonzero"].as_u64().unwrap() as usize);
            let rest = (corpus.len() - hits.len()) as f64 * minimum;
            let sum: f64 = hits.iter().map(|hit| hit.score).sum::<f64>() + rest;
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

    for (params, least) in [Bm25Params::LUCENE, Bm25Params::ANSERINI].into_iter().zip(SCIFACT_NDCG_10) {
        let run = Bm25::new(&corpus, &params)?.search(&queries, 100)?;
        let report = evaluate(&qrels, &run, &["nDCG@10", "RR@10", "R@100"])?;
        println!("{params:?}\n{report}");
        assert_eq!(report.query_ids().len(), 300);
        let ndcg = report.mean("nDCG@10")?;
        assert!(ndcg >= least, "nDCG@10 is {ndcg}");
    }
    Ok(())
}

/// Each question has one passage: its paragraph, with the title of the article.
fn jsquad(path: &Path) -> Result<()> {
    let (mut passages, mut questions, mut qrels) = (Vec::new(), Vec::new(), Qrels::new());
    for article in json(path)["data"].as_array().unwrap() {
        for paragraph in article["paragraphs"].as_array().unwrap() {
            let passage = paragraph["context"].as_str().unwrap().to_owned();
            let number = passages.iter().position(|known| *known == passage).unwrap_or(passages.len());
            if number == passages.len() {
                passages.push(passage);
            }
            for question in paragraph["qas"].as_array().unwrap() {
                qrels.insert(question["id"].as_str().unwrap(), number.to_string(), 1);
                questions.push((
                    question["id"].as_str().unwrap().to_owned(),
                    question["question"].as_str().unwrap().to_owned(),
                ));
            }
        }
    }
    let doc_ids: Vec<String> = (0..passages.len()).map(|number| number.to_string()).collect();
    let corpus = Corpus::new(df!("doc_id" => doc_ids, "text" => passages)?)?;
    let (ids, texts): (Vec<_>, Vec<_>) = questions.into_iter().unzip();
    let queries = Queries::new(df!("query_id" => ids, "text" => texts)?)?;
    let bm25 = Bm25::new(&corpus, Bm25Params { analyzer: Analyzer::CjkBigram, ..Bm25Params::LUCENE })?;
    let report = evaluate(&qrels, &bm25.search(&queries, 10)?, &["nDCG@10", "RR@10"])?;
    println!("{report}");
    assert_eq!((corpus.len(), report.query_ids().len()), (1_145, 4_442));
    let ndcg = report.mean("nDCG@10")?;
    assert!(ndcg >= JSQUAD_NDCG_10, "nDCG@10 is {ndcg}");
    Ok(())
}
