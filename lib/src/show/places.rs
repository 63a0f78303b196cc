//! Bars that replace earlier ones: repeated work only shows its latest state.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use super::Handle;

/// A display that successive bars share.
pub(super) type Place = Arc<Mutex<Handle>>;

/// The places for the bars of repeated work, in the order in which the bars are created.
#[derive(Default)]
pub(crate) struct Places(Vec<Place>);

/// The places that bars of this thread take, and how many are taken.
struct Open {
    places: Vec<Place>,
    taken: usize,
}

thread_local! {
    static OPEN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

impl Places {
    /// Runs `work`: its first bar replaces the first bar of the previous run, and so on.
    pub(crate) fn reuse<T>(&mut self, work: impl FnOnce() -> T) -> T {
        /// Gives the places back, also if the work panics.
        struct Reopen<'a>(&'a mut Vec<Place>, Option<Open>);
        impl Drop for Reopen<'_> {
            fn drop(&mut self) {
                let ours = OPEN.replace(self.1.take());
                *self.0 = ours.map(|open| open.places).unwrap_or_default();
            }
        }
        let open = Open { places: std::mem::take(&mut self.0), taken: 0 };
        let _reopen = Reopen(&mut self.0, OPEN.replace(Some(open)));
        work()
    }
}

/// The place of the next bar, if it takes one.
pub(super) fn next() -> Option<Place> {
    OPEN.with_borrow_mut(|open| {
        let Open { places, taken } = open.as_mut()?;
        if *taken == places.len() {
            places.push(Place::default());
        }
        *taken += 1;
        Some(Arc::clone(&places[*taken - 1]))
    })
}
