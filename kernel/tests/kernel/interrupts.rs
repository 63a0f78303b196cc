//! Interrupts: in cells, during compilation, and, if repeated, by force.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::client::Client;

const SLOW_LOOP: &str = "println!(\"running\");\nfor _ in 0..1000 {\n    std::thread::sleep(std::time::Duration::from_millis(20));\n    rounds += 1;\n}";

#[tokio::test]
async fn an_interrupted_loop_keeps_its_variables() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let mut rounds = 0;").await?.expect_ok();
    let id = kernel.begin(SLOW_LOOP).await?;
    kernel.wait_for(&id, "stream").await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    kernel.interrupt().await?;
    let stopped = kernel.finish(&id).await?;
    assert_eq!(stopped.reply["ename"], "Interrupted");
    let rounds: u32 = kernel.execute("rounds").await?.expect_ok().value().unwrap_or_default().parse()?;
    assert!((1..1000).contains(&rounds), "{rounds} rounds");
    kernel.shutdown().await
}

#[tokio::test]
async fn an_interrupt_reports_moved_variables() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let items = vec![20_u64];").await?.expect_ok();
    let code = "println!(\"running\");\nfor item in items {\n    \
                loop { std::thread::sleep(std::time::Duration::from_millis(item)); }\n}";
    let id = kernel.begin(code).await?;
    kernel.wait_for(&id, "stream").await?;
    kernel.interrupt().await?;
    let stopped = kernel.finish(&id).await?;
    assert_eq!(stopped.reply["ename"], "Interrupted");
    assert!(stopped.traceback().contains("`items` was moved into the cell and is lost"), "{}", stopped.traceback());
    assert!(kernel.execute("items").await?.traceback().contains("E0425"));
    kernel.shutdown().await
}

#[tokio::test]
async fn the_librarys_loops_can_be_interrupted() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = 3;").await?.expect_ok();
    let code = "println!(\"running\");\n{ let wait = || -> kensaku::Result<()> { loop {\n\
                    kensaku::interrupt::check(\"waiting\")?;\n\
                    std::thread::sleep(std::time::Duration::from_millis(10));\n} };\nwait()?; }";
    let id = kernel.begin(code).await?;
    kernel.wait_for(&id, "stream").await?;
    kernel.interrupt().await?;
    assert_eq!(kernel.finish(&id).await?.reply["ename"], "Interrupted");
    assert_eq!(kernel.execute("kept").await?.expect_ok().value(), Some("3"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_compilation_ends_immediately() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = 3;").await?.expect_ok();
    // A constant that takes rustc minutes to evaluate.
    let code =
        "const SLOW: u64 = { let mut i = 0u64; let mut s = 0u64; while i < 200_000_000 { s ^= i; i += 1; } s };\nSLOW";
    let id = kernel.begin(&format!("#[allow(long_running_const_eval)]\n{code}")).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let asked = Instant::now();
    kernel.interrupt().await?;
    let stopped = kernel.finish(&id).await?;
    assert_eq!(stopped.reply["ename"], "Interrupted", "{stopped:#?}");
    assert!(asked.elapsed() < Duration::from_secs(4), "it took {:?}", asked.elapsed());
    assert_eq!(kernel.execute("kept").await?.expect_ok().value(), Some("3"));
    kernel.shutdown().await
}

/// Interrupts once, half a second after the cell's first output, and returns how long the cell then ran.
async fn stop(kernel: &mut Client, code: &str) -> Result<Duration> {
    let id = kernel.begin(&format!("println!(\"running\");\n{code}")).await?;
    kernel.wait_for(&id, "stream").await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    kernel.interrupt().await?;
    let asked = Instant::now();
    assert_eq!(kernel.finish(&id).await?.reply["ename"], "Interrupted", "{code}");
    Ok(asked.elapsed())
}

#[tokio::test]
async fn functions_closures_and_recursion_can_be_interrupted() -> Result<()> {
    let mut kernel = Client::start().await?;
    let items = "use kensaku::rayon::prelude::*;\nfn work() -> u64 { let mut s = 0u64; loop { s = s.wrapping_add(1); } }\n\
                 fn fib(n: u64) -> u64 { if n < 2 { n } else { fib(n - 1) + fib(n - 2) } }\n\
                 struct Worker;\nimpl Worker { fn run(&self) { loop {} } }\nlet kept = 3;";
    kernel.execute(items).await?.expect_ok();
    let cells = [
        "work();",
        "fib(90)",
        "Worker.run();",
        "let total: u64 = (0..u64::MAX).map(|i| i / 3).sum();",
        "let total: u64 = (0..20_000u64).into_par_iter().map(|i| { std::thread::sleep(std::time::Duration::from_millis(1)); i }).sum();",
        "std::thread::scope(|scope| { scope.spawn(|| work()); });",
    ];
    for code in cells {
        let took = stop(&mut kernel, code).await?;
        assert!(took < Duration::from_secs(5), "{code} took {took:?}");
        assert_eq!(kernel.execute("kept").await?.expect_ok().value(), Some("3"), "{code}");
    }
    kernel.shutdown().await
}

#[tokio::test]
async fn threads_of_earlier_cells_go_on() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "use std::sync::atomic::{AtomicU64, Ordering};\nstatic TURNS: AtomicU64 = AtomicU64::new(0);\n\
                std::thread::spawn(|| loop {\n    TURNS.fetch_add(1, Ordering::SeqCst);\n    \
                std::thread::sleep(std::time::Duration::from_millis(5));\n});";
    kernel.execute(code).await?.expect_ok();
    stop(&mut kernel, "loop { std::thread::sleep(std::time::Duration::from_millis(5)); }").await?;
    let turns = "let before = TURNS.load(Ordering::SeqCst);\nstd::thread::sleep(std::time::Duration::from_millis(100));\n\
                 TURNS.load(Ordering::SeqCst) > before";
    assert_eq!(kernel.execute(turns).await?.expect_ok().value(), Some("true"));
    kernel.shutdown().await
}

#[tokio::test]
async fn one_interrupt_does_not_end_the_process() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = 3;").await?.expect_ok();
    let id = kernel
        .begin("println!(\"running\");\nstd::thread::sleep(std::time::Duration::from_secs(8));\nunreachable!();")
        .await?;
    kernel.wait_for(&id, "stream").await?;
    kernel.interrupt().await?;
    let stopped = kernel.finish(&id).await?;
    assert_eq!(stopped.reply["ename"], "Interrupted");
    let told = stopped.text("stderr");
    assert!(told.contains("Interrupt again within 10 s to end its process, which loses all variables"), "{told}");
    assert_eq!(kernel.execute("kept").await?.expect_ok().value(), Some("3"));
    kernel.shutdown().await
}

#[tokio::test]
async fn an_interrupted_cell_keeps_its_variables() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "let mut seen = vec![0];\nlet mut turns = 0..u64::MAX;\nfor turn in &mut turns {\n    seen.push(turn);\n    \
                std::thread::sleep(std::time::Duration::from_millis(5));\n}";
    stop(&mut kernel, code).await?;
    let left = kernel.execute("seen.len() > 2 && turns.start > seen[seen.len() - 1]").await?.expect_ok();
    assert_eq!(left.value(), Some("true"));
    let awaiting = "let mut waits = vec![0];\nlet more = async { 1 }.await;\nwaits.push(more);\n\
                    kensaku::tokio::time::sleep(std::time::Duration::from_secs(600)).await;";
    stop(&mut kernel, awaiting).await?;
    assert_eq!(kernel.execute("(waits.clone(), more)").await?.expect_ok().value(), Some("([0, 1], 1)"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_second_interrupt_kills_a_cell_that_does_not_react() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("fn kept() -> i32 { 5 }\nlet lost = 1;").await?.expect_ok();
    let code = "println!(\"running\");\nstd::thread::sleep(std::time::Duration::from_secs(600));";
    let id = kernel.begin(code).await?;
    kernel.wait_for(&id, "stream").await?;
    kernel.interrupt().await?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // Two at the same time count as one.
    kernel.interrupt().await?;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    kernel.interrupt().await?;
    let killed = kernel.finish(&id).await?;
    assert_eq!(killed.reply["ename"], "Killed");
    assert!(kernel.execute("lost").await?.traceback().contains("E0425"));
    assert_eq!(kernel.execute("kept()").await?.expect_ok().value(), Some("5"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_signal_interrupts_only_a_running_cell() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let mut rounds = 0;").await?.expect_ok();
    let id = kernel.begin(SLOW_LOOP).await?;
    kernel.wait_for(&id, "stream").await?;
    signal(kernel.process())?;
    assert_eq!(kernel.finish(&id).await?.reply["ename"], "Interrupted");
    kernel.interrupt().await?;
    signal(kernel.process())?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let next = kernel.execute("for _ in 0..3 { rounds += 1; }\nrounds > 3").await?.expect_ok();
    assert_eq!(next.value(), Some("true"));
    kernel.shutdown().await
}

#[tokio::test]
async fn an_interrupt_aborts_cells_queued_before_it() -> Result<()> {
    let mut kernel = Client::start().await?;
    for by_message in [true, false] {
        let mut queue = Vec::new();
        for _ in 0..12 {
            queue.push(
                kernel
                    .begin("println!(\"asleep\");\nstd::thread::sleep(std::time::Duration::from_millis(600));")
                    .await?,
            );
        }
        kernel.wait_for(&queue[0], "stream").await?;
        let process = kernel.process();
        match by_message {
            true => kernel.interrupt().await?,
            false => signal(process)?,
        }
        // Arrives after the interrupt.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let next = kernel.begin("1 + 1").await?;
        let first = kernel.finish(&queue[0]).await?;
        assert!(["ok", "error"].contains(&first.status()), "{first:#?}");
        for id in &queue[1..] {
            let aborted = kernel.finish(id).await?;
            assert_eq!((aborted.status(), aborted.kinds().len()), ("aborted", 0), "{aborted:#?}");
        }
        assert_eq!(kernel.finish(&next).await?.expect_ok().value(), Some("2"));
    }
    kernel.shutdown().await
}

#[tokio::test]
async fn cells_sent_after_an_interrupt_run() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let mut rounds = 0;").await?.expect_ok();
    // Its iterations are long, so that the next cell arrives before it ends.
    let id = kernel.begin(&SLOW_LOOP.replace("from_millis(20)", "from_millis(1000)")).await?;
    kernel.wait_for(&id, "stream").await?;
    kernel.interrupt().await?;
    let next = kernel.begin("1 + 1").await?;
    assert_eq!(kernel.finish(&id).await?.reply["ename"], "Interrupted");
    assert_eq!(kernel.finish(&next).await?.expect_ok().value(), Some("2"));
    kernel.shutdown().await
}

/// Ctrl-C, which Jupyter sends unless the kernelspec asks for messages.
fn signal(process: u32) -> Result<()> {
    // Safety: the process is our own child.
    let sent = unsafe { libc::kill(process.try_into()?, libc::SIGINT) };
    anyhow::ensure!(sent == 0, "the signal was not sent");
    Ok(())
}
