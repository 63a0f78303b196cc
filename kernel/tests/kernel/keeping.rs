//! Variables after a failed cell.

use anyhow::Result;

use crate::client::Client;

/// A kernel with three variables.
async fn prepared() -> Result<Client> {
    let mut kernel = Client::start().await?;
    kernel.execute("let mut items = vec![1, 2];\nlet name = String::from(\"a\");\nlet number = 7;").await?.expect_ok();
    Ok(kernel)
}

const ALL: &str = "format!(\"{items:?} {name} {number}\")";

async fn all(kernel: &mut Client) -> Result<String> {
    Ok(kernel.execute(ALL).await?.expect_ok().value().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_panic_keeps_the_cells_changes() -> Result<()> {
    let mut kernel = prepared().await?;
    let code = "let view = &mut items;\nview.push(3);\nlet borrowed = &name;\npanic!(\"{borrowed}\");";
    assert_eq!(kernel.execute(code).await?.reply["ename"], "panic");
    assert_eq!(all(&mut kernel).await?, "\"[1, 2, 3] a 7\"");
    kernel.shutdown().await
}

#[tokio::test]
async fn an_error_keeps_the_cells_changes() -> Result<()> {
    let mut kernel = prepared().await?;
    let code = "items.push(3);\nlet number: u8 = \"no\".parse()?;\nitems.push(4);";
    assert_eq!(kernel.execute(code).await?.status(), "error");
    assert_eq!(all(&mut kernel).await?, "\"[1, 2, 3] a 7\"");
    kernel.shutdown().await
}

#[tokio::test]
async fn a_failed_cell_keeps_its_new_variables() -> Result<()> {
    let mut kernel = prepared().await?;
    let failed = kernel.execute("let number = number + 1;\nlet name = 2.5;\nlet more = vec![1];\npanic!();").await?;
    assert_eq!(failed.status(), "error");
    assert_eq!(all(&mut kernel).await?, "\"[1, 2] 2.5 8\"");
    assert_eq!(kernel.execute("more").await?.expect_ok().value(), Some("[1]"));
    let failed = kernel.execute("let big = vec![1, 2, 3];\nlet n: i32 = \"x\".parse()?;").await?;
    assert_eq!(failed.reply["evalue"], "invalid digit found in string");
    assert_eq!(kernel.execute("big.len()").await?.expect_ok().value(), Some("3"));
    kernel.shutdown().await
}

#[tokio::test]
async fn an_older_variable_never_comes_back_silently() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let k = 1;").await?.expect_ok();
    kernel.execute("let k = 2;\n\"x\".parse::<i32>()?;").await?;
    assert_eq!(kernel.execute("k").await?.expect_ok().value(), Some("2"));
    let failed = kernel.execute("let k: i32 = \"x\".parse()?;").await?;
    assert!(failed.traceback().contains("`k` still has its value from an earlier cell"), "{}", failed.traceback());
    assert_eq!(kernel.execute("k").await?.expect_ok().value(), Some("2"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_failed_loop_keeps_its_variables() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "let mut seen = Vec::new();\nlet words = [\"1\", \"2\", \"x\"];\n\
                for word in words.iter().map(|word| word.parse::<u8>()) {\n    seen.push(word?);\n}";
    assert_eq!(kernel.execute(code).await?.status(), "error");
    assert_eq!(kernel.execute("(seen.clone(), words.len())").await?.expect_ok().value(), Some("([1, 2], 3)"));
    let awaiting = "let mut waited = vec![0];\nlet one = async { 1 }.await;\nwaited.push(one);\n\
                    async { Err::<(), _>(\"late\") }.await?;";
    assert_eq!(kernel.execute(awaiting).await?.reply["evalue"], "late");
    assert_eq!(kernel.execute("waited.clone()").await?.expect_ok().value(), Some("[0, 1]"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_cell_with_borrows_compiles_like_a_main() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "let mut v = vec![1, 2];\nlet first = &mut v[0];\nlet n = 3;\n*first = 5;\n\
                let slices = v.chunks(1);\nlet longest = slices.max_by_key(|part| part[0]);\nprintln!(\"{v:?} {n} {longest:?}\");";
    let done = kernel.execute(code).await?.expect_ok();
    assert_eq!(done.text("stdout"), "[5, 2] 3 Some([5])\n");
    assert_eq!(kernel.execute("(v.len(), n)").await?.expect_ok().value(), Some("(2, 3)"));
    let named = kernel.execute("*first").await?;
    assert!(named.traceback().contains("`first` borrowed from another value"), "{}", named.traceback());
    let guarded = "let shared = std::sync::Mutex::new(vec![1]);\nlet mut guard = shared.lock()?;\nguard.push(2);";
    kernel.execute(guarded).await?.expect_ok();
    assert_eq!(kernel.execute("shared.lock()?.len()").await?.expect_ok().value(), Some("2"));
    let unused = kernel.execute("let last = &v[1];").await?.expect_ok();
    assert!(unused.text("stderr").contains("`last` is not kept for later cells: it borrows"), "{unused:#?}");
    kernel.shutdown().await
}

#[tokio::test]
async fn closures_are_limited_to_their_cell_and_this_is_reported() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code =
        "let a = 1;\nlet f = |x: i32| x + a;\nassert_eq!(f(2), 3);\nlet boxed = Box::new(|x: i32| x * 2);\nboxed(4)";
    assert_eq!(kernel.execute(code).await?.expect_ok().value(), Some("8"));
    for call in ["f(2)", "boxed(4)"] {
        let failed = kernel.execute(call).await?;
        assert!(failed.traceback().contains("closure"), "{}", failed.traceback());
    }
    kernel.execute("let kept: Box<dyn Fn(i32) -> i32> = Box::new(move |x| x + a);").await?.expect_ok();
    assert_eq!(kernel.execute("kept(1)").await?.expect_ok().value(), Some("2"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_moved_variable_can_be_reassigned() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let mut title = String::from(\"draft\");").await?.expect_ok();
    kernel.execute("let kept = title;").await?.expect_ok();
    let failed = kernel.execute("title.len()").await?;
    assert!(failed.traceback().contains("`title` was moved by cell [2]"), "{}", failed.traceback());
    kernel.execute("title = String::from(\"final\");").await?.expect_ok();
    assert_eq!(kernel.execute("format!(\"{kept} {title}\")").await?.expect_ok().value(), Some("\"draft final\""));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_private_type_does_not_break_other_cells() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "mod hidden {\n    mod inner { #[derive(Debug)] pub struct T(pub u8); }\n    \
                pub fn make() -> inner::T { inner::T(3) }\n}\nlet t = hidden::make();";
    let made = kernel.execute(code).await?.expect_ok();
    assert!(made.text("stderr").contains("its type `hidden::inner::T` is private"), "{made:#?}");
    let failed = kernel.execute("println!(\"{t:?}\");").await?;
    assert!(failed.traceback().contains("its type `hidden::inner::T` is private"), "{}", failed.traceback());
    kernel.execute("let t = hidden::make();").await?.expect_ok();
    kernel.execute("let t = 5;").await?.expect_ok();
    assert_eq!(kernel.execute("t").await?.expect_ok().value(), Some("5"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_compile_error_changes_nothing() -> Result<()> {
    let mut kernel = prepared().await?;
    let failed = kernel.execute("items.push(3);\nlet number: u8 = name;").await?;
    assert!(failed.traceback().contains("E0308"), "{}", failed.traceback());
    assert_eq!(all(&mut kernel).await?, "\"[1, 2] a 7\"");
    kernel.shutdown().await
}

#[tokio::test]
async fn variables_moved_by_a_failed_cell_are_named() -> Result<()> {
    let mut kernel = prepared().await?;
    let failed = kernel.execute("items.push(3);\nlet gone = name;\npanic!(\"after {gone}\");").await?;
    assert!(failed.traceback().contains("`name` was moved into the cell and is lost"), "{}", failed.traceback());
    assert_eq!(kernel.execute("items.len()").await?.expect_ok().value(), Some("3"));
    assert!(kernel.execute("name").await?.traceback().contains("`name` was moved by cell [2]"));
    // A cell that succeeds may move variables.
    kernel.execute("let other = items;").await?.expect_ok();
    assert_eq!(kernel.execute("other.len() as i32 + number").await?.expect_ok().value(), Some("10"));
    kernel.shutdown().await
}

#[tokio::test]
async fn items_can_be_run_again() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("struct P;").await?.expect_ok();
    for (body, expected) in [("1", "1"), ("1", "1"), ("2", "2")] {
        let code = format!("impl P {{\n    fn get(&self) -> i32 {{ {body} }}\n}}\nuse std::collections::*;\nP.get()");
        assert_eq!(kernel.execute(&code).await?.expect_ok().value(), Some(expected));
    }
    let twice = kernel.execute("use std::fmt::Debug as Shown;\nuse std::fmt::Display as Shown;").await?;
    twice.expect_ok();
    kernel.execute("fn twice() -> i32 { 2 }").await?.expect_ok();
    kernel.execute("use std::cmp::max as twice;").await?.expect_ok();
    assert_eq!(kernel.execute("twice(3, 4)").await?.expect_ok().value(), Some("4"));
    kernel.shutdown().await
}

#[tokio::test]
async fn variables_after_a_moved_one_are_kept() -> Result<()> {
    let mut kernel = Client::start().await?;
    let moving = "let name = String::from(\"adam\");\nlet rate = 0.1;\nlet trainer = (name, rate);\n\
                  let mut history: Vec<f64> = Vec::new();\nhistory.push(1.0);\npanic!(\"stop\");";
    let failed = kernel.execute(moving).await?;
    assert_eq!(failed.reply["ename"], "panic");
    let kept = kernel.execute("format!(\"{rate} {trainer:?} {history:?}\")").await?.expect_ok();
    assert_eq!(kept.value(), Some("\"0.1 (\\\"adam\\\", 0.1) [1.0]\""));
    let borrowing =
        "let mut list = vec![1];\nlet last = &mut list;\nlast.push(2);\nlet n = last.len();\nErr::<(), _>(\"no\")?;";
    kernel.execute(borrowing).await?;
    assert_eq!(kernel.execute("(list, n)").await?.expect_ok().value(), Some("([1, 2], 2)"));
    kernel.shutdown().await
}

#[tokio::test]
async fn capitalised_variables_are_kept() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("const ORIGIN: i32 = 0;\nlet X = vec![1.0];\nlet (Lo, Δ) = (1, 2);").await?.expect_ok();
    kernel
        .execute("if let (ORIGIN, y) = (0, 1) { assert_eq!(y, 1) }\nlet (ORIGIN, y) = (0, 1) else { panic!() };")
        .await?
        .expect_ok();
    assert_eq!(kernel.execute("(X.len(), Lo + Δ, ORIGIN, y)").await?.expect_ok().value(), Some("(1, 3, 0, 1)"));
    kernel.shutdown().await
}

#[tokio::test]
async fn closures_with_a_type_are_kept() -> Result<()> {
    let mut kernel = Client::start().await?;
    let made = kernel.execute("let next: fn(i32) -> i32 = |x| x + 1;").await?.expect_ok();
    assert_eq!(made.text("stderr"), "");
    assert_eq!(kernel.execute("next(2)").await?.expect_ok().value(), Some("3"));
    kernel.shutdown().await
}
