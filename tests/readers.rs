//! Files of others: read right, or refused with file and line.

use std::io::Write;
use std::path::{Path, PathBuf};

use kensaku::Result;
use kensaku::data::read::{self, Csv, Table};
use kensaku::data::{Corpus, Qrels, Queries, TrainingSet};
use kensaku::eval::{Hit, Run};
use polars::prelude::*;

use crate::shared::{Trials, test};

pub(crate) fn trials() -> Trials {
    vec![
        test("readers::a_byte_order_mark_is_no_part_of_a_text", byte_order_mark),
        test("readers::gzip_is_decompressed", gzip),
        test("readers::what_is_no_utf8_is_told_with_its_line", not_utf8),
        test("readers::a_pipe_a_device_and_a_folder_are_refused", endless),
        test("readers::an_interrupt_ends_reading", interrupted),
        test("readers::messages_are_short", short_messages),
        test("readers::json_lines_with_ever_new_keys_are_refused", ever_new_keys),
        test("readers::json_values_are_exact_or_refused", exact_json),
        test("readers::only_a_newline_ends_a_json_line", json_lines),
        test("readers::csv_that_is_read_otherwise_is_refused", odd_csv),
        test("readers::lines_of_csv_are_those_of_the_file", csv_lines),
        test("readers::trec_columns_are_separated_by_ascii_space", trec_columns),
        test("readers::an_id_may_begin_with_a_number_sign", number_sign),
        test("readers::what_is_written_is_read_back", written),
        test("readers::ids_may_be_integers", integer_ids),
        test("readers::a_null_title_is_no_title_and_a_null_text_an_error", nulls),
        test("readers::beir_folders_as_they_are_found", beir_folders),
        test("readers::parquet_of_all_types", parquet_types),
        test("readers::damaged_parquet_is_an_error", damaged_parquet),
        test("readers::columns_by_their_names", named_columns),
        test("readers::columns_that_nothing_uses_are_an_error", unused_columns),
        test("readers::a_list_of_negatives_is_as_many_columns", lists_of_negatives),
        test("readers::a_null_is_no_training_text", null_texts),
    ]
}

fn file(content: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_ref()).unwrap();
    file
}

/// The error of reading a file, which is called FILE.
fn refused<T>(content: impl AsRef<[u8]>, read: impl Fn(PathBuf) -> Result<T>) -> String {
    let file = file(content);
    let Err(error) = read(file.path().to_owned()) else {
        panic!("{} was read", String::from_utf8_lossy(&std::fs::read(file).unwrap()))
    };
    error.to_string().replace(file.path().to_str().unwrap(), "FILE")
}

fn jsonl(content: impl AsRef<[u8]>) -> DataFrame {
    read::jsonl(file(content).path()).unwrap().into_frame()
}

fn csv(content: impl AsRef<[u8]>) -> Result<Table> {
    read::csv(file(content).path(), &Csv::default())
}

fn plain(path: PathBuf) -> Result<Table> {
    read::csv(path, &Csv::default())
}

fn byte_order_mark() {
    let qrels = file("\u{feff}q1 0 a 1\nq2 0 b 1\n");
    assert!(Qrels::read_trec(qrels.path()).unwrap().is_relevant("q1", "a"));
    let run = file("\u{feff}q1 Q0 a 1 3.0 t\n");
    assert_eq!(Run::read_trec(run.path()).unwrap().hits("q1").len(), 1);
    assert_eq!(jsonl("\u{feff}{\"id\": \"a\"}\n").get_column_names(), ["id"]);
    assert_eq!(csv("\u{feff}id,text\na,b\n").unwrap().frame().get_column_names(), ["id", "text"]);
    let named = Csv { names: Some(vec!["id".to_owned()]), ..Csv::default() };
    let frame = read::csv(file("\u{feff}a\n").path(), &named).unwrap().into_frame();
    assert_eq!(frame.column("id").unwrap().str().unwrap().get(0), Some("a"));
}

fn gzip() {
    let zipped = |content: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(content.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(jsonl(zipped("\u{feff}{\"id\": \"a\"}\n{\"id\": \"b\"}")).height(), 2);
    // Two files, one after the other, are one.
    let two = [zipped("id,text\na,b\n"), zipped("c,d\n")].concat();
    assert_eq!(csv(two).unwrap().frame().height(), 2);
    assert_eq!(Qrels::read_trec(file(zipped("q 0 a 1\n")).path()).unwrap().len(), 1);
    assert_eq!(Run::read_trec(file(zipped("q Q0 a 1 0.5 t\n")).path()).unwrap().len(), 1);

    let whole = zipped(&"{\"id\": \"a\"}\n".repeat(1_000));
    let cut = refused(&whole[..whole.len() - 9], read::jsonl);
    assert!(cut.starts_with("FILE: "), "{cut}");
}

fn not_utf8() {
    let latin = refused(b"{\"id\": \"a\"}\n{\"id\": \"caf\xe9\"}\n", read::jsonl);
    assert_eq!(latin, "line 2 of FILE: byte 12 of the line is not UTF-8; expected text in UTF-8");
    let latin = refused(b"q 0 a 1\nq 0 caf\xe9 1\n", Qrels::read_trec);
    assert_eq!(latin, "line 2 of FILE: byte 8 of the line is not UTF-8; expected text in UTF-8");
    assert!(refused(b"q Q0 caf\xe9 1 0.5 t\n", Run::read_trec).starts_with("line 1 of FILE: byte 9"));
    let utf16: Vec<u8> = "\u{feff}id,text\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for message in [refused(&utf16, read::jsonl), refused(&utf16, plain), refused(&utf16, Qrels::read_trec)] {
        assert!(message.starts_with("line 1 of FILE: text in UTF-16; expected UTF-8"), "{message}");
    }
}

fn endless() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [Path::new("/dev/zero"), &pipe, folder.path()] {
        let expected = format!("{}: a folder, pipe or device; expected a file", path.display());
        let reads = [
            read::jsonl(path).map(drop),
            read::csv(path, &Csv::default()).map(drop),
            read::parquet(path).map(drop),
            Qrels::read_trec(path).map(drop),
            Run::read_trec(path).map(drop),
        ];
        for read in reads {
            assert_eq!(read.unwrap_err().to_string(), expected);
        }
    }
}

fn interrupted() {
    let json = file("{\"id\": \"a\"}\n");
    let csv = file("id\na\n");
    let run = file("q Q0 a 1 0.5 t\n");
    kensaku::interrupt::set(true);
    let reads = [
        read::jsonl(json.path()).map(drop),
        read::csv(csv.path(), &Csv::default()).map(drop),
        Run::read_trec(run.path()).map(drop),
    ];
    kensaku::interrupt::set(false);
    for read in reads {
        assert!(matches!(read, Err(kensaku::Error::Interrupted { .. })), "{read:?}");
    }
}

fn short_messages() {
    let long = "x".repeat(1_000_000);
    let header: Vec<String> = (0..9_000).map(|column| format!("column {column}")).collect();
    let twice = df!("doc_id" => [long.as_str(), &long], "text" => ["", ""]).unwrap();
    let messages = [
        refused(format!("{}\na\n", header.join(",")), plain),
        refused(format!("{}\n", header.join(",")), |path| read::csv(path, &Csv::default())?.corpus()),
        refused(format!("doc_id,text\n{long},a\n{long},b\n"), |path| read::csv(path, &Csv::default())?.corpus()),
        refused(format!("q 0 {long} 1\nq 0 {long} 1\n"), Qrels::read_trec),
        refused(format!("q Q0 {long} 1 {long} t\n"), Run::read_trec),
        refused(format!("{{\"{long}\": 1, \"{long}\": 2}}"), read::jsonl),
        Corpus::new(twice).unwrap_err().to_string(),
    ];
    for message in messages {
        assert!(message.len() < 2_000, "{} characters: {}", message.len(), &message[..200]);
    }
}

/// 250 kB that would be 20,000 columns of 20,000 rows.
fn ever_new_keys() {
    let lines: String = (0..20_000).map(|key| format!("{{\"c{key}\": 1}}\n")).collect();
    let message = refused(lines, read::jsonl);
    assert!(message.contains("different keys so far, most of them on few lines; expected the same keys"), "{message}");
    let keys: Vec<String> = (0..200_000).map(|key| format!("\"c{key}\": 1")).collect();
    let message = refused(format!("{{{}}}", keys.join(", ")), read::jsonl);
    assert_eq!(message, "line 1 of FILE: key 10001 of the file; expected at most 10000 keys");
    let message = refused(format!("{}\n", (0..10_001).map(|_| "a").collect::<Vec<_>>().join(",")), plain);
    assert_eq!(message, "line 1 of FILE: 10001 columns; expected at most 10000");

    // Nulls above the first value.
    let nulls = jsonl("{\"a\": null}\n{}\n{\"a\": null}\n{\"a\": 1}\n{\"a\": 0.5}\n{}\n");
    assert!(nulls.equals_missing(&df!("a" => [None, None, None, Some(1.0), Some(0.5), None]).unwrap()), "{nulls}");
    // A new key in a late line is a column as any other.
    let late = "{\"a\": 1}\n".repeat(5_000) + "{\"a\": 2, \"late\": \"x\"}\n";
    let frame = jsonl(late);
    let column = frame.column("late").unwrap().str().unwrap();
    assert_eq!((column.null_count(), column.get(5_000)), (5_000, Some("x")));
}

fn exact_json() {
    let beyond = "an integer outside the 64-bit range; expected a smaller one, or a string";
    for value in ["9223372036854775808", "18446744073709551616", "-9223372036854775809", "[1, 18446744073709551616]"] {
        let message = refused(format!("{{\"id\": {value}, \"text\": \"1\"}}"), read::jsonl);
        assert!(message.starts_with("line 1 of FILE: ") && message.ends_with(beyond), "{value}: {message}");
    }
    let frame = jsonl("{\"i\": 9223372036854775807, \"f\": 1e300, \"s\": \"18446744073709551616\"}");
    assert_eq!(frame.column("i").unwrap().i64().unwrap().get(0), Some(i64::MAX));
    assert_eq!(frame.column("f").unwrap().f64().unwrap().get(0), Some(1e300));
    assert_eq!(
        refused("{\"n\": 9007199254740993}\n{\"n\": 0.5}\n", read::jsonl),
        "line 2 of FILE: column `n` is 9007199254740993 among floats, which cannot hold it; expected integers alone, or strings"
    );
    assert_eq!(
        refused("{\"a\": 1, \"b\": 2, \"a\": 3}", read::jsonl),
        "line 1 of FILE: key `a` twice; expected each key once"
    );
    assert_eq!(
        refused("{\"a\": null, \"a\": 3}", read::jsonl),
        "line 1 of FILE: key `a` twice; expected each key once"
    );
    let nested = |path: PathBuf| read::jsonl(path)?.rename(&[("id", "doc_id")])?.corpus();
    assert_eq!(
        refused("{\"id\": \"a\", \"text\": [\"b\", \"c\"]}", nested),
        "FILE: column `text` is arrays or objects; expected strings"
    );
    let grades = |path: PathBuf| read::csv(path, &Csv::tsv())?.numbers("grade");
    assert_eq!(
        refused("grade\n1\n9223372036854775808\n", grades),
        "line 3 of FILE: column `grade`: `9223372036854775808`; expected an integer of 64 bits"
    );
}

fn json_lines() {
    let odd = "{\"_id\": \"a\", \"text\": \"first\u{2028}second\u{85}third\"}\r\n\r\n\t{\"text\": \"\\ud83d\\ude00\", \"_id\": \"b\"}  \r\n \n{\"_id\": \"c\", \"text\": \"\"}";
    let corpus = read::jsonl(file(odd).path()).unwrap().rename(&[("_id", "doc_id")]).unwrap().corpus().unwrap();
    assert_eq!(corpus.doc_ids(), ["a", "b", "c"]);
    assert_eq!(corpus.texts(), ["first\u{2028}second\u{85}third", "😀", ""]);
    assert_eq!(
        refused("{\"a\": 1}\r{\"a\": 2}\r", read::jsonl),
        "line 1 of FILE: trailing characters at character 10; expected one JSON object"
    );
    // Characters, not bytes.
    assert_eq!(
        refused("{\"検索\": }", read::jsonl),
        "line 1 of FILE: expected value at character 8; expected one JSON object"
    );
}

fn odd_csv() {
    assert_eq!(refused("a,b,a\n1,2,3\n", plain), "line 1 of FILE: duplicate column `a`; expected unique names");
    let names = Csv { names: Some(vec!["a".to_owned(), "a".to_owned()]), ..Csv::default() };
    let message = refused("1,2\n", |path| read::csv(path, &names));
    assert_eq!(message, "names = duplicate column `a`: expected unique names");
    for separator in ['\n', '\r', '"', 'é'] {
        let message = refused("a,b\n", |path| read::csv(path, &Csv { separator, ..Csv::default() }));
        assert!(message.starts_with(&format!("separator = {separator:?}: expected one ASCII character")), "{message}");
    }
    // The rest of the file would be one text.
    assert_eq!(
        refused("id,text\na,b\nc,\"d\ne,f\n", plain),
        "line 3 of FILE: a quote that is never closed; expected `\"` at both ends of a cell, or `quotes: false` if it is an ordinary character"
    );
    assert!(refused("id,\"text\na,b\n", plain).starts_with("line 1 of FILE: a quote that is never closed"));
    // A carriage return in a text without quotes stays there.
    let tsv = read::csv(file("id\ttext\r\na\tb\rc\r\n\r\nd\te").path(), &Csv::tsv()).unwrap().into_frame();
    assert!(tsv.equals(&df!("id" => ["a", "d"], "text" => ["b\rc", "e"]).unwrap()), "{tsv}");
    let quoted = csv("id,text\n007,\"a\r\nb\"\n\"\",\"say \"\"hi\"\"\"").unwrap().into_frame();
    assert!(quoted.equals(&df!("id" => ["007", ""], "text" => ["a\r\nb", "say \"hi\""]).unwrap()), "{quoted}");
    assert_eq!(csv("").unwrap().frame().width(), 0);
}

fn csv_lines() {
    for end in ["\n", "\r\n"] {
        let text = ["id,text", "a,b", "", "", "\"c\nd\",e", "f", "g,h"].join(end);
        assert_eq!(refused(text, plain), "line 7 of FILE: 1 cells; expected 2 (id, text)");
    }
}

fn trec_columns() {
    let run =
        file("301\tQ0\ta,_1\t1\t12.5\ttag\r\n  301 Q0 Mont\u{a0}Tendre x 11.0 tag more\r\n\r\n301 Q0 c 3 1e1 tag\r\n");
    let run = Run::read_trec(run.path()).unwrap();
    let hits: Vec<(&str, f64)> = run.hits("301").iter().map(|hit| (hit.doc_id.as_str(), hit.score)).collect();
    assert_eq!(hits, [("a,_1", 12.5), ("Mont\u{a0}Tendre", 11.0), ("c", 10.0)]);
    let qrels = Qrels::read_trec(file("9 0 Mont\u{a0}Tendre 1\n9 0 Other 0\n").path()).unwrap();
    assert!(qrels.is_relevant("9", "Mont\u{a0}Tendre"));
    // Lines that end in \r alone would be one line with columns too many.
    let message = refused("q Q0 a 1 0.5 t\rq Q0 b 2 0.4 t\r", Run::read_trec);
    assert!(message.starts_with("line 1 of FILE: a carriage return within the line"), "{message}");
}

fn number_sign() {
    let qrels = file("# a comment\n#12 0 d1 1\n#\n7 0 part_00#3 1\n");
    let qrels = Qrels::read_trec(qrels.path()).unwrap();
    assert!(qrels.is_relevant("#12", "d1") && qrels.is_relevant("7", "part_00#3"));
    let run = file("# a comment of this very run\n#12 Q0 d1 1 3.0 t\n#12 Q0 d2 1 2.0 t more\n");
    assert_eq!(Run::read_trec(run.path()).unwrap().hits("#12").len(), 2);
}

fn written() {
    let hit = |doc_id: &str, score| Hit { doc_id: doc_id.to_owned(), score };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.txt");
    let mut run = Run::new();
    run.insert("#1", vec![hit("#a", 0.1), hit("b\u{a0}c", f64::INFINITY), hit("日本", 1e-300)]);
    run.insert("2", vec![hit("\"d\"", -0.5)]);
    run.write_trec(&path, "#tag").unwrap();
    assert_eq!(Run::read_trec(&path).unwrap(), run);

    let refused = |query_id: &str, hit: Hit| {
        let mut run = Run::new();
        run.insert(query_id, vec![hit]);
        run.write_trec(&path, "tag").unwrap_err().to_string()
    };
    assert_eq!(refused("q", hit("a", f64::NAN)), "score = NaN of document `a` for query `q`: expected a number");
    for word in ["", "a b", "a\tb", "a\nb", "a\u{b}b", "\u{feff}a"] {
        let expected = ": expected a word without white space, as the TREC format separates columns by it";
        assert_eq!(refused("q", hit(word, 1.0)), format!("doc_id = {word:?}{expected}"));
        assert_eq!(refused(word, hit("a", 1.0)), format!("query_id = {word:?}{expected}"));
    }
    // Nothing of a refused run is written.
    assert_eq!(Run::read_trec(&path).unwrap(), run);
}

fn integer_ids() {
    let corpus = Corpus::new(df!("doc_id" => [7u32, 10], "text" => ["x", "y"]).unwrap()).unwrap();
    assert_eq!(corpus.doc_ids(), ["7", "10"]);
    let json = file("{\"query_id\": 1, \"text\": \"x\"}\n{\"query_id\": -2, \"text\": \"y\"}\n");
    assert_eq!(read::jsonl(json.path()).unwrap().queries().unwrap().query_ids(), ["1", "-2"]);
    let qrels = df!("query_id" => [1, 1], "doc_id" => [7i64, 10], "grade" => [1.0f32, 0.0]).unwrap();
    let qrels = Qrels::from_frame(&qrels).unwrap();
    assert!(qrels.is_relevant("1", "7") && !qrels.is_relevant("1", "10"));
    let floats = df!("doc_id" => [7.0], "text" => ["x"]).unwrap();
    assert_eq!(Corpus::new(floats).unwrap_err().to_string(), "corpus: column `doc_id` is f64; expected strings");
    let twice = file("{\"query_id\": 1, \"text\": \"x\"}\n\n{\"query_id\": 1, \"text\": \"y\"}\n");
    let message = read::jsonl(twice.path()).unwrap().queries().unwrap_err().to_string();
    assert!(message.contains("duplicate query id `1`, as in line 1"), "{message}");
}

fn nulls() {
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

fn beir_folders() {
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

/// What Polars keeps in Parquet, and pyarrow writes.
fn parquet_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("types.parquet");
    let numbers = || Series::new("n".into(), [1i64, 2]);
    let vectors = Series::new("n".into(), [Series::new("".into(), [1f32, 2.0]), Series::new("".into(), [3f32, 4.0])]);
    let zone = TimeZone::opt_try_new(Some("Asia/Tokyo")).unwrap();
    let types = [
        DataType::UInt8,
        DataType::UInt16,
        DataType::Int8,
        DataType::Int16,
        DataType::Float16,
        DataType::Decimal(10, 2),
        DataType::Datetime(TimeUnit::Milliseconds, zone),
    ];
    let mut columns: Vec<Column> = types
        .iter()
        .map(|dtype| numbers().cast(dtype).unwrap().with_name(dtype.to_string().into()).into_column())
        .collect();
    columns.push(
        vectors.cast(&DataType::Array(Box::new(DataType::Float32), 2)).unwrap().with_name("v".into()).into_column(),
    );
    columns.push(StructChunked::from_series("s".into(), 2, [numbers()].iter()).unwrap().into_column());
    let mut frame = DataFrame::new(2, columns).unwrap();
    ParquetWriter::new(std::fs::File::create(&path).unwrap()).finish(&mut frame).unwrap();
    let read = read::parquet(&path).unwrap().collect().unwrap();
    assert!(read.equals(&frame), "{read}");
    assert!(format!("{read}").contains("JST"), "{read}");

    // Rows are counted, columns and rows are chosen as of any lazy frame.
    let lazy = || read::parquet(&path).unwrap();
    assert_eq!(lazy().select([len()]).collect().unwrap().column("len").unwrap().u32().unwrap().get(0), Some(2));
    assert_eq!(
        lazy().select([col("i8")]).slice(1, 1).collect().unwrap().column("i8").unwrap().i8().unwrap().get(0),
        Some(2)
    );
    assert_eq!(lazy().filter(col("i16").gt(lit(1))).select([col("i8")]).collect().unwrap().shape(), (1, 1));
    assert_eq!(lazy().limit(1).collect().unwrap().height(), 1);
}

fn damaged_parquet() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/parquet");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let message = match read::parquet(&path) {
            Err(error) => error.to_string(),
            Ok(frame) => frame.collect().unwrap_err().to_string(),
        };
        assert!(message.starts_with(path.to_str().unwrap()), "{message}");
        files += 1;
    }
    assert_eq!(files, 5);
}

fn named_columns() {
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

    for score in ["score", "label", "labels"] {
        let scored = df!("sentence1" => ["q"], "sentence2" => ["p"], score => [1]).unwrap();
        assert_eq!(TrainingSet::new(scored).unwrap().scores().unwrap(), Some(vec![1.0]));
    }
    let labels = csv("sentence1,sentence2,label\na,b,0.5\n").unwrap().training_set().unwrap();
    assert_eq!(labels.scores().unwrap(), Some(vec![0.5]));
    let flags = df!("query" => ["q"], "positive" => ["p"], "label" => [true]).unwrap();
    assert_eq!(TrainingSet::new(flags).unwrap().scores().unwrap(), Some(vec![1.0]));

    let words = df!("query" => ["q"], "positive" => ["p"])
        .unwrap()
        .lazy()
        .with_column(col("positive").cast(DataType::from_categories(Categories::global())));
    assert_eq!(texts(words.collect().unwrap()), expected);
}

fn unused_columns() {
    let told = |frame: PolarsResult<DataFrame>| TrainingSet::new(frame.unwrap()).unwrap_err().to_string();
    let message = told(df!("query" => ["q"], "positive" => ["p"], "negatives" => ["n"], "margin" => [0.5]));
    assert!(
        message.starts_with("training set: nothing would be trained on `negatives`, `margin`; expected `negative`"),
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

fn lists_of_negatives() {
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

fn null_texts() {
    let set = |path: PathBuf| read::jsonl(path)?.training_set();
    let line = |second: &str| format!("{{\"query\": \"q\", \"positive\": \"p\", \"negative\": \"n\"{second}}}\n");
    assert_eq!(
        refused(line(", \"negative_2\": \"m\"") + &line(", \"negative_2\": null"), set),
        "line 2 of FILE: column `negative_2`: null; expected a text"
    );
    let joined = df!("query" => [Some("q"), None], "positive" => ["p", "p"]).unwrap();
    let message = TrainingSet::new(joined).unwrap_err().to_string();
    assert_eq!(message, "training set: row 1 of column `query`: null; expected a text");
    let scores = df!("query" => ["q", "r"], "positive" => ["p", "p"], "score" => [Some(1.0), None]).unwrap();
    let message = TrainingSet::new(scores).unwrap_err().to_string();
    assert_eq!(message, "training set: row 1 of column `score`: null; expected a number");
}
