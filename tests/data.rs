//! Data sets: what is read, and what is said about a bad file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use kensaku::Result;
use kensaku::data::read::{self, Csv};
use kensaku::data::{Corpus, Dataset, Qrels, Queries, TrainingSet, rustdoc};
use polars::prelude::*;

use crate::shared::{Trials, shared, test};

pub(crate) fn trials() -> Trials {
    vec![
        test("data::a_bad_file_is_told_file_line_and_what_was_expected", bad_files),
        test("data::a_bad_frame_is_told_column_and_row", bad_frames),
        test("data::a_bad_beir_folder_is_told_file_and_line", bad_beir),
        test("data::jsonl_columns_have_the_types_of_their_values", jsonl_types),
        test("data::csv_and_tsv", separated),
        test("data::parquet_is_lazy", parquet),
        test("data::splits_and_pairs", splits),
        test("data::scores_correlate_by_value_and_by_rank", correlations),
        shared("data::scifact", "data/scifact", |folder| scifact(&folder)),
        test("data::rustdoc_documents", rustdoc_documents),
        test("data::rustdoc_splits_share_no_near_duplicates", rustdoc_splits),
        test("data::rustdoc_is_the_same_in_any_number_of_threads", rustdoc_threads),
    ]
}

/// What the prelude has for tables of scores: a cube grows with its root, but not in a line.
fn correlations() {
    use kensaku::prelude::{col, pearson_corr, spearman_rank_corr};
    let scores = df!("score" => [-2.0, -1.0, 0.0, 1.0, 2.0], "label" => [-8.0, -1.0, 0.0, 1.0, 8.0]).unwrap();
    let value_of = |correlation: Expr| {
        let frame = scores.clone().lazy().select([correlation.alias("r")]).collect().unwrap();
        frame.column("r").unwrap().f64().unwrap().get(0).unwrap()
    };
    let by_value = value_of(pearson_corr(col("score"), col("label")));
    let by_rank = value_of(spearman_rank_corr(col("score"), col("label"), true));
    assert!((by_value - 34.0 / 1300f64.sqrt()).abs() < 1e-12, "{by_value}");
    assert!((by_rank - 1.0).abs() < 1e-12, "{by_rank}");
}

fn bad_files() {
    type Read = fn(&Path) -> Result<()>;
    let corpus: Read = |path| read::jsonl(path)?.rename(&[("_id", "doc_id")])?.corpus().map(drop);
    let queries: Read = |path| read::jsonl(path)?.queries().map(drop);
    let qrels: Read = |path| read::csv(path, &Csv::tsv())?.qrels().map(drop);
    let training: Read = |path| read::csv(path, &Csv::default())?.training_set().map(drop);
    let cases: &[(&str, Read, &str)] = &[
        (
            "{\"_id\": \"a\", \"text\": \"x\"}\n{\"_id\": \"b\", \"text\": }\n",
            corpus,
            "line 2 of FILE: expected value at character 22; expected one JSON object",
        ),
        ("\n[1]\n", corpus, "line 2 of FILE: invalid type: sequence, expected an object; expected one JSON object"),
        (
            "{\"_id\": \"a\", \"text\": \"x\"}\n\n{\"_id\": \"b\", \"text\": 7}\n",
            corpus,
            "line 3 of FILE: column `text` is a number; expected a string as in the lines above",
        ),
        ("{\"id\": \"a\"}", corpus, "FILE: no column `_id` (there are: id); expected a column to rename to `doc_id`"),
        ("{\"_id\": \"a\"}", corpus, "FILE: no column `text` (there are: doc_id); expected a column of strings"),
        ("{\"_id\": 1.5, \"text\": \"x\"}", corpus, "FILE: column `doc_id` is f64; expected strings"),
        (
            "{\"_id\": \"a\", \"text\": \"x\"}\n\n{\"_id\": \"a\", \"text\": \"y\"}\n",
            corpus,
            "line 3 of FILE: duplicate document id `a`, as in line 1; expected unique ids",
        ),
        (
            "{\"query_id\": \"a\", \"text\": \"x\"}\n{\"text\": \"y\"}\n",
            queries,
            "line 2 of FILE: column `query_id`: no id; expected a query id",
        ),
        ("query_id\tdoc_id\tgrade\nq\td\n", qrels, "line 2 of FILE: 2 cells; expected 3 (query_id, doc_id, grade)"),
        ("query_id\tdoc_id\tgrade\nq\td\tgood\n", qrels, "line 2 of FILE: column `grade`: `good`; expected a number"),
        ("query_id\tdoc_id\tgrade\nq\td\t0.5\n", qrels, "FILE: column `grade` is f64; expected integers"),
        ("query_id\tdoc_id\tgrade\nq\td\t\n", qrels, "line 2 of FILE: column `grade`: null; expected a value"),
        (
            "query_id\tdoc_id\tgrade\nq\td\t1\nq\td\t1\nq\td\t2\n",
            qrels,
            "line 4 of FILE: column `grade`: 2, but query `q` and document `d` were judged 1 above; \
             expected one grade for a query and a document",
        ),
        (
            "query,positive,score\n\"a\nb\",c,1\nd,e,f\n",
            training,
            "line 4 of FILE: column `score`: `f`; expected a number",
        ),
        (
            "query,negative\na,b\n",
            training,
            "FILE: no column `positive` (there are: query, negative); expected a column of strings",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for (content, read, expected) in cases {
        std::fs::write(&path, content).unwrap();
        let message = read(&path).expect_err(content).to_string();
        assert_eq!(message, expected.replace("FILE", &path.display().to_string()));
    }
    std::fs::write(&path, b"query,positive\na,\xff\n").unwrap();
    let message = training(&path).unwrap_err().to_string();
    assert!(message.starts_with("line 2 of ") && message.ends_with("expected text in UTF-8"), "{message}");
    for read in [corpus, qrels] {
        let message = read(&dir.path().join("none")).unwrap_err().to_string();
        assert!(message.starts_with(&dir.path().join("none").display().to_string()), "{message}");
    }
}

fn bad_frames() {
    let message = |result: Result<()>| result.unwrap_err().to_string();
    let twice = df!("doc_id" => ["a", "b", "a"], "text" => ["", "", ""]).unwrap();
    assert_eq!(message(Corpus::new(twice).map(drop)), "corpus: duplicate document id `a` (rows 0 and 2)");
    let null = df!("query_id" => [Some("a"), None], "text" => ["x", "y"]).unwrap();
    assert_eq!(
        message(Queries::new(null).map(drop)),
        "queries: row 1 of column `query_id`: no id; expected a query id"
    );
    let numbers = df!("query" => [1, 2], "positive" => ["x", "y"]).unwrap();
    assert_eq!(message(TrainingSet::new(numbers).map(drop)), "training set: column `query` is i32; expected strings");
    let grades = df!("query_id" => ["q"], "doc_id" => ["d"], "grade" => [0.5]).unwrap();
    assert_eq!(message(Qrels::from_frame(&grades).map(drop)), "qrels: column `grade` is f64; expected integers");
}

/// Three documents, three queries, judged in two splits.
fn write_beir(folder: &Path, test: &str) {
    let write = |name: &str, content: &str| std::fs::write(folder.join(name), content).unwrap();
    std::fs::create_dir_all(folder.join("qrels")).unwrap();
    write(
        "corpus.jsonl",
        "{\"_id\": \"d1\", \"title\": \"One\", \"text\": \"first\"}\n{\"_id\": \"d2\", \"title\": \"\", \"text\": \"second\"}\n\
         {\"_id\": \"d3\", \"title\": \"Three\", \"text\": \"third\"}\n",
    );
    write(
        "queries.jsonl",
        "{\"_id\": \"q1\", \"text\": \"one?\", \"metadata\": {}}\n{\"_id\": \"q2\", \"text\": \"two?\", \"metadata\": {\"a\": [1]}}\n\
         {\"_id\": \"q3\", \"text\": \"three?\"}\n",
    );
    write("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td1\t0\nq1\td3\t1\n");
    write("qrels/test.tsv", test);
}

fn bad_beir() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        ("q9\td1\t1", "column `query_id`: unknown query id `q9`; expected one of the 3 ids of queries.jsonl"),
        ("q1\td9\t1", "column `doc_id`: unknown document id `d9`; expected one of the 3 ids of corpus.jsonl"),
        ("q1\td1\tyes", "column `grade`: `yes`; expected a number"),
    ];
    for (line, expected) in cases {
        write_beir(dir.path(), &format!("query-id\tcorpus-id\tscore\nq3\td3\t1\n{line}\n"));
        let message = read::beir(dir.path()).unwrap_err().to_string();
        let file = dir.path().join("qrels").join("test.tsv");
        assert_eq!(message, format!("line 3 of {}: {expected}", file.display()));
    }
    write_beir(dir.path(), "query\tdoc\tgrade\n");
    let message = read::beir(dir.path()).unwrap_err().to_string();
    assert!(
        message.ends_with(
            "no column `query-id` (there are: query, doc, grade); expected a column to rename to `query_id`"
        )
    );
}

fn jsonl_types() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    let rows = "{\"s\": \"x\", \"i\": 1, \"f\": 1, \"n\": null}\n{\"b\": true, \"f\": 0.5, \"o\": {\"k\": [1, 2]}, \"n\": null}\n";
    std::fs::write(&path, rows).unwrap();
    let frame = read::jsonl(&path).unwrap().into_frame();
    let expected = df!(
        "s" => [Some("x"), None],
        "i" => [Some(1i64), None],
        "f" => [1.0, 0.5],
        "n" => Series::full_null("n".into(), 2, &DataType::Null),
        "b" => [None, Some(true)],
        "o" => [None, Some("{\"k\":[1,2]}")],
    )
    .unwrap();
    assert!(frame.equals_missing(&expected), "{frame}");
}

fn separated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows");
    std::fs::write(&path, "007\tsays \"hi\"\n08\ta,b\n").unwrap();
    let names = Some(vec!["doc_id".to_owned(), "text".to_owned()]);
    let corpus = read::csv(&path, &Csv { names, ..Csv::tsv() }).unwrap().corpus().unwrap();
    assert_eq!(corpus.doc_ids(), ["007", "08"]);
    assert_eq!(corpus.texts(), ["says \"hi\"", "a,b"]);

    std::fs::write(&path, "\u{feff}query,positive,score\r\n\"a, \"\"b\"\"\",c,1\r\nd,e,0.5\r\n").unwrap();
    let training = read::csv(&path, &Csv::default()).unwrap().training_set().unwrap();
    assert_eq!(training.columns()[0], ["a, \"b\"", "d"]);
    assert_eq!(training.labels(), Some(&vec![1.0, 0.5].into()));

    let wrong = Csv { separator: '→', ..Csv::default() };
    let message = read::csv(&path, &wrong).unwrap_err().to_string();
    assert_eq!(message, "separator = '→': expected one ASCII character that ends no line and quotes no cell");
}

fn parquet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("docs [1]*.parquet");
    let mut frame = df!("id" => ["a", "b"], "text" => ["x", "y"], "year" => [1, 2]).unwrap();
    ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
    let lazy = read::parquet(&path).unwrap().filter(col("year").gt(lit(1)));
    let corpus = Corpus::new(lazy.select([col("id").alias("doc_id"), col("text")]).collect().unwrap()).unwrap();
    assert_eq!(corpus.doc_ids(), ["b"]);

    std::fs::write(&path, "no parquet").unwrap();
    for path in [path, dir.path().join("none")] {
        let message = read::parquet(&path).err().unwrap().to_string();
        assert!(message.starts_with(&format!("{}: ", path.display())), "{message}");
    }
}

fn splits() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("tiny");
    write_beir(&folder, "query-id\tcorpus-id\tscore\nq3\td3\t1\n");
    let data = read::beir(&folder).unwrap();
    assert_eq!(
        format!("{data}"),
        "tiny: 3 documents, 3 queries; test: 1 queries, 1 judgements; train: 2 queries, 4 judgements"
    );
    assert_eq!(data.split("test").unwrap().queries.query_ids(), ["q3"]);
    let message = data.split("dev").unwrap_err().to_string();
    assert_eq!(message, "tiny: no split `dev` (there are: test, train)");

    let pairs = data.pairs("train").unwrap();
    assert_eq!(pairs.columns(), [["one?", "one?", "two?"], ["One first", "Three third", "second"]]);
    let ids = |name: &str| pairs.frame().column(name).unwrap().str().unwrap().iter().flatten().collect::<Vec<_>>();
    assert_eq!((ids("query_id"), ids("positive_id")), (vec!["q1", "q1", "q2"], vec!["d1", "d3", "d2"]));

    let mut judged = Qrels::new();
    judged.insert("q1", "d9", 1);
    let qrels = BTreeMap::from([("test".to_owned(), judged)]);
    let message = Dataset::new("mine", data.corpus.clone(), data.queries.clone(), qrels).unwrap_err().to_string();
    assert_eq!(
        message,
        "mine, qrels of split `test`: unknown document id `d9`; expected one of the 3 ids of the corpus"
    );
}

fn scifact(folder: &Path) {
    let data = read::beir(folder).unwrap();
    assert_eq!((data.corpus.len(), data.queries.len()), (5_183, 1_109));
    let count = |split: &str| {
        let split = data.split(split).unwrap();
        assert_eq!(split.queries.len(), split.qrels.len());
        (split.qrels.len(), split.qrels.frame().unwrap().height())
    };
    assert_eq!((count("test"), count("train")), ((300, 339), (809, 919)));
    assert_eq!(data.pairs("train").unwrap().len(), 919);
}

fn rustdoc_documents() {
    let data = rustdoc().unwrap();
    assert!(data.corpus.len() >= 8_000, "{data}");
    let test = data.split("test").unwrap();
    assert!((500..=1_000).contains(&test.queries.len()), "{data}");
    assert_eq!(data.queries.len(), data.split("train").unwrap().queries.len() + test.queries.len());
    let columns = ["doc_id", "title", "text", "crate", "path", "kind", "signature"];
    assert_eq!(data.corpus.frame().get_column_names(), columns);

    let texts: HashMap<String, String> = data.corpus.doc_ids().into_iter().zip(data.corpus.texts()).collect();
    let height = &texts["polars_core::frame::dataframe::DataFrame::height"];
    assert!(height.starts_with("polars core frame dataframe data frame height fn height(&self) -> usize"), "{height}");

    let pairs = data.pairs("train").unwrap();
    let columns = pairs.columns();
    for (query, positive) in columns[0].iter().zip(columns[1].iter()) {
        assert!(!positive.contains(query), "the document holds the query: {query}");
        let words = query.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        assert!(words.count() >= 3 && !positive.is_empty(), "{query}");
    }
}

/// Every test query against every training query: the word sets never have 3 of 5 words in common.
fn rustdoc_splits() {
    let data = rustdoc().unwrap();
    let sets = |split: &str| -> Vec<HashSet<String>> {
        data.split(split).unwrap().queries.texts().iter().map(|text| words(text)).collect()
    };
    let train = sets("train");
    for test in sets("test") {
        let near = train.iter().find(|train| {
            let both = test.intersection(train).count();
            5 * both >= 3 * (test.len() + train.len() - both)
        });
        assert!(near.is_none(), "{test:?} and {near:?}");
    }
}

fn rustdoc_threads() {
    let in_threads = |count: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        pool.install(|| rustdoc().unwrap())
    };
    let (one, five) = (in_threads(1), in_threads(5));
    assert!(one.corpus.frame().equals_missing(five.corpus.frame()));
    assert!(one.queries.frame().equals_missing(five.queries.frame()));
    assert_eq!(one.qrels, five.qrels);
}

fn words(text: &str) -> HashSet<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}
