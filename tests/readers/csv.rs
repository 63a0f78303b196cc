//! CSV and TSV.

use kensaku::data::read::{self, Csv};
use polars::prelude::*;

use super::{csv, file, plain, refused};

pub(super) fn odd_csv() {
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

pub(super) fn csv_lines() {
    for end in ["\n", "\r\n"] {
        let text = ["id,text", "a,b", "", "", "\"c\nd\",e", "f", "g,h"].join(end);
        assert_eq!(refused(text, plain), "line 7 of FILE: 1 cells; expected 2 (id, text)");
    }
}
