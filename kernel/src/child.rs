//! The process that runs the cells: this binary, started by evcxr.
//!
//! Its stdout and stderr become sockets to the kernel before anything can print, so that output
//! arrives as it is made and survives a crash. What evcxr itself reads from stdout is given back
//! to it line by line.

use std::ffi::{CString, c_int};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::host;

/// Where the kernel listens.
pub(crate) const SOCKET_VARIABLE: &str = "KENSAKU_SOCKET";
/// What begins a line of the preload. It reads this variable, too.
pub(crate) const TOKEN_VARIABLE: &str = "KENSAKU_TOKEN";
/// The dylib that every cell links to.
pub(crate) const DYLIB_VARIABLE: &str = "KENSAKU_DYLIB";

/// Whether this process was started to run cells.
pub(crate) fn is_child() -> bool {
    std::env::var_os("EVCXR_IS_RUNTIME").is_some()
}

/// Runs cells until the kernel closes stdin.
pub(crate) fn run() -> ! {
    if let Err(error) = prepare() {
        eprintln!("kensaku: the process for cells could not start: {error:#}");
        std::process::exit(1);
    }
    evcxr::runtime_hook();
    unreachable!("evcxr's run time does not return");
}

fn prepare() -> Result<()> {
    die_with_parent();
    ignore_terminal_interrupts();
    let socket = PathBuf::from(std::env::var_os(SOCKET_VARIABLE).context("no socket was named")?);
    let evcxr = duplicate(libc::STDOUT_FILENO)?;
    let connect = |name: &str| -> Result<UnixStream> {
        let mut stream = UnixStream::connect(&socket).context("connecting to the kernel")?;
        writeln!(stream, "{name}")?;
        Ok(stream)
    };
    replace(libc::STDOUT_FILENO, &connect("stdout")?)?;
    replace(libc::STDERR_FILENO, &connect("stderr")?)?;
    #[cfg(target_env = "gnu")]
    crate::writes::join(&std::env::var(TOKEN_VARIABLE).context("no token was given")?);
    let mut control = BufReader::new(connect("control")?);
    let preload = Preload::load(&std::env::var(DYLIB_VARIABLE).context("no dylib was named")?)?;
    // Without the kernel's answer the end of a first cell could come before it listens.
    control.read_line(&mut String::new()).context("waiting for the kernel")?;
    std::thread::Builder::new().name("kensaku-control".to_owned()).spawn(move || obey(control, evcxr, &preload))?;
    Ok(())
}

/// Does what the kernel asks for, until it hangs up.
fn obey(control: impl BufRead, mut evcxr: File, preload: &Preload) {
    for line in control.lines().map_while(std::result::Result::ok) {
        match line.split_once(' ') {
            Some(("relay", marker)) => {
                let _ = writeln!(evcxr, "{marker}").and_then(|()| evcxr.flush());
            }
            Some(("flush", round)) => preload.flush(round.parse().unwrap_or_default()),
            Some(("interrupt", on)) => preload.interrupt(on == "1"),
            Some(("input", answer)) => preload.answer(answer),
            _ => {}
        }
    }
}

/// What the dylib offers to this process.
struct Preload(&'static host::Table);

impl Preload {
    /// Loads the dylib before the first cell needs it, and never unloads it.
    fn load(path: &str) -> Result<Self> {
        let name = CString::new(path)?;
        // Safety: the dylib is our own; loading it runs nothing but the constructors of its crates.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // Safety: dlerror gives a C string after a failed dlopen.
            let reason = unsafe { std::ffi::CStr::from_ptr(libc::dlerror()) }.to_string_lossy();
            bail!("loading {path}: {reason}");
        }
        // Safety: the handle is of a loaded library, the name a C string.
        let table = unsafe { libc::dlsym(handle, c"KENSAKU_HOST".as_ptr()) }.cast::<host::Table>();
        // Safety: whatever the version, its number stands in front.
        ensure!(
            !table.is_null() && unsafe { (*table).version } == host::VERSION,
            "the library for cells belongs to another version of kensaku: run `kensaku install`"
        );
        // Safety: a table of this version, in a library that stays.
        let preload = Self(unsafe { &*table });
        (preload.0.init)();
        Ok(preload)
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

fn duplicate(descriptor: c_int) -> Result<File> {
    // Safety: the new descriptor belongs to nobody else.
    let copy = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(std::io::Error::last_os_error()).context("duplicating a stream");
    }
    // Safety: as above.
    Ok(unsafe { File::from_raw_fd(copy) })
}

fn replace(descriptor: c_int, stream: &UnixStream) -> Result<()> {
    // Safety: both descriptors are open.
    if unsafe { libc::dup2(stream.as_raw_fd(), descriptor) } < 0 {
        return Err(std::io::Error::last_os_error()).context("replacing a stream");
    }
    Ok(())
}

/// A kernel that is killed leaves no process behind.
fn die_with_parent() {
    // Safety: sets an attribute of this process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
    }
}

/// Ctrl-C in a terminal reaches the whole group; the kernel decides what it means. A handler, not
/// SIG_IGN: programs that a cell starts would inherit that.
fn ignore_terminal_interrupts() {
    extern "C" fn nothing(_: c_int) {}
    let handler: extern "C" fn(c_int) = nothing;
    // Safety: the handler does nothing.
    unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library with nothing but `source` in it.
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
        Preload::load(&library.to_string_lossy())
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
