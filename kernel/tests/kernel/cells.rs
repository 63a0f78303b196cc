//! Cells that succeed: values, output, displays, variables.

use std::time::Duration;

use anyhow::Result;
use jupyter_protocol::{IsCompleteRequest, KernelInfoRequest};
use serde_json::json;

use crate::client::{Client, memory};

#[tokio::test]
async fn a_value_is_the_result_of_its_cell() -> Result<()> {
    let mut kernel = Client::start().await?;
    let first = kernel.execute("1 + 1").await?.expect_ok();
    assert_eq!(first.kinds(), ["execute_input", "execute_result"]);
    assert_eq!(first.value(), Some("2"));
    assert_eq!(first.reply["execution_count"], 1);
    assert_eq!(first.reply["payload"], json!([]));
    let second = kernel.execute("let quiet = 1;").await?.expect_ok();
    assert_eq!(second.kinds(), ["execute_input"]);
    assert_eq!(second.reply["execution_count"], 2);
    let third = kernel.execute("// nothing to run").await?.expect_ok();
    assert_eq!(third.kinds(), ["execute_input"]);
    kernel.shutdown().await
}

#[tokio::test]
async fn requests_are_answered_before_the_session_is_ready() -> Result<()> {
    let mut kernel = Client::start().await?;
    let info = kernel.request(KernelInfoRequest {}.into()).await?;
    assert_eq!(info.reply["language_info"]["name"], "rust");
    let complete = |code: &str| IsCompleteRequest { code: code.to_owned() }.into();
    assert_eq!(kernel.request(complete("let x = 1;")).await?.status(), "complete");
    assert_eq!(kernel.request(complete("fn f() {")).await?.status(), "incomplete");
    kernel.shutdown().await
}

#[tokio::test]
async fn text_arrives_as_it_is_printed() -> Result<()> {
    let mut kernel = Client::start().await?;
    let printed = kernel.execute("print!(\"no line end\"); eprintln!(\"to stderr\");").await?.expect_ok();
    assert_eq!(printed.text("stdout"), "no line end");
    assert_eq!(printed.text("stderr"), "to stderr\n");
    let markers = kernel.execute("print!(\"abc\"); println!(\"EVCXR_\"); println!(\"検索\");").await?.expect_ok();
    assert_eq!(markers.text("stdout"), "abcEVCXR_\n検索\n");

    let code = "use std::io::Write;\nprint!(\"50%\\r\"); std::io::stdout().flush()?;\n\
                std::thread::sleep(std::time::Duration::from_secs(3)); print!(\"100%\");";
    let id = kernel.begin(code).await?;
    let early = kernel.wait_for(&id, "stream").await?;
    assert_eq!(early.content["text"], "50%\r");
    let silence = tokio::time::timeout(Duration::from_secs(1), kernel.wait_for(&id, "stream")).await;
    assert!(silence.is_err(), "the rest arrived before it was printed");
    let rest = kernel.finish(&id).await?;
    assert_eq!(rest.text("stdout"), "100%");
    kernel.shutdown().await
}

#[tokio::test]
async fn a_cell_shows_several_displays_and_updates_them() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "use kensaku::show::{Message, display};\n\
                let first = Message { id: Some(\"a\".into()), ..Message::text(\"one\") };\n\
                display(&first);\nprintln!(\"between\");\n\
                display(&Message::text(\"two\").with(\"text/html\", \"<b>two</b>\"));\n\
                display(&Message { id: Some(\"a\".into()), update: true, ..Message::text(\"three\") });";
    let shown = kernel.execute(code).await?.expect_ok();
    assert_eq!(shown.kinds(), ["execute_input", "display_data", "stream", "display_data", "update_display_data"]);
    assert_eq!(shown.messages[2].content["transient"]["display_id"], "a");
    assert_eq!(shown.messages[4].content["data"]["text/html"], "<b>two</b>");
    assert_eq!(shown.messages[5].content["data"]["text/plain"], "three");
    assert_eq!(shown.messages[5].content["transient"]["display_id"], "a");
    kernel.shutdown().await
}

#[tokio::test]
async fn variables_keep_the_types_rustc_finds() -> Result<()> {
    let mut kernel = Client::start().await?;
    let cells = [
        "use kensaku::candle_core::{DType, Device, Tensor};\nuse kensaku::polars::prelude::*;",
        "let df = df!(\"a\" => [1, 2, 3], \"b\" => [\"x\", \"y\", \"z\"])?;",
        "let lazy = df.clone().lazy().filter(col(\"a\").gt(lit(1)));",
        "let (kept, mut tensors) = (lazy.clone().collect()?, vec![Some(Tensor::ones((2, 3), DType::F32, &Device::Cpu)?)]);",
        "let mut late = Vec::new();\nlate.push(2.5f32);",
        "struct Pair { left: i64, right: Option<String> }\nlet Pair { left, right: Some(right) } = (Pair { left: 1, right: Some(\"r\".into()) }) else { panic!() };",
        "let square: std::sync::Arc<dyn Fn(&Tensor) -> kensaku::anyhow::Result<Tensor>> = std::sync::Arc::new(|t: &Tensor| Ok(t.sqr()?));",
        "fn double(x: i32) -> i32 { 2 * x }\nlet function = double;",
        "tensors.push(None);\nlate.push(0.5);",
    ];
    for cell in cells {
        kernel.execute(cell).await?.expect_ok();
    }
    let code = "let sum = square(tensors[0].as_ref().expect(\"it is there\"))?.sum_all()?.to_scalar::<f32>()?;\n\
                format!(\"{} {} {} {left} {right} {} {sum}\", kept.height(), tensors.len(), late.len(), function(4))";
    let value = kernel.execute(code).await?.expect_ok();
    assert_eq!(value.value(), Some("\"2 2 2 1 r 8 6\""));
    assert!(memory(kernel.process(), "VmRSS")? < 150_000, "the kernel process holds the data");
    kernel.shutdown().await
}
