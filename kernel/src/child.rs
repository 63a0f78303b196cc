//! The process that runs the cells: this binary, started by evcxr.
//!
//! Its stdout and stderr become sockets to the kernel before anything can print, so that output arrives
//! immediately and survives a crash. evcxr's own protocol uses separate descriptors, as a cell may close
//! or replace its streams.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, c_char, c_int, c_void};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::host;

/// Contains [`Start`]. Not set for programs that a cell starts.
pub(crate) const START_VARIABLE: &str = "KENSAKU_CELLS";
/// Also set by evcxr.
const FOR_EVCXR: &str = "EVCXR_IS_RUNTIME";

/// What the kernel passes to the process.
#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    /// Where the kernel listens.
    pub(crate) socket: PathBuf,
    /// The first word of each connection, and of each line from the preload.
    pub(crate) token: String,
    /// The dylib that every cell links to.
    pub(crate) dylib: PathBuf,
    /// The original values of variables that are set for this process only, not for programs that cells start.
    pub(crate) before: BTreeMap<String, Option<String>>,
}

/// Our descriptors start here if the system allows it: programs that close unknown descriptors close low ones.
const HIGH: c_int = 512;
/// The time limit for the last cell and the destructors of variables.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whether this process was started to run cells.
pub(crate) fn is_child() -> bool {
    std::env::var_os(START_VARIABLE).is_some()
}

/// Runs cells until the kernel closes stdin.
pub(crate) fn run() -> ! {
    match prepare() {
        Ok(cells) => cells.run(),
        Err(error) => {
            eprintln!("kensaku: the process for cells could not start: {error:#}");
            std::process::exit(1);
        }
    }
}

fn prepare() -> Result<Cells> {
    die_with_parent();
    ignore_terminal_interrupts();
    let start = take_start()?;
    let commands = BufReader::new(File::from(duplicate(std::io::stdin())?));
    let evcxr = File::from(duplicate(std::io::stdout())?);
    let connect = |name: &str| -> Result<OwnedFd> {
        let mut stream = UnixStream::connect(&start.socket).context("connecting to the kernel")?;
        writeln!(stream, "{} {name} {}", start.token, std::process::id())?;
        duplicate(stream)
    };
    let streams = Streams {
        stdin: duplicate(File::open("/dev/null").context("opening /dev/null")?)?,
        stdout: connect("stdout")?,
        stderr: connect("stderr")?,
    };
    streams.each(|own, descriptor| replace(descriptor, own))?;
    #[cfg(target_env = "gnu")]
    crate::writes::join(&start.token, streams.stdout.as_raw_fd());
    let mut control = BufReader::new(UnixStream::from(connect("control")?));
    let preload = Preload::load(&start, &streams)?;
    // Otherwise a first cell could end before the kernel listens.
    let answer = control.read_line(&mut String::new()).context("waiting for the kernel")?;
    ensure!(answer > 0, "the kernel did not answer");
    std::thread::Builder::new().name("kensaku-control".to_owned()).spawn(move || obey(control, evcxr, &preload))?;
    Ok(Cells { commands, streams, preload, store: std::ptr::null_mut(), process: std::process::id() })
}

/// Reads [`Start`], and restores the user's environment.
fn take_start() -> Result<Start> {
    let start = std::env::var(START_VARIABLE).context("the kernel has passed no settings")?;
    let start: Start = serde_json::from_str(&start).context("reading the settings of the kernel")?;
    // Safety: this process has only one thread so far.
    unsafe {
        std::env::remove_var(START_VARIABLE);
        std::env::remove_var(FOR_EVCXR);
        for (name, value) in &start.before {
            match value {
                Some(value) => std::env::set_var(name, value),
                None => std::env::remove_var(name),
            }
        }
    }
    Ok(start)
}

/// Executes the kernel's commands until the connection is closed.
fn obey(control: impl BufRead, mut evcxr: File, preload: &Preload) {
    for line in control.lines().map_while(std::result::Result::ok) {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("relay", marker) => {
                let _ = writeln!(evcxr, "{marker}").and_then(|()| evcxr.flush());
            }
            ("interrupt", on) => preload.interrupt(on == "1"),
            ("input", answer) => preload.answer(answer),
            ("farewell", _) => end_after(FAREWELL),
            _ => {}
        }
    }
    // The kernel has ended, or a cell has closed the connection.
    end(1);
}

/// Ends the process unless it ends by itself before.
fn end_after(time: Duration) {
    let later = std::thread::Builder::new().spawn(move || {
        std::thread::sleep(time);
        end(0);
    });
    if later.is_err() {
        end(0);
    }
}

/// Ends the process immediately, whatever its threads do.
fn end(code: c_int) -> ! {
    // Safety: the process ends.
    unsafe { libc::_exit(code) }
}

/// Runs what evcxr sends.
struct Cells {
    commands: BufReader<File>,
    streams: Streams,
    preload: Preload,
    /// What evcxr's part of a cell passes to that of the next.
    store: *mut c_void,
    process: u32,
}

impl Cells {
    fn run(mut self) -> ! {
        let mut round = 0;
        let mut line = String::new();
        while self.commands.read_line(&mut line).is_ok_and(|length| length > 0) {
            self.streams.mend();
            if let Err(error) = self.run_cell(line.trim_end()) {
                eprintln!("kensaku: the cell could not be run: {error:#}");
                std::process::exit(1);
            }
            if std::process::id() != self.process {
                // This is a process that the cell has forked: it must not run the next cell.
                end(0);
            }
            round += 1;
            self.preload.flush(round);
            line.clear();
        }
        // Drops the variables.
        std::process::exit(0);
    }

    /// Runs `LOAD_AND_RUN library function`, a command of evcxr. Libraries are never unloaded.
    fn run_cell(&mut self, command: &str) -> Result<()> {
        let words = command.strip_prefix("LOAD_AND_RUN ").and_then(|rest| rest.rsplit_once(' '));
        let (library, function) = words.with_context(|| format!("unknown command `{command}`"))?;
        let handle = load(library.as_ref())?;
        let function = CString::new(function)?;
        let function = symbol(handle, function.as_ptr()).context("looking for the cell's function")?;
        // Safety: evcxr generates the function with this type.
        self.store = unsafe {
            std::mem::transmute::<*mut c_void, extern "C" fn(*mut c_void) -> *mut c_void>(function)(self.store)
        };
        Ok(())
    }
}

/// Duplicates of the standard streams, which stay open when a cell closes its own.
struct Streams {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

impl Streams {
    fn each(&self, mut what: impl FnMut(BorrowedFd<'_>, c_int) -> Result<()>) -> Result<()> {
        what(self.stdin.as_fd(), libc::STDIN_FILENO)?;
        what(self.stdout.as_fd(), libc::STDOUT_FILENO)?;
        what(self.stderr.as_fd(), libc::STDERR_FILENO)
    }

    /// Reopens streams that the previous cell has closed. Streams that it has replaced stay replaced.
    fn mend(&self) {
        let mended = self.each(|own, descriptor| {
            // Safety: valid for any descriptor, open or not.
            let open = unsafe { libc::fcntl(descriptor, libc::F_GETFD) } >= 0;
            if open { Ok(()) } else { replace(descriptor, own) }
        });
        // If no descriptors are left, the cell runs without its streams.
        let _ = mended;
    }
}

/// The functions of the dylib for this process.
#[derive(Clone, Copy)]
struct Preload(&'static host::Table);

impl Preload {
    /// Loads the dylib before the first cell needs it, and never unloads it.
    fn load(start: &Start, streams: &Streams) -> Result<Self> {
        let preload = Self::open(start.dylib.as_os_str())?;
        let (token, stdout, stderr) = (&start.token, streams.stdout.as_raw_fd(), streams.stderr.as_raw_fd());
        (preload.0.init)(token.as_ptr(), token.len(), stdout, stderr);
        Ok(preload)
    }

    fn open(library: &OsStr) -> Result<Self> {
        let table = symbol(load(library)?, c"KENSAKU_HOST".as_ptr()).map(|table| table.cast::<host::Table>());
        // Safety: the number is the first field in every version.
        let table = table.filter(|table| unsafe { (**table).version } == host::VERSION);
        let table =
            table.context("the library for cells belongs to another version of kensaku: run `kensaku install`")?;
        // Safety: a table of this version, in a library that is never unloaded.
        Ok(Self(unsafe { &*table }))
    }

    fn interrupt(&self, requested: bool) {
        (self.0.interrupt)(requested);
    }

    fn flush(&self, round: u64) {
        (self.0.flush)(round);
    }

    fn answer(&self, line: &str) {
        (self.0.answer)(line.as_ptr(), line.len());
    }
}

fn load(library: &OsStr) -> Result<*mut c_void> {
    let name = CString::new(library.as_bytes())?;
    // Safety: the library is our own; loading it only runs the constructors of its crates.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        // Safety: dlerror returns a C string after a failed dlopen.
        let reason = unsafe { std::ffi::CStr::from_ptr(libc::dlerror()) }.to_string_lossy();
        bail!("loading {}: {reason}", Path::new(library).display());
    }
    Ok(handle)
}

fn symbol(handle: *mut c_void, name: *const c_char) -> Option<*mut c_void> {
    // Safety: the library is loaded, and the name is a C string.
    let found = unsafe { libc::dlsym(handle, name) };
    (!found.is_null()).then_some(found)
}

/// Duplicates the descriptor of `file`.
fn duplicate(file: impl AsFd) -> Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    let file = file.as_fd().as_raw_fd();
    // Safety: the descriptor is open.
    let duplicated = |from: c_int| unsafe { libc::fcntl(file, libc::F_DUPFD_CLOEXEC, from) };
    match [HIGH, 3].into_iter().map(duplicated).find(|copy| *copy >= 0) {
        // Safety: the new descriptor has no other owner.
        Some(copy) => Ok(unsafe { OwnedFd::from_raw_fd(copy) }),
        None => Err(std::io::Error::last_os_error()).context("duplicating a stream"),
    }
}

fn replace(descriptor: c_int, stream: BorrowedFd<'_>) -> Result<()> {
    // Safety: both descriptors are open, or the first is unused.
    if unsafe { libc::dup2(stream.as_raw_fd(), descriptor) } < 0 {
        return Err(std::io::Error::last_os_error()).context("replacing a stream");
    }
    Ok(())
}

/// Ends this process with the kernel, even if that is killed.
fn die_with_parent() {
    // Safety: sets an attribute of this process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}

/// Ctrl-C in a terminal reaches the whole group; only the kernel handles it. Not SIG_IGN, which programs
/// that a cell starts would inherit.
fn ignore_terminal_interrupts() {
    extern "C" fn nothing(_: c_int) {}
    let handler: extern "C" fn(c_int) = nothing;
    // Safety: the handler does nothing.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library that contains only `source`.
    fn loaded(source: &str) -> Result<Preload> {
        let folder = tempfile::tempdir()?;
        let library = folder.path().join("libother.so");
        let code = folder.path().join("other.rs");
        std::fs::write(
            &code,
            format!("#![no_std]\n#[panic_handler] fn p(_: &core::panic::PanicInfo) -> ! {{ loop {{}} }}\n{source}"),
        )?;
        let mut rustc = std::process::Command::new("rustc");
        rustc.args(["--edition=2024", "--crate-type=cdylib", "-Cpanic=abort", "-o"]).arg(&library).arg(&code);
        ensure!(rustc.status()?.success(), "the library does not compile");
        Preload::open(library.as_os_str())
    }

    #[test]
    fn a_library_of_another_version_is_not_used() {
        let other =
            format!("#[unsafe(no_mangle)] pub static KENSAKU_HOST: [u64; 5] = [{}, 0, 0, 0, 0];", host::VERSION ^ 1);
        for source in ["", &other] {
            let refused = loaded(source).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refused.contains("run `kensaku install`"), "{refused}");
        }
    }
}
