//! Cells that ask the user.

use anyhow::Result;
use serde_json::{Value, json};

use crate::client::{Client, raw};

/// A cell from a front end with or without input.
fn cell(code: &str, allow_stdin: bool) -> Value {
    json!({ "code": code, "allow_stdin": allow_stdin })
}

async fn begin(kernel: &mut Client, code: &str) -> Result<String> {
    kernel.send(raw("execute_request", cell(code, true))).await
}

#[tokio::test]
async fn the_library_asks_for_text_and_passwords() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "println!(\"before\");\nlet name = kensaku::show::input(\"Name: é \")?;\n\
                let key = kensaku::show::password(\"Key: \")?;\nformat!(\"{name}/{key}\")";
    let id = begin(&mut kernel, code).await?;
    let text = kernel.question().await?;
    assert_eq!(text.content, json!({ "prompt": "Name: é ", "password": false }));
    assert_eq!(text.parent["msg_id"], id.as_str());
    kernel.answer("検索").await?;
    assert_eq!(kernel.question().await?.content, json!({ "prompt": "Key: ", "password": true }));
    kernel.answer("a:b \"c\"").await?;
    let run = kernel.finish(&id).await?.expect_ok();
    assert_eq!(run.kinds(), ["execute_input", "stream", "execute_result"]);
    assert_eq!(run.value(), Some("\"検索/a:b \\\"c\\\"\""));

    let refused = kernel.ask("execute_request", cell("kensaku::show::input(\"Name: \")?", false)).await?;
    assert_eq!(refused.status(), "error");
    assert!(refused.reply["evalue"].as_str().is_some_and(|text| text.contains("does not take questions")));
    kernel.shutdown().await
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn std_reads_what_the_user_types() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "use std::io::Write;\nlet mut line = String::new();\n\
                let count = { let mut out = std::io::stdout().lock(); out.write_all(b\"Name: \")?; std::io::stdin().read_line(&mut line)? };\n\
                (count, line)";
    let id = begin(&mut kernel, code).await?;
    assert_eq!(kernel.question().await?.content, json!({ "prompt": "", "password": false }));
    kernel.answer("検索 engine").await?;
    let run = kernel.finish(&id).await?.expect_ok();
    assert_eq!(run.value(), Some("(14, \"検索 engine\\n\")"));
    assert_eq!(run.text("stdout"), "Name: ");

    // C's functions, several lines, and a last one that is not read to its end.
    let code = "use std::os::fd::FromRawFd;\nuse std::io::Read;\n\
                let mut file = std::mem::ManuallyDrop::new(unsafe { std::fs::File::from_raw_fd(0) });\n\
                let mut bytes = [0u8; 5];\nfor byte in &mut bytes { file.read_exact(std::slice::from_mut(byte))?; }\n\
                String::from_utf8_lossy(&bytes).into_owned()";
    let id = begin(&mut kernel, code).await?;
    kernel.question().await?;
    kernel.answer("ab").await?;
    kernel.question().await?;
    kernel.answer("cdefg").await?;
    assert_eq!(kernel.finish(&id).await?.expect_ok().value(), Some("\"ab\\ncd\""));
    assert_eq!(kernel.execute("1 + 1").await?.expect_ok().value(), Some("2"));

    let code = "let mut line = String::new();\nstd::io::stdin().read_line(&mut line)?";
    let refused = kernel.ask("execute_request", cell(code, false)).await?.expect_ok();
    assert_eq!(refused.value(), Some("0"));
    assert!(refused.text("stderr").contains("cannot ask for input"), "{}", refused.text("stderr"));
    kernel.shutdown().await
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_interrupt_ends_waiting_for_input() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = 3;").await?.expect_ok();
    for read in
        ["let mut line = String::new();\nstd::io::stdin().read_line(&mut line)?", "kensaku::show::input(\"> \")?"]
    {
        let id = begin(&mut kernel, read).await?;
        kernel.question().await?;
        kernel.interrupt().await?;
        assert_eq!(kernel.finish(&id).await?.reply["ename"], "Interrupted");
        // A late answer is ignored.
        kernel.answer("late").await?;
    }
    assert_eq!(kernel.execute("kept").await?.expect_ok().value(), Some("3"));
    kernel.shutdown().await
}
