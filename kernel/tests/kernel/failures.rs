//! Cells that fail: the status is an error, the traceback has the line, variables are kept.

use anyhow::Result;

use crate::client::Client;

#[tokio::test]
async fn a_panic_fails_its_cell_and_keeps_variables() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = vec![1, 2, 3];").await?.expect_ok();
    let failed = kernel.execute("let a = 1;\n\nif a == 1 {\n    panic!(\"on purpose {a}\");\n}").await?;
    assert_eq!(failed.kinds(), ["execute_input", "error"]);
    assert_eq!(failed.reply["ename"], "panic");
    assert_eq!(failed.reply["evalue"], "on purpose 1");
    assert!(failed.traceback().contains("cell [2]:4"), "{}", failed.traceback());
    let after = kernel.execute("kept.len()").await?.expect_ok();
    assert_eq!(after.value(), Some("3"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_panic_in_a_function_names_the_cell_that_defines_it() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("fn first(items: &[u8]) -> u8 {\n    items[0]\n}").await?.expect_ok();
    let failed = kernel.execute("first(&[])").await?;
    assert_eq!(failed.status(), "error");
    assert!(failed.traceback().contains("cell [1]:2"), "{}", failed.traceback());
    kernel.shutdown().await
}

#[tokio::test]
async fn an_error_by_question_mark_fails_its_cell() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = 7;").await?.expect_ok();
    let failed = kernel.execute("let text = \"abc\";\nlet number: i32 = text.parse()?;").await?;
    assert_eq!(failed.kinds(), ["execute_input", "error"]);
    assert_eq!(failed.reply["evalue"], "invalid digit found in string");
    assert!(failed.traceback().contains("cell [2]:2"), "{}", failed.traceback());
    let chain = kernel
        .execute("use kensaku::anyhow::{Context, anyhow};\nErr::<(), _>(anyhow!(\"cause\")).context(\"outer\")?;")
        .await?;
    assert_eq!(chain.reply["evalue"], "outer: cause");
    assert_eq!(kernel.execute("kept").await?.expect_ok().value(), Some("7"));
    kernel.shutdown().await
}

#[tokio::test]
async fn compile_errors_show_the_cell() -> Result<()> {
    let mut kernel = Client::start().await?;
    let failed = kernel.execute("let fine = 1;\n\nlet number: i32 = \"text\";").await?;
    assert_eq!(failed.kinds(), ["execute_input", "error"]);
    assert_eq!(failed.reply["evalue"], "mismatched types (E0308)");
    let traceback = failed.traceback();
    assert!(traceback.contains("error[E0308]: mismatched types\n --> cell [1]:3:19"), "{traceback}");
    assert!(!traceback.contains("evcxr") && !traceback.contains("nb::"), "{traceback}");

    let borrow = kernel.execute("let a = vec![1];\nlet b = a;\nprintln!(\"{}\", a.len());").await?;
    assert!(borrow.traceback().contains("error[E0382]"), "{}", borrow.traceback());
    assert!(borrow.traceback().contains("cell [2]:3:"), "{}", borrow.traceback());

    let syntax = kernel.execute("let = 1;").await?;
    assert_eq!(syntax.status(), "error");
    assert!(syntax.traceback().contains("cell [3]:1:5"), "{}", syntax.traceback());

    let unknown = kernel.execute("no_such_function()").await?;
    assert!(unknown.traceback().contains("error[E0425]"), "{}", unknown.traceback());
    kernel.shutdown().await
}

#[tokio::test]
async fn variables_that_cannot_be_kept_stay_in_their_cell_or_say_why() -> Result<()> {
    let mut kernel = Client::start().await?;
    let closure = "let two = 2;\nlet double = |x: i32| x * two;\nlet squares = (1..3).map(|x| x * x);\n\
                   let four = double(2);\ndouble(four) + squares.sum::<i32>()";
    assert_eq!(kernel.execute(closure).await?.expect_ok().value(), Some("13"));
    assert_eq!(kernel.execute("two + four").await?.expect_ok().value(), Some("6"));
    assert!(kernel.execute("double(2)").await?.traceback().contains("E0425"));
    let reference = kernel.execute("let owner = vec![1];\nlet borrowed = &owner;").await?.expect_ok();
    assert!(reference.text("stderr").contains("`borrowed` is not kept for later cells"), "{reference:#?}");
    let later = kernel.execute("borrowed.len() + owner.len()").await?;
    assert!(later.traceback().contains("`borrowed` borrowed from another value"), "{}", later.traceback());
    assert_eq!(kernel.execute("owner.len()").await?.expect_ok().value(), Some("1"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_crash_loses_variables_and_reports_it() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let lost = 1;\nfn kept() -> i32 { 5 }").await?.expect_ok();
    let failed = kernel.execute("println!(\"last words\"); std::process::abort();").await?;
    assert_eq!(failed.status(), "error");
    assert_eq!(failed.text("stdout"), "last words\n");
    assert!(failed.reply["evalue"].as_str().is_some_and(|text| text.contains("variables are lost")));
    assert_eq!(kernel.execute("kept()").await?.expect_ok().value(), Some("5"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_panics_call_stack_is_shown() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("fn inner(items: &[u8]) -> u8 {\n    items[3]\n}").await?.expect_ok();
    kernel.execute("fn outer(items: &[u8]) -> u8 {\n    inner(items) + 1\n}").await?.expect_ok();
    let failed = kernel.execute("let items = vec![1];\n\nlet n = outer(&items);").await?;
    let told = failed.traceback();
    let places: Vec<usize> = ["cell [3]:3", "cell [2]:2", "cell [1]:2"].iter().filter_map(|at| told.find(at)).collect();
    assert_eq!(places.len(), 3, "{told}");
    assert!(places.is_sorted(), "{told}");
    assert!(told.contains("   3 | let n = outer(&items);"), "{told}");
    kernel.shutdown().await
}

#[tokio::test]
async fn a_panic_before_the_statements_is_reported() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "struct D;\nimpl Drop for D { fn drop(&mut self) { panic!(\"dropped\") } }\nlet d = D;";
    kernel.execute(code).await?.expect_ok();
    // The variable's type is redefined, so it is dropped first.
    let failed = kernel.execute("struct D(u8);\nlet after = 1;").await?;
    assert_eq!((&failed.reply["ename"], &failed.reply["evalue"]), (&"panic".into(), &"dropped".into()));
    assert_eq!(kernel.execute("1 + 1").await?.expect_ok().value(), Some("2"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_panic_with_a_custom_hook_is_reported() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let kept = 3;\nstd::panic::set_hook(Box::new(|_| println!(\"mine\")));").await?.expect_ok();
    let failed = kernel.execute("panic!(\"told to the hook\");").await?;
    assert_eq!((failed.text("stdout").as_str(), &failed.reply["ename"]), ("mine\n", &"panic".into()));
    assert_eq!(kernel.execute("kept").await?.expect_ok().value(), Some("3"));
    kernel.shutdown().await
}

#[tokio::test]
async fn an_error_shows_its_causes() -> Result<()> {
    let mut kernel = Client::start().await?;
    let error = "#[derive(Debug)]\nstruct Outer(std::io::Error);\nimpl std::fmt::Display for Outer { fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { write!(f, \"outer\") } }\nimpl std::error::Error for Outer { fn source(&self) -> Option<&(dyn std::error::Error + 'static)> { Some(&self.0) } }";
    kernel.execute(error).await?.expect_ok();
    let failed = kernel.execute("std::fs::read(\"/nowhere\").map_err(Outer)?;").await?;
    assert_eq!(failed.reply["ename"], "ctx::Outer");
    assert!(failed.traceback().contains("caused by: No such file"), "{}", failed.traceback());
    let ours = kernel.execute("kensaku::data::read::jsonl(\"/nowhere.jsonl\")?;").await?;
    assert_eq!(ours.reply["ename"], "kensaku::Error");
    assert!(ours.traceback().contains("  hint: relative paths start"), "{}", ours.traceback());
    kernel.shutdown().await
}

#[tokio::test]
async fn errors_are_coloured_and_show_no_code_of_ours() -> Result<()> {
    let mut kernel = Client::start().await?;
    let wrong = [
        "let x: i32 = vec![1]?;",
        "let y = undefined + 1;\ny",
        "for i in 0..3 { let s: &str = i; }",
        "println!(\"{}\", nothing);",
        "struct S;\nS",
        "let v = vec![];",
        "let cell_width = String::new();\nlet b = cell_width;\nprintln!(\"{}\", cell_width);",
        "let cell_f = |x: u8| x;\nlet n: u8 = cell_f;",
    ];
    for code in wrong {
        let failed = kernel.execute(code).await?;
        if failed.status() == "ok" {
            assert_eq!(code, "struct S;\nS");
            continue;
        }
        let raw = failed.reply["traceback"][0].as_str().unwrap_or_default().to_owned();
        assert!(raw.contains('\u{1b}'), "{raw}");
        let told = failed.traceback();
        for ours in ["kensaku::nb", "kensaku_", "cell_0", "cell_1", ".rs", "evcxr"] {
            assert!(!told.contains(ours), "{code}: {told}");
        }
        assert!(told.contains("cell ["), "{code}: {told}");
    }
    kernel.shutdown().await
}

#[tokio::test]
async fn a_users_names_that_look_like_ours_are_shown() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "let cell_a = String::new();\nlet b = cell_a;\nprintln!(\"{}\", cell_a);";
    let moved = kernel.execute(code).await?.traceback();
    assert!(moved.contains("move occurs because `cell_a`") && moved.contains("value moved here"), "{moved}");
    let fixed = kernel.execute("let cell_x: u32 = 5;\ncell_x = 6;\nprintln!(\"{cell_x}\");").await?.traceback();
    assert!(fixed.contains("first assignment to `cell_x`") && fixed.contains("cell [2]:2:1"), "{fixed}");
    kernel.shutdown().await
}

#[tokio::test]
async fn unknown_names_come_with_suggestions() -> Result<()> {
    let mut kernel = Client::start().await?;
    let hints = [
        ("let m = HashMap::<u8, u8>::new();", "`use std::collections::HashMap;`"),
        ("let v = VarMap::new();", "candle_nn::VarMap;`"),
        ("let c = TableConfig::default();", "show::TableConfig;`"),
        ("fn f(c: &CheckState) {}", "train::CheckState;`"),
        ("fn d(d: Difference) {}", "loss::Difference;`"),
        // Its module is private, and has the name of a function of the prelude.
        ("fn f(c: &ColumnCheck) {}", "train::ColumnCheck;`"),
        ("batch_sizes(1)", "`use kensaku::train::batch_sizes;`"),
        ("use kensaku::data::Csv;", "read::Csv"),
        ("serde_json::json!(1)", "`serde_json` is part of kensaku: `use kensaku::serde_json;` or `:dep serde_json`"),
        ("no_such_crate::f()", "`:dep no_such_crate` adds"),
        ("json!(1)", "`use kensaku::serde_json::json;`"),
        ("#[derive(Serialize)]\nstruct S;", "`:dep serde`, then `use serde::Serialize;`"),
        ("let r = SpreadsheetReader::new(\"qa.csv\");", "or std is named `SpreadsheetReader`"),
        ("fn s(m: &BiEncoder, t: &Tensor) { m.score(t, t); }", "`BiEncoder` has `with_config`"),
        ("fn t(r: &Run) { r.fuse(); }", "`Run` has `"),
    ];
    for (code, hint) in hints {
        let told = kernel.execute(code).await?.traceback();
        assert!(told.contains(hint), "{code}: expected {hint}, got {told}");
    }
    // A misspelled variable is not one of them.
    let told = kernel.execute("let total = 1;\nlet twice = totals + 1;").await?.traceback();
    assert!(!told.contains("is in `") && !told.contains("called"), "{told}");
    kernel.shutdown().await
}

#[tokio::test]
async fn syntax_errors_and_habits_of_other_languages_are_explained() -> Result<()> {
    let mut kernel = Client::start().await?;
    let errors = [
        ("println!(“hello”);", "cell [1]:1:10", "unknown start of token: \\u{201c}"),
        ("let x =\u{a0}1;\nx", "cell [2]:1:8", "unknown start of token: \\u{a0}"),
        ("fn f() {", "cell [3]:1:8", "unclosed delimiter"),
        ("let s = \"abc;", "cell [4]:1:9", "unterminated double quote string"),
        ("1 /* two", "cell [5]:1:3", "unterminated block comment"),
        ("let 🦀 = 1;", "cell [6]:1:5", "identifiers cannot contain emoji"),
        ("let a\0 = 1;", "cell [7]:1:6", "unknown start of token: \\u{0}"),
        ("let path = \"C:\\data\";", "cell [8]:1:15", "unknown character escape: `d`"),
        ("let b =", "cell [9]:1:8", "expected an expression"),
        ("%%time\nlet a = 1;", "cell [10]:1:1", "`:time`"),
        ("pip install numpy", "cell [11]:1:", "`:dep name"),
        ("import numpy as np", "cell [12]:1:", "`use path::Name;`"),
        ("x = 5;", "cell [13]:1:1", "`let`"),
        ("print(\"x\")", "cell [14]:1:1", "use `!` to invoke"),
    ];
    for (code, place, word) in errors {
        let told = kernel.execute(code).await?.traceback();
        assert!(told.contains(place) && told.contains(word), "{code:?}: expected {place} and {word}, got {told}");
        assert!(!told.contains("token stream"), "{told}");
    }
    kernel.shutdown().await
}

#[tokio::test]
async fn messages_fit_on_a_screen() -> Result<()> {
    let mut kernel = Client::start_with(&[("RUST_BACKTRACE", "1")]).await?;
    let product = "let a = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;\nlet b = a.matmul(&a)?;";
    let failed = kernel.execute(product).await?;
    assert_eq!(failed.reply["evalue"], "shape mismatch in matmul, lhs: [2, 3], rhs: [2, 3]");
    let told = failed.traceback();
    assert!(told.contains("cell [1]:2") && told.lines().count() < 10, "{told}");
    let failed = kernel.execute("panic!(\"{}\", \"x\".repeat(9_000_000));").await?;
    assert!(failed.reply["evalue"].as_str().is_some_and(|text| text.ends_with("x… (9000000 bytes in all)")));
    assert!(failed.traceback().len() < 10_000);
    kernel.shutdown().await
}

#[tokio::test]
async fn a_question_mark_after_a_variable_is_that_of_rust() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel
        .execute("let found: Result<u8, String> = Ok(3);\nlet lost: Result<u8, String> = Err(\"lost\".into());")
        .await?
        .expect_ok();
    assert_eq!(kernel.execute("found?").await?.expect_ok().value(), Some("3"));
    assert!(kernel.execute("lost?").await?.traceback().contains("lost"));
    kernel.shutdown().await
}

#[tokio::test]
async fn functions_do_not_see_variables() -> Result<()> {
    let mut kernel = Client::start().await?;
    kernel.execute("let c = 3;").await?.expect_ok();
    let failed = kernel.execute("fn f() -> i32 { c }").await?;
    assert!(failed.traceback().contains("functions do not see variables: pass `c`"), "{}", failed.traceback());
    let failed = kernel.execute("fn g(s: &str) -> Result<i32> { Ok(s.parse()?) }").await?;
    assert!(failed.traceback().contains("return `kensaku::anyhow::Result<..>`"), "{}", failed.traceback());
    assert!(!failed.traceback().contains("multiple different versions"), "{}", failed.traceback());
    kernel.shutdown().await
}
