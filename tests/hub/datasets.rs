//! Data sets in the format of BEIR.

use std::fs;
use std::io::Write;

use kensaku::hub::Hub;

use super::fake::{COMMIT, FakeHub, Fault};
use super::message;
use crate::shared::{Trials, test};

pub fn trials() -> Trials {
    vec![
        test("hub::a_data_set_with_judgements_beside_it", beside),
        test("hub::a_data_set_with_judgements_within", within),
        test("hub::a_data_set_offline_pinned_and_resumed", offline),
        test("hub::what_is_no_data_set_says_so", refused),
    ]
}

const CORPUS: &str = "{\"_id\": \"a\", \"title\": \"t\", \"text\": \"first\"}\n{\"_id\": \"b\", \"title\": \"\", \"text\": \"second\"}\n";
const QUERIES: &str = "{\"_id\": \"q\", \"text\": \"which\"}\n";
const QRELS: &str = "query-id\tcorpus-id\tscore\nq\tb\t1\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

/// As BeIR has them: two repositories.
fn beir() -> FakeHub {
    let fake = FakeHub::new();
    for (path, content) in [
        ("corpus.jsonl.gz", gzip(CORPUS)),
        ("queries.jsonl.gz", gzip(QUERIES)),
        ("README.md", b"# tiny".to_vec()),
        ("tiny.py", b"import os".to_vec()),
        ("corpus/0000.parquet", vec![0]),
    ] {
        fake.put("datasets/BeIR/tiny", path, content);
    }
    fake.put("datasets/BeIR/tiny-qrels", "test.tsv", QRELS);
    fake.put("datasets/BeIR/tiny-qrels", "README.md", "# judged");
    fake
}

fn beside() {
    let fake = beir();
    fake.state().token = Some("secret".to_owned());
    assert!(message(fake.hub().dataset("BeIR/tiny")).contains("HF_TOKEN"));
    let hub = Hub { token: Some("secret".to_owned()), ..fake.hub() };
    let data = hub.dataset("BeIR/tiny").unwrap();
    assert_eq!((data.name.as_str(), data.corpus.texts()), ("tiny", vec!["t first".to_owned(), "second".to_owned()]));
    assert!(data.split("test").unwrap().qrels.is_relevant("q", "b"));
    // Where Python's datasets looks for it, without what is not read.
    let folder = fake.home.path().join("hub/datasets--BeIR--tiny/snapshots").join(COMMIT);
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["README.md", "corpus.jsonl.gz", "queries.jsonl.gz"]);
    // The second time only the lists are asked for.
    fake.server.forget();
    hub.dataset("BeIR/tiny").unwrap();
    assert_eq!(fake.server.seen().len(), 2, "{:?}", fake.server.seen());
}

fn within() {
    let fake = FakeHub::new();
    for (path, content) in
        [("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES), ("qrels/dev.tsv", QRELS), ("qrels/README.md", "")]
    {
        fake.put("datasets/mteb/tiny", path, content);
    }
    let lines = "{\"query-id\": \"q\", \"corpus-id\": \"a\", \"score\": 2}\n";
    fake.put("datasets/mteb/tiny", "qrels/test.jsonl", lines);
    let data = fake.hub().dataset("mteb/tiny").unwrap();
    assert_eq!(data.qrels.keys().collect::<Vec<_>>(), ["dev", "test"]);
    assert_eq!(data.qrels["test"].judgements("q").unwrap().get("a"), Some(&2));
    // One file alone.
    let file = fake.hub().dataset_file("mteb/tiny", "qrels/README.md").unwrap();
    assert!(file.ends_with(format!("{COMMIT}/qrels/README.md")));
    let said = message(fake.hub().dataset_file("mteb/tiny", "data.parquet"));
    assert!(said.contains("mteb/tiny: it has no file data.parquet"), "{said}");
    assert!(said.contains("corpus.jsonl, qrels/README.md, qrels/dev.tsv"), "{said}");
}

fn offline() {
    let fake = beir();
    let offline = Hub { offline: true, ..fake.hub() };
    assert!(message(offline.dataset("BeIR/tiny")).contains("HF_HUB_OFFLINE is set"));
    fake.fault("corpus.jsonl.gz", Fault::Cut(10));
    let pinned = fake.hub().dataset(&format!("BeIR/tiny@{COMMIT}")).unwrap();
    let ranges: Vec<_> =
        fake.server.requests().iter().filter_map(|request| request.headers.get("range").cloned()).collect();
    assert_eq!(ranges, ["bytes=10-"]);
    assert!(message(fake.hub().dataset("BeIR/tiny@v9")).contains("v9"));
    fake.hub().dataset("BeIR/tiny").unwrap();
    fake.server.forget();
    let again = offline.dataset("BeIR/tiny").unwrap();
    assert_eq!(again.corpus.texts(), pinned.corpus.texts());
    assert!(offline.dataset_file("BeIR/tiny", "README.md").is_ok());
    for path in ["tiny.py", "../../refs/main"] {
        assert!(message(offline.dataset_file("BeIR/tiny", path)).contains("the cache has no"), "{path}");
    }
    assert!(fake.server.seen().is_empty());
    // A hub that is not there.
    let gone = Hub { endpoint: "http://127.0.0.1:9".to_owned(), ..fake.hub() };
    assert_eq!(gone.dataset("BeIR/tiny").unwrap().corpus.len(), 2);
}

fn refused() {
    let fake = FakeHub::new();
    fake.put("datasets/org/other", "data.parquet", vec![0]);
    let said = message(fake.hub().dataset("org/other"));
    assert!(said.contains("it has no corpus.jsonl: it is no data set in the format of BEIR"), "{said}");
    assert!(said.ends_with("fetch its files one by one with `hub::dataset_file`"), "{said}");
    fake.put("datasets/org/alone", "corpus.jsonl", CORPUS);
    fake.put("datasets/org/alone", "queries.jsonl", QUERIES);
    let said = message(fake.hub().dataset("org/alone"));
    assert!(said.contains("org/alone: it has no folder qrels, and org/alone-qrels: "), "{said}");
    assert!(message(fake.hub().dataset("no name")).starts_with("name = \"no name\""));
    // Lines of a file of the cache are told as those of any other.
    fake.put("datasets/org/bad", "corpus.jsonl", CORPUS.replace("\"b\"", "\"a\""));
    fake.put("datasets/org/bad", "queries.jsonl", QUERIES);
    fake.put("datasets/org/bad", "qrels/test.tsv", QRELS);
    assert!(message(fake.hub().dataset("org/bad")).contains("duplicate document id `a`, as in line 1"));
}
