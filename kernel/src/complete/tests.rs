//! Completion against the real index and rustc.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, RwLock};
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use super::Completer;
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
    if !dylib.index().exists() {
        super::build_index(&dylib, &crate::dylib::workspace()).expect("the index is built");
    }
    let code = TABLE.items.join("\n");
    let cell = Cell::parse(&code).expect("the items parse");
    let variables = TABLE.variables.iter();
    let variables =
        variables.map(|(name, ty)| Variable { name: name.clone(), ty: ty.clone(), mutable: true }).collect();
    let scope = Scope { items: items(&cell, 0), variables, crates: Vec::new() };
    Completer::new(&dylib, Arc::new(RwLock::new(scope)))
});

/// The answer for a cell with `<TAB>` in it.
fn complete(code: &str) -> Value {
    let at = code.find("<TAB>").expect("there is a cursor");
    let cursor = code[..at].chars().count();
    COMPLETER.complete(&code.replace("<TAB>", ""), cursor)
}

fn names(reply: &Value) -> Vec<&str> {
    reply["matches"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_table_of_positions() {
    let mut misses = Vec::new();
    let mut times = Vec::new();
    complete("data.<TAB>");
    for place in &TABLE.position {
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
    println!("{} of {} found, p50 {:.3} s, p95 {:.3} s", times.len() - misses.len(), times.len(), at(50), at(95));
    println!("{}", misses.join("\n"));
    assert_eq!(times.len(), 60);
    assert!(misses.len() <= 3, "{} missed", misses.len());
}
