//! `:time` and `:timing`: how long cells take.

use std::time::{Duration, Instant};

use crate::session::evaluator::Session;

/// Which cells show how long they took.
#[derive(Default)]
pub(super) struct Timing {
    all: bool,
    this: bool,
}

impl Timing {
    pub(super) fn this_cell(&mut self) {
        self.this = true;
    }
}

impl Session {
    pub(super) fn toggle_timing(&mut self) {
        let timing = &mut self.commands.timing;
        timing.all = !timing.all;
        let text = if timing.all { "timing is on: each cell shows how long it takes\n" } else { "timing is off\n" };
        self.say(text);
    }

    /// Shows how long the cell that began at `started` took, if asked for. A cell of commands only shows it
    /// for `:time`.
    pub(super) fn tell_time(&mut self, started: Instant, failed: bool) {
        let (all, ran) = (started.elapsed(), self.link.take_run_time());
        let timing = &mut self.commands.timing;
        let this = std::mem::take(&mut timing.this);
        match ran {
            Some(ran) if this || timing.all => {
                let compiled = readable(all.saturating_sub(ran));
                self.say(&format!("{compiled} to compile, {} to run\n", readable(ran)));
            }
            None if this || timing.all && failed => self.say(&format!("{}\n", readable(all))),
            _ => {}
        }
    }
}

/// "2.4 ms", "310 ms", "12.4 s", "3 min 20 s", "2 h 5 min"
fn readable(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..0.01 => format!("{:.1} ms", seconds * 1e3),
        ..0.9995 => format!("{:.0} ms", seconds * 1e3),
        ..60.0 => format!("{seconds:.1} s"),
        ..3600.0 => format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60),
        _ => format!("{} h {} min", time.as_secs() / 3600, time.as_secs() / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        let read = |seconds| readable(Duration::from_secs_f64(seconds));
        assert_eq!([read(0.0), read(0.00241), read(0.31)], ["0.0 ms", "2.4 ms", "310 ms"]);
        assert_eq!([read(0.9996), read(12.44), read(60.0)], ["1.0 s", "12.4 s", "1 min 0 s"]);
        assert_eq!([read(200.4), read(7500.0)], ["3 min 20 s", "2 h 5 min"]);
    }
}
