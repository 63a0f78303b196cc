//! What scripts may contain, and where their errors are reported.

use anyhow::Result;
use serde_json::{Value, json};

use crate::scripts::Script;

#[test]
fn errors_exit_with_one_and_name_the_scripts_lines() -> Result<()> {
    let script = Script::new("let n: i32 = \"x\".parse()?;\nprintln!(\"{n}\");")?;
    let output = script.run(&["run", "script.rs"])?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr)?.contains("invalid digit"));
    script.write("let n: i32 = 1; let k: u8 = n;\n\n// %%\nmissing(n)")?;
    let output = script.run(&["run", "script.rs"])?;
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr)?;
    assert!(errors.contains("script.rs:1:29") && errors.contains("script.rs:4:1"), "{errors}");
    assert!(errors.contains("4 | missing(n)\n") && !errors.contains("kensaku::nb"), "{errors}");
    Ok(())
}

#[test]
fn a_script_may_have_a_main_and_modules() -> Result<()> {
    let code =
        "use kensaku::anyhow::Result;\n\nmod other;\n\nfn main() -> Result<()> {\n    other::hello();\n    Ok(())\n}\n";
    let script = Script::new(code)?;
    let other = script.folder.path().join("other.rs");
    for word in ["one", "two"] {
        std::fs::write(&other, format!("pub fn hello() {{ println!(\"{word}\"); }}\n"))?;
        let output = script.run(&["run", "script.rs"])?;
        assert_eq!(String::from_utf8(output.stdout)?, format!("{word}\n"), "{:?}", output.stderr);
    }
    Ok(())
}

/// Prints one line per statement, all of which would compile in the `main` of a program.
const PLAIN_RUST: &str = r#"//! A script with inner documentation.
#![allow(dead_code)]

pub trait Area {
    fn area(&self) -> f64;
}

mod shapes {
    use super::Area;
    pub struct Square(pub f64);
    impl Area for Square {
        fn area(&self) -> f64 {
            self.0 * self.0 + f64::from(crate::next())
        }
    }
}

static GREETING: &str = "hello";
static mut COUNTED: u32 = 1;
thread_local! { static OWN: std::cell::Cell<u32> = const { std::cell::Cell::new(4) }; }

/// Counts.
fn next() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + OWN.get()
}

fn number(text: &str) -> std::result::Result<i32, std::num::ParseIntError> {
    text.parse()
}
println!("{} {GREETING}", shapes::Square(3.0).area());
// %%
use std::collections::HashMap;
macro_rules! pair { ($name:ident) => { #[derive(Debug)] struct $name(i32, i32); } }
let known = 5;
macro_rules! known { () => { known + 1 } }
known!()
// %%
use std::collections::{BTreeMap, HashMap};
pair!(Pair);
impl Pair { fn sum(&self) -> i32 { self.0 + self.1 } }
let all = vec![Pair(number("1")?, number("2")?), Pair(3, 4)];
let mut sums = HashMap::new();
sums.insert("sum", all.iter().map(Pair::sum).sum::<i32>());
let mut last = 0;
last = sums["sum"] + 1
// %%
unsafe { COUNTED += number("1")? as u32; }
let total = unsafe { COUNTED };
assert!(matches!(number("7")?, 7));
println!("{total} {last} {:?}", all[0]);
// %%
fn number(text: &str) -> Option<usize> { Some(text.len()) }
fn of_next() -> u32 { next() }
// %%
let Some(length) = number("four") else { return };
format!("{length} {}", of_next())
// %%
fn first(list: &[i32]) -> Option<&i32> { list.first() }
println!("{}", first(&[7])? + i32::try_from(kensaku::serde_json::json!({ "n": number("7")? })["n"].as_u64()?)?);
// %%
let Ok(missing) = "x".parse::<i32>() else { return };
println!("not reached: {missing}");
"#;

const PRINTED: &str = "13 hello\n6\n2 11 Pair(1, 2)\n\"4 5\"\n8\n";

#[test]
fn a_script_is_plain_rust() -> Result<()> {
    let script = Script::new(PLAIN_RUST)?;
    let output = script.run(&["run", "script.rs"])?;
    assert_eq!(String::from_utf8(output.stdout)?, PRINTED, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    // The same for the exported cells of a notebook.
    let cells: Vec<Value> = PLAIN_RUST
        .split("// %%\n")
        .map(|cell| cell.replace("//! A script with inner documentation.\n#![allow(dead_code)]\n", ""))
        .map(|cell| json!({ "cell_type": "code", "metadata": {}, "source": cell, "outputs": [] }))
        .collect();
    let notebook = json!({ "nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells });
    std::fs::write(script.folder.path().join("notebook.ipynb"), notebook.to_string())?;
    let exported = script.run(&["export", "notebook.ipynb", "project"])?;
    assert!(exported.status.success(), "{exported:?}");
    let output = script.run(&["run", "project/src/main.rs"])?;
    assert_eq!(String::from_utf8(output.stdout)?, PRINTED, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    Ok(())
}

#[test]
fn an_option_that_is_none_is_an_error() -> Result<()> {
    let script = Script::new("let none: Option<i32> = None;\nlet list = vec![none?, 2];\nlist")?;
    let output = script.run(&["run", "script.rs"])?;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8(output.stderr)?.contains("`?` on a None"));
    // Other errors show the script's own code.
    script.write("let none: Option<i32> = None;\nlet list = vec![none?, \"2\"];\nlist")?;
    let said = String::from_utf8(script.run(&["run", "script.rs"])?.stderr)?;
    assert!(said.contains("script.rs:2:24") && !said.contains("ok_or"), "{said}");
    Ok(())
}

#[test]
fn a_main_may_return_a_result() -> Result<()> {
    let script = Script::new(
        "use kensaku::anyhow::{Context, Result};\nfn main() -> Result<()> {\n    let n: u8 = \"x\".parse().context(\"no number\")?;\n    \
         println!(\"{n}\");\n    Ok(())\n}\n",
    )?;
    let output = script.run(&["run", "script.rs"])?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no number") && said.contains("invalid digit"), "{said}");
    Ok(())
}

#[test]
fn unsupported_code_is_named() -> Result<()> {
    for main in ["", "fn main() {}\n"] {
        let script = Script::new(&format!("// a script\n#![feature(never_type)]\n{main}"))?;
        let output = script.run(&["run", "script.rs"])?;
        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains("script.rs:2:1") && said.contains("nightly"), "{said}");
    }
    let script = Script::new("let a = 1;\n:dep rand = \"0.9\"\na")?;
    let output = script.run(&["run", "script.rs"])?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("script.rs:2:1") && said.contains("only supported in notebooks"), "{said}");
    Ok(())
}

#[test]
fn panics_and_errors_name_lines_in_functions_and_statements() -> Result<()> {
    let script = Script::new("\n\nfn f() { panic!(\"deep\") }\n// %%\nlet a = [1];\nf();")?;
    let said = String::from_utf8(script.run(&["run", "script.rs"])?.stderr)?;
    assert!(said.contains("script.rs:3:10") && said.contains("deep"), "{said}");
    script.write(
        "\u{feff}let a = Vec::<u8>::new();\r\nfn f() {}\r\n// %%\r\nlet text = \"a\r\nb\";\r\na[text.len()];\r\n",
    )?;
    let said = String::from_utf8(script.run(&["run", "script.rs"])?.stderr)?;
    assert!(said.contains("script.rs:6:2") && said.contains("the index is 3"), "{said}");
    script.write("fn f() -> u8 { \"a\" }\n\nf() + \"b\"")?;
    let said = String::from_utf8(script.run(&["run", "script.rs"])?.stderr)?;
    assert!(said.contains("script.rs:1:16") && said.contains("script.rs:3:5"), "{said}");
    Ok(())
}

#[test]
fn a_script_finds_files_next_to_it() -> Result<()> {
    let script = Script::new("mod other;\nprintln!(\"{} {}\", include_str!(\"a.txt\"), other::word());")?;
    let file = |name: &str| script.folder.path().join(name);
    std::fs::write(file("other.rs"), "pub fn word() -> &'static str { include_str!(\"b.txt\") }\n")?;
    std::fs::write(file("b.txt"), "b")?;
    for word in ["one", "two"] {
        std::fs::write(file("a.txt"), word)?;
        let output = script.run(&["run", "script.rs"])?;
        assert_eq!(String::from_utf8(output.stdout)?, format!("{word} b\n"), "{:?}", output.stderr);
    }
    Ok(())
}
