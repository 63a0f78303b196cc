//! `kensaku run script.rs` and `kensaku script.rs`, as a user or a `#!` line calls them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{build_dylib, with_default_signals};

/// A folder with a script in it; programs are cached in the same folder.
struct Script {
    folder: TempDir,
}

impl Script {
    fn new(code: &str) -> Result<Self> {
        build_dylib();
        let script = Self { folder: tempfile::tempdir()? };
        script.write(code)?;
        Ok(script)
    }

    fn write(&self, code: &str) -> Result<()> {
        Ok(std::fs::write(self.file(), code)?)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("script.rs")
    }

    fn command(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        command.args(arguments).current_dir(self.folder.path());
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(env!("CARGO_BIN_EXE_kensaku"), arguments).output()?)
    }
}

#[test]
fn arguments_and_the_exit_code_are_the_scripts_own() -> Result<()> {
    let code = "let all: Vec<String> = std::env::args().collect();\n// %% second cell\nprintln!(\"{}\", all.join(\" \"));\n\
                1 + 1\n// %%\nstd::process::exit(7);";
    let script = Script::new(code)?;
    for before in [&["run", "script.rs", "--"][..], &["run", "--", "script.rs"], &["script.rs"]] {
        let output = script.run(&[before, &["-o", "world"]].concat())?;
        assert_eq!(String::from_utf8(output.stdout)?, "script.rs -o world\n2\n");
        assert_eq!(output.status.code(), Some(7));
    }
    Ok(())
}

#[test]
fn input_reaches_the_script() -> Result<()> {
    let script = Script::new("for line in std::io::stdin().lines() { println!(\"[{}]\", line?); }")?;
    let mut command = script.command(env!("CARGO_BIN_EXE_kensaku"), &["run", "script.rs"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("it has an input")?.write_all("a\n索".as_bytes())?;
    assert_eq!(String::from_utf8(child.wait_with_output()?.stdout)?, "[a]\n[索]\n");
    Ok(())
}

#[test]
fn a_script_with_an_interpreter_line_is_a_program() -> Result<()> {
    let script =
        Script::new("#!/usr/bin/env kensaku\nprintln!(\"{:?}\", std::env::args().nth(1));\nstd::process::exit(3);")?;
    std::fs::set_permissions(script.file(), std::fs::Permissions::from_mode(0o755))?;
    let binary = Path::new(env!("CARGO_BIN_EXE_kensaku")).parent().context("it has a folder")?;
    let path = format!("{}:{}", binary.display(), std::env::var("PATH")?);
    let output = script.command(script.file(), &["--watch"]).env("PATH", &path).output()?;
    assert_eq!(String::from_utf8(output.stdout)?, "Some(\"--watch\")\n");
    assert_eq!(output.status.code(), Some(3));
    script.write("#!/usr/bin/env -S kensaku run\nprintln!(\"{:?}\", std::env::args().nth(1));")?;
    let output = script.command(script.file(), &["a"]).env("PATH", &path).output()?;
    assert_eq!(String::from_utf8(output.stdout)?, "Some(\"a\")\n", "{:?}", output.stderr);
    Ok(())
}

#[test]
fn errors_are_code_one_and_name_the_scripts_lines() -> Result<()> {
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

#[test]
fn an_unchanged_script_is_not_compiled_again() -> Result<()> {
    let script = Script::new("println!(\"{}\", 1);")?;
    let printed = || -> Result<String> { Ok(String::from_utf8(script.run(&["run", "script.rs"])?.stdout)?) };
    assert_eq!(printed()?, "1\n");
    // Whatever is kept as its program is run, until the script changes.
    let programs = script.folder.path().join("cache/kensaku/scripts");
    let program = std::fs::read_dir(programs)?.next().context("a program is kept")??.path().join("program");
    std::fs::write(&program, "#!/bin/sh\necho kept\n")?;
    assert_eq!(printed()?, "kept\n");
    script.write("println!(\"{}\", 2);")?;
    assert_eq!(printed()?, "2\n");
    Ok(())
}

#[test]
fn displays_are_written_as_files() -> Result<()> {
    let code = "bars(\"chart\", &[\"m\"], &[(\"a\", vec![0.5])])?\n// %%\ndf!(\"a\" => [1])?\n// %%\n1 + 1";
    let script = Script::new(code)?;
    let output = script.run(&["run", "-o", "out/displays", "script.rs"])?;
    assert!(output.status.success(), "{output:?}");
    let folder = script.folder.path().join("out/displays");
    let mut names: Vec<_> = std::fs::read_dir(&folder)?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["01.png", "01.svg", "02.html", "02.txt", "03.txt"]);
    assert!(std::fs::read_to_string(folder.join("01.svg"))?.starts_with("<svg"));
    assert_eq!(std::fs::read_to_string(folder.join("03.txt"))?, "2\n");
    Ok(())
}

#[test]
fn a_watched_script_runs_again_when_it_changes() -> Result<()> {
    // It never ends by itself: the next run has to end it.
    let endless = "loop { std::thread::sleep(std::time::Duration::from_secs(1)); }";
    let script = Script::new(&format!("println!(\"first {{}}\", std::process::id());\n{endless}"))?;
    let mut watch = Watch::start(&script)?;
    let first: u32 = watch.line()?.strip_prefix("first ").context("the first run")?.parse()?;
    // As editors save: another file takes the place.
    let aside = script.folder.path().join("script.rs.new");
    std::fs::write(&aside, format!("println!(\"second\");\n{endless}"))?;
    std::fs::rename(&aside, script.file())?;
    assert_eq!(watch.line()?, "second");
    // Safety: signal 0 only asks whether the process is there.
    assert_ne!(unsafe { libc::kill(first as libc::pid_t, 0) }, 0, "the first run goes on");
    script.write("println!(\"third\");")?;
    assert_eq!(watch.line()?, "third");
    assert_eq!(watch.interrupt()?, Some(130));
    Ok(())
}

/// Prints one line a statement; what it does would compile in the `main` of a program.
const PLAIN_RUST: &str = r#"//! A script with documentation of its own.
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
    // The same as the cells of a notebook, exported.
    let cells: Vec<Value> = PLAIN_RUST
        .split("// %%\n")
        .map(|cell| cell.replace("//! A script with documentation of its own.\n#![allow(dead_code)]\n", ""))
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
    // What else is wrong is said in the script's own words.
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
fn what_no_script_can_have_is_named() -> Result<()> {
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
    assert!(said.contains("script.rs:2:1") && said.contains("only notebooks"), "{said}");
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
fn a_script_finds_files_beside_it() -> Result<()> {
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

#[test]
fn a_reader_that_goes_away_ends_it_without_a_panic() -> Result<()> {
    let code = "for i in 0..1_000_000 { println!(\"{i}\"); }\nstd::process::exit(7);";
    for code in [code.to_owned(), format!("fn main() {{ {code} }}")] {
        let script = Script::new(&code)?;
        let mut run = script.command(env!("CARGO_BIN_EXE_kensaku"), &["run", "script.rs"]);
        let mut run = run.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        BufReader::new(run.stdout.take().context("it prints")?).read_line(&mut String::new())?;
        let output = run.wait_with_output()?;
        assert_eq!(output.status.signal(), Some(libc::SIGPIPE), "{output:?}");
        assert!(!String::from_utf8(output.stderr)?.contains("panicked"));
    }
    Ok(())
}

#[test]
fn a_running_script_holds_its_library() -> Result<()> {
    let script = Script::new("println!(\"begun\");\nstd::io::stdin().read_line(&mut String::new())?;")?;
    let mut run = script.command(env!("CARGO_BIN_EXE_kensaku"), &["run", "script.rs"]);
    let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    BufReader::new(run.stdout.take().context("it prints")?).read_line(&mut String::new())?;
    let process = format!("/proc/{}", run.id());
    assert!(std::fs::read_link(format!("{process}/exe"))?.ends_with("program"));
    let locks: String = std::fs::read_dir(format!("{process}/fdinfo"))?
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok())
        .collect();
    assert!(locks.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK")), "{locks}");
    drop(run.stdin.take());
    assert!(run.wait()?.success());
    Ok(())
}

#[test]
fn others_cannot_read_its_program() -> Result<()> {
    let script = Script::new("println!(\"{}\", 1);")?;
    assert!(script.run(&["run", "script.rs"])?.status.success());
    for folder in ["cache", "cache/kensaku/scripts"] {
        let mode = std::fs::metadata(script.folder.path().join(folder))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
    Ok(())
}

struct Watch {
    process: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Watch {
    fn start(script: &Script) -> Result<Self> {
        let mut command = script.command(env!("CARGO_BIN_EXE_kensaku"), &["run", "--watch", "script.rs"]);
        let mut process = with_default_signals(&mut command).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(process.stdout.take().context("it has an output")?);
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Self { process, lines })
    }

    fn line(&self) -> Result<String> {
        self.lines.recv_timeout(Duration::from_secs(60)).context("nothing was printed")
    }

    fn interrupt(&mut self) -> Result<Option<i32>> {
        // Safety: a signal to a child that has not been waited for.
        unsafe { libc::kill(self.process.id() as libc::pid_t, libc::SIGINT) };
        let asked = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status.code());
            }
            ensure!(asked.elapsed() < Duration::from_secs(10), "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
