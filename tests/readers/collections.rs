//! Documents, queries and judgements as they are found.

use std::path::PathBuf;

use kensaku::data::{Corpus, Qrels, Queries, read};
use polars::prelude::*;

use super::{file, jsonl, refused};

pub(super) fn integer_ids() {
    let corpus = Corpus::new(df!("doc_id" => [7u32, 10], "text" => ["x", "y"]).unwrap()).unwrap();
    assert_eq!(corpus.doc_ids(), ["7", "10"]);
    let json = file("{\"query_id\": 1, \"text\": \"x\"}\n{\"query_id\": -2, \"text\": \"y\"}\n");
    assert_eq!(read::jsonl(json.path()).unwrap().queries().unwrap().query_ids(), ["1", "-2"]);
    let qrels = df!("query_id" => [1, 1], "doc_id" => [7i64, 10], "grade" => [1.0f32, 0.0]).unwrap();
    let qrels = Qrels::from_frame(&qrels).unwrap();
    assert!(qrels.is_relevant("1", "7") && !qrels.is_relevant("1", "10"));
    let floats = df!("doc_id" => [7.0], "text" => ["x"]).unwrap();
    assert_eq!(Corpus::new(floats).unwrap_err().to_string(), "corpus: column `doc_id` is f64; expected strings");
    let beir = Corpus::new(df!("_id" => ["a"], "text" => ["x"]).unwrap()).unwrap_err().to_string();
    assert!(beir.ends_with("expected a column of strings or integers; rename `_id` if it is that"), "{beir}");
    let twice = file("{\"query_id\": 1, \"text\": \"x\"}\n\n{\"query_id\": 1, \"text\": \"y\"}\n");
    let message = read::jsonl(twice.path()).unwrap().queries().unwrap_err().to_string();
    assert!(message.contains("duplicate query id `1`, as in line 1"), "{message}");
}

pub(super) fn nulls() {
    let all = jsonl(
        "{\"doc_id\": \"a\", \"title\": null, \"text\": \"x\"}\n{\"doc_id\": \"b\", \"title\": null, \"text\": \"y\"}\n",
    );
    assert_eq!(Corpus::new(all).unwrap().texts(), ["x", "y"]);
    let some = jsonl(
        "{\"doc_id\": \"a\", \"title\": null, \"text\": \"x\"}\n{\"doc_id\": \"b\", \"title\": \"t\", \"text\": \"y\"}\n",
    );
    assert_eq!(Corpus::new(some).unwrap().texts(), ["x", "t y"]);
    let corpus = |path: PathBuf| read::jsonl(path)?.corpus();
    assert_eq!(
        refused("{\"doc_id\": \"a\", \"text\": \"x\"}\n\n{\"doc_id\": \"b\", \"text\": null}", corpus),
        "line 3 of FILE: column `text`: null; expected a text"
    );
    assert_eq!(
        refused("{\"doc_id\": \"a\", \"text\": null}", corpus),
        "line 1 of FILE: column `text`: null; expected a text"
    );
    let queries = df!("query_id" => ["a"], "text" => [None::<&str>]).unwrap();
    assert_eq!(
        Queries::new(queries).unwrap_err().to_string(),
        "queries: row 0 of column `text`: null; expected a text"
    );
    // Texts and ids come one by one, too.
    let corpus = Corpus::new(df!("doc_id" => ["a"], "title" => ["t"], "text" => ["x"]).unwrap()).unwrap();
    assert_eq!(corpus.iter_texts().zip(corpus.iter_ids()).collect::<Vec<_>>(), [("t x".into(), "a")]);
    let queries = Queries::from_texts(["one", "two"]).unwrap();
    assert_eq!((queries.iter_texts().len(), queries.iter_texts().collect::<Vec<_>>()), (2, vec!["one", "two"]));
}

pub(super) fn beir_folders() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("tiny");
    let write = |name: &str, content: &str| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write("corpus.jsonl", "{\"_id\": 1, \"title\": null, \"text\": \"x\"}\n");
    write("queries.jsonl", "{\"_id\": \"q\", \"text\": \"y\"}\n");
    write("qrels/README.md", "");
    let message = read::beir(&folder).unwrap_err().to_string();
    assert!(message.ends_with("qrels: no judgements; expected `<split>.tsv` or `<split>.jsonl`"), "{message}");
    write("qrels/test.jsonl", "{\"query-id\": \"q\", \"corpus-id\": 1, \"score\": 1.0}\n");
    assert!(read::beir(&folder).unwrap().qrels["test"].is_relevant("q", "1"));
    write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\t1\t1\n");
    let message = read::beir(&folder).unwrap_err().to_string();
    assert!(message.contains(": a second file of this split, beside "), "{message}");

    let message = read::beir(dir.path()).unwrap_err().to_string();
    assert!(message.ends_with("corpus.jsonl: no such file; folders of data sets here: `tiny`"), "{message}");
}
