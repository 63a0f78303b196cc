//! Our side of `tests/parity/bm25.sh`: an index of tokens that are given, and a search with all queries in one call. Prints
//! one JSON line: the seconds of each repeat, and the most memory of the process. Both files have a text a line, its tokens
//! separated by spaces.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p kensaku --example bm25 -- --docs FILE --queries FILE [--k 100] [--repeats 5]
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result};
use kensaku::prelude::*;
use kensaku::serde_json::json;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options: HashMap<&str, &str> = arguments.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    let number = |name: &str, default: usize| {
        options.get(name).map_or(Ok(default), |value| usize::from_str(value).with_context(|| format!("{name} {value}")))
    };
    let column = |name: &str| lines(options.get(name).with_context(|| format!("{name} is missing"))?);
    let (k, repeats) = (number("--k", 100)?, number("--repeats", 5)?);
    let corpus = Corpus::new(frame("doc_id", column("--docs")?)?)?;
    let queries = Queries::new(frame("query_id", column("--queries")?)?)?;
    let params = Bm25Params { analyzer: Analyzer::Whitespace, ..Bm25Params::LUCENE };

    let (mut index_s, mut query_s, mut hits) = (Vec::new(), Vec::new(), 0);
    let mut bm25 = None;
    for _ in 0..repeats {
        drop(bm25.take());
        let start = Instant::now();
        bm25 = Some(Bm25::new(&corpus, &params)?);
        index_s.push(start.elapsed().as_secs_f64());
    }
    let bm25 = bm25.context("--repeats 0")?;
    for _ in 0..repeats {
        let start = Instant::now();
        let run = bm25.search(&queries, k)?;
        query_s.push(start.elapsed().as_secs_f64());
        hits = run.iter().map(|(_, hits)| hits.len()).sum();
    }
    let sizes = json!({ "docs": corpus.len(), "queries": queries.len(), "hits": hits });
    println!("{}", json!({ "index_s": index_s, "query_s": query_s, "sizes": sizes, "peak_rss_mib": peak_rss_mib() }));
    Ok(())
}

fn lines(path: &str) -> Result<StringChunked> {
    let file = BufReader::new(File::open(path).with_context(|| path.to_owned())?);
    let mut column = StringChunkedBuilder::new("text".into(), 0);
    for line in file.lines() {
        column.append_value(line?);
    }
    Ok(column.finish())
}

fn frame(id: &str, texts: StringChunked) -> Result<DataFrame> {
    let ids: Vec<String> = (0..texts.len()).map(|row| row.to_string()).collect();
    Ok(DataFrame::new(ids.len(), vec![Column::new(id.into(), ids), texts.into_series().into()])?)
}

/// The most memory this process has held (Linux).
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
