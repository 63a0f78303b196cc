//! Cells that start processes, fork, close streams, and leave threads running.

use anyhow::Result;

use crate::client::Client;

const C: &str = "unsafe extern \"C\" { fn fork() -> i32; fn close(fd: i32) -> i32; fn wait(status: *mut i32) -> i32; }";

#[tokio::test]
async fn a_cell_may_start_kensaku() -> Result<()> {
    let mut kernel = Client::start().await?;
    for program in ["std::env::current_exe()?".to_owned(), format!("{:?}", env!("CARGO_BIN_EXE_kensaku"))] {
        let code = format!(
            "let output = std::process::Command::new({program}).arg(\"--version\").output()?;\n\
                            String::from_utf8_lossy(&output.stdout).into_owned()"
        );
        let run = kernel.execute(&code).await?.expect_ok();
        assert!(run.value().is_some_and(|said| said.starts_with("\"kensaku ")), "{run:#?}");
        assert_eq!(kernel.execute("println!(\"a\");\n1 + 1").await?.expect_ok().value(), Some("2"));
    }
    kernel.shutdown().await
}

#[tokio::test]
async fn cells_see_the_users_environment() -> Result<()> {
    let variables = [("RUST_BACKTRACE", "0"), ("MINE", "1")];
    let mut kernel = Client::start_with(&variables).await?;
    let before = std::env::var("LD_LIBRARY_PATH").ok();
    let names = ["LD_LIBRARY_PATH", "RUST_BACKTRACE", "MINE", "EVCXR_IS_RUNTIME", "KENSAKU_CELLS", "KENSAKU_SESSION"];
    let expected = [before.as_deref(), Some("0"), Some("1"), None, None, None];
    let seen = kernel.execute(&format!("{names:?}.map(|name: &str| std::env::var(name).ok())")).await?.expect_ok();
    assert_eq!(seen.value(), Some(format!("{expected:?}").as_str()));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_fork_does_not_mix_up_the_answers() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute(C).await?.expect_ok();
    kernel.execute("let mut kept = vec![1];").await?.expect_ok();
    for _ in 0..3 {
        let code = "let process = unsafe { fork() };\nkept.push(process);\n\
                    println!(\"{}\", if process == 0 { \"child\" } else { \"parent\" });\n\
                    if process != 0 { unsafe { wait(std::ptr::null_mut()) }; }";
        let run = kernel.execute(code).await?.expect_ok();
        let mut said: Vec<&str> = run.text("stdout").leak().lines().collect();
        said.sort_unstable();
        assert_eq!(said, ["child", "parent"]);
        assert_eq!(kernel.execute("1 + 1").await?.expect_ok().value(), Some("2"));
        assert_eq!(kernel.execute("println!(\"a\");").await?.expect_ok().text("stdout"), "a\n");
    }
    // A child that outlives its cell.
    kernel.execute("if unsafe { fork() } == 0 { std::thread::sleep(std::time::Duration::from_millis(300)); panic!(\"in the fork\"); }").await?.expect_ok();
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(kernel.execute("kept.len()").await?.expect_ok().value(), Some("4"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_cell_may_close_its_streams() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute(C).await?.expect_ok();
    kernel.execute("let kept = 7;").await?.expect_ok();
    for streams in ["0..1", "1..2", "2..3", "0..3", "3..256"] {
        let code = format!("for stream in {streams} {{ unsafe {{ close(stream) }}; }}\nprintln!(\"nowhere\");\nkept");
        assert_eq!(kernel.execute(&code).await?.expect_ok().value(), Some("7"), "{streams}");
        let next = kernel.execute("println!(\"seen\");\neprintln!(\"as well\");\nkept + 1").await?.expect_ok();
        assert_eq!(
            (next.text("stdout"), next.text("stderr")),
            ("seen\n".to_owned(), "as well\n".to_owned()),
            "{streams}"
        );
        assert_eq!(next.value(), Some("8"), "{streams}");
    }
    let failed = kernel.execute("unsafe { close(1) };\npanic!(\"loud\");").await?;
    assert_eq!((&failed.reply["ename"], &failed.reply["evalue"]), (&"panic".into(), &"loud".into()));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_cell_that_closes_everything_only_loses_its_process() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute(C).await?.expect_ok();
    let code =
        "for stream in 0..4096 { unsafe { close(stream) }; }\nstd::thread::sleep(std::time::Duration::from_secs(600));";
    let dead = kernel.execute(code).await?;
    assert_eq!(dead.reply["ename"], "ProcessEnded", "{dead:#?}");
    assert!(dead.text("stderr").contains("closed its connection"), "{}", dead.text("stderr"));
    assert_eq!(kernel.execute("1 + 1").await?.expect_ok().value(), Some("2"));
    kernel.shutdown().await
}

#[tokio::test]
async fn evcxrs_markers_are_text() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "println!(\"EVCXR_EXECUTION_COMPLETE\");\nstd::thread::sleep(std::time::Duration::from_millis(300));\nlet after = 3;\nafter";
    let run = kernel.execute(code).await?.expect_ok();
    assert_eq!((run.text("stdout").as_str(), run.value()), ("EVCXR_EXECUTION_COMPLETE\n", Some("3")));
    assert_eq!(kernel.execute("after + 1").await?.expect_ok().value(), Some("4"));
    kernel.shutdown().await
}

#[tokio::test]
async fn panics_of_other_threads_are_reported() -> Result<()> {
    let mut kernel = Client::start().await?;
    // After the cell.
    let late = "std::thread::Builder::new().name(\"worker\".to_owned()).spawn(|| {\n    \
                std::thread::sleep(std::time::Duration::from_millis(500));\n    panic!(\"too late\");\n})?;";
    let id = kernel.begin(late).await?;
    kernel.finish(&id).await?.expect_ok();
    let told = kernel.wait_for(&id, "stream").await?;
    assert_eq!(told.content["text"], "thread 'worker' panicked: too late\n");

    // In a cell that fails, by a panic or otherwise.
    for (end, name) in [("Err::<(), _>(\"mine\")?;", "mine"), ("panic!(\"mine\");", "mine")] {
        let code = format!("let _ = std::thread::spawn(|| panic!(\"theirs\")).join();\n{end}");
        let failed = kernel.execute(&code).await?;
        assert_eq!(failed.reply["evalue"], name, "{failed:#?}");
        assert_eq!(failed.text("stderr"), "thread '<unnamed>' panicked: theirs\n");
    }

    // The cause of the failure is not repeated.
    let code = "let worker = std::thread::spawn(|| panic!(\"theirs\"));\nstd::panic::resume_unwind(worker.join().unwrap_err());";
    let failed = kernel.execute(code).await?;
    assert_eq!((&failed.reply["evalue"], failed.text("stderr").as_str()), (&"theirs".into(), ""));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_users_panic_is_not_mistaken_for_an_interrupt() -> Result<()> {
    let mut kernel = Client::start().await?;
    let failed = kernel.execute("panic!(\"interrupted\");").await?;
    assert_eq!((&failed.reply["ename"], &failed.reply["evalue"]), (&"panic".into(), &"interrupted".into()));
    kernel.shutdown().await
}
