//! Safe code never reads memory as another type, whatever cells are edited. What an edit does not affect is kept.

use anyhow::Result;

use crate::client::Client;

/// Runs a cell that creates `variable`, an edit that drops it, and a cell that reads it, which must say so.
async fn drops(variable: &str, cells: [&str; 3]) -> Result<()> {
    let [make, edit, read] = cells;
    let mut kernel = Client::start().await?;
    kernel.execute(make).await?.expect_ok();
    let edited = kernel.execute(edit).await?.expect_ok();
    let dropped = format!("dropped `{variable}`: its type was redefined");
    assert!(edited.text("stderr").contains(&dropped), "{edit}: {edited:#?}");
    let failed = kernel.execute(read).await?;
    assert!(failed.traceback().contains("E0425"), "{read}: {failed:#?}");
    kernel.shutdown().await
}

#[tokio::test]
async fn types_and_types_that_contain_them() -> Result<()> {
    drops("q", ["struct P { x: i64 }\nstruct Q(Vec<P>);\nlet q = Q(vec![]);", "struct P { x: String }", "q.0.len()"])
        .await?;
    let module = "mod m { pub struct P { pub x: u64 } }\nuse m::*;\nstruct Q(P);\nlet q = Q(P { x: 1 });";
    drops("q", [module, "mod m { pub struct P { pub x: u64, pub y: u64, pub z: u64 } }", "q.0.x"]).await
}

#[tokio::test]
async fn constants_and_constant_functions() -> Result<()> {
    let make = "const fn n() -> usize { 1 }\nstruct S { a: [u64; n()] }\nlet s = S { a: [7; 1] };";
    drops("s", [make, "const fn n() -> usize { 4 }", "println!(\"{:?} size {}\", s.a, size_of::<S>());"]).await?;
    drops("s", ["const N: usize = 1;\ntype S = [u64; N];\nlet s: S = [7; 1];", "const N: usize = 4;", "s[3]"]).await
}

#[tokio::test]
async fn associated_types_and_macros() -> Result<()> {
    let make = "trait Shape { type Inner; }\nstruct K;\nimpl Shape for K { type Inner = u64; }\n\
                struct S { a: <K as Shape>::Inner }\nlet s = S { a: 7 };";
    drops("s", [make, "impl Shape for K { type Inner = (u64, u64, u64); }", "s.a"]).await?;
    let make = "macro_rules! make { ($n:ident) => { struct $n { x: u64 } } }\nmake!(A);\nlet a = A { x: 1 };";
    let edit = "macro_rules! make { ($n:ident) => { struct $n { x: [u64; 4] } } }";
    drops("a", [make, edit, "println!(\"{:?}\", a.x);"]).await
}

#[tokio::test]
async fn type_erased_values() -> Result<()> {
    let make = "struct P { x: u64 }\nlet b: Box<dyn std::any::Any> = Box::new(P { x: 1 });";
    drops("b", [make, "struct P { x: [u64; 4] }", "b.downcast_ref::<P>().map(|p| p.x)"]).await?;
    let make = "#[derive(Debug)] struct E { a: u64 }\nimpl std::fmt::Display for E { \
                fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { write!(f, \"E\") } }\n\
                impl std::error::Error for E {}\nlet e = kensaku::anyhow::Error::new(E { a: 1 });";
    drops("e", [make, "#[derive(Debug)] struct E { a: String }", "e.downcast_ref::<E>().map(|e| e.a.len())"]).await
}

#[tokio::test]
async fn types_with_the_same_name_are_distinct() -> Result<()> {
    let mut kernel = Client::start().await?;
    let make = "let b: Box<dyn std::any::Any> = { struct S(u64); Box::new(S(7)) };";
    kernel.execute(make).await?.expect_ok();
    let read = "{ struct S([u64; 4]); b.downcast_ref::<S>().map(|s| s.0) }";
    assert_eq!(kernel.execute(read).await?.expect_ok().value(), Some("None"));
    kernel.shutdown().await
}

#[tokio::test]
async fn statics_of_changed_types_are_reset() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "struct P { x: u64 }\nstatic CACHE: std::sync::Mutex<Vec<P>> = std::sync::Mutex::new(Vec::new());\n\
                static COUNT: std::sync::Mutex<u8> = std::sync::Mutex::new(0);";
    kernel.execute(code).await?.expect_ok();
    kernel.execute("{ CACHE.lock()?.push(P { x: 7 }); *COUNT.lock()? += 1; }").await?.expect_ok();
    assert_eq!(kernel.execute("CACHE.lock()?.len()").await?.expect_ok().value(), Some("1"));
    let edited = kernel.execute("struct P { x: String }").await?.expect_ok();
    assert!(edited.text("stderr").contains("`CACHE` starts over: its type was redefined"), "{edited:#?}");
    let left = kernel.execute("(CACHE.lock()?.len(), *COUNT.lock()?)").await?.expect_ok();
    assert_eq!(left.value(), Some("(0, 1)"));
    kernel.shutdown().await
}

#[tokio::test]
async fn what_an_edit_does_not_affect_is_kept() -> Result<()> {
    let mut kernel = Client::start().await?;
    let code = "#[derive(Clone)] struct P { x: i32 }\nstruct Other(u8);\ntrait Named { fn name(&self) -> i32; }\n\
                impl Named for P { fn name(&self) -> i32 { self.x } }\n\
                let p = P { x: 1 };\nlet all = vec![p.clone()];\nlet n = 2;\nlet other = Other(1);\n\
                let dynamic: Box<dyn Named> = Box::new(p.clone());";
    kernel.execute(code).await?.expect_ok();
    let edits = [
        "/// A point.\n#[derive(Clone, Debug)]\nstruct P { x: i32 }",
        "struct Other(u16);",
        "impl Named for P { fn name(&self) -> i32 { self.x + 1 } }",
        "fn free() {}\nconst N: usize = 1;\nuse std::rc::Rc;",
        "struct Other([u8; 3]);",
    ];
    for edit in edits {
        let said = kernel.execute(edit).await?.expect_ok().text("stderr");
        let touched = if edit.contains("Other(u16)") { "dropped `other`: its type was redefined\n" } else { "" };
        assert_eq!(said, touched, "{edit}");
        let left = kernel.execute("(p.x, all.len(), all[0].x, n)").await?.expect_ok();
        assert_eq!(left.value(), Some("(1, 1, 1, 2)"), "{edit}");
    }
    assert_eq!(kernel.execute("(p.name(), dynamic.name())").await?.expect_ok().value(), Some("(2, 1)"));
    kernel.shutdown().await
}

/// Edits whose effect on a type is in no code that names it. The value `p` must go, or be what it was.
#[tokio::test]
async fn effects_from_afar_are_followed() -> Result<()> {
    let constant =
        "trait T { const N: usize = 1; }\nstruct K;\nimpl T for K {}\nstruct P([u8; K::N]);\nlet p = P([7; 1]);";
    let bounds = "use std::marker::PhantomData;\nstruct W<T>(PhantomData<T>);\ntrait Fallback { const N: usize = 1; }\n\
                  impl<T> Fallback for W<T> {}\ntrait Marker {}\nimpl<T: Marker> W<T> { const N: usize = 64; }\n\
                  struct K;\nstruct P([u8; W::<K>::N]);\nlet p = P([7; 1]);";
    let opaque = "fn f() -> impl std::fmt::Debug { 1u8 }\n\
                  const fn size<R, F: Fn() -> R>(_: &F) -> usize { std::mem::size_of::<R>() }\n\
                  struct P([u8; size(&f)]);\nlet p = P([7; 1]);";
    let text = "struct P(String);\nlet p = P(format!(\"hello\"));";
    let module = "mod m { pub struct String(pub u64, pub u64, pub u64); }";
    let cells = [
        (constant.to_owned(), "mod m { impl super::K { pub const N: usize = 64; } }"),
        (constant.to_owned(), "const _: () = { impl K { const N: usize = 64; } };"),
        (bounds.to_owned(), "impl Marker for K {}"),
        (opaque.to_owned(), "fn f() -> impl std::fmt::Debug { [1u8; 64] }"),
        (format!("{module}\n{text}"), "use m::*;"),
        (
            format!(
                "macro_rules! inner {{ ($n:ident) => {{ struct $n(u64, u64, u64); }} }}\n\
                 macro_rules! outer {{ ($n:ident) => {{ struct Marker; inner!($n); }} }}\n{text}"
            ),
            "outer!(String);",
        ),
    ];
    for (made, edit) in cells {
        let mut kernel = Client::start().await?;
        kernel.execute(&made).await?.expect_ok();
        let edited = kernel.execute(edit).await?.expect_ok();
        assert!(edited.text("stderr").contains("dropped `p`"), "{edit}: {edited:#?}");
        kernel.shutdown().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_value_must_fit_its_type() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("f");
    std::fs::write(&file, "a")?;
    let mut kernel = Client::start().await?;
    // A path that is put together is not known before rustc reads the file.
    let made =
        format!("struct P([u8; include_bytes!(concat!({:?}, \"/f\")).len()]);\nlet p = P([7; 1]);", folder.path());
    kernel.execute(&made).await?.expect_ok();
    std::fs::write(&file, "ab")?;
    let lost = kernel.execute("p.0.len()").await?;
    assert!(lost.traceback().contains("the definition of `ctx::P` has changed since `p` was created"), "{lost:#?}");
    kernel.shutdown().await
}

#[tokio::test]
async fn a_changed_file_changes_its_types() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("inc.rs");
    std::fs::write(&file, "#[derive(Debug)] pub struct P(pub u64);")?;
    let mut kernel = Client::start().await?;
    let made = format!("mod m {{ include!({file:?}); }}\nlet p = m::P(5);\nlet n = 1;");
    kernel.execute(&made).await?.expect_ok();
    assert_eq!(kernel.execute("p.0").await?.expect_ok().value(), Some("5"));
    // Of the same size, so only the file differs.
    std::fs::write(&file, "#[derive(Debug)] pub struct P(pub &'static u64);")?;
    let next = kernel.execute("n").await?.expect_ok();
    assert!(next.text("stderr").contains("dropped `p`"), "{next:#?}");
    assert_eq!(next.value(), Some("1"));
    kernel.shutdown().await
}
