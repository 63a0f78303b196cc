//! Documents, queries and judgements as they are found.

use std::path::PathBuf;

use kensaku::data::read::Strictness;
use kensaku::data::{Corpus, Qrels, Queries, read};
use kensaku::show::Show;
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

pub(super) fn lenient() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("odd");
    std::fs::create_dir_all(folder.join("qrels")).unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content).unwrap();
    let corpus = b"\xef\xbb\xbf{\"_id\": \"a\", \"title\": \"\", \"text\": \"one\"}\r\n\
                   {\"_id\": \"b\", \"title\": \"\", \"text\": \" \"}\r\n\
                   {\"_id\": \"c\", \"title\": \"only a title\", \"text\": null}\n\
                   {\"_id\": \"a\", \"title\": \"\", \"text\": \"again\"}\n\
                   {\"title\": \"\", \"text\": \"no id\"}\n\
                   {\"_id\": \"d\", \"title\": \"\", \"text\": \"br\xfcder\"}\n\
                   {\"_id\": \"e\", \"title\": \"\", \"text\": \"with\\ta tab\"}\n";
    write("corpus.jsonl", corpus);
    write("queries.jsonl", b"{\"_id\": \"q\", \"text\": \"which\"}\n{\"_id\": \"r\", \"text\": \"\"}\n");
    write(
        "qrels/test.tsv",
        b"query-id\tcorpus-id\tscore\nq\ta\t1\nq\tb\t1\nr\ta\t1\nq\ta\t1\nq\ta\t2\nq\tz\t1\nq\td\n\nq\te\tgood\nq\te\t0\n",
    );
    write("qrels/train.jsonl", b"{\"query-id\": \"q\", \"corpus-id\": \"c\", \"score\": 1}\n{\"query-id\": \"x\", \"corpus-id\": \"c\", \"score\": 1}\n");
    assert!(read::beir(&folder).is_err());
    let (data, report) = read::beir_with(&folder, Strictness::Lenient).unwrap();
    assert_eq!(data.corpus.doc_ids(), ["a", "c", "d", "e"]);
    assert_eq!(data.corpus.texts(), ["one", "only a title ", "br\u{fffd}der", "with\ta tab"]);
    assert_eq!(data.queries.query_ids(), ["q"]);
    let grades = |split: &str| {
        data.qrels[split]
            .iter()
            .flat_map(|(_, docs)| docs.iter().map(|(id, grade)| (id.to_owned(), *grade)).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    assert_eq!(grades("test"), [("a".to_owned(), 1), ("e".to_owned(), 0)]);
    assert_eq!(grades("train"), [("c".to_owned(), 1)]);
    assert_eq!(
        report.to_string().lines().collect::<Vec<_>>(),
        [
            "corpus.jsonl: 1 x byte order mark, first in line 1: left out",
            "corpus.jsonl: 2 x line that ends in a carriage return, first in line 1: read without it",
            "corpus.jsonl: 1 x line that is not UTF-8, first in line 6: bytes replaced by U+FFFD",
            "corpus.jsonl: 1 x empty document, first in line 2 (b): dropped",
            "corpus.jsonl: 1 x duplicate document id, first in line 4 (a): dropped",
            "corpus.jsonl: 1 x document without an id, first in line 5: dropped",
            "corpus.jsonl: 1 x tab in a document, first in line 7 (e): kept",
            "queries.jsonl: 1 x empty query, first in line 2 (r): dropped",
            "qrels/test.tsv: 1 x line without three cells, first in line 8 (2 cells): dropped",
            "qrels/test.tsv: 2 x unknown document id, first in line 3 (b): dropped",
            "qrels/test.tsv: 1 x unknown query id, first in line 4 (r): dropped",
            "qrels/test.tsv: 1 x judgement that is there twice, first in line 5 (a): dropped",
            "qrels/test.tsv: 1 x second grade of a document, first in line 6 (a): dropped",
            "qrels/test.tsv: 1 x grade that is no whole number, first in line 10 (good): dropped",
            "qrels/train.jsonl: 1 x unknown query id, first in line 2 (x): dropped",
        ]
    );
    assert_eq!((report.dropped(), report.frame().unwrap().shape()), (12, (15, 6)));
    let shown = report.bundle();
    assert!(shown.data["text/html"].as_str().unwrap().contains("first_line"));
    // A whole folder has nothing to report.
    write("corpus.jsonl", b"{\"_id\": \"a\", \"text\": \"one\"}\n");
    write("queries.jsonl", b"{\"_id\": \"q\", \"text\": \"which\"}\n");
    std::fs::remove_file(folder.join("qrels/train.jsonl")).unwrap();
    write("qrels/test.tsv", b"query-id\tcorpus-id\tscore\nq\ta\t1\n");
    for strictness in [Strictness::Strict, Strictness::Lenient] {
        let (data, report) = read::beir_with(&folder, strictness).unwrap();
        assert_eq!((data.corpus.len(), report.to_string().as_str()), (1, "nothing unusual"));
    }
}
