use polars::prelude::df;
use proptest::prelude::*;

use super::*;
use crate::index::postings::List;
use crate::text::{Analyzer, Language};

fn corpus(texts: &[String]) -> Corpus {
    rows(texts, 0..texts.len())
}

/// Documents with these numbers, in an order that is not that of their ids.
fn rows(texts: &[String], numbers: impl DoubleEndedIterator<Item = usize> + Clone) -> Corpus {
    let numbers = numbers.rev();
    let doc_ids: Vec<String> = numbers.clone().map(|doc| format!("d{doc:04}")).collect();
    let texts: Vec<&str> = numbers.map(|doc| texts[doc].as_str()).collect();
    Corpus::new(df!("doc_id" => doc_ids, "text" => texts).unwrap()).unwrap()
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-f]", 0..12).prop_map(|words| words.join(" "))
}

/// Words of all frequencies.
fn skewed(words: usize) -> impl Strategy<Value = String> {
    let word = (0.0..1.0f64).prop_map(|share| format!("w{}", (share * share * share * 30.0) as usize));
    prop::collection::vec(word, 0..words).prop_map(|words| words.join(" "))
}

fn variant() -> impl Strategy<Value = Bm25Variant> {
    let delta = prop_oneof![Just(0.0), 0.0..2.0];
    (0..5, delta).prop_map(|(number, delta)| match number {
        0 => Bm25Variant::Lucene,
        1 => Bm25Variant::Robertson,
        2 => Bm25Variant::Atire,
        3 => Bm25Variant::Bm25L { delta },
        _ => Bm25Variant::Bm25Plus { delta },
    })
}

/// Whether a document shares a term with the query, and its score by the formula, in double precision, from the texts.
fn brute_force(texts: &[String], query: &str, params: &Bm25Params) -> Vec<(bool, f64)> {
    let docs: Vec<Vec<&str>> = texts.iter().map(|text| text.split_whitespace().collect()).collect();
    let n = docs.len() as f64;
    let average = docs.iter().map(Vec::len).sum::<usize>() as f64 / n;
    let (k1, b) = (params.k1, params.b);
    let score = |doc: &Vec<&str>, term: &str| {
        let tf = doc.iter().filter(|word| **word == term).count() as f64;
        let df = docs.iter().filter(|doc| doc.contains(&term)).count() as f64;
        let c = if doc.is_empty() { 1.0 } else { 1.0 - b + b * doc.len() as f64 / average };
        let whole = |weight: f64| if df == 0.0 { 0.0 } else { weight };
        match params.variant {
            _ if tf == 0.0 && k1 == 0.0 => 0.0,
            Bm25Variant::Lucene => (1.0 + (n - df + 0.5) / (df + 0.5)).ln() * tf / (tf + k1 * c),
            Bm25Variant::Robertson => ((n - df + 0.5) / (df + 0.5)).max(1.0).ln() * tf / (tf + k1 * c),
            Bm25Variant::Atire => whole((n / df).ln() * (k1 + 1.0) * tf / (tf + k1 * c)),
            Bm25Variant::Bm25L { delta } => {
                let x = tf / c + delta;
                whole(if x == 0.0 { 0.0 } else { ((n + 1.0) / (df + 0.5)).ln() * (k1 + 1.0) * x / (k1 + x) })
            }
            Bm25Variant::Bm25Plus { delta } => whole(((n + 1.0) / df).ln() * ((k1 + 1.0) * tf / (tf + k1 * c) + delta)),
        }
    };
    let has = |doc: &Vec<&str>, term: &str| doc.contains(&term);
    let all = |doc| {
        let shares = query.split_whitespace().any(|term| has(doc, term));
        (shares, query.split_whitespace().map(|term| score(doc, term)).sum())
    };
    docs.iter().map(all).collect()
}

proptest! {
    #[test]
    fn equals_the_formula(
        texts in prop::collection::vec(text(), 1..30),
        query in text(),
        k in 0usize..35,
        k1 in 0.01..3.0,
        b in 0.0..=1.0,
        variant in variant(),
    ) {
        let params = Bm25Params { k1, b, variant, analyzer: Analyzer::Whitespace };
        let bm25 = Bm25::new(&corpus(&texts), &params).unwrap();
        let expected = brute_force(&texts, &query, &params);
        let base = bm25.base(&bm25.terms(&query).unwrap());
        let hits = bm25.search_text(&query, k).unwrap();
        // A term may add nothing, to a rounding.
        let is_hit = |(shares, score): &&(bool, f64)| *shares && *score > base + 1e-9 * base.max(1.0);
        let mut best: Vec<f64> = expected.iter().filter(is_hit).map(|(_, score)| *score).collect();
        best.sort_by(|a, b| b.total_cmp(a));
        best.truncate(k);
        prop_assert_eq!(hits.len(), best.len());
        for (hit, best) in hits.iter().zip(best) {
            let (_, own) = expected[hit.doc_id[1..].parse::<usize>().unwrap()];
            prop_assert!((hit.score - own).abs() < 1e-5 * own, "{} {own}", hit.score);
            prop_assert!((hit.score - best).abs() < 1e-5 * best, "{} {best}", hit.score);
            let why = bm25.explain(&query, hit.doc_id).unwrap();
            prop_assert!((why.score - own).abs() < 1e-9 * own.max(1.0), "{why}");
        }
        prop_assert!(hits.is_sorted_by(|a, b| (a.score, a.doc_id) > (b.score, b.doc_id)));
    }

    /// To the bit: which documents, which scores, in which order.
    #[test]
    fn nothing_is_left_out_that_belongs_to_the_best(
        texts in prop::collection::vec(skewed(30), 1..400),
        query in skewed(12),
        k in prop_oneof![0usize..4, 0usize..60, Just(usize::MAX)],
        window in prop_oneof![Just(16usize), Just(64), Just(256), Just(WINDOW)],
        variant in variant(),
    ) {
        let params = Bm25Params { variant, analyzer: Analyzer::Whitespace, ..Bm25Params::LUCENE };
        let bm25 = Bm25::new(&corpus(&texts), &params).unwrap();
        let terms = bm25.terms(&query).unwrap();
        let list = |(term, count): &(u32, u32)| bm25.bounds.list(bm25.postings(), *term, *count as f32, k);
        let mut lists: Vec<List> = terms.iter().filter_map(list).collect();
        let base = bm25.base(&terms);
        let mut scratch = Scratch::default();
        let best = postings::best(&mut lists, base, (bm25.len(), k), window, &mut scratch);

        let mut sums = vec![0.0f32; bm25.len()];
        for list in &lists {
            list.docs.iter().zip(list.scores).for_each(|(doc, score)| sums[*doc as usize] += list.weight * score);
        }
        let whole = |sum: f32| (base + f64::from(sum)) as f32;
        let mut all: Vec<(u32, f32)> = (0..).zip(sums).filter(|(_, sum)| *sum > 0.0).collect();
        all.iter_mut().for_each(|(_, sum)| *sum = whole(*sum));
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        all.truncate(k);
        prop_assert_eq!(best, all);
        prop_assert!(scratch.is_clean());
    }

    #[test]
    fn documents_added_are_documents_indexed(
        texts in prop::collection::vec(skewed(12), 0..60),
        first in prop::collection::vec(0..3, 60),
    ) {
        let params = Bm25Params { analyzer: Analyzer::Whitespace, ..Bm25Params::ATIRE };
        let whole = Bm25::new(&corpus(&texts), &params).unwrap();
        let part = |number| rows(&texts, (0..texts.len()).filter(|doc| first[*doc] == number).collect::<Vec<_>>().into_iter());
        let mut grown = Bm25::new(&part(0), &params).unwrap();
        grown.add(&part(1)).unwrap();
        grown.add(&part(2)).unwrap();
        prop_assert_eq!(&grown.lists, &whole.lists);
        prop_assert_eq!(&grown.scores, &whole.scores);
        prop_assert_eq!(&grown.bounds.best, &whole.bounds.best);
    }
}

#[test]
fn parts_join_and_threads_change_nothing() {
    let texts: Vec<String> = (0..3_000).map(|doc| format!("w{} w{} common", doc % 7, doc)).collect();
    let index = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Bm25::new(&corpus(&texts), Bm25Params::LUCENE).unwrap())
    };
    let (one, three) = (index(1), index(3));
    assert_eq!((&one.lists, &one.scores), (&three.lists, &three.scores));
    // All score the same: the highest ids come first.
    let ids: Vec<&str> = one.search_text("common", 3).unwrap().into_iter().map(|hit| hit.doc_id).collect();
    assert_eq!(ids, ["d2999", "d2998", "d2997"]);
    assert_eq!(one.search_text("w1999", 10).unwrap().len(), 1);
}

#[test]
fn more_repetitions_than_a_byte_counts() {
    let texts: Vec<String> = [254, 255, 256, 70_000].iter().map(|count| "a ".repeat(*count) + "b").collect();
    let params = Bm25Params { analyzer: Analyzer::Whitespace, ..Bm25Params::LUCENE };
    let mut bm25 = Bm25::new(&rows(&texts, 0..2), &params).unwrap();
    bm25.add(&rows(&texts, 2..4)).unwrap();
    assert_eq!(bm25.lists, Bm25::new(&corpus(&texts), &params).unwrap().lists);
    let counts: Vec<u32> =
        (0..4).map(|doc| bm25.explain("a", &format!("d{doc:04}")).unwrap().terms[0].in_doc).collect();
    assert_eq!(counts, [254, 255, 256, 70_000]);
    for ((_, own), doc) in brute_force(&texts, "a", &params).iter().zip(0..) {
        assert!((bm25.explain("a", &format!("d{doc:04}")).unwrap().score - own).abs() < 1e-12);
    }
}

#[test]
fn nothing_to_find() {
    let mut empty = Bm25::new(&corpus(&[]), Bm25Params::default()).unwrap();
    assert!(empty.is_empty() && empty.search_text("word", 5).unwrap().is_empty());
    empty.add(&corpus(&[])).unwrap();
    let no_terms = Bm25::new(&corpus(&["".into(), "the".into()]), Bm25Params::BM25L).unwrap();
    let queries = Queries::new(df!("query_id" => ["a", "b"], "text" => ["the word", ""]).unwrap()).unwrap();
    let run = no_terms.search(&queries, 5).unwrap();
    assert_eq!((no_terms.len(), run.len()), (2, 2));
    assert!(run.iter().all(|(_, hits)| hits.is_empty()));
    let why = no_terms.explain("the word", "d0000").unwrap();
    assert_eq!((why.score, why.terms.len()), (0.0, 1));
}

#[test]
fn what_is_not_in_the_index_or_is_already() {
    let texts = ["cats purr".to_owned(), "dogs bark".to_owned()];
    let mut bm25 = Bm25::new(&corpus(&texts), Bm25Params::LUCENE).unwrap();
    let before = bm25.lists.clone();
    let message = bm25.add(&rows(&texts, 1..2)).unwrap_err().to_string();
    assert_eq!(message, "doc_id = d0001: expected ids that are not in the index yet");
    assert_eq!(bm25.lists, before);
    let message = bm25.explain("cats", "d0009").unwrap_err().to_string();
    assert_eq!(message, "BM25: unknown document id `d0009`; expected one of the 2 ids of the index");
}

#[test]
fn an_explanation_prints_as_a_table() {
    let texts = ["cats purr".to_owned(), "dogs chase cats".to_owned()];
    let bm25 = Bm25::new(&corpus(&texts), Bm25Params::LUCENE).unwrap();
    let text = bm25.explain("purrs cats purr, says who", "d0000").unwrap().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "d0000: 0.7765 (2 terms, 0.80 of the average; length norm 0.8500)");
    assert_eq!(lines[1], "term  in query  in doc     docs      idf   weight     score");
    assert_eq!(lines[2], "purr         2       1        1   0.6931   0.4950    0.6863");
    assert_eq!(lines[3], "cat          1       1        2   0.1823   0.4950    0.0903");
    assert_eq!(lines[4], "sai          1       0        0   0.0000   0.0000    0.0000");
    assert_eq!(lines.len(), 6);
}

#[test]
fn other_analyzers_search_too() {
    let texts = ["検索エンジンを作る".to_owned(), "料理の本".to_owned(), "l'avion vole".to_owned()];
    let first = |analyzer, query| {
        let bm25 = Bm25::new(&corpus(&texts), Bm25Params { analyzer, ..Bm25Params::LUCENE }).unwrap();
        bm25.search_text(query, 1).unwrap().into_iter().next().map(|hit| hit.doc_id.to_owned())
    };
    assert_eq!(first(Analyzer::CjkBigram, "エンジン").as_deref(), Some("d0000"));
    assert_eq!(first(Analyzer::CjkBigram, "料理").as_deref(), Some("d0001"));
    assert_eq!(first(Analyzer::Snowball(Language::French), "Avions").as_deref(), Some("d0002"));
}
