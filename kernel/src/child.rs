//! The process that runs the cells: this binary, started by evcxr.
//!
//! Its stdout and stderr become sockets to the kernel before anything can print, so that output
//! arrives as it is made and survives a crash. What evcxr itself reads from stdout is given back
//! to it line by line.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

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
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    crate::writes::join(&std::env::var(TOKEN_VARIABLE).context("no token was given")?);
    let mut control = BufReader::new(connect("control")?);
    let preload = Preload::load()?;
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

/// The functions of the dylib that are called by name, see its `host.rs`.
struct Preload {
    interrupt: extern "C" fn(bool),
    flush: extern "C" fn(u64),
    answer: extern "C" fn(*const u8, usize),
}

impl Preload {
    /// Loads the dylib before the first cell needs it, and never unloads it.
    fn load() -> Result<Self> {
        let path = std::env::var(DYLIB_VARIABLE).context("no dylib was named")?;
        let name = CString::new(path.as_str())?;
        // Safety: the dylib is our own; loading it runs nothing but the constructors of its crates.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // Safety: dlerror gives a C string after a failed dlopen.
            let reason = unsafe { std::ffi::CStr::from_ptr(libc::dlerror()) }.to_string_lossy();
            bail!("loading {path}: {reason}");
        }
        let init = symbol(handle, c"kensaku_init".as_ptr())?;
        let interrupt = symbol(handle, c"kensaku_interrupt".as_ptr())?;
        let flush = symbol(handle, c"kensaku_flush".as_ptr())?;
        let answer = symbol(handle, c"kensaku_answer".as_ptr())?;
        // Safety: the dylib declares the four functions with these types.
        unsafe {
            std::mem::transmute::<*mut c_void, extern "C" fn()>(init)();
            Ok(Self {
                interrupt: std::mem::transmute::<*mut c_void, extern "C" fn(bool)>(interrupt),
                flush: std::mem::transmute::<*mut c_void, extern "C" fn(u64)>(flush),
                answer: std::mem::transmute::<*mut c_void, extern "C" fn(*const u8, usize)>(answer),
            })
        }
    }

    fn interrupt(&self, requested: bool) {
        (self.interrupt)(requested);
    }

    fn flush(&self, round: u64) {
        (self.flush)(round);
    }

    fn answer(&self, line: &str) {
        (self.answer)(line.as_ptr(), line.len());
    }
}

fn symbol(handle: *mut c_void, name: *const c_char) -> Result<*mut c_void> {
    // Safety: the handle is of a loaded library, the name a C string.
    let found = unsafe { libc::dlsym(handle, name) };
    if found.is_null() {
        bail!("the dylib is of another version of kensaku: run `kensaku install`");
    }
    Ok(found)
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
    #[cfg(target_os = "linux")]
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
