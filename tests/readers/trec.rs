//! Judgements and runs in the TREC format.

use kensaku::data::Qrels;
use kensaku::eval::Run;

use super::{file, refused};

pub(super) fn trec_columns() {
    let run =
        file("301\tQ0\ta,_1\t1\t12.5\ttag\r\n  301 Q0 Mont\u{a0}Tendre x 11.0 tag more\r\n\r\n301 Q0 c 3 1e1 tag\r\n");
    let run = Run::read_trec(run.path()).unwrap();
    let hits: Vec<(&str, f64)> = run.hits("301").iter().map(|hit| (hit.doc_id, hit.score)).collect();
    assert_eq!(hits, [("a,_1", 12.5), ("Mont\u{a0}Tendre", 11.0), ("c", 10.0)]);
    let qrels = Qrels::read_trec(file("9 0 Mont\u{a0}Tendre 1\n9 0 Other 0\n").path()).unwrap();
    assert!(qrels.is_relevant("9", "Mont\u{a0}Tendre"));
    // Lines that end in \r alone would be one line with columns too many.
    let message = refused("q Q0 a 1 0.5 t\rq Q0 b 2 0.4 t\r", Run::read_trec);
    assert!(message.starts_with("line 1 of FILE: a carriage return within the line"), "{message}");
}

pub(super) fn number_sign() {
    let qrels = file("# a comment\n#12 0 d1 1\n#\n7 0 part_00#3 1\n");
    let qrels = Qrels::read_trec(qrels.path()).unwrap();
    assert!(qrels.is_relevant("#12", "d1") && qrels.is_relevant("7", "part_00#3"));
    let run = file("# a comment of this very run\n#12 Q0 d1 1 3.0 t\n#12 Q0 d2 1 2.0 t more\n");
    assert_eq!(Run::read_trec(run.path()).unwrap().hits("#12").len(), 2);
}

pub(super) fn written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.txt");
    let mut run = Run::new();
    run.insert("#1", [("#a", 0.1), ("b\u{a0}c", f64::INFINITY), ("日本", 1e-300)]);
    run.insert("2", [("\"d\"", -0.5)]);
    run.write_trec(&path, "#tag").unwrap();
    assert_eq!(Run::read_trec(&path).unwrap(), run);

    let refused = |query_id: &str, hit: (&str, f64)| {
        let mut run = Run::new();
        run.insert(query_id, [hit]);
        run.write_trec(&path, "tag").unwrap_err().to_string()
    };
    assert_eq!(refused("q", ("a", f64::NAN)), "score = NaN of document `a` for query `q`: expected a number");
    for word in ["", "a b", "a\tb", "a\nb", "a\u{b}b", "\u{feff}a"] {
        let expected = ": expected a word without white space, as the TREC format separates columns by it";
        assert_eq!(refused("q", (word, 1.0)), format!("doc_id = {word:?}{expected}"));
        assert_eq!(refused(word, ("a", 1.0)), format!("query_id = {word:?}{expected}"));
    }
    // Nothing of a refused run is written.
    assert_eq!(Run::read_trec(&path).unwrap(), run);
}
