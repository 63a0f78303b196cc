//! Which questions are outdated: a front end asks at every keystroke, and only the last answer counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The kind of a question. A question is outdated by the next one of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Completion,
    Inspection,
}

/// Counts questions in order of arrival.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tickets {
    completions: Arc<AtomicU64>,
    inspections: Arc<AtomicU64>,
}

/// A question's number among those of its kind.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    number: u64,
    latest: Arc<AtomicU64>,
}

impl Tickets {
    pub(crate) fn next(&self, asked: Asked) -> Ticket {
        let latest = match asked {
            Asked::Completion => &self.completions,
            Asked::Inspection => &self.inspections,
        };
        Ticket { number: latest.fetch_add(1, Ordering::SeqCst) + 1, latest: latest.clone() }
    }
}

impl Ticket {
    /// The ticket of a question that is never outdated.
    pub(crate) fn lasting() -> Self {
        Tickets::default().next(Asked::Inspection)
    }

    /// Whether no later question of the kind has arrived.
    pub(super) fn counts(&self) -> bool {
        self.latest.load(Ordering::SeqCst) == self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_outdated_by_their_kind() {
        let tickets = Tickets::default();
        let first = tickets.next(Asked::Completion);
        let other = tickets.next(Asked::Inspection);
        assert!(first.counts() && other.counts());
        let second = tickets.next(Asked::Completion);
        assert!(!first.counts() && second.counts() && other.counts());
        assert!(Ticket::lasting().counts());
    }
}
