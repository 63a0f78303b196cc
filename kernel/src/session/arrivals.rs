//! Accepts connections to the kernel: one for each stream of the process for cells.
//!
//! The first line of a connection contains the session's token, the stream's name and the process.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Limits on the first line of a connection.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST: u64 = 256;

const STREAMS: [&str; 3] = ["stdout", "stderr", "control"];

/// A stream of the process for cells.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) name: &'static str,
    pub(super) process: u32,
    pub(super) stream: BufReader<UnixStream>,
}

/// The process whose streams are accepted. Another one is accepted only after it has ended.
#[derive(Debug, Default)]
pub(super) struct Admitted {
    process: Option<u32>,
    streams: Vec<&'static str>,
}

/// Reads the first line of a connection; `None` unless it contains the token.
pub(super) fn arrival(stream: UnixStream, token: &str) -> Option<Arrival> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    (&mut reader).take(LONGEST).read_line(&mut line).ok()?;
    let (name, process) = line.strip_suffix('\n')?.strip_prefix(token)?.strip_prefix(' ')?.split_once(' ')?;
    let name = STREAMS.into_iter().find(|stream| *stream == name)?;
    reader.get_ref().set_read_timeout(None).ok()?;
    Some(Arrival { name, process: process.parse().ok()?, stream: reader })
}

impl Admitted {
    /// Whether to accept `arrival`. `lives` says whether a process still runs.
    pub(super) fn admit(&mut self, arrival: &Arrival, lives: impl Fn(u32) -> bool) -> bool {
        let known = self.process == Some(arrival.process);
        if !known {
            if self.process.is_some_and(lives) {
                return false;
            }
            *self = Self { process: Some(arrival.process), streams: Vec::new() };
        }
        let new = !self.streams.contains(&arrival.name);
        if new {
            self.streams.push(arrival.name);
        }
        new
    }

    pub(super) fn process(&self) -> Option<u32> {
        self.process
    }
}

/// Whether a process exists; a zombie does.
pub(super) fn lives(process: u32) -> bool {
    // Safety: signal 0 only checks whether the process exists.
    libc::pid_t::try_from(process).is_ok_and(|process| unsafe { libc::kill(process, 0) } == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn said(line: &str) -> Option<Arrival> {
        let (mut ours, theirs) = UnixStream::pair().expect("two sockets");
        ours.write_all(line.as_bytes()).expect("there is room");
        drop(ours);
        arrival(theirs, "t0ken")
    }

    #[test]
    fn connections_without_the_token_are_refused() {
        assert!(said("t0ken stdout 7\n").is_some());
        for line in
            ["stdout\n", "stdout 7\n", "other stdout 7\n", "t0ken stdin 7\n", "t0ken stdout\n", "t0ken stdout 7", ""]
        {
            assert!(said(line).is_none(), "{line:?}");
        }
        assert!(said(&"x".repeat(10_000)).is_none());
    }

    #[test]
    fn a_second_process_is_accepted_once_the_first_has_ended() {
        let arrival = |line: &str| said(line).expect("it is valid");
        let mut admitted = Admitted::default();
        assert!(admitted.admit(&arrival("t0ken stdout 7\n"), |_| true));
        assert!(admitted.admit(&arrival("t0ken control 7\n"), |_| true));
        assert!(!admitted.admit(&arrival("t0ken control 7\n"), |_| true));
        assert!(!admitted.admit(&arrival("t0ken stdout 8\n"), |_| true));
        assert!(admitted.admit(&arrival("t0ken stdout 8\n"), |process| process != 7));
        assert_eq!(admitted.process(), Some(8));
    }
}
