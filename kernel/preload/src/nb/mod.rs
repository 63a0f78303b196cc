//! Functions that the kernel weaves into cells. Not meant to be called by hand.

mod cell;
mod failed;
mod store;
mod threads;

use std::marker::PhantomData;

pub use cell::{Ended, Running, begin, enter, poll, rest, rest_async, run, run_async};
pub use failed::{ByCauses, ByDebugForm, ByHint, ByText, Failed, Outcome, Raised, Told, returned, text_of};
pub use store::{forget, give_back, has, keep, readmit, take};

pub(crate) use cell::Interrupted;

pub use crate::tried_text;
pub use crate::tried_value as tried;

/// Carries a type into an error message, where the kernel reads it.
pub struct TypeOf<T: ?Sized>(PhantomData<T>);

/// The marker of a value's type. It is a separate type because an annotation would take part in
/// inference.
pub fn type_of<T: ?Sized>(_value: &T) -> TypeOf<T> {
    TypeOf(PhantomData)
}
