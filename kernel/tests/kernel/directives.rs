//! Lines that are not Rust: `:dep`, `:vars`, `!ls`.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use crate::client::Client;

#[tokio::test]
async fn commands_describe_the_session() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "let b = vec![Some(1u8)];\nlet a = \"x\".to_owned();\nlet c: Option<i32> = None;\n:vars";
    let vars = kernel.execute(code).await?.expect_ok();
    assert_eq!(
        vars.value(),
        Some("a: std::string::String (1)\nb: std::vec::Vec<std::option::Option<u8>> (1)\nc: Option<i32>")
    );
    let ty = kernel.execute(":type b.iter().map(|x| x.is_some()).collect::<Vec<_>>()").await?.expect_ok();
    assert_eq!(ty.value(), Some("std::vec::Vec<bool>"));
    assert_eq!(kernel.execute(":type nothing").await?.reply["ename"], "CommandError");
    assert!(kernel.execute(":help").await?.expect_ok().value().is_some_and(|text| text.contains(":dep")));
    let unknown = kernel.execute(":nothing").await?;
    assert!(unknown.reply["evalue"].as_str().is_some_and(|text| text.contains(":vars")), "{unknown:#?}");
    let near = kernel.execute(":tyep 1").await?;
    assert_eq!(near.reply["evalue"], "unknown command `:tyep`: did you mean `:type`?");
    kernel.execute(":timing").await?.expect_ok();
    assert!(kernel.execute("1 + 1").await?.expect_ok().text("stdout").ends_with("s to run\n"));
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
async fn the_shells_output_is_streamed() -> Result<()> {
    let mut kernel = Client::start().await?;
    let id = kernel.begin("!echo 検索; sleep 2; echo later >&2; exit 3").await?;
    let asked = Instant::now();
    assert_eq!(kernel.wait_for(&id, "stream").await?.content["text"], "検索\n");
    assert!(asked.elapsed().as_millis() < 1900, "the output arrived only at the end");
    let rest = kernel.finish(&id).await?.expect_ok();
    assert_eq!(rest.text("stdout"), "later\n");
    assert_eq!(rest.text("stderr"), "exit status: 3\n");
    kernel.shutdown().await
}

#[tokio::test]
async fn a_crate_of_the_dylib_is_reused() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = ":dep serde_json = \"1\"\nserde_json::json!({ \"a\": [1, 2] }).to_string()";
    let held = kernel.execute(code).await?.expect_ok();
    assert!(held.text("stdout").contains("is part of kensaku"), "{held:#?}");
    assert_eq!(held.value(), Some(r#""{\"a\":[1,2]}""#));
    assert_eq!(kernel.execute(":show_deps").await?.expect_ok().value(), Some("serde_json = \"1\""));
    // The same crate, not another of the same name.
    let same =
        kernel.execute("let value: kensaku::serde_json::Value = serde_json::json!(1);\nvalue").await?.expect_ok();
    assert_eq!(same.value(), Some("Number(1)"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_users_crate_is_built() -> Result<()> {
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

#[tokio::test]
async fn cells_report_how_long_they_take() -> Result<()> {
    let mut kernel = Client::start().await?;
    let sleep = "std::thread::sleep(std::time::Duration::from_millis(1500));";
    let timed = kernel.execute(&format!(":time\n{sleep}")).await?.expect_ok().text("stdout");
    let (compiled, ran) = timed.split_once(" to compile, ").context("both parts are reported")?;
    assert!(compiled.ends_with(" ms") || compiled.ends_with(" s"), "{timed}");
    let ran: f64 = ran.trim_end_matches(" s to run\n").parse()?;
    assert!((1.5..60.0).contains(&ran), "{timed}");
    // Applies only to that cell, and to code on the same line.
    assert_eq!(kernel.execute("1 + 1").await?.expect_ok().text("stdout"), "");
    let inline = kernel.execute(":time let x = 3;\nx + 1").await?.expect_ok();
    assert_eq!(inline.value(), Some("4"));
    assert!(inline.text("stdout").contains(" to run\n"), "{inline:#?}");
    let failed = kernel.execute(":time\nlet y: u8 = \"\";").await?;
    assert_eq!(failed.status(), "error");
    assert!(failed.text("stdout").ends_with("s\n"), "{failed:#?}");
    kernel.shutdown().await
}

#[tokio::test]
async fn values_are_shown_with_their_types() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute(":types\nlet names = vec![\"a\".to_owned()];").await?.expect_ok();
    let shown = kernel.execute("struct P(u8);\nlet p = P(1);\nnames[0].as_bytes()[0] + p.0").await?.expect_ok();
    assert_eq!((shown.value(), shown.text("stdout").as_str()), (Some("98"), "type: u8\n"));
    assert_eq!(kernel.execute("names").await?.expect_ok().text("stdout"), "type: std::vec::Vec<std::string::String>\n");
    assert_eq!(kernel.execute("println!(\"a\")").await?.expect_ok().text("stdout"), "a\n");
    kernel.execute(":types").await?.expect_ok();
    assert_eq!(kernel.execute("names.len()").await?.expect_ok().text("stdout"), "");
    kernel.shutdown().await
}

#[tokio::test]
async fn variables_have_sizes_and_can_be_dropped() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "struct Loud(&'static str);\nimpl Drop for Loud { fn drop(&mut self) { println!(\"{} drops\", self.0); } }\n\
                let frame = df!(\"a\" => [1, 2, 3])?;\nlet t = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;\n\
                let (loud, other) = (Loud(\"it\"), Loud(\"the other\"));";
    kernel.execute(code).await?.expect_ok();
    let vars = kernel.execute(":vars").await?.expect_ok();
    let lines: Vec<&str> = vars.value().unwrap_or_default().lines().collect();
    assert!(lines[0].starts_with("frame: ") && lines[0].ends_with("DataFrame (3 x 1)"), "{lines:?}");
    assert_eq!(lines[1..3], ["loud: Loud", "other: Loud"]);
    assert!(lines[3].ends_with("Tensor ([2, 3] F32)"), "{lines:?}");
    let unknown = kernel.execute(":forget loud nothing").await?;
    assert_eq!(unknown.reply["evalue"], "no variable `nothing`; nothing was dropped");
    assert_eq!(kernel.execute(":forget loud, t").await?.expect_ok().text("stdout"), "it drops\n");
    let left = kernel.execute(":vars").await?.expect_ok();
    assert_eq!(left.value().map(|text| text.lines().count()), Some(2), "{left:#?}");
    let cleared = kernel.execute(":clear").await?.expect_ok();
    assert_eq!(cleared.text("stdout"), "the other drops\ndropped 2 variables, 2 items and 0 crates\n");
    assert_eq!(kernel.execute(":vars").await?.expect_ok().value(), Some("no variables"));
    assert_eq!(kernel.execute("frame").await?.status(), "error");
    assert_eq!(kernel.execute("struct Loud;\nlet loud = 1;\nloud").await?.expect_ok().value(), Some("1"));
    kernel.shutdown().await
}

#[tokio::test]
async fn the_shell_runs_in_the_folder_of_cells() -> Result<()> {
    let mut kernel = Client::start().await?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path().canonicalize()?;
    let code = format!("std::env::set_current_dir({folder:?})?;");
    kernel.execute(&code).await?.expect_ok();
    let pwd = kernel.execute("!pwd").await?.expect_ok().text("stdout");
    assert_eq!(pwd.trim_end(), folder.display().to_string());
    kernel.execute(":env GREETING=it's \"me\" = 検索").await?.expect_ok();
    let same = "it's \"me\" = 検索\n";
    assert_eq!(kernel.execute("!echo \"$GREETING\"").await?.expect_ok().text("stdout"), same);
    assert_eq!(
        kernel.execute("println!(\"{}\", std::env::var(\"GREETING\")?);").await?.expect_ok().text("stdout"),
        same
    );
    let all = kernel.execute(":env API_TOKEN=secret\n:env").await?.expect_ok().text("stdout");
    assert!(all.contains(&format!("\nGREETING={same}")) && all.contains("API_TOKEN=<hidden>"), "{all}");
    assert!(!all.contains("KENSAKU_") && !all.contains("secret\n"), "{all}");
    assert_eq!(kernel.execute(":env =x").await?.reply["ename"], "CommandError");
    // A new process has it as well.
    assert_eq!(kernel.execute("std::process::exit(1)").await?.status(), "error");
    assert_eq!(kernel.execute(":env GREETING").await?.expect_ok().text("stdout"), same);
    kernel.shutdown().await
}

#[tokio::test]
async fn errors_are_explained() -> Result<()> {
    let mut kernel = Client::start().await?;
    assert_eq!(kernel.execute(":explain").await?.reply["ename"], "NotFound");
    assert_eq!(kernel.execute("let a: u8 = \"\";").await?.status(), "error");
    let last = kernel.execute(":explain").await?.expect_ok();
    assert!(last.value().is_some_and(|text| text.starts_with("## E0308\n\nExpected type")), "{last:#?}");
    let other = kernel.execute(":explain 382").await?.expect_ok();
    assert!(other.value().is_some_and(|text| text.contains("## E0382") && text.contains("moved")), "{other:#?}");
    assert_eq!(kernel.execute(":explain E9999").await?.reply["evalue"], "the compiler has no error code E9999");
    let folder = kernel.execute(":last_compile_dir").await?.expect_ok();
    let folder = std::path::Path::new(folder.value().context("a folder is reported")?).to_owned();
    assert!(std::fs::read_dir(folder)?.count() > 0);
    kernel.shutdown().await
}

#[tokio::test]
async fn values_of_earlier_cells_have_no_names() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("1 + 1").await?.expect_ok();
    for code in ["Out[1]", "_", "_1 + 1", "let a = Out[1];"] {
        let failed = kernel.execute(code).await?;
        assert!(failed.traceback().contains("to use one later, bind it"), "{code}: {failed:#?}");
    }
    kernel.shutdown().await
}

#[tokio::test]
async fn files_are_loaded_into_the_cell() -> Result<()> {
    let mut kernel = Client::start().await?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("helpers.rs"), "fn twice(x: i32) -> i32 { 2 * x }")?;
    kernel.execute(&format!("std::env::set_current_dir({:?})?;", folder.path())).await?.expect_ok();
    let loaded = kernel.execute("let a = 1;\n:load helpers.rs\n:vars").await?.expect_ok();
    let text = "let a = 1;\n// :load helpers.rs\nfn twice(x: i32) -> i32 { 2 * x }\n:vars";
    assert_eq!(loaded.reply["payload"][0], json!({ "source": "set_next_input", "text": text, "replace": true }));
    let missing = kernel.execute(":load nothing.rs").await?;
    assert_eq!(missing.reply["ename"], "LoadError");
    assert!(missing.reply["payload"].as_array().is_none_or(Vec::is_empty), "{missing:#?}");
    kernel.shutdown().await
}

#[tokio::test]
async fn a_string_does_not_contain_commands() -> Result<()> {
    let mut kernel = Client::start().await?;
    let raw = kernel.execute("let text = r#\"\n:dep no_such_crate_at_all\n!ls\n?Tensor\n\"#;\ntext.len()").await?;
    assert_eq!(raw.expect_ok().value(), Some("39"));
    let text = kernel.execute("/*\n:help\n*/\nlet text = \"first\n:help\nlast\";\nprintln!(\"{text:?}\");").await?;
    assert_eq!(text.expect_ok().text("stdout"), "\"first\\n:help\\nlast\"\n");
    // Windows line endings.
    let cell = kernel.execute("let a = 1;\r\nlet text = \"one\r\ntwo\";\r\ntext.len() + a\r\n").await?;
    assert_eq!(cell.expect_ok().value(), Some("8"));
    let commands = kernel.execute("!echo from the shell\r\n:vars\r\n").await?.expect_ok();
    assert_eq!(commands.text("stdout"), "from the shell\n");
    assert_eq!(commands.value(), Some("a: usize\ntext: &str"));
    let failed = kernel.execute("let b = 2;\r\n\r\nlet n: u8 = \"x\";\r\n").await?;
    assert!(failed.traceback().contains(":3:13\n"), "{failed:#?}");
    kernel.shutdown().await
}

#[tokio::test]
async fn a_session_starts_with_the_users_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let init = "!sleep 2\n:dep serde_json = \"1\"\n:no_such_command\n";
    std::fs::write(folder.path().join("init.evcxr"), init)?;
    std::fs::write(folder.path().join("prelude.rs"), "fn answer() -> i32 { 42 }\nprintln!(\"not shown\");")?;
    let place = folder.path().display().to_string();
    let mut kernel = Client::start_with(&[("EVCXR_CONFIG_DIR", &place)]).await?;
    let first = kernel.execute("answer() + serde_json::json!([1]).as_array().map_or(0, Vec::len) as i32").await?;
    let first = first.expect_ok();
    assert_eq!((first.value(), first.text("stdout").as_str()), (Some("43"), ""));
    let told = first.text("stderr");
    assert!(told.contains("prelude.rs first ..\n"), "{told}");
    assert!(told.contains("init.evcxr failed:\nCommandError: unknown command `:no_such_command`"), "{told}");
    assert_eq!(kernel.execute("answer()").await?.expect_ok().text("stderr"), "");
    assert_eq!(kernel.execute(":show_deps").await?.expect_ok().value(), Some("serde_json = \"1\""));
    kernel.shutdown().await
}
