//! What a notebook displays: charts, tables, progress.
//!
//! The library knows nothing of Jupyter. A display is a [`Message`] given to the installed
//! [`Display`]: the kernel's, the terminal's, or stock evcxr_jupyter's.

mod sink;

pub use sink::{Display, Message, Show, display, set_display};
