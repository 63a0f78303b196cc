//! What the kernel weaves into cells. Not meant to be called by hand.

mod cell;
mod failed;
mod statics;
mod store;

use std::marker::PhantomData;

pub use cell::{Ended, Running, begin, poll, run, run_async};
pub use failed::{ByCauses, ByDebugForm, ByHint, ByText, Failed, Outcome, Raised, Told, text_of};
pub use statics::Static;
pub use store::{forget, has, keep, take};

pub(crate) use cell::INTERRUPTED;

pub use crate::tried_text;
pub use crate::tried_value as tried;

/// Carries a type into an error message, from which the kernel reads it.
pub struct TypeOf<T: ?Sized>(PhantomData<T>);

/// The marker of a value's type. A type of its own, never an expectation: an annotation would take
/// part in inference.
pub fn type_of<T: ?Sized>(_value: &T) -> TypeOf<T> {
    TypeOf(PhantomData)
}
