//! Nothing is lost: what a failed cell leaves of the variables.

use anyhow::Result;

use crate::client::Client;

/// A kernel with three variables, and what they show together.
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
async fn a_panic_keeps_what_the_cell_has_done() -> Result<()> {
    let mut kernel = prepared().await?;
    let code = "let view = &mut items;\nview.push(3);\nlet borrowed = &name;\npanic!(\"{borrowed}\");";
    assert_eq!(kernel.execute(code).await?.reply["ename"], "panic");
    assert_eq!(all(&mut kernel).await?, "\"[1, 2, 3] a 7\"");
    kernel.shutdown().await
}

#[tokio::test]
async fn an_error_keeps_what_the_cell_has_done() -> Result<()> {
    let mut kernel = prepared().await?;
    let code = "items.push(3);\nlet number: u8 = \"no\".parse()?;\nitems.push(4);";
    assert_eq!(kernel.execute(code).await?.status(), "error");
    assert_eq!(all(&mut kernel).await?, "\"[1, 2, 3] a 7\"");
    kernel.shutdown().await
}

#[tokio::test]
async fn a_new_variable_of_an_old_name_counts_once_the_cell_went_well() -> Result<()> {
    let mut kernel = prepared().await?;
    let failed = kernel.execute("let number = number + 1;\nlet name = 2.5;\npanic!();").await?;
    assert_eq!(failed.status(), "error");
    assert_eq!(all(&mut kernel).await?, "\"[1, 2] a 7\"");
    kernel.execute("let number = number + 1;\nlet name = 2.5;").await?.expect_ok();
    assert_eq!(all(&mut kernel).await?, "\"[1, 2] 2.5 8\"");
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
async fn what_a_failed_cell_moved_away_is_named() -> Result<()> {
    let mut kernel = prepared().await?;
    let failed = kernel.execute("items.push(3);\nlet gone = name;\npanic!(\"after {gone}\");").await?;
    assert!(failed.traceback().contains("`name` was moved into the cell and is lost"), "{}", failed.traceback());
    assert_eq!(kernel.execute("items.len()").await?.expect_ok().value(), Some("3"));
    assert!(kernel.execute("name").await?.traceback().contains("E0425"));
    // A cell that goes well may move what it likes.
    kernel.execute("let other = items;").await?.expect_ok();
    assert_eq!(kernel.execute("other.len() as i32 + number").await?.expect_ok().value(), Some("10"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_redefined_type_drops_its_variables() -> Result<()> {
    let mut kernel = prepared().await?;
    kernel
        .execute("struct P { x: i64 }\nstruct Q(Vec<P>);\nlet p = P { x: 1 };\nlet q = Q(vec![]);")
        .await?
        .expect_ok();
    let same = kernel.execute("struct P { x: i64 } // as before").await?.expect_ok();
    assert_eq!(same.text("stderr"), "");
    assert_eq!(kernel.execute("p.x").await?.expect_ok().value(), Some("1"));
    // The fields' names stay, and so would the type's id.
    let changed = kernel.execute("struct P { x: String }").await?.expect_ok();
    assert!(changed.text("stderr").contains("dropped `p`"), "{changed:#?}");
    assert!(changed.text("stderr").contains("dropped `q`"), "{changed:#?}");
    assert!(kernel.execute("p.x").await?.traceback().contains("E0425"));
    assert_eq!(all(&mut kernel).await?, "\"[1, 2] a 7\"");
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
    kernel.execute("use std::fmt::Debug as Shown;\nuse std::fmt::Display as Shown;").await?;
    kernel.execute("fn twice() -> i32 { 2 }").await?.expect_ok();
    kernel.execute("use std::cmp::max as twice;").await?.expect_ok();
    assert_eq!(kernel.execute("twice(3, 4)").await?.expect_ok().value(), Some("4"));
    kernel.shutdown().await
}
