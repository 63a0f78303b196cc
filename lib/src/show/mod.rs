//! What a notebook displays: charts, tables, progress.
//!
//! A cell that ends in a frame, a data set or a [`Chart`] shows it; [`display`] shows one in the middle of a cell,
//! [`Handle`] one that changes. [`progress`] and [`LossCurve`] follow long-running work.
//!
//! The library knows nothing of Jupyter. A display is a [`Message`] to the installed [`Display`]: the kernel's, the
//! terminal's, or that of stock evcxr_jupyter.

mod bars;
mod bitmap;
mod chart;
mod curve;
mod cut;
mod fonts;
mod frames;
mod input;
mod lines;
mod live;
mod places;
mod points;
mod progress;
mod saved;
mod sink;
mod status;
mod style;
mod table;
mod tensor;
mod text;
mod value;

pub use bars::bars;
pub use chart::Chart;
pub use curve::LossCurve;
pub use input::{input, password};
pub use live::{Handle, flush};
pub(crate) use places::Places;
pub use progress::{Progress, ProgressIter, progress, progress_iter};
pub use saved::save_to;
pub(crate) use sink::note;
pub use sink::{Display, Message, Show, clear_output, display, set_display};
pub use table::{TableConfig, table};
pub(crate) use text::shorten;
pub use text::{html, markdown};
#[doc(hidden)]
pub use value::{
    ByDebug, ByName, BySelf, NothingDisplayed, OfReference, OfValue, Shown, Undisplayed, displays, is_undisplayed,
};

#[cfg(test)]
pub(crate) mod recorder;
