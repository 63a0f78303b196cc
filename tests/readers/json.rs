//! JSON lines.

use std::path::PathBuf;

use kensaku::data::read::{self, Csv};
use polars::prelude::*;

use super::{file, jsonl, plain, refused};

/// 250 kB that would be 20,000 columns of 20,000 rows.
pub(super) fn ever_new_keys() {
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

pub(super) fn exact_json() {
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

pub(super) fn json_lines() {
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
