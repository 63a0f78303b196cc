//! The columns of a training set, by their names.

use std::path::PathBuf;

use kensaku::data::{TrainingSet, read};
use polars::prelude::*;

use super::{csv, file, refused};

pub(super) fn named_columns() {
    let texts = |frame: DataFrame| -> Vec<Vec<String>> {
        TrainingSet::new(frame).unwrap().columns().iter().map(|column| column.to_vec()).collect()
    };
    let expected = [["q"], ["p"]];
    for (query, positive) in [
        ("query", "positive"),
        ("anchor", "positive"),
        ("sentence1", "sentence2"),
        ("text1", "text2"),
        ("question", "answer"),
        ("anchor", "passage"),
    ] {
        assert_eq!(texts(df!(query => ["q"], positive => ["p"], "query_id" => [1]).unwrap()), expected, "{query}");
    }
    // Names count, not places.
    assert_eq!(texts(df!("positive" => ["p"], "anchor" => ["q"]).unwrap()), expected);
    let mined = df!("negative_10" => ["c"], "anchor" => ["q"], "positive" => ["p"], "negative_2" => ["b"], "negative_1" => ["a"]);
    assert_eq!(texts(mined.unwrap()), [["q"], ["p"], ["a"], ["b"], ["c"]]);
    let gap = df!("query" => ["q"], "positive" => ["p"], "negative" => ["a"], "negative_3" => ["b"]);
    assert_eq!(texts(gap.unwrap()), [["q"], ["p"], ["a"], ["b"]]);
    let second = df!("query" => ["q"], "positive" => ["p"], "negative_2" => ["a"]);
    assert_eq!(texts(second.unwrap()), [["q"], ["p"], ["a"]]);

    for score in ["score", "scores", "label", "labels"] {
        let scored = df!("sentence1" => ["q"], "sentence2" => ["p"], score => [1]).unwrap();
        assert_eq!(TrainingSet::new(scored).unwrap().labels(), Some(&vec![1.0].into()));
    }
    let labels = csv("sentence1,sentence2,label\na,b,0.5\n").unwrap().training_set().unwrap();
    assert_eq!(labels.labels(), Some(&vec![0.5].into()));
    let flags = df!("query" => ["q"], "positive" => ["p"], "label" => [true]).unwrap();
    assert_eq!(TrainingSet::new(flags).unwrap().labels(), Some(&vec![1.0].into()));

    let words = df!("query" => ["q"], "positive" => ["p"])
        .unwrap()
        .lazy()
        .with_column(col("positive").cast(DataType::from_categories(Categories::global())));
    assert_eq!(texts(words.collect().unwrap()), expected);
}

pub(super) fn unused_columns() {
    let told = |frame: PolarsResult<DataFrame>| TrainingSet::new(frame.unwrap()).unwrap_err().to_string();
    let message = told(df!("query" => ["q"], "positive" => ["p"], "negatives" => ["n"], "margin" => [0.5]));
    assert!(
        message.starts_with(
            "training set: unused columns `negatives`, `margin` (the query is `query`, the positive `positive`); expected"
        ),
        "{message}"
    );
    assert!(told(df!("question" => ["q"], "answer" => ["p"], "url" => ["n"])).contains("`url`"));
    assert!(told(df!("query" => ["q"], "anchor" => ["r"], "positive" => ["p"])).contains("`anchor`"));
    assert!(told(df!("query" => ["q"], "positive" => ["p"], "score" => [1], "label" => [1])).contains("`label`"));
    assert!(told(df!("query" => ["q"], "positive" => ["p"], "is_duplicate" => [0])).contains("`is_duplicate`"));
    for (frame, missing) in [
        (df!("query" => ["q"], "negative" => ["n"]), "positive"),
        (df!("passage" => ["n"], "positive" => ["p"], "negative" => ["n"]), ""),
        (df!("passage" => ["n"], "query" => ["p"]), "positive"),
        (df!("query" => ["n"]), "positive"),
    ] {
        match missing {
            "" => drop(TrainingSet::new(frame.unwrap()).unwrap()),
            missing => assert!(told(frame).starts_with(&format!("training set: no column `{missing}`"))),
        }
    }
    let table = csv("id,query,positive,year\n1,q,p,2020\n").unwrap();
    assert!(table.clone().training_set().unwrap_err().to_string().contains("`year`"));
    assert_eq!(table.select(&["query", "positive"]).unwrap().training_set().unwrap().len(), 1);
}

pub(super) fn lists_of_negatives() {
    let set = |path: PathBuf| read::jsonl(path)?.training_set();
    let line = |negatives: &str| format!("{{\"query\": \"q\", \"positive\": \"p\", \"negative\": {negatives}}}\n");
    let mined = file(line("[\"a\", \"b\"]") + &line("[\"c\", \"d\"]"));
    let mined = set(mined.path().to_owned()).unwrap();
    assert_eq!(mined.columns(), [["q", "q"], ["p", "p"], ["a", "c"], ["b", "d"]]);
    // The frame gives the same set again.
    assert_eq!(TrainingSet::new(mined.frame().clone()).unwrap().columns(), mined.columns());

    let problem = |second: &str| refused(line("[\"a\", \"b\"]") + &line(second), set);
    assert_eq!(problem("[\"c\"]"), "line 2 of FILE: column `negative`: 1 negatives; expected 2, as in the first row");
    assert_eq!(problem("[1, 2]"), "line 2 of FILE: column `negative`: `[1,2]`; expected a list of texts");
    assert_eq!(problem("[\"c\", null]"), "line 2 of FILE: column `negative`: `[\"c\",null]`; expected a list of texts");
    assert_eq!(problem("null"), "line 2 of FILE: column `negative`: null; expected a list of texts");
    assert_eq!(refused(line("[]"), set), "line 1 of FILE: column `negative`: 0 negatives; expected at least one");
    let numbers = df!("query" => ["q"], "positive" => ["p"], "negative" => [Series::new("".into(), [1])]).unwrap();
    let message = TrainingSet::new(numbers).unwrap_err().to_string();
    assert!(message.contains("column `negative` is list[i32]; expected strings, or lists of strings"), "{message}");
}

pub(super) fn null_texts() {
    let set = |path: PathBuf| read::jsonl(path)?.training_set();
    let line = |second: &str| format!("{{\"query\": \"q\", \"positive\": \"p\", \"negative\": \"n\"{second}}}\n");
    assert_eq!(
        refused(line(", \"negative_2\": \"m\"") + &line(", \"negative_2\": null"), set),
        "line 2 of FILE: column `negative_2`: null; expected a text"
    );
    let joined = df!("query" => [Some("q"), None], "positive" => ["p", "p"]).unwrap();
    let message = TrainingSet::new(joined).unwrap_err().to_string();
    assert_eq!(message, "training set: row 1 of column `query`: null; expected a text");
    let nan = df!("query" => ["q", "r"], "positive" => ["p", "p"], "score" => [1.0, f64::NAN]).unwrap();
    let message = TrainingSet::new(nan).unwrap_err().to_string();
    assert_eq!(message, "training set: row 1 of column `score`: NaN; expected a finite number");
    let scores = df!("query" => ["q", "r"], "positive" => ["p", "p"], "score" => [Some(1.0), None]).unwrap();
    let message = TrainingSet::new(scores).unwrap_err().to_string();
    assert_eq!(message, "training set: row 1 of column `score`: null; expected a number");
    // In single precision it would be the label above.
    let large = df!("text" => ["q", "r"], "label" => [16_777_215_i64, 16_777_217]).unwrap();
    let message = TrainingSet::new(large).unwrap_err().to_string();
    assert!(message.contains("row 1 of column `label`: 16777217; expected whole numbers below 16777216"), "{message}");
}
