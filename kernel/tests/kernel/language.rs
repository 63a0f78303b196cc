//! Features of Rust in cells.

use anyhow::Result;

use crate::client::Client;

/// Runs cells and returns the last value as plain text.
async fn last(kernel: &mut Client, cells: &[&str]) -> Result<String> {
    let mut value = None;
    for cell in cells {
        value = kernel.execute(cell).await?.expect_ok().value().map(str::to_owned);
    }
    Ok(value.unwrap_or_default())
}

#[tokio::test]
async fn cells_await() -> Result<()> {
    let mut kernel = Client::start().await?;
    let cells = [
        "use kensaku::tokio::{self, time::sleep};\nuse std::time::Duration;\nlet mut seen = vec![0];",
        "async fn later(n: i32) -> Result<i32, String> { sleep(Duration::from_millis(5)).await; Ok(n) }",
        "let task = tokio::spawn(async { later(20).await });\nseen.push(later(1).await?);",
        "let more = task.await??;\nseen.push(more);\nseen.clone()",
    ];
    assert_eq!(last(&mut kernel, &cells).await?, "[0, 1, 20]");
    let failed = kernel.execute("seen.push(3);\nErr::<(), _>(later(4).await?.to_string())?;").await?;
    assert_eq!(failed.reply["evalue"], "4");
    assert_eq!(last(&mut kernel, &["seen.len()"]).await?, "4");
    let id = kernel.begin("println!(\"waits\");\nsleep(Duration::from_secs(600)).await;").await?;
    kernel.wait_for(&id, "stream").await?;
    kernel.interrupt().await?;
    assert_eq!(kernel.finish(&id).await?.reply["ename"], "Interrupted");
    assert_eq!(last(&mut kernel, &["seen.len()"]).await?, "4");
    kernel.shutdown().await
}

#[tokio::test]
async fn macros_await() -> Result<()> {
    let mut kernel = Client::start().await?;
    let cells = [
        "use kensaku::tokio;\nasync fn later(n: i32) -> Result<i32, String> { tokio::task::yield_now().await; Ok(n) }",
        "let (a, b) = tokio::join!(later(1), later(2));",
        "let (c, d) = tokio::try_join!(later(3), later(4))?;",
        "let first = tokio::select! { n = later(5) => n.unwrap_or(0), () = std::future::pending() => 0 };",
        "vec![a? + b?, c + d, first, matches!(later(6).await, Ok(6)) as i32]",
    ];
    assert_eq!(last(&mut kernel, &cells).await?, "[3, 7, 5, 1]");
    kernel.shutdown().await
}

#[tokio::test]
async fn statics_are_the_same_in_all_cells() -> Result<()> {
    let mut kernel = Client::start().await?;
    let cells = [
        "use std::sync::atomic::{AtomicU32, Ordering};\nuse std::sync::{LazyLock, Mutex};",
        "static COUNT: AtomicU32 = AtomicU32::new(5);\nstatic NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());",
        "static TABLE: LazyLock<Vec<u32>> = LazyLock::new(|| vec![COUNT.load(Ordering::SeqCst)]);",
        "fn next() -> u32 { COUNT.fetch_add(1, Ordering::SeqCst) }\nnext();",
        "NAMES.lock()?.push(\"a\".to_owned());\nnext()",
        "format!(\"{} {} {}\", NAMES.lock()?.len(), next(), TABLE[0])",
    ];
    assert_eq!(last(&mut kernel, &cells).await?, "\"1 7 8\"");
    kernel.shutdown().await
}

#[tokio::test]
async fn statics_keep_their_types() -> Result<()> {
    let mut kernel = Client::start().await?;
    let cells = [
        "static LIMIT: usize = 3;\nstatic GREETING: &str = \"hello\";\nstatic NAMES: [&str; 2] = [\"a\", \"b\"];",
        "let mut all = format!(\"{GREETING} {}\", GREETING.len());\nfor name in NAMES { all.push_str(name); }",
        "let zeros = [0u8; LIMIT];\nlet same: usize = LIMIT;\n(all.clone(), LIMIT + 1, LIMIT > 2, zeros.len(), same)",
    ];
    assert_eq!(last(&mut kernel, &cells).await?, "(\"hello 5ab\", 4, true, 3, 3)");
    kernel.shutdown().await
}

#[tokio::test]
async fn statics_live_as_long_as_the_session() -> Result<()> {
    let mut kernel = Client::start().await?;
    let cells = [
        "use std::sync::atomic::{AtomicU32, Ordering};\nfn ticket() -> u32 { static NEXT: AtomicU32 = AtomicU32::new(10); \
         NEXT.fetch_add(1, Ordering::SeqCst) }",
        "mod m { pub static N: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0); }",
        "static mut HITS: u32 = 0;\nfn hit() -> u32 { unsafe { HITS += 1; HITS } }",
        "thread_local! { static DEPTH: std::cell::Cell<i32> = const { std::cell::Cell::new(0) }; \
         static SEEN: std::cell::RefCell<Vec<i32>> = std::cell::RefCell::new(Vec::new()) }",
        "DEPTH.set(5);\nSEEN.with_borrow_mut(|seen| seen.push(1));\nticket();\nhit();\nm::N.fetch_add(2, Ordering::SeqCst);",
        "struct Count;\nimpl Count { fn next(&self) -> u32 { static N: AtomicU32 = AtomicU32::new(7); N.fetch_add(1, Ordering::SeqCst) } }",
        "Count.next();",
        "(ticket(), hit(), m::N.load(Ordering::SeqCst), DEPTH.get(), SEEN.take(), Count.next())",
    ];
    assert_eq!(last(&mut kernel, &cells).await?, "(11, 2, 2, 5, [1], 8)");
    kernel.shutdown().await
}

#[tokio::test]
async fn cells_are_one_crate() -> Result<()> {
    let mut kernel = Client::start().await?;
    let cells = [
        "pub trait Area { fn area(&self) -> f64; }\nmod shapes { use super::Area; pub struct Square(pub f64); \
         impl Area for Square { fn area(&self) -> f64 { self.0 * self.0 } } }",
        "mod discs { use crate::Area; pub struct Disc(pub f64); impl Area for Disc { fn area(&self) -> f64 { 3.0 * self.0 * self.0 } } }",
        "(shapes::Square(3.0).area(), discs::Disc(2.0).area())",
    ];
    assert_eq!(last(&mut kernel, &cells).await?, "(9.0, 12.0)");
    // No name is reserved.
    let cells = [
        "fn run(n: u32) -> u32 { n + 1 }\nmod cell { pub fn two() -> u32 { 2 } }\nrun(1)",
        "fn cell(n: u32) -> u32 { n + 2 }\ncell(run(1)) + cell::two()",
    ];
    assert_eq!(last(&mut kernel, &cells).await?, "6");
    kernel.shutdown().await
}

#[tokio::test]
async fn return_and_question_mark_work_anywhere() -> Result<()> {
    let mut kernel = Client::start().await?;
    let returned = kernel.execute("let y: Option<u8> = None;\nlet Some(x) = y else { return };\nx").await?.expect_ok();
    assert_eq!(returned.value(), None);
    assert_eq!(last(&mut kernel, &["y.is_none()"]).await?, "true");
    assert_eq!(last(&mut kernel, &["let n = 3;\nif n > 2 { return Ok(()); }\npanic!();", "n"]).await?, "3");
    let tried = "let frame = df!(\"a\" => [\"7\".parse::<i32>()?, \"8\".parse()?])?;\n\
                 assert!(matches!(\"1\".parse::<u8>()?, 1));\nframe.height()";
    assert_eq!(last(&mut kernel, &[tried]).await?, "2");
    let failed = kernel.execute("let one = 1;\nlet frame = df!(\"a\" => [one, \"x\".parse()?])?;").await?;
    assert_eq!(failed.reply["evalue"], "invalid digit found in string");
    assert!(failed.traceback().contains(":2"), "{}", failed.traceback());
    assert_eq!(last(&mut kernel, &["one"]).await?, "1");
    kernel.shutdown().await
}

#[tokio::test]
async fn patterns_generics_and_macros() -> Result<()> {
    let mut kernel = Client::start().await?;
    let cells = [
        "#[derive(Debug, Clone)]\nstruct Pair<T> { left: T, right: Option<T> }\nimpl<T: Copy> Pair<T> { fn sum(&self, add: impl Fn(T, T) -> T) -> T { match self.right { Some(r) => add(self.left, r), None => self.left } } }",
        "let pair = Pair { left: 1.5, right: Some(2.5) };\nlet Pair { left, right: Some(right) } = pair.clone() else { panic!(\"no right\") };",
        "let (first, [second, ..]) = (left, [right, 0.0]);\nlet first = first + second;",
        "macro_rules! point { ($name:ident) => { #[derive(Debug, Default)] struct $name { x: i32 } } }\npoint!(Here);",
        "point!(There);\nlet there = There { x: 3 };",
        "macro_rules! double { ($e:expr) => { 2 * $e } }",
        "thread_local! { static DEPTH: std::cell::Cell<i32> = const { std::cell::Cell::new(4) }; }",
        "let boxed: Box<dyn Fn(f64) -> f64> = Box::new(move |x| x + first);",
        "let function = f64::sqrt;\nlet 変数 = boxed(1.0);",
        "format!(\"{} {} {} {} {変数} {}\", pair.sum(|a, b| a + b), double!(there.x), DEPTH.get(), function(9.0), Here::default().x)",
    ];
    assert_eq!(last(&mut kernel, &cells).await?, "\"4 6 4 3 5 0\"");
    kernel.shutdown().await
}

#[tokio::test]
async fn question_mark_works_on_options_and_unusual_errors() -> Result<()> {
    let mut kernel = Client::start().await?;
    assert_eq!(last(&mut kernel, &["let first = vec![3].into_iter().next()?;\nfirst"]).await?, "3");
    let none = kernel.execute("let none = Vec::<u8>::new().pop()?;").await?;
    assert_eq!(none.reply["evalue"], "`?` on a None");
    let code = "#[derive(Debug)]\nstruct Odd(u8);\nErr::<(), _>(Odd(3))?;";
    assert_eq!(kernel.execute(code).await?.reply["evalue"], "Odd(3)");
    let sum = "let total = [\"1\", \"2\"].iter().map(|t| t.parse::<i32>()).sum::<Result<i32, _>>()?;\n\
               let parsed: Vec<u8> = \"1 2\".split(' ').map(str::parse).collect::<Result<_, _>>()?;\ntotal + parsed.len() as i32";
    assert_eq!(last(&mut kernel, &[sum]).await?, "5");
    kernel.shutdown().await
}

#[tokio::test]
async fn threads_print_after_their_cell() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "std::thread::spawn(|| {\n    std::thread::sleep(std::time::Duration::from_millis(400));\n    println!(\"late\");\n});";
    let id = kernel.begin(code).await?;
    kernel.finish(&id).await?.expect_ok();
    assert_eq!(kernel.wait_for(&id, "stream").await?.content["text"], "late\n");
    let next = kernel.execute("1").await?.expect_ok();
    assert_eq!(next.value(), Some("1"));
    kernel.shutdown().await
}

#[tokio::test]
async fn logs_go_to_stderr() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "kensaku::log::warn!(\"by log\");\nkensaku::tracing::error!(\"by tracing\");\nkensaku::log::info!(\"too little\");";
    let logged = kernel.execute(code).await?.expect_ok().text("stderr");
    assert!(logged.contains("WARN ctx: by log"), "{logged}");
    assert!(logged.contains("ERROR ctx: by tracing"), "{logged}");
    assert!(!logged.contains("too little"), "{logged}");
    kernel.shutdown().await
}
