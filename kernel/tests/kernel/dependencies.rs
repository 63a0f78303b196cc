//! `:dep` with the user's crates, which only depend on crates of kensaku, so that nothing is downloaded.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::client::{Client, Start, Transcript};

/// A crate in a folder.
struct Package {
    folder: TempDir,
}

impl Package {
    fn new(name: &str, dependencies: &str, code: &str) -> Result<Self> {
        let package = Self { folder: tempfile::tempdir()? };
        std::fs::create_dir(package.path().join("src"))?;
        package.manifest(name, dependencies)?;
        package.code(code)?;
        Ok(package)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn manifest(&self, name: &str, dependencies: &str) -> Result<()> {
        let package = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        Ok(std::fs::write(self.path().join("Cargo.toml"), format!("{package}\n[dependencies]\n{dependencies}"))?)
    }

    fn code(&self, code: &str) -> Result<()> {
        Ok(std::fs::write(self.path().join("src/lib.rs"), code)?)
    }

    /// The line that adds it.
    fn dep(&self) -> String {
        format!(":dep {}\n", self.path().display())
    }
}

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("lib")
}

/// The last state of the progress line.
fn progress(added: &Transcript) -> &str {
    let shown = added.messages.iter().rev().find(|message| message.kind.ends_with("display_data"));
    shown.and_then(|message| message.content["data"]["text/plain"].as_str()).unwrap_or_default()
}

#[tokio::test]
async fn crates_of_the_dylib_are_the_same_in_a_users_crate() -> Result<()> {
    let dependencies = format!(
        "candle-core = \"0.11\"\nkensaku = {{ path = {:?} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
         serde_json = \"1\"\ntokio = {{ version = \"1\", features = [\"rt\", \"time\"] }}\n\
         polars = {{ version = \"0.55\", default-features = false, features = [\"lazy\"] }}\n",
        library()
    );
    let code = "
        #[derive(serde::Serialize)]
        pub struct Row { pub a: u8 }
        pub fn text<T: serde::Serialize>(value: &T) -> String { serde_json::to_string(value).unwrap() }
        pub fn value() -> serde_json::Value { serde_json::json!({ \"a\": 1 }) }
        pub fn queries(run: &kensaku::eval::Run) -> usize { run.len() }
        pub fn rows(frame: &polars::prelude::DataFrame) -> usize { frame.height() }
        pub fn values(tensor: &candle_core::Tensor) -> usize { tensor.elem_count() }
        pub async fn waited() -> u8 { tokio::time::sleep(std::time::Duration::from_millis(1)).await; 7 }
    ";
    let mine = Package::new("mine", &dependencies, code)?;
    let mut kernel = Client::start().await?;
    let added = kernel.execute(&mine.dep()).await?.expect_ok();
    assert!(progress(&added).starts_with("mine added, 1 crate built"), "{added:#?}");
    assert_eq!(added.text("stderr"), "");
    let json = kernel.execute("kensaku::serde_json::to_string(&mine::Row { a: 1 })?").await?.expect_ok();
    assert_eq!(json.value(), Some(r#""{\"a\":1}""#));
    let value = kernel.execute("let v: kensaku::serde_json::Value = mine::value();\nv[\"a\"].as_u64()").await?;
    assert_eq!(value.expect_ok().value(), Some("Some(1)"));
    let own = "#[derive(kensaku::serde::Serialize)]\n#[serde(crate = \"kensaku::serde\")]\nstruct Own { a: u8 }\n\
               mine::text(&Own { a: 2 })";
    assert_eq!(kernel.execute(own).await?.expect_ok().value(), Some(r#""{\"a\":2}""#));
    let others = "let run = Run::default();\nlet frame = df![\"a\" => [1, 2, 3]]?;\n\
                  let tensor = Tensor::zeros((2, 2), DType::F32, &Device::Cpu)?;\n\
                  (mine::queries(&run), mine::rows(&frame), mine::values(&tensor), mine::waited().await)";
    assert_eq!(kernel.execute(others).await?.expect_ok().value(), Some("(0, 3, 4, 7)"));
    kernel.shutdown().await
}

#[tokio::test]
async fn conflicting_versions_are_named() -> Result<()> {
    let old = Package::new("log", "", "pub struct Old;")?;
    let mine = Package::new("mine", &format!("log = {{ path = {:?} }}\n", old.path()), "pub use log::Old;")?;
    let mut kernel = Client::start().await?;
    let added = kernel.execute(&format!("{}mine::Old;", mine.dep())).await?.expect_ok();
    assert!(added.text("stderr").starts_with("mine uses log 0.1.0, kensaku uses 0.4."), "{added:#?}");
    // The same version, with a feature that the dylib's lacks.
    let more = Package::new(
        "more",
        "serde = \"1\"\nserde_json = { version = \"1\", features = [\"raw_value\"] }\n",
        "pub fn raw(text: &str) -> String { serde_json::from_str::<&serde_json::value::RawValue>(text).unwrap().to_string() }
         pub fn text<T: serde::Serialize>(value: &T) -> String { serde_json::to_string(value).unwrap() }",
    )?;
    let added = kernel.execute(&format!("{}more::raw(\"[ 1]\")", more.dep())).await?.expect_ok();
    let said = added.text("stderr");
    assert!(
        said.starts_with("more uses serde_json 1.") && said.contains("with `raw_value`, which kensaku's lacks"),
        "{said}"
    );
    // Warnings are not repeated.
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(added.value(), Some("\"[ 1]\""));
    // A notebook may switch from kensaku's build of a crate to another.
    let held = kernel.execute(":dep serde_json\nlet held = serde_json::json!(1);\nlet own = more::raw(\"1\");").await?;
    assert!(held.expect_ok().text("stdout").contains("is part of kensaku"));
    let other = kernel.execute(":dep serde_json = { version = \"1\", features = [\"raw_value\"] }").await?.expect_ok();
    let said = other.text("stderr");
    assert!(said.ends_with("\ndropped `held`: `:dep` changed its type\n"), "{said}");
    assert!(said.starts_with("the notebook uses serde_json 1.") && said.lines().count() == 2, "{said}");
    // Its dependencies are the dylib's.
    let text = kernel.execute("more::text(&kensaku::serde_json::json!([1, null]))").await?.expect_ok();
    assert_eq!(text.value(), Some("\"[1,null]\""));
    kernel.shutdown().await
}

#[tokio::test]
async fn the_kernels_kensaku_replaces_another() -> Result<()> {
    let other = Package::new("kensaku", "", "compile_error!(\"it is not compiled\");")?;
    let uses = format!("kensaku = {{ path = {:?} }}\n", other.path());
    let mine = Package::new("mine", &uses, "pub fn queries(run: &kensaku::eval::Run) -> usize { run.len() }\n")?;
    let mut kernel = Client::start().await?;
    let added = kernel.execute(&format!("{}mine::queries(&Run::default())", mine.dep())).await?.expect_ok();
    assert_eq!(added.value(), Some("0"));
    let said = added.text("stderr");
    assert!(said.contains("the kernel's kensaku is used instead") && said.lines().count() == 1, "{said}");
    for line in [":dep kensaku".to_owned(), other.dep()] {
        let again = kernel.execute(&format!("{line}\nmine::queries(&kensaku::eval::Run::new())")).await?.expect_ok();
        assert_eq!(again.value(), Some("0"));
    }
    kernel.shutdown().await
}

#[tokio::test]
async fn a_users_macros_use_crates_of_the_dylib() -> Result<()> {
    let code = "#[proc_macro_derive(Named)]
        pub fn named(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
            let name = syn::parse_macro_input!(input as syn::DeriveInput).ident;
            quote::quote! { impl #name { pub fn name() -> &'static str { stringify!(#name) } } }.into()
        }";
    let named = Package::new("named", "quote = \"1\"\nsyn = \"2\"\n[lib]\nproc-macro = true\n", code)?;
    let uses = format!("named = {{ path = {:?} }}\n", named.path());
    let mine = Package::new("mine", &uses, "pub use named::Named;\n#[derive(Named)]\npub struct Mine;\n")?;
    let mut kernel = Client::start().await?;
    let names = "#[derive(mine::Named)]\nstruct Own;\n(mine::Mine::name(), Own::name())";
    let added = kernel.execute(&format!("{}{names}", mine.dep())).await?.expect_ok();
    assert_eq!(added.value(), Some(r#"("Mine", "Own")"#));
    assert!(progress(&added).starts_with("mine added, 2 crates built"), "{added:#?}");
    let direct =
        kernel.execute(&format!("{}#[derive(named::Named)]\nstruct Other;\nOther::name()", named.dep())).await?;
    assert_eq!(direct.expect_ok().value(), Some("\"Other\""));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_crates_static_is_the_same_in_all_cells() -> Result<()> {
    let code = "use std::sync::atomic::{AtomicU32, Ordering};\nstatic COUNT: AtomicU32 = AtomicU32::new(0);\n\
                pub fn next() -> u32 { COUNT.fetch_add(1, Ordering::SeqCst) }\n";
    let counter = Package::new("counter", "", code)?;
    let above = Package::new(
        "above",
        &format!("counter = {{ path = {:?} }}\n", counter.path()),
        "pub fn next() -> u32 { counter::next() }\n",
    )?;
    let mut kernel = Client::start().await?;
    let first = kernel.execute(&format!("{}(counter::next(), counter::next())", counter.dep())).await?.expect_ok();
    assert_eq!(first.value(), Some("(0, 1)"));
    assert_eq!(kernel.execute("counter::next()").await?.expect_ok().value(), Some("2"));
    let both = kernel.execute(&format!("{}(above::next(), counter::next())", above.dep())).await?.expect_ok();
    assert_eq!(both.value(), Some("(3, 4)"));
    kernel.shutdown().await
}

#[tokio::test]
async fn variables_of_a_changed_crate_are_dropped() -> Result<()> {
    let below = Package::new("below", "", "#[derive(Debug)]\npub struct T { pub x: u64 }\n")?;
    let uses = format!("below = {{ path = {:?} }}\n", below.path());
    let above = Package::new("above", &uses, "pub fn t() -> below::T { below::T { x: 7 } }\npub use below;\n")?;
    let other = Package::new("other", "", "#[derive(Debug)]\npub struct U(pub u8);\n")?;
    let mut kernel = Client::start().await?;
    kernel.execute(&format!("{}{}", above.dep(), other.dep())).await?.expect_ok();
    kernel.execute("struct Own(above::below::T);\nlet t = above::t();\nlet own = Own(above::t());").await?.expect_ok();
    kernel.execute("let u = other::U(3);").await?.expect_ok();
    // Its type does not mention the crate.
    kernel.execute("let any: Box<dyn std::any::Any> = Box::new(above::t());").await?.expect_ok();
    let is_known = "any.downcast_ref::<above::below::T>().map(|t| t.x)";
    assert_eq!(kernel.execute(is_known).await?.expect_ok().value(), Some("Some(7)"));
    // Adding the same crates again changes nothing.
    let same = kernel.execute(&above.dep()).await?.expect_ok();
    assert_eq!(same.text("stderr"), "");
    assert_eq!(kernel.execute("(t.x, own.0.x, u.0)").await?.expect_ok().value(), Some("(7, 7, 3)"));
    below.code("#[derive(Debug)]\npub struct T { pub y: [u64; 4], pub x: u64 }\n")?;
    above.code("pub fn t() -> below::T { below::T { y: [1; 4], x: 9 } }\npub use below;\n")?;
    let changed = kernel.execute(&above.dep()).await?.expect_ok().text("stderr");
    assert!(changed.contains("dropped `t`") && changed.contains("dropped `own`"), "{changed}");
    assert!(!changed.contains("`u`"), "{changed}");
    assert_eq!(kernel.execute("t").await?.status(), "error");
    // Otherwise it would be reported to have a type that no longer exists.
    assert!(changed.contains("dropped `any`"), "{changed}");
    assert!(kernel.execute(is_known).await?.traceback().contains("E0425"));
    assert_eq!(kernel.execute("(above::t().x, u.0)").await?.expect_ok().value(), Some("(9, 3)"));
    kernel.shutdown().await
}

#[tokio::test]
async fn sessions_share_builds_and_keep_their_own_versions() -> Result<()> {
    let cache = tempfile::tempdir()?;
    let mine = Package::new("mine", "", "pub fn number() -> u64 { 1 }\n")?;
    let start = || Start { variables: vec![("XDG_CACHE_HOME".to_owned(), cache.path().into())], ..Start::default() };
    let mut first = Client::start_as(start()).await?;
    let added = first.execute(&mine.dep()).await?.expect_ok();
    assert!(progress(&added).starts_with("mine added, 1 crate built"), "{added:#?}");
    let mut second = Client::start_as(start()).await?;
    let added = second.execute(&mine.dep()).await?.expect_ok();
    assert!(progress(&added).starts_with("mine added, built before"), "{added:#?}");
    mine.code("pub fn number() -> u64 { 2 }\n")?;
    second.execute(&mine.dep()).await?.expect_ok();
    assert_eq!(second.execute("mine::number()").await?.expect_ok().value(), Some("2"));
    assert_eq!(first.execute("mine::number()").await?.expect_ok().value(), Some("1"));
    let deps = cache.path().join("kensaku/deps");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&deps)?);
    assert_eq!(mode & 0o777, 0o700);
    first.shutdown().await?;
    second.shutdown().await
}

#[tokio::test]
async fn libraries_of_build_scripts_are_found() -> Result<()> {
    let native = Package::new(
        "native",
        "",
        "unsafe extern \"C\" { safe fn answer() -> i32; }\npub fn number() -> i32 { answer() }\n",
    )?;
    let script = r#"fn main() {
        let out = std::env::var("OUT_DIR").unwrap();
        std::fs::write(format!("{out}/answer.c"), "int answer(void) { return 42; }").unwrap();
        let library = format!("{out}/libanswer.so");
        let source = format!("{out}/answer.c");
        let status = std::process::Command::new("cc").args(["-shared", "-fPIC", "-o", &library, &source]).status();
        assert!(status.unwrap().success());
        println!("cargo:rustc-link-search=native={out}");
        println!("cargo:rustc-link-lib=dylib=answer");
    }"#;
    std::fs::write(native.path().join("build.rs"), script)?;
    let mut kernel = Client::start().await?;
    let answer = kernel.execute(&format!("{}native::number()", native.dep())).await?.expect_ok();
    assert_eq!(answer.value(), Some("42"));
    kernel.shutdown().await
}

#[tokio::test]
async fn a_crate_may_have_the_name_of_a_module_of_the_prelude() -> Result<()> {
    let loss = Package::new("loss", "", "pub fn mine() -> f32 { 0.5 }\n")?;
    let mut kernel = Client::start().await?;
    assert_eq!(kernel.execute(&format!("{}loss::mine()", loss.dep())).await?.expect_ok().value(), Some("0.5"));
    let import = kernel.execute("use loss::{self, mine as other};\nloss::mine() + other()").await?.expect_ok();
    assert_eq!(import.value(), Some("1.0"));
    kernel.shutdown().await?;
    let mut kernel = Client::start().await?;
    let declared = kernel.execute(&format!("{}extern crate loss;\nloss::mine()", loss.dep())).await?.expect_ok();
    assert_eq!(declared.value(), Some("0.5"));
    kernel.shutdown().await
}

#[tokio::test]
async fn compile_errors_are_shown_once() -> Result<()> {
    let wrong = Package::new("wrong", "", "pub fn f() -> u8 { \"no number\" }\n")?;
    let mut kernel = Client::start().await?;
    let failed = kernel.execute(&wrong.dep()).await?;
    assert_eq!(failed.reply["ename"], "DependencyError");
    let said = failed.reply["evalue"].as_str().unwrap_or_default();
    assert!(said.contains("mismatched types") && said.contains("src/lib.rs:1:20"), "{said}");
    assert_eq!(failed.text("stderr"), "");
    assert!(progress(&failed).starts_with("wrong not added ("), "{failed:#?}");
    // The progress line appears immediately.
    assert_eq!(failed.kinds()[..2], ["execute_input", "display_data"]);
    wrong.code("pub fn f() -> u8 { 1 }\n")?;
    assert_eq!(kernel.execute(&format!("{}wrong::f()", wrong.dep())).await?.expect_ok().value(), Some("1"));
    kernel.shutdown().await
}
