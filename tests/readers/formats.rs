//! The files of other tools and collections.

use std::path::{Path, PathBuf};

use kensaku::data::{Corpus, LabelKind, Queries, TrainingSet, read};
use polars::prelude::*;

use super::{file, refused};

fn rows(data: &TrainingSet) -> Vec<Vec<String>> {
    let columns = data.columns();
    (0..data.len()).map(|row| columns.iter().map(|column| column[row].to_owned()).collect()).collect()
}

pub(super) fn trec_documents() {
    let sgml = "<?xml version=\"1.0\"?>\n<root>\n<DOC>\n<DOCNO>FT-1</DOCNO>\n<HL>\n Rain &amp; sun\n</HL>\n<TEXT>\nIt <b>rains</b>,\n5 < 6.\n\
                </TEXT>\n<DATE>1991</DATE><TEXT>More.</TEXT>\n</DOC> <doc><docno>2</docno><title>No text</title>body of it</doc>\n\
                <DOC><DOCNO> 3 </DOCNO></DOC></root>\n";
    let corpus = read::trec_docs(file(sgml).path()).unwrap();
    assert_eq!(corpus.doc_ids(), ["FT-1", "2", "3"]);
    let texts = corpus.texts();
    assert_eq!(texts[0].split_whitespace().collect::<Vec<_>>().join(" "), "Rain & sun It rains , 5 < 6. More.");
    assert_eq!(texts[1..], ["No text body of it", ""]);
    let corpus = |path: PathBuf| read::trec_docs(path);
    for (content, expected) in [
        ("<DOC><DOCNO>1</DOCNO>\n<TEXT>x</TEXT>\n", "line 1 of FILE: a document that does not end; expected `</DOC>`"),
        (
            "<DOC>\n<TEXT>x</TEXT>\n</DOC>",
            "line 3 of FILE: the document of line 1 has no id; expected `<DOCNO> id </DOCNO>`",
        ),
        ("\nstray\n<DOC><DOCNO>1</DOCNO></DOC>", "line 2 of FILE: `stray` outside of a document; expected `<DOC>`"),
        (
            "<DOC><DOCNO>1</DOCNO></DOC>\n<DOC>\n<DOCNO>1</DOCNO></DOC>",
            "line 2 of FILE: duplicate document id `1`, as in line 1; expected unique ids",
        ),
    ] {
        assert_eq!(refused(content, corpus), expected);
    }
    assert!(read::trec_docs(file("").path()).unwrap().is_empty());
}

pub(super) fn trec_topics() {
    let topics = |content: &str| read::trec_topics(file(content).path()).unwrap();
    let sgml = topics(
        "\n<top>\n<head> Tipster Topic Description\n<num> Number:  051\n<dom> Domain:  Economics\n<title> Topic:  Airbus Subsidies\n\n\
         <desc> Description:\nDocument will discuss\nassistance.\n\n<narr> Narrative: None.\n</top>\n<top>\n<num> Number: MB01\n<desc> Description:\nonly this\n</top>",
    );
    assert_eq!(
        (sgml.query_ids(), sgml.texts()),
        (vec!["51".into(), "MB01".into()], vec!["Airbus Subsidies".into(), "only this".into()])
    );
    let frame = sgml.frame();
    assert_eq!(frame.column("description").unwrap().str().unwrap().get(0), Some("Document will discuss\nassistance."));
    assert_eq!(frame.column("narrative").unwrap().null_count(), 1);

    let xml = topics(
        "<topics task=\"COVID\">\n<topic number=\"1\">\n <query>coronavirus origin</query>\n <question>what is the origin?</question>\n\
         <narrative>a &amp; b</narrative></topic>\n<topic number='2'><description>d</description></topic></topics>",
    );
    assert_eq!(
        (xml.query_ids(), xml.texts()),
        (vec!["1".into(), "2".into()], vec!["coronavirus origin".into(), "d".into()])
    );
    assert_eq!(xml.frame().column("narrative").unwrap().str().unwrap().get(0), Some("a & b"));

    let lines = topics("wt09-1:obama family tree\nwt09-2:time: a word\n\n3\twith a tab: here\n");
    assert_eq!(lines.query_ids(), ["wt09-1", "wt09-2", "3"]);
    assert_eq!(lines.texts(), ["obama family tree", "time: a word", "with a tab: here"]);

    let read = |path: PathBuf| read::trec_topics(path);
    assert_eq!(
        refused("\n<top>\n<title> x\n</top>\n", read),
        "line 2 of FILE: a topic without a number; expected `<num> Number: 301`"
    );
    assert_eq!(
        refused("<top>\n<num> 1\n<title> x\n</top>\n<top>\n<num> 2\n", read),
        "line 5 of FILE: a `<top>` that does not end; expected its end tag"
    );
    assert_eq!(
        refused("<topic number=\"1\"><narrative>n</narrative></topic>", read),
        "line 1 of FILE: topic `1` without a text; expected a title or a description"
    );
    assert_eq!(
        refused("1:x\nno number\n", read),
        "line 2 of FILE: `no number`; expected `<top>`, `<topic number=..>`, or `id:text`"
    );
}

pub(super) fn msmarco() {
    let passages = read::msmarco_passages(file("0\ta \"quoted text\n1\tb\r\n").path()).unwrap();
    assert_eq!(
        (passages.doc_ids(), passages.texts()),
        (vec!["0".into(), "1".into()], vec!["a \"quoted text".into(), "b".into()])
    );
    let docs = read::msmarco_documents(file("D1\thttp://a\ttitle\tbody\n").path()).unwrap();
    assert_eq!((docs.texts(), docs.frame().width()), (vec!["title body".into()], 4));
    let triples = read::msmarco_triples(file("q\tp\tn\nr\to\tm\n").path()).unwrap();
    assert_eq!(rows(&triples), [["q", "p", "n"], ["r", "o", "m"]]);
    assert_eq!(
        refused("0\ta\n1\tb\tc\n", read::msmarco_queries),
        "line 2 of FILE: 3 cells; expected 2 (query_id, text)"
    );
}

pub(super) fn ids_for_texts() {
    let queries = Queries::from_texts(["one", "two"]).unwrap();
    let corpus = Corpus::new(
        df!("doc_id" => ["7", "8", "9"], "title" => [Some("t"), None, None], "text" => ["a", "b", "c"]).unwrap(),
    )
    .unwrap();
    let read = |path: PathBuf| read::id_triples(path, &queries, &corpus);
    for content in ["[1, 7, 8]\n\n[\"2\", \"9\", 7]\n", "1\t7\t8\n2\t9\t7\r\n"] {
        let triples = read(file(content).path().to_owned()).unwrap();
        assert_eq!(rows(&triples), [["one", "t a", "b"], ["two", "c", "t a"]]);
        assert_eq!(triples.frame().column("positive_id").unwrap().str().unwrap().get(1), Some("9"));
    }
    let scored = read(file("[1, [7, 0.5], [8, -1], [9, 2]]\n").path().to_owned()).unwrap();
    assert_eq!(
        (scored.labels().unwrap().values(), scored.labels().unwrap().kind()),
        (&[0.5, -1.0, 2.0][..], LabelKind::List(3))
    );
    for (content, expected) in [
        ("[1, 7, 8]\n[3, 7, 8]", "line 2 of FILE: unknown query id `3`; expected one of 2"),
        ("[1, 7, 10]", "line 1 of FILE: unknown document id `10`; expected one of 3"),
        ("[1, 7, 8]\n[2, 9]", "line 2 of FILE: 1 documents; expected 2, as on the first line"),
        ("1\t7\t8\n2\t9\t8\t7", "line 2 of FILE: 3 documents; expected 2, as on the first line"),
        ("[1]", "line 1 of FILE: 0 documents; expected at least one"),
        ("[]", "line 1 of FILE: no query; expected a query id, then document ids"),
        ("[1, 7, [8, 1]]", "line 1 of FILE: 1 scores; expected one for every document of the file, or none"),
        ("[1, [7, 1]]\n[2, 8]", "line 2 of FILE: 0 scores; expected one for every document of the file, or none"),
        ("[1, null]", "line 1 of FILE: `null`; expected `[query, positive, negative, ..]`"),
        ("[1.5, 7]", "line 1 of FILE: `1.5`; expected `[query, positive, negative, ..]`"),
    ] {
        assert_eq!(refused(content, read), expected);
    }
}

pub(super) fn squad() {
    let json = r#"{"data": [
        {"title": "Rain", "paragraphs": [
            {"context": "It rains.", "qas": [{"id": "a", "question": "Does it?"}, {"id": "b", "question": "Why?", "is_impossible": true}]},
            {"context": "It snows.", "qas": [{"id": 3, "question": "Does it snow?"}]}]},
        {"title": "Again", "paragraphs": [{"context": "It rains.", "qas": [{"id": "d", "question": "Again?"}]}]}]}"#;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dev-v2.0.json");
    std::fs::write(&path, json).unwrap();
    let data = read::squad(&path).unwrap();
    assert_eq!((data.name.as_str(), data.corpus.texts()), ("dev-v2.0", vec!["It rains.".into(), "It snows.".into()]));
    let split = data.split("dev-v2.0").unwrap();
    assert_eq!(split.queries.query_ids(), ["a", "b", "3", "d"]);
    assert!(
        split.qrels.is_relevant("a", "0") && split.qrels.is_relevant("3", "1") && split.qrels.is_relevant("d", "0")
    );
    assert_eq!(split.qrels.judgements("b").unwrap().get("0"), Some(&0));
    let message = |content: &str| refused(content, read::squad);
    assert!(message("{\"data\": [{\"paragraphs\": [{\"context\": 7}]}]}").contains("invalid type: integer `7`"));
    let twice = json.replace("\"id\": \"d\"", "\"id\": \"a\"");
    assert!(message(&twice).contains("FILE: duplicate query id `a`"), "{}", message(&twice));
}

pub(super) fn sentence_pairs() {
    let stsb =
        read::stsb(file("g\tf\t2012\t0\t4.5\t\"a\tb\n\ng\tf\t2012\t1\t0\tc\td\tsource\tlicence\n").path()).unwrap();
    assert_eq!(
        (rows(&stsb), stsb.labels().unwrap().values()),
        (vec![vec!["\"a".to_owned(), "b".into()], vec!["c".into(), "d".into()]], &[4.5, 0.0][..])
    );
    assert_eq!(
        refused("g\tf\ty\t0\thigh\ta\tb\n", read::stsb),
        "line 1 of FILE: the score is `high`; expected a number in the fifth cell"
    );
    assert!(refused("g\tf\n", read::stsb).starts_with("line 1 of FILE: 2 cells; expected 7 or more"));
    let line = |label: &str| {
        format!("{{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": {label}, \"sentence_pair_id\": \"0\"}}\n")
    };
    let classes = file(["\"neutral\"", "\"entailment\"", "\"contradiction\""].map(line).concat());
    let jnli = read::jnli(classes.path()).unwrap();
    assert_eq!(
        (jnli.labels().unwrap().values(), jnli.labels().unwrap().kind()),
        (&[1.0, 0.0, 2.0][..], LabelKind::Class)
    );
    assert_eq!(
        refused(["\"neutral\"", "\"unknown\""].map(line).concat(), read::jnli),
        "line 2 of FILE: column `label`: `unknown`; expected entailment, neutral, contradiction"
    );
    assert_eq!(read::jsts(file(line("2.5")).path()).unwrap().labels().unwrap().values(), [2.5]);
}

pub(super) fn flag_embedding_and_tevatron() {
    let flag = |content: &str, negatives| read::flag_embedding(file(content).path(), negatives);
    let line = r#"{"query": "q", "pos": ["p", "o"], "neg": ["n", "m", "l"], "pos_scores": [1, 0.5], "neg_scores": [0.1, 0.2, 0.3], "type": "x"}"#;
    let data = flag(line, 2).unwrap();
    assert_eq!(rows(&data), [["q", "p", "n", "m"], ["q", "o", "n", "m"]]);
    assert_eq!(data.labels().unwrap().values(), [1.0, 0.1, 0.2, 0.5, 0.1, 0.2]);
    assert_eq!(rows(&flag("{\"query\": \"q\", \"pos\": [\"p\"]}", 0).unwrap()), [["q", "p"]]);
    for (content, expected) in [
        (
            format!("{line}\n{{\"query\": \"q\", \"pos\": [\"p\"], \"neg\": [\"n\"]}}"),
            "line 2 of FILE: 1 negatives; expected at least 2, as was asked for",
        ),
        (
            "{\"query\": \"q\", \"pos\": [], \"neg\": [\"n\", \"m\"]}".to_owned(),
            "line 1 of FILE: `pos` is empty; expected at least one positive",
        ),
        (
            "{\"query\": \"q\", \"pos\": [\"p\"], \"neg\": [\"n\", \"m\"], \"neg_scores\": [1]}".to_owned(),
            "line 1 of FILE: `neg_scores` has 1 numbers; expected 2, one for each text of `neg`",
        ),
        (
            format!("{line}\n{{\"query\": \"q\", \"pos\": [\"p\"], \"neg\": [\"n\", \"m\"]}}"),
            "line 2 of FILE: no scores; expected as on the first line",
        ),
    ] {
        assert_eq!(refused(content, |path| read::flag_embedding(path, 2)), expected);
    }
    assert!(refused("{\"query\": 1}", |path| read::flag_embedding(path, 0)).contains("invalid type: integer `1`"));

    let passages = r#"{"query_id": 5, "query": "q", "positive_passages": [{"docid": "a", "title": "t", "text": "p"}], "negative_passages": [{"docid": "b", "text": "n"}, {"docid": "c", "title": "", "text": "m"}]}"#;
    let data = read::tevatron(file(passages).path(), None, 2).unwrap();
    assert_eq!(rows(&data), [["q", "t p", "n", "m"]]);
    assert_eq!(data.frame().column("query_id").unwrap().str().unwrap().get(0), Some("5"));
    let ids = r#"{"query_id": "5", "query_text": "q", "query_image": null, "positive_document_ids": ["a"], "negative_document_ids": ["z"]}"#;
    assert_eq!(
        refused(ids, |path| read::tevatron(path, None, 1)),
        "line 1 of FILE: document id `a` alone; expected a corpus that has the documents"
    );
    let corpus = Corpus::new(df!("doc_id" => ["a"], "text" => ["x"]).unwrap()).unwrap();
    assert_eq!(
        refused(ids, |path| read::tevatron(path, Some(&corpus), 1)),
        "line 1 of FILE: unknown document id `z`; expected one of the 1 of the corpus"
    );
    assert_eq!(
        rows(&read::tevatron(file(ids.replace("[\"z\"]", "[]")).path(), Some(&corpus), 0).unwrap()),
        [["q", "x"]]
    );
}

pub(super) fn zstandard() {
    let text =
        "{\"doc_id\": \"a\", \"text\": \"x\"}\n".repeat(3).replacen("\"a\"", "\"b\"", 1).replacen("\"a\"", "\"c\"", 1);
    let packed = |text: &str| zstd::encode_all(text.as_bytes(), 3).unwrap();
    // Two frames, one after the other, are one file; a byte order mark within is none.
    let (first, second) = text.split_at(text.find('\n').unwrap() + 1);
    let frames = [packed(&format!("\u{feff}{first}")), packed(second)].concat();
    for content in [packed(&text), frames.clone()] {
        assert_eq!(read::jsonl(file(content).path()).unwrap().corpus().unwrap().doc_ids(), ["b", "c", "a"]);
    }
    for cut in [5, 9, frames.len() - 4] {
        let message = refused(&frames[..cut], read::jsonl);
        assert!(message.contains("FILE: "), "{message}");
    }
}

/// The files of JGLUE and of the STS benchmark.
pub(super) fn jglue(folder: &Path) {
    let data = read::squad(folder.join("jsquad-v1.3/valid-v1.3.json")).unwrap();
    assert_eq!((data.corpus.len(), data.queries.len()), (1_145, 4_442));
    assert!(data.qrels["valid-v1.3"].iter().all(|(_, docs)| docs.len() == 1));
    assert_eq!(read::squad(folder.join("jsquad-v1.3/test-v1.3.json")).unwrap().corpus.len(), 1_159);
    let jsts = read::jsts(folder.join("jsts-v1.3/train-v1.3.json")).unwrap();
    assert_eq!((jsts.len(), jsts.labels().unwrap().kind()), (12_451, LabelKind::Score));
    let jnli = read::jnli(folder.join("jnli-v1.3/valid-v1.3.json")).unwrap();
    assert_eq!((jnli.len(), jnli.labels().unwrap().kind()), (2_434, LabelKind::Class));
}

pub(super) fn sts_benchmark(folder: &Path) {
    for (name, count) in [("train", 5_749), ("dev", 1_500), ("test", 1_379)] {
        let pairs = read::stsb(folder.join(format!("sts-{name}.csv"))).unwrap();
        assert_eq!(pairs.len(), count);
        assert!(pairs.labels().unwrap().values().iter().all(|score| (0.0..=5.0).contains(score)));
    }
}
