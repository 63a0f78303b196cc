//! Completion and inspection requests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::client::{Client, Start, build_dylib, raw, read};

/// The kernel's memory limit, with completion in use.
const MEMORY: u64 = 80 << 20;
/// Longer than an index takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Sends a request with the cursor at `|`.
async fn ask(kernel: &mut Client, kind: &str, code: &str) -> Result<Value> {
    let cursor = code.chars().take_while(|c| *c != '|').count();
    let content = json!({ "code": code.replacen('|', "", 1), "cursor_pos": cursor, "detail_level": 1 });
    let id = kernel.send(raw(kind, content)).await?;
    let answer = kernel.finish(&id).await?;
    assert_eq!(answer.kinds(), [""; 0]);
    Ok(answer.reply)
}

async fn complete(kernel: &mut Client, code: &str) -> Result<Vec<String>> {
    let reply = ask(kernel, "complete_request", code).await?;
    assert_eq!(reply["status"], "ok");
    Ok(serde_json::from_value(reply["matches"].clone())?)
}

#[tokio::test]
async fn names_of_the_session_are_offered() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel
        .execute("struct Point { across: f32, down: f32 }\nlet 点 = Point { across: 1.0, down: 2.0 };")
        .await?
        .expect_ok();
    assert_eq!(complete(&mut kernel, "点.|").await?[..2], ["across", "down"]);
    let reply = ask(&mut kernel, "complete_request", "let s = \"🦀\"; 点.ac| + 1.0").await?;
    assert_eq!((&reply["cursor_start"], &reply["cursor_end"]), (&json!(15), &json!(17)));
    let item = &reply["metadata"]["_jupyter_types_experimental"][0];
    assert_eq!(*item, json!({ "text": "across", "type": "field", "signature": "across: f32", "start": 15, "end": 17 }));
    kernel.execute("let frame = df!(\"a\" => [1, 2])?;").await?.expect_ok();
    assert!(complete(&mut kernel, "frame.clone().lazy().fil|").await?.contains(&"filter".to_owned()));
    assert_eq!(complete(&mut kernel, ":tim|").await?, [":time", ":timing"]);
    assert_eq!(complete(&mut kernel, ":forget fr|").await?, ["frame"]);
    assert_eq!(kernel.execute("let a: u8 = \"\";").await?.status(), "error");
    assert_eq!(complete(&mut kernel, ":explain E|").await?, ["E0308"]);
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("helpers.rs"), "")?;
    kernel.execute(&format!("std::env::set_current_dir({:?})?;", folder.path())).await?.expect_ok();
    assert_eq!(complete(&mut kernel, ":load h|").await?, ["helpers.rs"]);
    kernel.shutdown().await
}

#[tokio::test]
#[cfg_attr(not(rust_src), ignore = "needs the source of std: rustup component add rust-src")]
async fn requests_are_answered_while_a_cell_runs() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let words = vec![\"a\".to_owned()];").await?.expect_ok();
    let started = Instant::now();
    let cell = kernel.begin("std::thread::sleep(std::time::Duration::from_secs(6));").await?;
    assert!(complete(&mut kernel, "words[0].clone().to_upper|").await?.contains(&"to_uppercase".to_owned()));
    let found = ask(&mut kernel, "inspect_request", "words[0].clone().to_upper|case()").await?;
    assert_eq!(found["found"], true);
    assert!(started.elapsed().as_secs() < 6, "the answers waited for the cell");
    kernel.finish(&cell).await?.expect_ok();
    kernel.shutdown().await
}

#[tokio::test]
#[cfg_attr(not(rust_src), ignore = "needs the source of std: rustup component add rust-src")]
async fn only_one_compiler_runs_and_outdated_requests_are_dropped() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let words = vec![\"a\".to_owned()];").await?.expect_ok();
    let mut asked = Vec::new();
    for letter in 'a'..='p' {
        let code = format!("words.iter().map(|w| w.len()).collect::<Vec<_>>().iter().map(|{letter}| {letter}.");
        let content = json!({ "code": code, "cursor_pos": code.chars().count() });
        asked.push(kernel.send(raw("complete_request", content)).await?);
    }
    let (mut most, mut found) = (0, Vec::new());
    while found.len() < asked.len() {
        most = most.max(compilers(kernel.process())?);
        let reply = tokio::time::timeout(Duration::from_millis(5), read(&mut kernel.shell)).await;
        if let Ok(reply) = reply {
            found.push(reply?);
        }
    }
    for id in &asked {
        kernel.read_to_idle(id).await?;
    }
    assert_eq!(most, 1, "compilers ran in parallel");
    let of = |id: &str| found.iter().find(|reply| reply.parent["msg_id"] == id);
    let last = of(&asked[asked.len() - 1]).context("the last request is answered")?;
    assert!(last.content["matches"].as_array().is_some_and(|names| names.contains(&json!("pow"))), "{last:?}");
    let empty = found.iter().filter(|reply| reply.content["matches"] == json!([])).count();
    assert!(empty >= asked.len() / 2, "{empty} of {} outdated requests were dropped", asked.len());
    kernel.shutdown().await
}

/// The number of running compilers that a kernel's process has started.
fn compilers(kernel: u32) -> Result<usize> {
    let mut all = String::new();
    for task in std::fs::read_dir(format!("/proc/{kernel}/task"))? {
        all += " ";
        all += &std::fs::read_to_string(task?.path().join("children")).unwrap_or_default();
    }
    let children: BTreeSet<&str> = all.split_whitespace().collect();
    let is_compiler = |child: &&&str| {
        let status = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        status.contains("(rustc) ") && !status.contains("(rustc) Z")
    };
    Ok(children.iter().filter(is_compiler).count())
}

#[tokio::test]
async fn docs_are_shown() -> Result<()> {
    let mut kernel = Client::start().await?;
    let reply = ask(&mut kernel, "inspect_request", "Tensor::zer|os").await?;
    let text = reply["data"]["text/markdown"].as_str().context("there is markdown")?;
    assert!(text.starts_with("```rust\nfn zeros<S: Into<Shape>>(") && text.contains("filled with zeros"), "{text}");
    assert!(reply["data"]["text/plain"].as_str().is_some_and(|text| text.contains("fn zeros")));
    let nothing = ask(&mut kernel, "inspect_request", "nothing_of_this_name|").await?;
    assert_eq!(nothing, json!({ "status": "ok", "found": false, "data": {}, "metadata": {} }));

    let page = kernel.execute("?BiEncoder").await?.expect_ok();
    let payload = &page.reply["payload"][0];
    assert_eq!(payload["source"], "page");
    assert!(
        payload["data"]["text/markdown"].as_str().is_some_and(|text| text.contains("struct BiEncoder")),
        "{page:#?}"
    );
    assert_eq!(kernel.execute("?nothing_of_this_name").await?.reply["ename"], "NotFound");
    kernel.shutdown().await
}

#[tokio::test]
async fn an_added_crate_is_completed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let manifest = "[package]\nname = \"greetings\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    std::fs::write(folder.path().join("Cargo.toml"), manifest)?;
    std::fs::create_dir(folder.path().join("src"))?;
    let code = "/// Says it.\npub struct Hello;\nimpl Hello { pub fn loudly(&self) -> String { \"HELLO\".into() } }\n";
    std::fs::write(folder.path().join("src/lib.rs"), code)?;
    let mut kernel = Client::start().await?;
    kernel.execute(&format!(":dep {}", folder.path().display())).await?.expect_ok();
    assert!(complete(&mut kernel, "greet|").await?.contains(&"greetings".to_owned()));
    assert_eq!(complete(&mut kernel, "greetings::|").await?, ["Hello"]);
    assert_eq!(complete(&mut kernel, "greetings::Hello.lou|").await?, ["loudly"]);
    kernel.shutdown().await
}

#[tokio::test]
async fn a_missing_index_is_built() -> Result<()> {
    build_dylib();
    let folder = tempfile::tempdir()?;
    let program = installed_without_index(folder.path())?;
    let mut kernel = Client::start_as(Start { program: Some(program), ..Start::default() }).await?;
    let started = Instant::now();
    // Until then requests are answered immediately, without names.
    while !complete(&mut kernel, "Tensor::zer|").await?.contains(&"zeros".to_owned()) {
        assert!(started.elapsed() < PATIENCE, "completion still finds nothing");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    kernel.shutdown().await
}

/// A copy of the binary and its library for cells, without the completion index.
fn installed_without_index(folder: &Path) -> Result<PathBuf> {
    let binary = Path::new(env!("CARGO_BIN_EXE_kensaku"));
    let program = folder.join("kensaku");
    std::fs::copy(binary, &program)?;
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::to_str);
    for file in files(binary.parent().context("the binary is in a folder")?)? {
        let Some(name) = file.file_name().filter(|name| name.to_string_lossy().starts_with("kensaku-dylib-")) else {
            continue;
        };
        let record = std::fs::read_to_string(&file)?;
        let dylib: Value = serde_json::from_str(&record)?;
        if dylib["workspace"].as_str() == clone {
            let (cells, copy) = (dylib["dependencies"].as_str().context("it has a folder")?, folder.join("cells"));
            std::fs::create_dir(&copy)?;
            for part in files(Path::new(cells))?.iter().filter(|file| !file.ends_with("completion.index")) {
                std::os::unix::fs::symlink(part, copy.join(part.file_name().unwrap_or_default()))?;
            }
            std::fs::write(folder.join(name), record.replace(cells, &copy.display().to_string()))?;
        }
    }
    Ok(program)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
}

#[tokio::test]
#[cfg_attr(not(rust_src), ignore = "needs the source of std: rustup component add rust-src")]
async fn completion_takes_little_memory() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let frame = df!(\"a\" => [1, 2])?;\nlet t = Tensor::new(1f32, &Device::Cpu)?;").await?.expect_ok();
    for code in
        ["frame.|", "frame.clone().lazy().|", "t.sqr()?.|", "vec![1].iter().|", "D|", "kensaku::polars::prelude::|"]
    {
        assert!(complete(&mut kernel, code).await?.len() > 5, "{code}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", kernel.process()))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("Linux reports the memory")?;
    let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse()?;
    assert!(kilobytes << 10 < MEMORY, "the kernel takes {kilobytes} kB");
    println!("the kernel takes {kilobytes} kB");
    kernel.shutdown().await
}

#[tokio::test]
async fn downloaded_crates_are_offered() -> Result<()> {
    let mut kernel = Client::start().await?;
    assert_eq!(complete(&mut kernel, ":dep serde_js|").await?[0], "serde_json");
    // The kernel depends on it, the dylib does not.
    assert_eq!(complete(&mut kernel, ":dep annotate-snip|").await?, ["annotate-snippets"]);
    kernel.shutdown().await
}
