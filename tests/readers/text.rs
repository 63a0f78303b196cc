//! What all readers share: encodings, compression, what is no file, and messages.

use std::io::Write;
use std::path::Path;

use kensaku::data::read::{self, Csv};
use kensaku::data::{Corpus, Qrels};
use kensaku::eval::Run;
use polars::prelude::*;

use super::{csv, file, jsonl, plain, refused};

pub(super) fn byte_order_mark() {
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

pub(super) fn gzip() {
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

pub(super) fn not_utf8() {
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

pub(super) fn endless() {
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

pub(super) fn interrupted() {
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

pub(super) fn short_messages() {
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
