//! Processes that end: what is reported, what is left.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::client::Client;

#[tokio::test]
async fn a_dead_process_is_explained_and_replaced() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("fn kept() -> i32 { 5 }\nlet lost = 1;").await?.expect_ok();
    let deaths = [
        ("std::process::abort();", "SIGABRT"),
        ("unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };", "SIG"),
        (
            "fn deep(n: u64) -> u64 { if n == u64::MAX { 0 } else { deep(std::hint::black_box(n + 1)) + 1 } }\ndeep(0)",
            "SIG",
        ),
        ("let big: Vec<u8> = Vec::with_capacity(1 << 46);\nbig.capacity()", "SIGABRT"),
        ("std::process::exit(3);", "std::process::exit(3)"),
    ];
    for (code, signal) in deaths {
        let dead = kernel.execute(code).await?;
        assert_eq!(dead.reply["ename"], "ProcessEnded", "{code}: {dead:#?}");
        let told = dead.reply["evalue"].as_str().unwrap_or_default();
        assert!(told.contains(signal) && told.contains("variables are lost"), "{code}: {told}");
        assert_eq!(kernel.execute("kept()").await?.expect_ok().value(), Some("5"));
    }
    assert!(kernel.execute("lost").await?.traceback().contains("E0425"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_killed_kernel_leaves_no_process() -> Result<()> {
    let mut kernel = Client::start().await?;
    let value = kernel.execute("std::process::id()").await?.expect_ok();
    let child: u32 = value.value().unwrap_or_default().parse()?;
    let id = kernel.begin("println!(\"busy\");\nloop { std::hint::black_box(1); }").await?;
    kernel.wait_for(&id, "stream").await?;
    Command::new("kill").args(["-9", &kernel.process().to_string()]).status()?;
    for _ in 0..100 {
        if !runs(child)? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("process {child} still runs")
}

#[tokio::test]
async fn folders_are_removed() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("1").await?.expect_ok();
    let process = kernel.process();
    assert_eq!(folders_of(process)?.len(), 1);
    kernel.shutdown().await?;
    assert_eq!(folders_of(process)?, Vec::<PathBuf>::new());

    let mut killed = Client::start().await?;
    killed.execute("1").await?.expect_ok();
    let process = killed.process();
    drop(killed);
    assert_eq!(folders_of(process)?.len(), 1);
    // The next kernel removes it.
    let mut next = Client::start().await?;
    next.execute("1").await?.expect_ok();
    assert_eq!(folders_of(process)?, Vec::<PathBuf>::new());
    next.shutdown().await
}

#[tokio::test]
async fn two_kernels_do_not_wait_for_each_other() -> Result<()> {
    let mut first = Client::start().await?;
    let mut second = Client::start().await?;
    first.execute("let x = 1;").await?.expect_ok();
    // The first one ends when the second one has answered.
    let folder = tempfile::tempdir()?;
    let answered = folder.path().join("answered");
    let waiting = "while !file.exists() { std::thread::sleep(std::time::Duration::from_millis(10)); }";
    let id = first
        .begin(&format!("let file = std::path::Path::new({answered:?});\nprintln!(\"long\");\n{waiting}\nx"))
        .await?;
    first.wait_for(&id, "stream").await?;
    second.execute("let x = 2;").await?.expect_ok();
    assert_eq!(second.execute("x").await?.expect_ok().value(), Some("2"));
    std::fs::write(&answered, "")?;
    assert_eq!(first.finish(&id).await?.expect_ok().value(), Some("1"));
    first.shutdown().await?;
    second.shutdown().await
}

#[tokio::test]
async fn a_missing_place_for_files_is_reported() -> Result<()> {
    let mut kernel = Client::start_with(&[("TMPDIR", "/nonexistent")]).await?;
    let failed = kernel.execute("1").await?;
    let told = failed.reply["evalue"].as_str().unwrap_or_default().to_owned();
    assert!(told.contains("/nonexistent") && told.contains("TMPDIR"), "{told}");
    kernel.shutdown().await
}

#[tokio::test]
async fn variables_are_dropped_at_the_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, ending) in [("shutdown", None), ("terminate", Some(libc::SIGTERM)), ("hang up", Some(libc::SIGHUP))] {
        let file = folder.path().join(name);
        let mut kernel = Client::start().await?;
        let code = format!(
            "use std::io::Write;\nlet mut out = std::io::BufWriter::new(std::fs::File::create({file:?})?);\n\
             out.write_all(b\"held back\")?;"
        );
        kernel.execute(&code).await?.expect_ok();
        assert_eq!(std::fs::read_to_string(&file)?, "");
        let process = kernel.process();
        match ending {
            None => kernel.shutdown().await?,
            Some(signal) => {
                send(process, signal)?;
                kernel.wait_for_end().await?;
            }
        }
        assert_eq!(std::fs::read_to_string(&file)?, "held back", "{name}");
        assert_eq!(folders_of(process)?, Vec::<PathBuf>::new(), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_running_cell_ends_with_the_kernel() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("dropped");
    let mut kernel = Client::start().await?;
    let code = format!(
        "struct Mark;\nimpl Drop for Mark {{ fn drop(&mut self) {{ let _ = std::fs::write({file:?}, \"\"); }} }}\nlet mark = Mark;"
    );
    kernel.execute(&code).await?.expect_ok();
    let id = kernel.begin("println!(\"busy\");\nloop { std::hint::black_box(1); }").await?;
    kernel.wait_for(&id, "stream").await?;
    send(kernel.process(), libc::SIGTERM)?;
    kernel.wait_for_end().await?;
    assert!(file.exists());

    // A cell that does not react is killed.
    let mut kernel = Client::start().await?;
    let process = kernel.execute("std::process::id()").await?.expect_ok();
    let process: u32 = process.value().unwrap_or_default().parse()?;
    let id = kernel.begin("println!(\"deaf\");\nstd::thread::sleep(std::time::Duration::from_secs(600));").await?;
    kernel.wait_for(&id, "stream").await?;
    send(kernel.process(), libc::SIGTERM)?;
    kernel.wait_for_end().await?;
    assert!(!runs(process)?);
    Ok(())
}

#[tokio::test]
async fn the_kernel_ends_with_jupyter() -> Result<()> {
    let mut jupyter = Command::new("sleep").arg("600").spawn()?;
    let named = jupyter.id().to_string();
    let mut kernel = Client::start_with(&[("JPY_PARENT_PID", named.as_str())]).await?;
    let process = kernel.execute("std::process::id()").await?.expect_ok();
    let process: u32 = process.value().unwrap_or_default().parse()?;
    jupyter.kill()?;
    jupyter.wait()?;
    kernel.wait_for_end().await?;
    assert!(!runs(process)?);
    Ok(())
}

#[tokio::test]
async fn a_session_is_private() -> Result<()> {
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    let mut kernel = Client::start().await?;
    kernel.execute("let kept = 1;").await?.expect_ok();
    let folders = folders_of(kernel.process())?;
    let mode = std::fs::metadata(&folders[0])?.permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // Connections without the token are closed, and disturb nothing.
    for line in ["control\n", "stdout\n", "guess control 1\n"] {
        let mut stream = UnixStream::connect(folders[0].join("socket"))?;
        stream.write_all(line.as_bytes())?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "{line}");
    }
    assert_eq!(kernel.execute("println!(\"a\");\nkept").await?.expect_ok().value(), Some("1"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_deleted_folder_is_created_again() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = 1;\nfn item() -> u8 { 5 }").await?.expect_ok();
    let folders = folders_of(kernel.process())?;
    std::fs::remove_dir_all(&folders[0])?;
    let told = kernel.execute("kept + i32::from(item())").await?;
    assert_eq!(told.reply["ename"], "FolderDeleted", "{told:#?}");
    assert_eq!(kernel.execute("kept + i32::from(item())").await?.expect_ok().value(), Some("6"));
    assert_eq!(kernel.execute("let more = kept;\nmore").await?.expect_ok().text("stderr"), "");
    // The process for cells can be restarted as well.
    assert_eq!(kernel.execute("std::process::abort();").await?.reply["ename"], "ProcessEnded");
    assert_eq!(kernel.execute("item()").await?.expect_ok().value(), Some("5"));
    kernel.shutdown().await?;
    assert!(!folders[0].exists());
    Ok(())
}

fn send(process: u32, signal: i32) -> Result<()> {
    // Safety: the process is our own child.
    let sent = unsafe { libc::kill(process.try_into()?, signal) };
    anyhow::ensure!(sent == 0, "the signal was not sent");
    Ok(())
}

fn folders_of(process: u32) -> Result<Vec<PathBuf>> {
    let prefix = format!("kensaku-session-{process}-");
    let entries = std::fs::read_dir(std::env::temp_dir())?.map_while(|entry| Some(entry.ok()?.path()));
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix));
    Ok(entries.filter(ours).collect())
}

/// Whether a process runs and is not a zombie.
fn runs(process: u32) -> Result<bool> {
    let output = Command::new("ps")
        .args(["-o", "stat=", "-p", &process.to_string()])
        .stderr(Stdio::null())
        .output()
        .context("running ps")?;
    let state = String::from_utf8(output.stdout)?;
    Ok(!state.trim().is_empty() && !state.trim().starts_with('Z'))
}
