//! Code nested so deeply that parsers overflow their stack.

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::client::{Client, build_dylib, raw};

fn deep() -> Vec<String> {
    vec![
        format!("{} 1 {}", "{".repeat(20_000), "}".repeat(20_000)),
        format!("let a: {}u8{} = None;", "Option<".repeat(20_000), ">".repeat(20_000)),
        "(".repeat(100_000),
        format!("let a = {}true;", "!".repeat(50_000)),
        format!("let a = {}b;", "&".repeat(50_000)),
        format!("let a = 1{};", " + 1".repeat(50_000)),
        format!("a{};", ".b()".repeat(50_000)),
        format!("if a {{}}{}", " else if a {}".repeat(50_000)),
    ]
}

#[tokio::test]
async fn deep_cells_are_refused_and_the_kernel_survives() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = 1;").await?.expect_ok();
    for code in deep() {
        let refused = kernel.execute(&code).await?;
        assert_eq!(refused.reply["ename"], "CompileError");
        assert!(refused.traceback().contains(":1:"), "{}", refused.traceback().chars().take(500).collect::<String>());
        for kind in ["complete_request", "inspect_request"] {
            let content = json!({ "code": code, "cursor_pos": 4_000, "detail_level": 0 });
            let id = kernel.send(raw(kind, content)).await?;
            kernel.finish(&id).await?.expect_ok();
        }
        let id = kernel.send(raw("is_complete_request", json!({ "code": code }))).await?;
        assert_eq!(kernel.finish(&id).await?.status(), "unknown");
    }
    assert_eq!(kernel.execute("kept").await?.expect_ok().value(), Some("1"));
    kernel.shutdown().await
}

#[tokio::test]
async fn code_below_the_limit_is_parsed() -> Result<()> {
    let mut kernel = Client::start().await?;
    let sum = format!("let sum = 1{};\nsum", " + 1".repeat(1000));
    assert_eq!(kernel.execute(&sum).await?.expect_ok().value(), Some("1001"));
    for code in [
        format!("let a = {}1{};\na", "(".repeat(400), ")".repeat(400)),
        format!("let a = 1{};", " + 1".repeat(2_990)),
        format!("let a = {}true;", "!".repeat(5_900)),
        format!("let a: {}u8{} = None;", "Option<".repeat(1_900), ">".repeat(1_900)),
        format!("a{};", ".b()".repeat(1_400)),
        format!("if a {{}}{}", " else if a {}".repeat(1_100)),
    ] {
        // rustc may refuse some of it.
        kernel.execute(&code).await?;
        for kind in ["complete_request", "inspect_request"] {
            let content = json!({ "code": code, "cursor_pos": code.len() / 2, "detail_level": 0 });
            let id = kernel.send(raw(kind, content)).await?;
            kernel.finish(&id).await?.expect_ok();
        }
        let id = kernel.send(raw("is_complete_request", json!({ "code": code }))).await?;
        kernel.finish(&id).await?;
    }
    assert_eq!(kernel.execute("1 + 1").await?.expect_ok().value(), Some("2"));
    kernel.shutdown().await
}

#[test]
fn deep_scripts_fail_and_nothing_crashes() -> Result<()> {
    build_dylib();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("deep.rs");
    for code in [deep().swap_remove(0), format!("fn main() {{ {} }}", deep().swap_remove(3))] {
        std::fs::write(&file, code)?;
        let output = Command::new(env!("CARGO_BIN_EXE_kensaku")).arg("run").arg(&file).output()?;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("deep.rs:1:") && told.contains("split it up"), "{told}");
    }
    Ok(())
}
