//! What ends a cell from outside, in words.

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
        libc::SIGABRT => "SIGABRT, an abort (out of memory, a panic in a destructor, or std::process::abort)",
        libc::SIGBUS => "SIGBUS, memory that is not there",
        libc::SIGILL => "SIGILL, an instruction this machine does not have",
        libc::SIGKILL => "SIGKILL, killed from outside (the system does that when memory runs out)",
        libc::SIGSEGV => "SIGSEGV, memory it may not touch (unsafe code, or a recursion without an end)",
        libc::SIGTERM => "SIGTERM, ended from outside",
        _ => "see `man 7 signal`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_and_exits_are_told_apart() {
        let told = |message: &str| process_ended(message).message;
        assert!(
            told("Subprocess terminated with status: signal: 11 (SIGSEGV) (core dumped)")
                .contains("signal 11: SIGSEGV")
        );
        assert!(told("Subprocess terminated with status: exit status: 3").contains("std::process::exit(3)"));
    }
}
