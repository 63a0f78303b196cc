//! The flag a front end raises when the user interrupts.
//!
//! Every long loop of the library asks [`check`] once a round and ends with [`Error::Interrupted`],
//! so that an interrupted cell keeps its variables: a half-trained model stays usable.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Raises or lowers the flag. The front end lowers it before each cell.
pub fn set(requested: bool) {
    REQUESTED.store(requested, Ordering::SeqCst);
}

/// Whether the user has asked to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// An error if the user has asked to stop. Call it in the loops of a notebook, too:
///
/// ```
/// for _round in 0..3 {
///     kensaku::interrupt::check("my search")?;
/// }
/// # Ok::<(), kensaku::Error>(())
/// ```
pub fn check(during: &'static str) -> Result<()> {
    if requested() { Err(Error::Interrupted { during }) } else { Ok(()) }
}
