//! Displays that are updated in place.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use super::{Show, sink};

/// A display that is updated in place: each value replaces the one shown before.
///
/// ```
/// use kensaku::show::{Handle, markdown};
///
/// let mut best = Handle::new();
/// best.show(&markdown("searching"));
/// best.show(&markdown("**nDCG@10 0.645**"));
/// ```
#[derive(Debug)]
pub struct Handle {
    id: String,
    shown: bool,
}

impl Handle {
    pub fn new() -> Self {
        Self { id: new_id(), shown: false }
    }

    /// Shows `value` in place of what this handle showed before.
    pub fn show(&mut self, value: &dyn Show) {
        let mut message = value.bundle();
        message.id = Some(self.id.clone());
        message.update = std::mem::replace(&mut self.shown, true);
        sink::send(&message);
    }
}

impl Default for Handle {
    fn default() -> Self {
        Self::new()
    }
}

/// Something that holds updates back, to limit their rate.
pub(super) trait Live: Send + Sync {
    /// Shows the latest state, if it is not what is shown.
    fn flush(&self);
}

static LIVE: Mutex<Vec<Weak<dyn Live>>> = Mutex::new(Vec::new());

/// Remembers `live` for [`flush`], as long as it lives.
pub(super) fn register(live: Weak<dyn Live>) {
    let mut all = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|known| known.strong_count() > 0);
    all.push(live);
}

/// Brings every progress bar and live chart up to date. The kernel calls it after each cell: otherwise a chart that is
/// kept in a variable would lack its last second until it is finished.
pub fn flush() {
    let all: Vec<Arc<dyn Live>> =
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    all.iter().for_each(|live| live.flush());
}

/// Unique among the processes of a front end's session, too: it updates every output of that id,
/// those left by an earlier kernel included.
fn new_id() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("kensaku-{:016x}-{}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::super::{Message, recorder};
    use super::*;

    #[test]
    fn a_handle_displays_once_and_then_updates() {
        let ((), messages) = recorder::record("handle", || {
            let (mut first, mut second) = (Handle::new(), Handle::new());
            first.show(&Message::text("handle a"));
            second.show(&Message::text("handle b"));
            first.show(&Message::text("handle c"));
        });
        let updates: Vec<bool> = messages.iter().map(|message| message.update).collect();
        assert_eq!(updates, [false, false, true]);
        assert_eq!(messages[0].id, messages[2].id);
        assert_ne!(messages[0].id, messages[1].id);
    }
}
