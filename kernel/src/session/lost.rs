//! Explains what ends a cell from outside.

use super::failure::Failure;

/// The process has ended. `message` is evcxr's, which ends in the status: "signal: 11 (SIGSEGV)".
pub(super) fn process_ended(message: &str) -> Failure {
    let how = signal(message).map_or_else(|| exit(message), |signal| format!("signal {signal}: {}", meaning(signal)));
    let text = format!(
        "the process of the cells was ended by {how}. All variables are lost; functions, types and imports are kept"
    );
    Failure::new("ProcessEnded", text)
}

pub(super) fn killed() -> Failure {
    let message = "the second interrupt has ended the process of the cells: all variables are lost, \
                   functions, types and imports are kept";
    Failure::new("Killed", message)
}

pub(super) fn interrupted() -> Failure {
    Failure::new("Interrupted", "variables are kept")
}

pub(super) fn interrupted_early() -> Failure {
    Failure::new("Interrupted", "the cell was still being compiled: nothing has run")
}

/// rustc itself has failed; `said` contains its backtrace.
pub(super) fn compiler_failed(said: &str) -> Option<Failure> {
    let crash =
        said.lines().find(|line| line.contains("rustc interrupted by SIG") || line.contains("overflowed its stack"));
    let message = if crash.is_some() {
        "rustc crashed, most likely on an expression that is nested too deeply: split it into several `let` statements"
    } else if said.contains("internal compiler error") || said.contains("the compiler unexpectedly panicked") {
        "rustc failed with an internal compiler error: rewrite the cell"
    } else {
        return None;
    };
    Some(Failure::new("CompilerCrash", message))
}

fn signal(message: &str) -> Option<u32> {
    let digits = message.rsplit_once("signal: ")?.1;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn exit(message: &str) -> String {
    match message.rsplit_once("exit status: ") {
        Some((_, code)) => format!("std::process::exit({})", code.trim()),
        None => message.trim().to_owned(),
    }
}

fn meaning(signal: u32) -> &'static str {
    match signal.cast_signed() {
        libc::SIGABRT => {
            "SIGABRT, an abort (endless recursion, out of memory, a panic in a destructor, or std::process::abort)"
        }
        libc::SIGBUS => "SIGBUS, an access to unmapped memory",
        libc::SIGILL => "SIGILL, an instruction that this processor does not support",
        libc::SIGKILL => "SIGKILL, killed from outside (the system does that when memory runs out)",
        libc::SIGSEGV => "SIGSEGV, an invalid memory access (unsafe code, or endless recursion)",
        libc::SIGTERM => "SIGTERM, ended from outside",
        _ => "see `man 7 signal`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_crash_is_explained() {
        let said = "error: rustc interrupted by SIGSEGV, printing backtrace\n\n/lib/librustc_driver.so(+0x3a)[0x7f]\n\n\
                    note: we would appreciate a report at https://github.com/rust-lang/rust\n";
        let told = compiler_failed(said).map(|failure| failure.message).unwrap_or_default();
        assert!(told.contains("nested too deeply") && !told.contains("0x"), "{told}");
        assert_eq!(compiler_failed("error: linking with `cc` failed"), None);
    }

    #[test]
    fn signals_and_exits_are_distinguished() {
        let told = |message: &str| process_ended(message).message;
        assert!(
            told("Subprocess terminated with status: signal: 11 (SIGSEGV) (core dumped)")
                .contains("signal 11: SIGSEGV")
        );
        assert!(told("Subprocess terminated with status: exit status: 3").contains("std::process::exit(3)"));
    }
}
