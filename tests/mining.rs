//! Mined negatives against sentence-transformers, and with BM25 on a small corpus.

use kensaku::Result;
use kensaku::data::{Corpus, Qrels, Queries, TrainingSet};
use kensaku::eval::Run;
use kensaku::loss::cosine;
use kensaku::mine::{
    Format, MineConfig, Mined, RandomConfig, Sampling, bm25_negatives, hard_negatives, mine_negatives, random_negatives,
};
use polars::prelude::*;
use serde_json::Value;

use crate::golden::{Tensors, fixture, json};
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("mining::sentence_transformers", || sentence_transformers().unwrap()),
        test("mining::margins_limits_and_forms_of_sentence_transformers", || every_parameter().unwrap()),
        test("mining::positives_that_were_not_found", || positives_that_were_not_found().unwrap()),
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

/// All cases of `mine_hard_negatives` but the one that keeps positives among the negatives, which a run is for.
fn every_parameter() -> Result<()> {
    let (golden, tensors) = (json(&fixture("mining/every.json")), Tensors::read(&fixture("mining/every.safetensors")));
    let (names, docs) = (strings(&golden["queries"]), strings(&golden["documents"]));
    let cosines = cosine(tensors.tensor("query_embeddings"), tensors.tensor("corpus_embeddings"))?.to_vec2::<f32>()?;
    let read = tensors.tensor("cross_encoder_scores").to_vec2::<f32>()?;
    let pairs: Vec<Vec<String>> = golden["pairs"].as_array().unwrap().iter().map(strings).collect();
    let queries = Queries::new(df!("query_id" => &names, "text" => &names)?)?;
    let mut qrels = Qrels::new();
    pairs.iter().for_each(|pair| qrels.insert(&pair[0], &pair[1], 1));
    let most = names.iter().map(|name| pairs.iter().filter(|pair| pair[0] == *name).count()).max().unwrap();

    let mut compared = 0;
    for case in golden["cases"].as_array().unwrap() {
        let (name, params) = (case["name"].as_str().unwrap(), &case["params"]);
        if params["include_positives"] == true {
            continue;
        }
        // Positives alone, if there is no corpus.
        let corpus: Vec<&String> = match params.get("corpus") {
            Some(_) => docs.iter().filter(|doc| pairs.iter().any(|pair| pair[1] == **doc)).collect(),
            None => docs.iter().collect(),
        };
        let ids: Vec<&str> = corpus.iter().map(|doc| doc.as_str()).collect();
        let corpus = Corpus::new(df!("doc_id" => &ids, "text" => &ids)?)?;
        let config = MineConfig {
            num_negatives: params["num_negatives"].as_u64().unwrap_or(3) as usize,
            range_min: params["range_min"].as_u64().unwrap_or(0) as usize,
            range_max: range_max(case),
            max_score: params["max_score"].as_f64(),
            min_score: params["min_score"].as_f64(),
            absolute_margin: params["absolute_margin"].as_f64(),
            relative_margin: params["relative_margin"].as_f64(),
            ..Default::default()
        };
        let filtered = [config.max_score, config.min_score, config.absolute_margin, config.relative_margin];
        let by_reading = params["cross_encoder"] == true && filtered.iter().any(Option::is_some);
        let mut run = Run::new();
        for (query, name) in names.iter().enumerate() {
            let own: Vec<usize> = ids.iter().map(|id| docs.iter().position(|doc| doc == id).unwrap()).collect();
            let mut order = own.clone();
            order.sort_by(|a, b| cosines[query][*b].total_cmp(&cosines[query][*a]));
            order.truncate(config.range_max + most);
            let positives = own.iter().filter(|doc| qrels.is_relevant(name, &docs[**doc]) && !order.contains(doc));
            let found: Vec<usize> = order.iter().chain(positives).copied().collect();
            let scores = if by_reading { &read } else { &cosines };
            run.insert(name, found.into_iter().map(|doc| (&docs[doc], f64::from(scores[query][doc]))));
        }
        let mined = mine_negatives(&queries, &qrels, &corpus, &run, &config)?;
        let scored = params["output_scores"] == true;
        let found = match params["output_format"].as_str().unwrap_or("triplet") {
            "triplet" => rows_and_labels(&mined, if scored { Format::ScoredTriplets } else { Format::Triplets })?,
            "n-tuple" => rows_and_labels(&mined, if scored { Format::ScoredTuples } else { Format::Tuples })?,
            "labeled-pair" => rows_and_labels(&mined, if scored { Format::ScoredPairs } else { Format::Pairs })?,
            _ => lists(&mined, scored)?,
        };
        let expected = case["rows"].as_array().unwrap().iter().map(|row| expected(row, case)).collect();
        assert_equal(name, found, expected);
        compared += 1;
    }
    assert_eq!(compared, 23);
    Ok(())
}

/// What was set, or what the peer says that it has set.
fn range_max(case: &Value) -> usize {
    let said = || {
        let line = strings(&case["log"]).into_iter().find(|line| line.starts_with("Setting range_max to ")).unwrap();
        line.split(' ').nth(3).unwrap().parse().unwrap()
    };
    case["params"]["range_max"].as_u64().map_or_else(said, |most| most as usize)
}

/// Texts of a row, and its labels.
type LabelledRow = (Vec<String>, Vec<f64>);

fn rows_and_labels(mined: &Mined, format: Format) -> Result<Vec<LabelledRow>> {
    let set = mined.training_set(format)?;
    let columns = set.columns();
    let labels = |row: usize| {
        let Some(labels) = set.labels() else { return Vec::new() };
        let width = labels.values().len() / set.len();
        labels.values()[row * width..][..width].iter().map(|label| f64::from(*label)).collect()
    };
    let texts = |row: usize| columns.iter().map(|column| column[row].to_owned()).collect();
    Ok((0..set.len()).map(|row| (texts(row), labels(row))).collect())
}

/// A row for each positive of a query that has a negative, with as many as it has, from the frame.
fn lists(mined: &Mined, scored: bool) -> Result<Vec<LabelledRow>> {
    let frame = mined.frame()?;
    let text = |name: &str, row: usize| frame.column(name).unwrap().str().unwrap().get(row).unwrap().to_owned();
    let positive = |row: usize| frame.column("positive").unwrap().bool().unwrap().get(row).unwrap();
    let score = |row: usize| frame.column("score").unwrap().f64().unwrap().get(row).unwrap();
    let mut lists = Vec::new();
    for row in (0..frame.height()).filter(|row| positive(*row)) {
        let query = text("query_id", row);
        let own = (0..frame.height()).filter(|other| text("query_id", *other) == query && !positive(*other));
        let documents: Vec<usize> = std::iter::once(row).chain(own).collect();
        if documents.len() > 1 {
            let label = |row: &usize| if scored { score(*row) } else { f64::from(u8::from(positive(*row))) };
            let texts = std::iter::once(query).chain(documents.iter().map(|row| text("doc_id", *row))).collect();
            lists.push((texts, documents.iter().map(label).collect()));
        }
    }
    Ok(lists)
}

fn expected(row: &Value, case: &Value) -> LabelledRow {
    let (mut texts, mut labels) = (Vec::new(), Vec::new());
    for column in strings(&case["columns"]) {
        let all = match &row[&column] {
            Value::Array(list) => list.clone(),
            other => vec![other.clone()],
        };
        for value in all {
            match value {
                Value::String(text) => texts.push(text),
                number => labels.push(number.as_f64().unwrap()),
            }
        }
    }
    (texts, labels)
}

fn assert_equal(name: &str, mut found: Vec<LabelledRow>, mut expected: Vec<LabelledRow>) {
    let order = |one: &LabelledRow, other: &LabelledRow| one.0.cmp(&other.0);
    found.sort_by(order);
    expected.sort_by(order);
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.0, expected.0, "{name}");
        assert_eq!(found.1.len(), expected.1.len(), "{name}");
        for (found, expected) in found.1.iter().zip(&expected.1) {
            assert!((found - expected).abs() < 1e-6, "{name}: {found} instead of {expected}");
        }
    }
}

/// Positives that were not found are below all hits: no margin is kept.
fn positives_that_were_not_found() -> Result<()> {
    let (queries, qrels, corpus) = pets()?;
    let mut run = Run::new();
    run.insert("q1", [("d4", 2.0), ("d6", 1.0)]);
    run.insert("q2", [("d4", 2.0), ("d6", 1.9), ("d2", 0.5)]);
    let config = MineConfig { absolute_margin: Some(0.2), ..Default::default() };
    let mined = mine_negatives(&queries, &qrels, &corpus, &run, config)?;
    assert_eq!(rows(&mined.training_set(Format::Tuples)?), [["barking", "dogs bark", "cats sleep"]]);
    let summary = mined.summary()?;
    let count = |what: &str| {
        let row = summary.column("what").unwrap().str().unwrap().iter().position(|row| row == Some(what)).unwrap();
        summary.column("count").unwrap().u64().unwrap().get(row).unwrap()
    };
    assert_eq!(count("with a positive that was not found"), 1);
    assert_eq!([count("without any negative"), count("shut out by absolute_margin"), count("negatives")], [1, 3, 1]);
    // In a form with scores, it has none.
    assert_eq!(mined.training_set(Format::ScoredPairs)?.len(), 2);
    assert_eq!(mined.training_set(Format::Pairs)?.len(), 3);
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
    let mut of_others = Qrels::new();
    of_others.insert("s", "a", 1);
    let expected = "none of the 2 queries is among the 1 judged ones: there is nothing to mine for";
    let apart = Queries::new(texts(["x", "y"])?)?;
    let mined = random_negatives(&apart, &of_others, &docs, RandomConfig::default());
    assert_eq!(mined.unwrap_err().to_string(), expected);
    let mined = bm25_negatives(&apart, &of_others, &docs, MineConfig::default());
    assert_eq!(mined.unwrap_err().to_string(), expected);

    let (queries, mut qrels, corpus) = pets()?;
    let mine = |qrels: &Qrels, run: &Run, config: MineConfig| {
        hard_negatives(&queries, qrels, &corpus, run, &config).unwrap_err().to_string()
    };
    let config = MineConfig {
        range_min: 5,
        range_max: 6,
        num_negatives: 2,
        sampling: Sampling::Random,
        seed: 1,
        ..Default::default()
    };
    assert_eq!(mine(&qrels, &Run::new(), config), "range_max = 6: expected at least range_min + num_negatives = 5 + 2");
    let none = MineConfig { num_negatives: 0, ..MineConfig::default() };
    assert_eq!(mine(&qrels, &Run::new(), none), "num_negatives = 0: expected a number of at least 1");
    // As many columns as negatives are made only where a query can have them.
    for num_negatives in [6, 10_000_000, usize::MAX] {
        let expected = format!("num_negatives = {num_negatives}: expected fewer than the 6 documents of the corpus");
        let many = MineConfig { num_negatives, range_max: usize::MAX, ..MineConfig::default() };
        assert_eq!(mine(&qrels, &Run::new(), many.clone()), expected);
        assert_eq!(bm25_negatives(&queries, &qrels, &corpus, many).unwrap_err().to_string(), expected);
        let random =
            random_negatives(&queries, &qrels, &corpus, RandomConfig { num_negatives, seed: 1, ..Default::default() });
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
