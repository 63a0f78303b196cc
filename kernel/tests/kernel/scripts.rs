//! `kensaku run script.rs` and `kensaku script.rs`: the process, its program and outputs.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::client::{build_dylib, with_default_signals};

/// A folder with a script and the cache of its programs.
pub(crate) struct Script {
    pub(crate) folder: TempDir,
}

impl Script {
    pub(crate) fn new(code: &str) -> Result<Self> {
        build_dylib();
        let script = Self { folder: tempfile::tempdir()? };
        script.write(code)?;
        Ok(script)
    }

    pub(crate) fn write(&self, code: &str) -> Result<()> {
        Ok(std::fs::write(self.file(), code)?)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("script.rs")
    }

    pub(crate) fn command(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        command.args(arguments).current_dir(self.folder.path());
        command.env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(env!("CARGO_BIN_EXE_kensaku"), arguments).output()?)
    }
}

#[test]
fn arguments_and_the_exit_code_are_the_scripts() -> Result<()> {
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
fn an_unchanged_script_is_not_compiled_again() -> Result<()> {
    let script = Script::new("println!(\"{}\", 1);")?;
    let printed = || -> Result<String> { Ok(String::from_utf8(script.run(&["run", "script.rs"])?.stdout)?) };
    assert_eq!(printed()?, "1\n");
    // The cached program is run, whatever it is, until the script changes.
    let programs = script.folder.path().join("cache/kensaku/scripts");
    let program = std::fs::read_dir(programs)?.next().context("a program is cached")??.path().join("program");
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
    // It never ends by itself, so the next run must end it.
    let endless = "loop { std::thread::sleep(std::time::Duration::from_secs(1)); }";
    let script = Script::new(&format!("println!(\"first {{}}\", std::process::id());\n{endless}"))?;
    let mut watch = Watch::start(&script)?;
    let first: u32 = watch.line()?.strip_prefix("first ").context("the first run")?.parse()?;
    // Editors save by replacing the file.
    let aside = script.folder.path().join("script.rs.new");
    std::fs::write(&aside, format!("println!(\"second\");\n{endless}"))?;
    std::fs::rename(&aside, script.file())?;
    assert_eq!(watch.line()?, "second");
    // Safety: signal 0 only checks whether the process exists.
    assert_ne!(unsafe { libc::kill(first as libc::pid_t, 0) }, 0, "the first run still runs");
    script.write("println!(\"third\");")?;
    assert_eq!(watch.line()?, "third");
    assert_eq!(watch.interrupt()?, Some(130));
    Ok(())
}

#[test]
fn a_closed_stdout_ends_it_without_a_panic() -> Result<()> {
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
fn a_running_script_locks_its_library() -> Result<()> {
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
