//! The execute request with each of its fields.

use anyhow::Result;
use serde_json::{Value, json};

use crate::client::{Client, raw};

/// An execute request with additional fields.
fn cell(code: &str, fields: Value) -> Value {
    let mut content = json!({ "code": code });
    for (name, value) in fields.as_object().into_iter().flatten() {
        content[name] = value.clone();
    }
    content
}

#[tokio::test]
async fn silent_cells_have_no_output_and_no_count() -> Result<()> {
    let mut kernel = Client::start().await?;
    let silent = cell("println!(\"unseen\"); let a = 1; a", json!({ "silent": true, "store_history": true }));
    let run = kernel.ask("execute_request", silent).await?.expect_ok();
    assert_eq!(run.kinds(), [""; 0]);
    assert_eq!(run.reply["execution_count"], 0);
    let failed = kernel.ask("execute_request", cell("panic!(\"unseen\")", json!({ "silent": true }))).await?;
    assert_eq!((failed.status(), failed.kinds().len()), ("error", 0));

    let unstored = kernel.ask("execute_request", cell("a + 1", json!({ "store_history": false }))).await?.expect_ok();
    assert_eq!(unstored.kinds(), ["execute_input", "execute_result"]);
    assert_eq!((unstored.value(), &unstored.reply["execution_count"]), (Some("2"), &json!(0)));
    let counted = kernel.execute("a + 2").await?.expect_ok();
    assert_eq!(counted.reply["execution_count"], 1);
    assert_eq!(counted.messages[2].content["execution_count"], 1);
    kernel.shutdown().await
}

#[tokio::test]
async fn user_expressions_are_evaluated_after_the_cell() -> Result<()> {
    let mut kernel = Client::start().await?;
    let expressions = json!({
        "sum": "a + b", "table": "kensaku::show::html(\"<b>1</b>\")", "unknown": "no_such_thing",
        "panics": "{ println!(\"unseen\"); let none: Option<i32> = None; none.unwrap() }", "nothing": "()",
    });
    let content = cell("let (a, b) = (1, 2);", json!({ "user_expressions": expressions }));
    let run = kernel.ask("execute_request", content).await?.expect_ok();
    assert_eq!(run.kinds(), ["execute_input"]);
    let answers = &run.reply["user_expressions"];
    assert_eq!(answers["sum"], json!({ "status": "ok", "data": { "text/plain": "3" }, "metadata": {} }));
    assert_eq!(answers["table"]["data"]["text/html"], "<b>1</b>");
    assert_eq!(answers["nothing"]["status"], "ok");
    assert_eq!(
        (&answers["unknown"]["status"], &answers["unknown"]["ename"]),
        (&json!("error"), &json!("CompileError"))
    );
    assert_eq!(answers["panics"]["status"], "error");
    assert!(answers["panics"]["traceback"].is_array());

    let content = cell("panic!(\"first\")", json!({ "user_expressions": { "a": "a" } }));
    let failed = kernel.ask("execute_request", content).await?;
    assert_eq!((failed.status(), &failed.reply["user_expressions"]), ("error", &json!({})));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_failure_aborts_queued_cells() -> Result<()> {
    let mut kernel = Client::start().await?;
    let failing = kernel.begin("std::thread::sleep(std::time::Duration::from_millis(300)); panic!(\"first\")").await?;
    let queued = [kernel.begin("println!(\"second\")").await?, kernel.begin("println!(\"third\")").await?];
    let failed = kernel.finish(&failing).await?;
    assert_eq!(failed.kinds(), ["execute_input", "error"]);
    for id in &queued {
        let aborted = kernel.finish(id).await?;
        assert_eq!((aborted.status(), aborted.kinds().len()), ("aborted", 0));
    }
    assert_eq!(kernel.execute("1").await?.expect_ok().reply["execution_count"], 2);

    let goes_on = cell("panic!(\"again\")", json!({ "stop_on_error": false }));
    let failing = kernel.send(raw("execute_request", goes_on)).await?;
    let next = kernel.begin("2").await?;
    assert_eq!(kernel.finish(&failing).await?.status(), "error");
    assert_eq!(kernel.finish(&next).await?.expect_ok().value(), Some("2"));
    kernel.shutdown().await
}

#[tokio::test]
async fn cells_wait_for_the_session_in_order() -> Result<()> {
    let mut kernel = Client::start().await?;
    // Sent before the session can be ready.
    let first = kernel.begin("let mut order = vec![1];").await?;
    let second = kernel.begin("order.push(2);").await?;
    let third = kernel.begin("order").await?;
    kernel.finish(&first).await?.expect_ok();
    kernel.finish(&second).await?.expect_ok();
    let last = kernel.finish(&third).await?.expect_ok();
    assert_eq!((last.value(), &last.reply["execution_count"]), (Some("[1, 2]"), &json!(3)));
    kernel.shutdown().await
}

#[tokio::test]
async fn requests_are_answered_while_a_cell_runs() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "println!(\"running\");\nfor _ in 0..500 { std::thread::sleep(std::time::Duration::from_millis(20)); }";
    let id = kernel.begin(code).await?;
    kernel.wait_for(&id, "stream").await?;
    let questions = [
        ("complete_request", json!({ "code": "ab", "cursor_pos": 2 })),
        ("inspect_request", json!({ "code": "ab", "cursor_pos": 2, "detail_level": 0 })),
        ("is_complete_request", json!({ "code": "fn f() {" })),
        ("history_request", json!({ "hist_access_type": "tail", "n": 1, "output": false, "raw": true })),
        ("comm_info_request", json!({})),
        ("kernel_info_request", json!({})),
    ];
    for (kind, content) in questions {
        let answer = kernel.ask(kind, content).await?;
        assert!(["ok", "incomplete"].contains(&answer.status()), "{kind}: {answer:#?}");
        assert_eq!(answer.kinds(), [""; 0]);
        // Corrects front ends that apply every idle status to the kernel.
        assert_eq!(kernel.wait_for(&id, "status").await?.content["execution_state"], "busy");
    }
    kernel.interrupt().await?;
    assert_eq!(kernel.finish(&id).await?.reply["ename"], "Interrupted");
    kernel.shutdown().await
}
