//! Completion against the real index and rustc.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, RwLock};
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use super::{Completer, Ticket, byte_of};
use crate::cell::{Cell, Variable, items};
use crate::dylib::Dylib;
use crate::session::Scope;

#[derive(Deserialize)]
struct Table {
    items: Vec<String>,
    variables: BTreeMap<String, String>,
    position: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    group: String,
    code: String,
    expected: String,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    toml::from_str(include_str!("../../tests/completion/positions.toml")).expect("the table is one of positions")
});

static COMPLETER: LazyLock<Completer> = LazyLock::new(|| {
    let dylib = Dylib::fresh().expect("the dylib is built");
    let code = TABLE.items.join("\n");
    let cell = Cell::parse(&code).expect("the items parse");
    let variables = TABLE.variables.iter();
    let variables = variables
        .map(|(name, ty)| Variable { name: name.clone(), ty: ty.clone(), mutable: true, ..Variable::default() })
        .collect();
    let scope = Scope { items: items(&cell, 0), variables, ..Scope::default() };
    Completer::new(&dylib, Arc::new(RwLock::new(scope)))
});

/// The answer for a cell with `<TAB>` in it.
fn complete(code: &str) -> Value {
    let at = code.find("<TAB>").expect("there is a cursor");
    let cursor = code[..at].chars().count();
    COMPLETER.complete(&code.replace("<TAB>", ""), cursor, &Ticket::lasting())
}

fn names(reply: &Value) -> Vec<&str> {
    reply["matches"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// At least `wanted` of these positions offer what they should among the first ten names.
#[track_caller]
fn hold<'a>(positions: impl Iterator<Item = &'a Place>, wanted: usize) {
    complete("data.<TAB>");
    let (mut misses, mut times) = (Vec::new(), Vec::new());
    for place in positions {
        let start = Instant::now();
        let reply = complete(&place.code);
        times.push(start.elapsed().as_secs_f64());
        let found = names(&reply);
        if !found.iter().take(10).any(|name| *name == place.expected) {
            let rank = found.iter().position(|name| *name == place.expected);
            let first = found.iter().take(10).collect::<Vec<_>>();
            misses.push(format!(
                "{} {:?} wanted {}, at {rank:?} of {}: {first:?}",
                place.group,
                place.code,
                place.expected,
                found.len()
            ));
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[times.len() * part / 100];
    let held = times.len() - misses.len();
    println!("{held} of {} hold, p50 {:.3} s, p95 {:.3} s", times.len(), at(50), at(95));
    assert!(held >= wanted, "{held} of {} hold, not {wanted}:\n{}", times.len(), misses.join("\n"));
}

#[test]
#[cfg_attr(not(rust_src), ignore = "needs the source of std: rustup component add rust-src")]
fn the_table_of_positions() {
    assert_eq!(TABLE.position.len(), 60);
    hold(TABLE.position.iter(), 57);
}

#[test]
fn the_positions_without_std() {
    hold(TABLE.position.iter().filter(|place| place.group != "std"), 47);
}

/// The names offered first.
fn first(code: &str) -> Vec<String> {
    names(&complete(code)).into_iter().take(10).map(str::to_owned).collect()
}

#[track_caller]
fn offered(code: &str, expected: &str) {
    let found = first(code);
    assert!(found.iter().any(|name| name == expected), "{code:?} wants {expected}: {found:?}");
}

/// The markdown that inspection of a cell with `<TAB>` in it shows.
fn inspect(code: &str, detail: u64) -> Option<String> {
    let at = code.find("<TAB>").expect("there is a cursor");
    let cursor = code[..at].chars().count();
    let reply = COMPLETER.inspect(&code.replace("<TAB>", ""), cursor, detail, &Ticket::lasting());
    let text = reply["data"]["text/markdown"].as_str().map(str::to_owned);
    assert_eq!(reply["found"].as_bool(), Some(text.is_some()), "{reply}");
    text
}

#[track_caller]
fn described(code: &str, expected: &[&str]) {
    let text = inspect(code, 1).unwrap_or_default();
    for part in expected {
        assert!(text.contains(part), "{code:?} wants {part:?}: {text}");
    }
}

#[test]
fn names_in_scope() {
    offered("mod<TAB>", "model");
    offered("let x = norm<TAB>(&t)?;", "normalized");
    offered("let wort = 1;\nlet y = wo<TAB>", "wort");
    offered("words.iter().map(|einzeln| einz<TAB>)", "einzeln");
    offered("println!(\"{}\", coun<TAB>)", "counts");
    offered("Experim<TAB>", "Experiment");
    offered("for x in words { cont<TAB> }", "continue");
}

#[test]
fn the_users_own_types() {
    assert_eq!(first("experiments[0].<TAB>")[..3], ["batch_size", "name", "scores"]);
    offered("let e = Experiment { <TAB>", "scores");
    let code = "struct Point { across: f32 }\nimpl Point { fn length(&self) -> f32 { 0.0 } }\nlet p = Point { across: 1.0 };\n";
    offered(&format!("{code}p.acr<TAB>"), "across");
    offered(&format!("{code}p.len<TAB>"), "length");
    offered("enum Way { Up, Down }\nlet w = Way::<TAB>", "Down");
    offered(
        "trait Twice { fn twice(&self) -> u8; }\nimpl Twice for u8 { fn twice(&self) -> u8 { 2 } }\n3u8.tw<TAB>",
        "twice",
    );
}

#[test]
fn items_generated_by_candles_macros() {
    offered("t.ex<TAB>", "exp");
    offered("t.broadcast_m<TAB>", "broadcast_mul");
}

#[test]
#[cfg_attr(not(rust_src), ignore = "needs the source of std: rustup component add rust-src")]
fn what_std_offers() {
    offered("printl<TAB>", "println!");
    offered("let m: HashM<TAB>", "HashMap");
    offered("use std::collections::BTreeM<TAB>", "BTreeMap");
    offered("use std::<TAB>", "collections");
    offered("#[derive(Clone)] struct S;\nlet s = S;\ns.clo<TAB>", "clone");
    offered("255u8.checked_a<TAB>", "checked_add");
    offered("let x = i64::MA<TAB>", "MAX");
    offered("2.0f32.sq<TAB>", "sqrt");
    offered("let x = Some(1).map(|v| { let w = v + 1; w.po<TAB>", "pow");
    described("vec<TAB>![1]", &["macro_rules! vec"]);
    described("println<TAB>!(\"\")", &["macro_rules! println", "standard output"]);
    described("use std::fs::read_to_<TAB>string;", &["fn read_to_string<P: AsRef<Path>>(path: P)"]);
}

#[test]
#[cfg_attr(not(rust_src), ignore = "needs the source of std: rustup component add rust-src")]
fn values_behind_pointers() {
    offered("let b = std::sync::Arc::new(std::sync::Mutex::new(vec![1]));\nb.lock().unwrap().pu<TAB>", "push");
    offered("let b: Box<dyn Iterator<Item = u8>> = todo!();\nb.take_w<TAB>", "take_while");
    offered("let s = [\"a\", \"b\"];\ns.join<TAB>", "join");
    offered("let c = std::borrow::Cow::from(\"a\");\nc.trim_s<TAB>", "trim_start");
    offered("fn f<T: Iterator<Item = u8>>(mut i: T) { i.nex<TAB> }", "next");
    offered("fn f<T>(i: T) where T: AsRef<str> { i.as_r<TAB> }", "as_ref");
    offered("let (a, b) = (\"x\", 1);\na.spl<TAB>", "split");
}

#[test]
fn unfinished_cells() {
    offered("let a = ;\nlet b = df.clone();\nb.hei<TAB>", "height");
    offered("let a = unknown_function();\ndf.hei<TAB>\nfoo(", "height");
    offered("if df.hei<TAB>", "height");
    offered("match df.hei<TAB> {", "height");
    offered("fn f(d: &DataFrame) -> usize {\n    let n = d.clone();\n    n.hei<TAB>\n", "height");
}

#[test]
fn further_letters_do_not_call_rustc() {
    let asked =
        || COMPLETER.checker.answers.lock().expect("no test panics with it").keys().cloned().collect::<BTreeSet<_>>();
    offered("let first_of_all = lf.clone().f<TAB>", "filter");
    let before = asked();
    offered("let first_of_all = lf.clone().filt<TAB>", "filter");
    offered("let first_of_all = lf.clone().filter<TAB>(col(\"a\"))", "filter");
    let new: Vec<_> = asked().difference(&before).filter(|source| source.contains("first_of_all")).cloned().collect();
    assert_eq!(new, [""; 0]);
}

#[test]
fn no_names_outside_of_code() {
    assert!(first("// df.la<TAB>").is_empty());
    assert!(first("let s = \"df.la<TAB>\";").is_empty());
    assert!(first("1234<TAB>").is_empty());
    assert!(first("zzz.qqq.<TAB>").is_empty());
}

#[test]
fn cursors_count_code_points() {
    // An emoji of four bytes, kanji of three, an accent that combines.
    let bytes: Vec<usize> = (0..8).map(|point| byte_of("a🦀検e\u{301}b", point)).collect();
    assert_eq!(bytes, [0, 1, 5, 8, 9, 11, 12, 12]);
}

#[test]
#[cfg_attr(not(rust_src), ignore = "needs the source of std: rustup component add rust-src")]
fn offsets_are_code_points() {
    let reply = complete("let 検索 = \"🦀e\u{301}\"; 検索.to_upp<TAB>; df");
    assert_eq!(names(&reply)[0], "to_uppercase");
    assert_eq!((reply["cursor_start"].as_u64(), reply["cursor_end"].as_u64()), (Some(19), Some(25)));
    let types = &reply["metadata"]["_jupyter_types_experimental"];
    assert_eq!((types[0]["start"].as_u64(), types[0]["end"].as_u64()), (Some(19), Some(25)));
    assert_eq!((types[0]["type"].as_str(), types[0]["text"].as_str()), (Some("method"), Some("to_uppercase")));
    assert_eq!(types[0]["signature"].as_str(), Some("fn to_uppercase(&self) -> String"));
}

#[test]
fn commands_and_crates() {
    assert_eq!(first(":ti<TAB>")[..2], [":time", ":timing"]);
    offered("let x = 1;\n:<TAB>", ":dep");
    assert!(first("let text = \"\n:ti<TAB>").is_empty());
    offered(":forget words wor<TAB>", "words");
    assert!(!first(":forget <TAB>").iter().any(|name| name == "Tensor"));
    offered(":load sr<TAB>", "src/");
    offered(":load src/li<TAB>", "lib.rs");
    offered(":time df.lazy().fil<TAB>", "filter");
    offered(":time\nlet d = df.clone();\nd.hei<TAB>", "height");
    offered("?Trainer::st<TAB>", "step");
    offered(":doc Trainer::st<TAB>", "step");
    offered(":dep pola<TAB>", "polars");
    assert!(first(":opt <TAB>").is_empty());
    assert!(first("!ls df<TAB>").is_empty());
    offered(":type df.lazy().fil<TAB>", "filter");
    offered(":dep regex\n!ls\nlet d = df.clone();\nd.hei<TAB>\n:vars", "height");
}

#[test]
fn inspection() {
    described(
        "lf.clone().fil<TAB>ter(col(\"a\"))",
        &["fn filter(self, predicate: Expr) -> Self", "LazyFrame`", "```rust"],
    );
    described(
        "Tensor::zer<TAB>os",
        &["fn zeros<S: Into<Shape>>(shape: S, dtype: DType, device: &Device) -> Result<Self>", "filled with zeros"],
    );
    described("data<TAB>.corpus", &["let data: kensaku::data::Dataset", "corpus: Corpus"]);
    described("let n = words.len();\nn<TAB>", &["let n: usize"]);
    described(
        "let len<TAB>gths = words.iter().map(|w| w.len()).collect::<Vec<_>>();",
        &["let lengths: std::vec::Vec<usize>"],
    );
    described("let r = evaluate(&train.qrels, <TAB>", &["fn evaluate("]);
    described(
        "let r = bm25.search(&train.queries, <TAB>)?;",
        &["fn search(&self, queries: &Queries, k: usize) -> Result<Run>"],
    );
    described("TrainConfig { bat<TAB>ch_size: 3, ..Default::default() }", &["batch_size: usize"]);
    described("normal<TAB>ized(&t)", &["fn normalized(x: &Tensor) -> Result<Tensor>"]);
    described("DType::F3<TAB>2", &["F32"]);
    let brief = inspect("df.clone().lazy().collect<TAB>()", 0).unwrap_or_default();
    let whole = inspect("df.clone().lazy().collect<TAB>()", 1).unwrap_or_default();
    assert!(brief.len() < whole.len() && whole.starts_with(brief.lines().next().unwrap_or("-")), "{brief}\n{whole}");
    assert_eq!(inspect("zzz<TAB>", 0), None);
    assert_eq!(inspect("let s = \"df<TAB>\";", 0), None);
}
