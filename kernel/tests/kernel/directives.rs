//! Lines that are not Rust: `:dep`, `:vars`, `!ls`.

use std::time::Instant;

use anyhow::Result;

use crate::client::Client;

#[tokio::test]
async fn commands_tell_about_the_session() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "let b = vec![Some(1u8)];\nlet a = \"x\".to_owned();\n:vars";
    let vars = kernel.execute(code).await?.expect_ok();
    assert_eq!(vars.value(), Some("a: std::string::String\nb: std::vec::Vec<std::option::Option<u8>>"));
    let ty = kernel.execute(":type b.iter().map(|x| x.is_some()).collect::<Vec<_>>()").await?.expect_ok();
    assert_eq!(ty.value(), Some("std::vec::Vec<bool>"));
    assert_eq!(kernel.execute(":type nothing").await?.reply["ename"], "CommandError");
    assert!(kernel.execute(":help").await?.expect_ok().value().is_some_and(|text| text.contains(":dep")));
    let unknown = kernel.execute(":nothing").await?;
    assert!(unknown.reply["evalue"].as_str().is_some_and(|text| text.contains(":vars")), "{unknown:#?}");
    kernel.execute(":timing").await?.expect_ok();
    assert!(kernel.execute("1 + 1").await?.expect_ok().text("stdout").contains("ms"));
    kernel.execute(":timing").await?.expect_ok();
    assert_eq!(kernel.execute("1 + 1").await?.expect_ok().text("stdout"), "");
    kernel.shutdown().await
}

#[tokio::test]
async fn cells_can_be_optimised() -> Result<()> {
    let mut kernel = Client::start().await?;
    let work = "let mut sum = 0u64;\nlet start = std::time::Instant::now();\nfor i in 0..std::hint::black_box(3_000_000u64) { sum = sum.wrapping_mul(31).wrapping_add(i ^ (sum >> 3)); }\nstart.elapsed().as_nanos() as u64 + sum % 2";
    let slow: u64 = kernel.execute(work).await?.expect_ok().value().unwrap_or_default().parse()?;
    let fast: u64 =
        kernel.execute(&format!(":opt 2\n{work}")).await?.expect_ok().value().unwrap_or_default().parse()?;
    assert!(fast < slow, "{fast} ns with, {slow} ns without optimisation");
    assert_eq!(kernel.execute(":opt 7").await?.status(), "error");
    kernel.shutdown().await
}

#[tokio::test]
async fn the_shell_prints_as_it_goes() -> Result<()> {
    let mut kernel = Client::start().await?;
    let id = kernel.begin("!echo 検索; sleep 2; echo later >&2; exit 3").await?;
    let asked = Instant::now();
    assert_eq!(kernel.wait_for(&id, "stream").await?.content["text"], "検索\n");
    assert!(asked.elapsed().as_millis() < 1900, "the output came at the end");
    let rest = kernel.finish(&id).await?.expect_ok();
    assert_eq!(rest.text("stdout"), "later\n");
    assert_eq!(rest.text("stderr"), "exit status: 3\n");
    kernel.shutdown().await
}

#[tokio::test]
async fn a_crate_of_the_dylib_is_taken_from_there() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = ":dep serde_json = \"1\"\nserde_json::json!({ \"a\": [1, 2] }).to_string()";
    let held = kernel.execute(code).await?.expect_ok();
    assert!(held.text("stdout").contains("is part of kensaku"), "{held:#?}");
    assert_eq!(held.value(), Some(r#""{\"a\":[1,2]}""#));
    // The same crate, not another of its name.
    let same =
        kernel.execute("let value: kensaku::serde_json::Value = serde_json::json!(1);\nvalue").await?.expect_ok();
    assert_eq!(same.value(), Some("Number(1)"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_crate_of_the_users_own_is_built_beside_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("src"))?;
    let manifest = "[package]\nname = \"my-words\"\nversion = \"0.3.0\"\nedition = \"2024\"\n";
    std::fs::write(folder.path().join("Cargo.toml"), manifest)?;
    std::fs::write(
        folder.path().join("src/lib.rs"),
        "pub fn words(text: &str) -> usize { text.split(' ').count() }\n",
    )?;
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = 2;\nstruct P(u8);\nlet p = P(1);").await?.expect_ok();
    let code = format!(":dep {}\nmy_words::words(\"a b c\") + kept as usize + p.0 as usize", folder.path().display());
    assert_eq!(kernel.execute(&code).await?.expect_ok().value(), Some("6"));
    let wrong = kernel.execute(":dep my-words = { path = \"/nowhere\" }").await?;
    assert_eq!(wrong.reply["ename"], "DependencyError");
    assert_eq!(kernel.execute("my_words::words(\"a b\")").await?.expect_ok().value(), Some("2"));
    kernel.shutdown().await
}
