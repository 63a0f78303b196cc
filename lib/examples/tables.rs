use kensaku::polars::prelude::*;
use kensaku::show::{Display, Message, Show};
struct Print;
impl Display for Print {
    fn send(&self, m: &Message) {
        println!(
            "<!--{} {:?}-->{}",
            m.update,
            m.data["text/plain"],
            m.data.get("text/html").and_then(|h| h.as_str()).unwrap_or("")
        );
    }
}
fn main() {
    let n = 8123i64;
    let frame = df!(
        "doc_id" => (0..n).map(|i| format!("std::vec::Vec::{i}")).collect::<Vec<_>>(),
        "text" => (0..n).map(|i| if i == 2 { None } else if i == 3 { Some("検索モデルを作るためのRustライブラリ。検索モデルを作るためのRustライブラリ。検索モデルを作るためのRustライブラリ。検索モデルを作るためのRustライブラリ。".to_owned()) } else { Some(format!("Appends an element <b>to</b> the back of a collection & returns \"nothing\".\nPanics if the new capacity exceeds {i} bytes, see also `Vec::with_capacity`")) }).collect::<Vec<_>>(),
        "score" => (0..n).map(|i| i as f64 * 0.37 / 3.0).collect::<Vec<_>>(),
        "grade" => (0..n).map(|i| (i % 7 != 4).then_some(i % 3)).collect::<Vec<_>>(),
        "kept" => (0..n).map(|i| i % 2 == 0).collect::<Vec<_>>(),
    ).unwrap();
    let corpus = kensaku::data::Corpus::new(frame.clone()).unwrap();
    println!("{}", corpus.bundle().data["text/html"].as_str().unwrap());
    println!("{}", frame.clone().lazy().filter(col("grade").gt(1)).select([col("doc_id"), col("score") * lit(2)]).bundle().data["text/html"].as_str().unwrap());
    println!("{}", frame.column("score").unwrap().head(Some(3)).bundle().data["text/html"].as_str().unwrap());
    let wide =
        DataFrame::new(2, (0..40).map(|i| Column::new(format!("dim_{i}").into(), [i as f32 * 0.1, -1.0])).collect())
            .unwrap();
    println!("{}", wide.bundle().data["text/html"].as_str().unwrap());
    println!("<!--{}-->", corpus.bundle().data["text/plain"].as_str().unwrap());
    kensaku::show::set_display(Box::new(Print));
    let bar = kensaku::show::progress("encode docs", Some(1000));
    for _ in 0..420 {
        std::thread::sleep(std::time::Duration::from_millis(1));
        bar.inc(1);
    }
    let t = std::time::Instant::now();
    for _ in 0..1_000_000 {
        bar.inc(0);
    }
    eprintln!("inc {:?}", t.elapsed() / 1_000_000);
    bar.finish();
    let bar = kensaku::show::progress("read lines", None);
    for _ in 0..420 {
        std::thread::sleep(std::time::Duration::from_millis(1));
        bar.inc(1);
    }
    std::mem::forget(bar);
    let bar = kensaku::show::progress("all", Some(400));
    for _ in 0..400 {
        std::thread::sleep(std::time::Duration::from_millis(1));
        bar.inc(1);
    }
}
