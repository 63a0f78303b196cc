//! What a progress bar says at one moment.

use std::time::Duration;

use super::text::{count, duration, escape};
use super::{Message, Show};

/// The state of a bar.
pub(super) struct Status<'a> {
    pub(super) label: &'a str,
    pub(super) done: usize,
    pub(super) total: Option<usize>,
    pub(super) elapsed: Duration,
    pub(super) finished: bool,
}

impl Status<'_> {
    pub(super) fn text(&self) -> String {
        format!("{}  {}", self.label, self.facts())
    }

    /// `42% 420/1,000  3.1/s  ETA 3m 07s`
    fn facts(&self) -> String {
        let rate = self.done as f64 / self.elapsed.as_secs_f64().max(1e-9);
        let mut facts = vec![self.share()];
        if self.done > 0 {
            facts.push(format!("{}/s", if rate < 10.0 { format!("{rate:.1}") } else { count(rate.round() as u64) }));
        }
        let elapsed = duration(self.elapsed);
        facts.push(match self.total {
            Some(total) if self.finished && self.done < total => format!("stopped after {elapsed}"),
            _ if self.finished => format!("in {elapsed}"),
            Some(total) if self.done > 0 => {
                let seconds = total.saturating_sub(self.done) as f64 / rate;
                format!("ETA {}", duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
            }
            _ => elapsed,
        });
        facts.join("  ")
    }

    fn share(&self) -> String {
        let done = count(self.done as u64);
        match self.total {
            None => done,
            Some(total) if self.done >= total => format!("100% {done}/{}", count(total as u64)),
            // Rounded down: 100% is for what is complete.
            Some(total) => format!("{}% {done}/{}", (self.done as u128 * 100) / total as u128, count(total as u64)),
        }
    }
}

impl Show for Status<'_> {
    fn bundle(&self) -> Message {
        let extent = match self.total {
            Some(total) => format!(" value=\"{}\" max=\"{}\"", self.done.min(total), total.max(1)),
            None if self.finished => " value=\"1\" max=\"1\"".to_owned(),
            None => String::new(),
        };
        let html = format!(
            "<div style=\"font-family:monospace;white-space:pre\">{}  \
             <progress{extent} style=\"width:16em;vertical-align:middle\"></progress>  {}</div>",
            escape(self.label),
            self.facts()
        );
        Message::text(self.text()).with("text/html", html)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_totals_are_told_as_they_are() {
        let text = |done, total, finished| {
            Status { label: "x", done, total, elapsed: Duration::from_secs(1), finished }.text()
        };
        assert_eq!(text(0, Some(0), true), "x  100% 0/0  in 1.0s");
        assert_eq!(text(0, Some(5), false), "x  0% 0/5  1.0s");
        assert_eq!(text(7, Some(5), false), "x  100% 7/5  7.0/s  ETA 0.0s");
        assert_eq!(text(999, Some(1000), false), "x  99% 999/1,000  999/s  ETA 0.0s");
        assert_eq!(text(12_345, None, true), "x  12,345  12,345/s  in 1.0s");
    }
}
